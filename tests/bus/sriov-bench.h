/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What tests of virtual functions have in common: two network cards and an NVMe that can have some. */

#include "fake-links.h"
#include "fake-sriov.h"
#include "pci-address.h"
#include "vms.h"

#define PF "0000:06:00.0"
#define PF_TWO "0000:07:00.0"
#define PF_NVME "0000:08:00.0"
#define BOTH PF " " PF_TWO
#define PF_DRIVER "igb"

static const char *const every_pf[] _unused_ = {PF, PF_TWO, PF_NVME};

/* The address of a function: "0000:06:10.0" is the first of the first. In one of a few static buffers. */
static inline const char *vf_of(const char *pf, unsigned i) {
        static char texts[8][PCI_ADDRESS_SIZE];
        static size_t at;
        char *text = texts[at++ % ELEMENTSOF(texts)];

        (void)snprintf(text, PCI_ADDRESS_SIZE, "%.8s%02x.%u", pf, 0x10 + i / 8, i % 8);
        return text;
}

static inline void add_pf(Bench *b, const char *address, unsigned set, uint32_t class_code,
                          const char *driver, const char *vf_driver) {
        fake_host_add_device(b->host, &(FakeDevice){.address = address,
                                                    .vendor = 0x8086,
                                                    .device = 0x10c9,
                                                    .class_code = class_code,
                                                    .driver = driver,
                                                    .iommu_set = set,
                                                    .total_vfs = 7,
                                                    .vf_device = 0x10ca,
                                                    .vf_driver = vf_driver});
}

/* The daemon runs. */
static inline int sriov_setup(void **state) {
        Bench *b;

        *state = b = bench_new(0);
        add_pf(b, PF, 21, 0x020000, PF_DRIVER, "igbvf");
        add_pf(b, PF_TWO, 22, 0x020000, PF_DRIVER, "igbvf");
        add_pf(b, PF_NVME, 23, 0x010802, "nvme", "nvme");
        fake_links_add(b->host, PF, "eno1", 11, PF_DRIVER);
        fake_links_add(b->host, PF_TWO, "eno2", 12, PF_DRIVER);
        assert_int_equal(fchownat(b->host->fd, "fake", DAEMON_UID, (gid_t)-1, 0), 0);
        bench_start_daemon(b);
        return 0;
}

static inline sd_bus_message *sriov_new_make(sd_bus *from, const char *addresses, const char *group) {
        char list[256], *save = NULL;
        sd_bus_message *m;

        assert_true(sd_bus_message_new_method_call(from, &m, BUS_NAME, BUS_PATH, BUS_INTERFACE_MANAGER,
                                                   "MakePassthrough") >= 0);
        assert_true(sd_bus_message_set_allow_interactive_authorization(m, true) >= 0);
        assert_true(sd_bus_message_open_container(m, 'a', "o") >= 0);
        (void)snprintf(list, sizeof list, "%s", addresses);
        for (char *word = strtok_r(list, " ", &save); word; word = strtok_r(NULL, " ", &save))
                assert_true(sd_bus_message_append(m, "o", bench_device_path(word)) >= 0);
        assert_true(sd_bus_message_close_container(m) >= 0);
        assert_true(sd_bus_message_append(m, "s", group) >= 0);
        assert_true(sd_bus_message_open_container(m, 'a', "{sv}") >= 0);
        return m;
}

/* With one more setting, a word, unless that is NULL; and one more option, a number. */
static inline Pending *sriov_start_make(Bench *b, sd_bus *from, const char *addresses, const char *binding,
                                        uint32_t vfs, const char *setting, const char *word,
                                        const char *option) {
        sd_bus_message *m = sriov_new_make(from, addresses, "nics");

        assert_true(sd_bus_message_append(m, "{sv}{sv}", "type", "s", "sriov-nic", "binding", "s",
                                          binding) >= 0);
        if (setting)
                assert_true(sd_bus_message_append(m, "{sv}", "sriov", "a{sv}", 2, "vfs", "u", vfs, setting,
                                                  "s", word) >= 0);
        else
                assert_true(sd_bus_message_append(m, "{sv}", "sriov", "a{sv}", 1, "vfs", "u", vfs) >= 0);
        if (option)
                assert_true(sd_bus_message_append(m, "{sv}", option, "u", 60) >= 0);
        assert_true(sd_bus_message_close_container(m) >= 0);
        return bench_start_message(b, from, m);
}

