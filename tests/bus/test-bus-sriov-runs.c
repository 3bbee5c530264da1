/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Virtual functions for VMs: what the port of the card does with their frames before, while and after a VM has them. */

#include <fcntl.h>
#include <sys/file.h>

#include "fake-kernel.h"
#include "sriov-bench.h"
#include "suite.h"

#define MAC_ONE "02:00:00:00:00:01"
#define MAC_TWO "02:00:00:00:00:02"
#define NO_MAC "00:00:00:00:00:00"
#define CLAIM_OF(b, from, vm, group, count, ...)                                                            \
        orders_take_path(bench_call_manager(b, from, "CreateClaim", "soua{sv}", vm, (group)->text, count,   \
                                            __VA_ARGS__))
#define SET_GROUP(b, group, n, ...)                                                                         \
        orders_call_group(b, (b)->root, group, "Update", "a{sv}", 1, "sriov", "a{sv}", n, __VA_ARGS__)

static Path make_group(Bench *b, const char *addresses, const char *binding, uint32_t vfs) {
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Path group;

        (void)sscanf(orders_show(sriov_make(b, admin, addresses, binding, vfs)), "%127s", group.text);
        bench_disconnect(admin);
        orders_until_group(b, &group, "Available", orders_get_group(b, &group, "Total"));
        fake_host_clear(b->host);
        return group;
}

static void test_try(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = make_group(b, PF, "on-claim", 2), claim;
        Answer a;

        bench_expect_success(SET_GROUP(b, &group, 2, "vlan", "u", 100, "overridable", "as", 3, "vlan", "trust", "mac"));
        fprintf(stderr, "LOG %s\n", fake_host_log(b->host));
        fake_host_clear(b->host);
        claim = CLAIM_OF(b, user, "web", &group, 2, 1, "mac-addresses", "as", 2, MAC_ONE, MAC_TWO);
        a = vm_take_answer(START(b, user, "web", 0));
        fprintf(stderr, "LOG %s\n", fake_host_log(b->host));
        fprintf(stderr, "%s\n", fake_host_read(b->host, "run/fake-vf-link/" PF));
        fprintf(stderr, "%s\n", fake_host_read(b->host, "fake/steps"));
        orders_until_device(b, vf_of(PF, 0), "VfSettings", "vlan 100");
        fprintf(stderr, "%s\n", orders_get_device(b, vf_of(PF, 0), "VfSettings"));
        fake_host_clear(b->host);
        fake_host_remove(b->host, "fake/steps");
        vm_let_go(&a);
        orders_until_claim(b, &claim, "Status", "idle");
        fprintf(stderr, "LOG %s\n", fake_host_log(b->host));
        fprintf(stderr, "%s\n", fake_host_read(b->host, "run/fake-vf-link/" PF));
        fprintf(stderr, "%s\n", fake_host_read(b->host, "fake/steps"));
        fprintf(stderr, "%s\n", orders_get_device(b, vf_of(PF, 0), "VfSettings"));
        bench_disconnect(user);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, sriov_setup, bench_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                        CASE(test_try),
        };

        return suite_run("bus-sriov-runs", "runs its parts under several users", tests);
}
