/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <signal.h>

#include "bench.h"
#include "fake-kernel.h"
#include "suite.h"

static int setup(void **state) {
        Bench *b;

        *state = b = bench_new(0);
        bench_start_daemon(b);
        return 0;
}

static sd_bus_message *make(Bench *b, sd_bus *from, const char *address, const char *sibling,
                            const char *group, const char *binding) {
        char one[128], two[128];

        (void)snprintf(one, sizeof one, "%s", bench_device_path(address));
        (void)snprintf(two, sizeof two, "%s", bench_device_path(sibling ?: address));
        return sibling ? bench_call_manager(b, from, "MakePassthrough", "aosa{sv}", 1, one, group, 2,
                                            "binding", "s", binding, "siblings", "ao", 1, two)
                       : bench_call_manager(b, from, "MakePassthrough", "aosa{sv}", 1, one, group, 1,
                                            "binding", "s", binding);
}

static void test_make_passthrough_and_back(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        bench_expect_success(make(b, admin, PAIR_NIC, PAIR_NVME, "pool", "persistent"));
        assert_int_equal(b->n_asked, 1);
        assert_string_equal(fake_host_driver(b->host, PAIR_NIC), "vfio-pci");
        assert_string_equal(fake_host_driver(b->host, PAIR_NVME), "vfio-pci");
        assert_true(fake_host_exists(b->host, GRANTS_DIR "/" PAIR_NIC ".grant"));
        assert_false(fake_host_exists(b->host, PENDING_GRANTS_DIR "/" PAIR_NIC ".grant"));
        assert_string_equal(bench_get(b, PAIR_NIC, "State"), "pool");
        bench_expect_error(bench_call_device(b, admin, PAIR_NIC, "Release"), "Ordered", "pool");

        bench_expect_success(
                        bench_call_manager(b, admin, "ReturnToHost", "ao", 1, bench_device_path(PAIR_NIC)));
        assert_string_equal(fake_host_driver(b->host, PAIR_NIC), "e1000e");
        assert_false(fake_host_exists(b->host, GRANTS_DIR "/" PAIR_NIC ".grant"));
        bench_disconnect(admin);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, bench_teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_make_passthrough_and_back),
        };

        return suite_run("bus-orders", "runs its parts under several users", tests);
}