static inline sd_bus_message *sriov_make(Bench *b, sd_bus *from, const char *addresses, const char *binding,
                                         uint32_t vfs) {
        return bench_finish(b, sriov_start_make(b, from, addresses, binding, vfs, NULL, NULL, NULL));
}

static inline sd_bus_message *sriov_set_count(Bench *b, sd_bus *from, const char *pf, uint32_t count) {
        return bench_finish(b, bench_start(b, from, BUS_NAME, bench_device_path(pf), BUS_INTERFACE_DEVICE,
                                           "SetVfCount", true, "u", count));
}

/* What the kernel has. */
static inline unsigned sriov_count(Bench *b, const char *pf) {
        char path[512];
        unsigned n;

        for (n = 0;; n++) {
                (void)snprintf(path, sizeof path, "sys/%s/virtfn%u", fake_host_device_path(b->host, pf), n);
                if (!fake_host_exists(b->host, path))
                        return n;
        }
}

static inline bool sriov_has_file(Bench *b, const char *directory, const char *address, const char *suffix) {
        char path[256];

        (void)snprintf(path, sizeof path, "%s/%s.%s", directory, address, suffix);
        return fake_host_exists(b->host, path);
}

static inline bool sriov_is_granted(Bench *b, const char *pf) {
        return sriov_has_file(b, GRANTS_DIR, pf, "grant") &&
               !sriov_has_file(b, PENDING_GRANTS_DIR, pf, "grant");
}

/* So many, all of them on vfio-pci with a mark, or all without a driver and a mark. */
static inline bool sriov_has(Bench *b, const char *pf, unsigned n, bool bound) {
        if (sriov_count(b, pf) != n)
                return false;
        for (unsigned i = 0; i < n; i++)
                if (!streq(fake_host_driver(b->host, vf_of(pf, i)), bound ? "vfio-pci" : "") ||
                    sriov_has_file(b, GRANTS_DIR, vf_of(pf, i), "boot") != bound)
                        return false;
        return true;
}

/* No grant, no mark, no function, no override: as it was. */
static inline bool sriov_is_untouched(Bench *b, const char *pf) {
        return sriov_count(b, pf) == 0 && !sriov_has_file(b, GRANTS_DIR, pf, "grant") &&
               !sriov_has_file(b, PENDING_GRANTS_DIR, pf, "grant") &&
               !sriov_has_file(b, GRANTS_DIR, vf_of(pf, 0), "boot") &&
               streq(fake_host_override(b->host, pf), "(null)");
}

static inline bool sriov_nothing_is_left(Bench *b) {
        for (size_t i = 0; i < ELEMENTSOF(every_pf); i++)
                if (!sriov_is_untouched(b, every_pf[i]))
                        return false;
        return orders_count_objects(b, BUS_INTERFACE_GROUP) == 0 &&
               orders_count_objects(b, BUS_INTERFACE_RULE) == 0;
}

static inline void sriov_expect_nothing_left(Bench *b) {
        for (size_t i = 0; i < ELEMENTSOF(every_pf); i++)
                if (!sriov_is_untouched(b, every_pf[i]))
                        fail_msg("something is left of %s: %u functions, grant %d, pending %d", every_pf[i],
                                 sriov_count(b, every_pf[i]),
                                 sriov_has_file(b, GRANTS_DIR, every_pf[i], "grant"),
                                 sriov_has_file(b, PENDING_GRANTS_DIR, every_pf[i], "grant"));
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_GROUP), 0);
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_RULE), 0);
}
