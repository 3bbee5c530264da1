/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What critical.h says about a device of a fake host. */

#include "critical.h"
#include "fake-host.h"
#include "sysfs.h"

#define BIT(reason) (1U << CRITICAL_##reason)

/* A reason comes with a whole sentence that names the device, and only a reason does. */
static inline Critical evaluate(FakeHost *h, const char *address) {
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

/* These reasons and no others. */
static inline void expect(FakeHost *h, const char *address, uint32_t reasons) {
        Critical c = evaluate(h, address);
        char is[256], wanted[256];

        if (c.reasons != reasons)
                fail_msg("%s: '%s' instead of '%s'", address, critical_format(c.reasons, is, sizeof is),
                         critical_format(reasons, wanted, sizeof wanted));
}

static inline void expect_sentence(FakeHost *h, const char *address, CriticalReason reason,
                                   const char *part) {
        Critical c = evaluate(h, address);

        if (!strstr(c.sentence[reason], part))
                fail_msg("'%s' does not say '%s'", c.sentence[reason], part);
}
