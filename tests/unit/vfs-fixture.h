/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A physical function on the fake kernel, and what tests ask of it and of its virtual ones. */

#include "grant-store.h"
#include "request-fixture.h"

#define PF "0000:0a:00.0"
#define VF0 "0000:0a:10.0"
#define VF1 "0000:0a:10.1"
#define VF2 "0000:0a:10.2"
#define PF_SET 20
#define VF0_SET 100

#define LEAVE(vf) "unbind " vf "\n"
#define TAKE(vf) "override " vf " vfio-pci\nprobe " vf "\n"
#define MAKE_TWO "autoprobe " PF " 0\nnumvfs " PF " 2\n"
#define POOL_TWO MAKE_TWO TAKE(VF0) TAKE(VF1)
#define POOL_TWO_STEPS 6U

static inline void add_pf(FakeHost *h, bool share) {
        fake_host_add_device(h, &(FakeDevice){.address = PF,
                                              .vendor = 0x8086,
                                              .device = 0x10c9,
                                              .class_code = 0x020000,
                                              .driver = "igb",
                                              .iommu_set = PF_SET,
                                              .slot = "4",
                                              .total_vfs = 8,
                                              .vf_device = 0x10ca,
                                              .vf_driver = "igbvf",
                                              .vfs_share_set = share});
}

static inline int setup_ungranted(void **state) {
        (void)fixture_setup(state);
        add_pf(*state, false);
        return 0;
}

static inline Failure grant_vfs(FakeHost *h, bool pending, const char *const *addresses) {
        Request q = {.uid = 1000, .pending = pending};

        request_devices(&q, addresses);
        return run_work(h, request_grant_vfs, &q, NULL);
}

static inline int setup(void **state) {
        (void)setup_ungranted(state);
        assert_success(grant_vfs(*state, false, LIST(PF)));
        return 0;
}

static inline Failure set_vfs_of(FakeHost *h, const char *address, unsigned n, bool bind) {
        Request q = {.verb = MOVE_VFS, .count = n, .persistent = bind};

        request_devices(&q, LIST(address));
        return run_work(h, request_set_vfs, &q, NULL);
}

static inline Failure set_vfs(FakeHost *h, unsigned n, bool bind) {
        return set_vfs_of(h, PF, n, bind);
}

/* Two in the pool. */
static inline int setup_pool(void **state) {
        (void)setup(state);
        assert_success(set_vfs(*state, 2, true));
        fake_host_clear(*state);
        return 0;
}

static inline Failure take_vfs_back(FakeHost *h, bool release, const char *address) {
        Request q = {.release = release};

        request_devices(&q, LIST(address));
        return run_work(h, request_revoke, &q, NULL);
}

static inline const char *virtfn(unsigned n) {
        static char path[64];

        (void)snprintf(path, sizeof path, "sys/bus/pci/devices/" PF "/virtfn%u", n);
        return path;
}

static inline unsigned count_vfs(FakeHost *h) {
        unsigned n = 0;

        while (fake_host_exists(h, virtfn(n)))
                n++;
        return n;
}

static inline void expect_attribute(FakeHost *h, const char *name, const char *text) {
        _cleanup_free_ char *got = NULL;
        char path[96];

        (void)snprintf(path, sizeof path, "sys/bus/pci/devices/" PF "/%s", name);
        got = fake_host_read(h, path);
        assert_non_null(got);
        assert_string_equal(got, text);
}

static inline Grant pf_grant(FakeHost *h) {
        PciAddress a;
        Grant g;

        assert_int_equal(pci_address_parse(PF, &a), 0);
        if (grant_read_pf(h->fd, &a, geteuid(), &g) < 0)
                fail_msg(PF " has no grant for its virtual functions");
        return g;
}

static inline bool has_mark(FakeHost *h, const char *address) {
        char path[128];

        (void)snprintf(path, sizeof path, MARK_OF("%s"), address);
        return fake_host_exists(h, path);
}

static inline bool has_journal(FakeHost *h) {
        return fake_host_exists(h, MOVES_DIR "/20");
}

static inline void assert_none(FakeHost *h) {
        assert_int_equal(count_vfs(h), 0);
        expect_attribute(h, "sriov_drivers_autoprobe", "1\n");
        assert_false(has_mark(h, VF0) || has_mark(h, VF1) || has_mark(h, VF2) || has_journal(h));
        assert_at(h, PF, "igb", "(null)");
}

static inline void assert_pool_of_two(FakeHost *h) {
        assert_int_equal(count_vfs(h), 2);
        expect_attribute(h, "sriov_drivers_autoprobe", "0\n");
        assert_at(h, VF0, "vfio-pci", "vfio-pci");
        assert_at(h, VF1, "vfio-pci", "vfio-pci");
        assert_true(has_mark(h, VF0) && has_mark(h, VF1));
        assert_at(h, PF, "igb", "(null)");
        assert_false(has_journal(h));
}

/* Nothing was written, anywhere. */
static inline void refused(FakeHost *h, unsigned n, FailureKind kind, const char *sentence) {
        unsigned before = count_vfs(h);
        Failure f;

        fake_host_clear(h);
        f = set_vfs(h, n, true);
        assert_failure(f, kind, "");
        assert_string_equal(f.sentence, sentence);
        assert_log(h, "");
        assert_int_equal(count_vfs(h), before);
        assert_false(has_journal(h));
}
