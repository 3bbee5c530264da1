/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What critical.h says about a device of a fake host, and where devices of a kind stand in sysfs. */

#include <limits.h>

#include "critical-fixture.h"

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

/* Refused for this reason and no other, and the sentence says this. */
static inline void judge_refused(FakeHost *h, const char *address, CriticalReason reason, const char *says) {
        expect(h, address, 1U << reason);
        expect_sentence(h, address, reason, says);
}

static inline void judge_free(FakeHost *h, const char *address) {
        Critical c = evaluate(h, address);

        for (int i = 0; i < CRITICAL_REASON_MAX; i++)
                if (c.reasons & 1U << i)
                        fail_msg("a false alarm: %s", c.sentence[i]);
}

static inline int judge_load(FakeHost *h) {
        _cleanup_(host_facts_freep) HostFacts *facts = NULL;

        return host_facts_load(h->fd, &facts);
}

#define JUDGE(name) cmocka_unit_test_setup_teardown(name, judge_setup, judge_teardown)
