/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What tests of virtual functions of VMs have in common: a group of them with settings, and a claim on it. */

#include <fcntl.h>
#include <sys/file.h>

#include "sriov-bench.h"
#include "sysfs.h"

#define VF_ONE "0000:06:10.0"
#define VF_TWO "0000:06:10.1"
#define MAC_ONE "02:00:00:00:00:01"
#define MAC_TWO "02:00:00:00:00:02"
#define MAC_THREE "02:00:00:00:00:03"
#define NO_MAC "00:00:00:00:00:00"

/* What the kernel has of a function; and with the group's settings, between two VMs. */
#define STATE(vlan, max, trust, mac)                                                                        \
        "vlan=" vlan " vlan-protocol=802.1Q vlan-qos=0 min-rate=0 max-rate=" max                            \
        " link-state=auto spoof-checking=on trust=" trust " mac=" mac
#define AT_REST STATE("100", "0", "off", NO_MAC)

#define SET_GROUP(b, group, n, ...)                                                                         \
        orders_call_group(b, (b)->root, group, "Update", "a{sv}", 1, "sriov", "a{sv}", n, ##__VA_ARGS__)
#define SET_CLAIM(s, n, ...)                                                                                \
        orders_call_claim((s)->b, (s)->user, &(s)->claim, "Update", "a{sv}", 1, "sriov", "a{sv}", n,        \
                          ##__VA_ARGS__)
#define CLAIM_OF(b, from, vm, group, count, ...)                                                            \
        orders_take_path(bench_call_manager(b, from, "CreateClaim", "soua{sv}", vm, (group)->text, count,   \
                                            __VA_ARGS__))

typedef struct Runs {
        Bench *b;
        sd_bus *user;
        Path group, claim; /* of the VM "web" */
} Runs;

/* The group "nics" with so many functions on each card, VLAN 100, and what a claim may set; and a claim for some. */
static inline Runs runs_begin(Bench *b, const char *cards, const char *binding, uint32_t vfs,
                              uint32_t count) {
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Runs s = {.b = b, .user = bench_connect(b, OTHER_UID)};

        (void)sscanf(orders_show(sriov_make(b, admin, cards, binding, vfs)), "%127s", s.group.text);
        bench_disconnect(admin);
        bench_expect_success(SET_GROUP(b, &s.group, 2, "vlan", "u", 100, "overridable", "as", 4, "vlan",
                                       "max-rate", "trust", "mac"));
        s.claim = CLAIM_OF(b, s.user, "web", &s.group, count, 1, "mac-addresses", "as", count, MAC_ONE,
                           MAC_TWO);
        orders_until_group(b, &s.group, "Available", orders_get_group(b, &s.group, "Total"));
        fake_host_clear(b->host);
        fake_host_remove(b->host, "fake/steps");
        return s;
}

static inline void runs_end(Runs *s) {
        s->user = bench_disconnect(s->user);
}

/* The driver of a card becomes another. */
static inline void runs_set_driver(Bench *b, const char *pf, const char *words) {
        bool first = streq(pf, PF);

        fake_host_write(b->host, first ? "fake/links/11" : "fake/links/12", "%s %s %s\n", pf,
                        first ? "eno1" : "eno2", words);
}

/* The lock of rtnetlink: as long as somebody has it nobody sets anything. */
static inline void runs_hold_lock(Bench *b, bool hold) {
        static int fd = -1;
        char path[512];

        if (!hold) {
                assert_int_equal(close(fd), 0);
                return;
        }
        (void)snprintf(path, sizeof path, "%s/fake/lock/rtnl", b->host->root);
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        assert_true(fd >= 0);
        assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
}

static inline unsigned runs_set_of(Bench *b, const char *address) {
        return (unsigned)strtoul(orders_get_device(b, address, "IommuSet"), NULL, 10);
}

/* In a static buffer; "": nobody has set anything of it. */
static inline const char *runs_function(Bench *b, const char *address) {
        static char found[512];
        char name[64], head[16];
        _cleanup_free_ char *text = NULL;
        const char *line;

        (void)snprintf(name, sizeof name, "run/fake-vf-link/%.8s00.0", address);
        (void)snprintf(head, sizeof head, "%lu: ",
                       (strtoul(address + 8, NULL, 16) - 0x10) * 8 + strtoul(address + 11, NULL, 8));
        text = fake_host_read(b->host, name);
        found[0] = '\0';
        for (line = text; line && *line; line += strcspn(line, "\n") + 1)
                if (startswith(line, head)) {
                        (void)snprintf(found, sizeof found, "%.*s",
                                       (int)(strcspn(line, "\n") - strlen(head)), line + strlen(head));
                        break;
                }
        return found;
}

static inline void runs_expect_function(Bench *b, const char *address, const char *state) {
        assert_string_equal(runs_function(b, address), state);
}

static inline void runs_expect_at_rest(Bench *b, const char *pf, unsigned n) {
        for (unsigned i = 0; i < n; i++)
                runs_expect_function(b, vf_of(pf, i), AT_REST);
}

/* Nor may it have another VLAN or rate than the group's, if it was touched at all. */
static inline bool runs_is_clean(Bench *b, const char *address) {
        const char *state = runs_function(b, address);

        return !*state || streq(state, AT_REST);
}

static inline void runs_expect_no_address(Bench *b, const char *pf, unsigned n) {
        for (unsigned i = 0; i < n; i++)
                if (!runs_is_clean(b, vf_of(pf, i)))
                        fail_msg("%s is still %s", vf_of(pf, i), runs_function(b, vf_of(pf, i)));
}

static inline void runs_expect_unwritten(Bench *b, const char *word) {
        _cleanup_free_ char *log = fake_host_log(b->host);

        if (strstr(log, word))
                fail_msg("\"%s\" was written:\n%s", word, log);
}
