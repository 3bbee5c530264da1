/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What critical.h says about a device of a fake host, and where devices of a kind stand in sysfs. */

#include <limits.h>

#include "critical.h"
#include "fake-host.h"
#include "sysfs.h"

#define BIT(reason) (1U << CRITICAL_##reason)

static int judge_setup(void **state) {
        *state = fake_host_new();
        return 0;
}

static int judge_teardown(void **state) {
        fake_host_free(*state);
        return 0;
}

/* iommu_set 0: one of its own. */
static inline void judge_add(FakeHost *h, const FakeDevice *d) {
        static unsigned set = 100;
        FakeDevice own = *d;

        if (own.iommu_set == 0)
                own.iommu_set = set++;
        fake_host_add_device(h, &own);
}

#define judge_device(h, ...) judge_add(h, &(FakeDevice){__VA_ARGS__})

/* path: below sys/, without the name at its end: "devices/pci0000:00/0000:00:02.0/drm". */
static inline void judge_class(FakeHost *h, const char *class_name, const char *path, const char *name) {
        char link[PATH_MAX], target[PATH_MAX];

        (void)snprintf(target, sizeof target, "sys/%s/%s", path, name);
        fake_host_mkdir(h, target);
        (void)snprintf(link, sizeof link, "sys/class/%s/%s", class_name, name);
        (void)snprintf(target, sizeof target, "../../%s/%s", path, name);
        fake_host_link(h, link, target);
}

static inline void judge_attribute(FakeHost *h, const char *class_name, const char *name,
                                   const char *attribute, const char *value) {
        char path[PATH_MAX];

        (void)snprintf(path, sizeof path, "sys/class/%s/%s/%s", class_name, name, attribute);
        fake_host_write(h, path, "%s\n", value);
}

static inline Critical judge(FakeHost *h, const char *address) {
        _cleanup_(host_facts_freep) HostFacts *facts = NULL;
        _cleanup_close_ int fd = -1;
        PciIdentity identity;
        PciAddress a;
        Critical c;

        assert_int_equal(pci_address_parse(address, &a), 0);
        fd = sysfs_open_device(h->fd, &a);
        assert_true(fd >= 0);
        assert_int_equal(pci_identity_read(fd, &a, &identity), 0);
        assert_int_equal(host_facts_load(h->fd, &facts), 0);
        assert_int_equal(critical_evaluate(facts, fd, &identity, &c), 0);

        for (int i = 0; i < CRITICAL_REASON_MAX; i++)
                if ((c.reasons | c.warnings) & 1U << i) {
                        assert_non_null(strstr(c.sentence[i], address));
                        assert_int_equal(c.sentence[i][strlen(c.sentence[i]) - 1], '.'); /* not cut */
                } else
                        assert_string_equal(c.sentence[i], "");
        return c;
}

/* Refused for this reason and no other, and the sentence says this. */
static inline void judge_refused(FakeHost *h, const char *address, CriticalReason reason, const char *says) {
        Critical c = judge(h, address);
        char is[256];

        if (c.reasons != 1U << reason)
                fail_msg("%s: '%s' instead of '%s'", address, critical_format(c.reasons, is, sizeof is),
                         critical_reason_to_string(reason));
        if (!strstr(c.sentence[reason], says))
                fail_msg("'%s' does not say '%s'", c.sentence[reason], says);
}

static inline void judge_free(FakeHost *h, const char *address) {
        Critical c = judge(h, address);

        for (int i = 0; i < CRITICAL_REASON_MAX; i++)
                if (c.reasons & 1U << i)
                        fail_msg("a false alarm: %s", c.sentence[i]);
}

static inline int judge_load(FakeHost *h) {
        _cleanup_(host_facts_freep) HostFacts *facts = NULL;

        return host_facts_load(h->fd, &facts);
}

#define JUDGE(name) cmocka_unit_test_setup_teardown(name, judge_setup, judge_teardown)
