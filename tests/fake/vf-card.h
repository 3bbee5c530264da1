/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A network card with two virtual functions, and the consent that they may leave the host. */

#include "fake-links.h"
#include "grant.h"
#include "sysfs.h"

#define CARD "0000:06:00.0"
#define CARD_VF0 "0000:06:10.0"
#define CARD_VF1 "0000:06:10.2"
#define CARD_GRANT GRANTS_DIR "/" CARD GRANT_SUFFIX
#define CARD_STATE "run/fake-vf-link/" CARD

static inline void card_set_driver(FakeHost *h, const char *words) {
        fake_host_write(h, "fake/links/40", CARD " enp6s0 %s\n", words);
}

static inline void card_grant(FakeHost *h) {
        char text[GRANT_TEXT_SIZE];
        Grant g = {.covers_vfs = true, .vfs = 2, .granted_at = 1760000000, .host_driver = "igb"};
        _cleanup_close_ int fd = -1;
        PciAddress a;

        assert_int_equal(pci_address_parse(CARD, &a), 0);
        fd = sysfs_open_device(h->fd, &a);
        assert_int_equal(pci_identity_read(fd, &a, &g.identity), 0);
        assert_int_equal(iommu_set_add(&g.set, &a), 0);
        assert_true(grant_format(&g, text, sizeof text) > 0);
        fake_host_write(h, CARD_GRANT, "%s", text);
}

static inline void card_add(FakeHost *h) {
        static const char *const functions[] = {CARD_VF0, CARD_VF1};

        fake_host_add_device(h, &(FakeDevice){.address = CARD,
                                              .vendor = 0x8086,
                                              .device = 0x10c9,
                                              .class_code = 0x020000,
                                              .driver = "igb",
                                              .iommu_set = 30});
        for (unsigned i = 0; i < ELEMENTSOF(functions); i++)
                fake_host_add_device(h, &(FakeDevice){.address = functions[i],
                                                      .vendor = 0x8086,
                                                      .device = 0x10ca,
                                                      .class_code = 0x020000,
                                                      .iommu_set = 31 + i,
                                                      .physfn = CARD});
        fake_links_add(h, CARD, "enp6s0", 40, "");
        card_grant(h);
}
