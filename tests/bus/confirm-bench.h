/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What tests of changes that are to be confirmed have in common. */

#include "grant-confirm.h"
#include "orders.h"

#define EACH_PAIR PAIR_NIC " " PAIR_NVME
#define LONG 600U /* nobody waits for its end */
#define SHORT 3U

#define CONFIRM(b, from) bench_call_manager(b, from, "Confirm", "")
#define REVERT(b, from) bench_call_manager(b, from, "Revert", "")

static const char *const every_device[] _unused_ = {NIC, CARD, PAIR_NIC, PAIR_NVME};

static inline bool has_file(Bench *b, const char *directory, const char *address, const char *suffix) {
        char path[256];

        (void)snprintf(path, sizeof path, "%s/%s.%s", directory, address, suffix);
        return fake_host_exists(b->host, path);
}

static inline bool is_kept(Bench *b, const char *address) {
        return has_file(b, GRANTS_DIR, address, "grant") &&
               !has_file(b, PENDING_GRANTS_DIR, address, "grant") &&
               !has_file(b, PENDING_GRANTS_DIR, address, "confirm");
}

static inline bool is_unconfirmed(Bench *b, const char *address) {
        return has_file(b, PENDING_GRANTS_DIR, address, "grant") &&
               has_file(b, PENDING_GRANTS_DIR, address, "confirm") &&
               !has_file(b, GRANTS_DIR, address, "boot");
}

static inline bool is_bound(Bench *b, const char *address) {
        return streq(fake_host_driver(b->host, address), "vfio-pci");
}

static inline void make_pair(Bench *b, sd_bus *from, uint32_t seconds) {
        bench_expect_success(orders_make_until(b, from, EACH_PAIR, NULL, "pool", "persistent", seconds));
        assert_true(is_bound(b, PAIR_NIC) && is_bound(b, PAIR_NVME));
        assert_true(is_unconfirmed(b, PAIR_NIC) && is_unconfirmed(b, PAIR_NVME));
}

static inline bool pair_is_confirmed(Bench *b) {
        return is_kept(b, PAIR_NIC) && is_kept(b, PAIR_NVME) && is_bound(b, PAIR_NIC) &&
               is_bound(b, PAIR_NVME) && orders_count_objects(b, BUS_INTERFACE_RULE) == 2;
}

static inline void expect_confirmed(Bench *b) {
        assert_true(pair_is_confirmed(b));
        assert_true(has_file(b, GRANTS_DIR, PAIR_NIC, "boot") && has_file(b, GRANTS_DIR, PAIR_NVME, "boot"));
        assert_string_equal(orders_get_manager(b, "ConfirmUntil"), "0");
        assert_string_equal(orders_get_manager(b, "ConfirmUser"), "4294967295");
        assert_string_equal(orders_get_manager(b, "ConfirmDevices"), "[]");
}

static inline bool nothing_is_left(void *userdata) {
        return orders_nothing_is_left(userdata);
}

static inline bool all_is_home(void *userdata) {
        Bench *b = userdata;

        for (size_t i = 0; i < ELEMENTSOF(every_device); i++)
                if (is_bound(b, every_device[i]) ||
                    has_file(b, PENDING_GRANTS_DIR, every_device[i], "grant") ||
                    has_file(b, PENDING_GRANTS_DIR, every_device[i], "confirm"))
                        return false;
        return true;
}

static inline void until_undone(Bench *b) {
        orders_until_files(b, nothing_is_left, b);
        orders_until_manager(b, "ConfirmDevices", "[]");
        assert_string_equal(orders_get_manager(b, "ConfirmUntil"), "0");
}

/* What systemd does by itself: Restart=on-failure, or the path unit. */
static inline void start_helper(Bench *b) {
        bench_expect_success(
                        bench_finish(b, bench_start(b, b->root, "org.freedesktop.DBus",
                                                    "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                                    "StartServiceByName", false, "su", HELPER_NAME, 0)));
}

static inline void expect_quiet(Bench *b) {
        static const char *const words[] = {"annot be", "ould not be", "failed"};
        const char *const files[] = {"fake/daemon.log", "fake/helper.log"};

        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                _cleanup_free_ char *log = fake_host_read(b->host, files[i]);

                for (size_t k = 0; log && k < ELEMENTSOF(words); k++)
                        if (strstr(log, words[k]))
                                fail_msg("%s: %s", files[i], log);
        }
}
