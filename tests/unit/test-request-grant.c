/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "request-fixture.h"

static unsigned count_grants(FakeHost *h) {
        static const char *const addresses[] = {GRANT_OF(NIC), GRANT_OF(PAIR_NIC), GRANT_OF(PAIR_NVME),
                                                GRANT_OF(BRIDGE)};
        unsigned n = 0;

        for (size_t i = 0; i < ELEMENTSOF(addresses); i++)
                n += fake_host_exists(h, addresses[i]);
        return n;
}

static void test_grant_writes_who_what_and_how_back(void **state) {
        FakeHost *h = *state;
        Grant g;

        assert_success(grant(h, 0, LIST(NIC)));
        g = read_grant(h, NIC);
        assert_int_equal(g.identity.vendor, 0x8086);
        assert_int_equal(g.identity.device, 0x10d3);
        assert_string_equal(g.identity.slot, "1");
        assert_string_equal(g.host_driver, "e1000e");
        assert_int_equal(g.granted_by, 1000);
        assert_int_equal(g.consent, 0);
        assert_int_equal(g.set.n_members, 1);
        assert_true(g.granted_at > 1700000000);
        assert_int_equal(count_grants(h), 1);
        assert_log(h, "");
}

static void test_the_whole_set_or_nothing(void **state) {
        FakeHost *h = *state;

        assert_failure(grant(h, 0, LIST(PAIR_NIC)), FAILURE_INCOMPLETE_IOMMU_SET, PAIR_NVME);
        assert_failure(grant(h, 0, LIST(NIC, PAIR_NVME)), FAILURE_INCOMPLETE_IOMMU_SET, PAIR_NIC);
        assert_int_equal(count_grants(h), 0);

        assert_success(grant(h, 0, LIST(NIC, PAIR_NIC, PAIR_NVME)));
        assert_int_equal(count_grants(h), 3);
        assert_int_equal(read_grant(h, PAIR_NVME).set.n_members, 2);
        assert_string_equal(read_grant(h, PAIR_NVME).host_driver, "nvme");
}

static void test_bad_devices(void **state) {
        FakeHost *h = *state;

        assert_failure(grant(h, 0, LIST(BRIDGE)), FAILURE_CRITICAL, BRIDGE);
        assert_failure(grant(h, 0, LIST(NIC, "0000:66:00.0")), FAILURE_NO_SUCH_DEVICE, "0000:66:00.0");
        assert_int_equal(count_grants(h), 0);
}

static void test_critical_needs_consent_by_name(void **state) {
        FakeHost *h = *state;

        fake_host_add_net(h, "devices/pci0000:01/" NIC "/net/eth1");
        fake_host_add_network_address(h, "eth1", "192.0.2.7");
        fake_host_add_default_route(h, "eth1", "IPv4");
        assert_failure(grant(h, 0, LIST(NIC)), FAILURE_CRITICAL, NIC);
        assert_failure(grant(h, 1U << CRITICAL_ADDRESS, LIST(NIC)), FAILURE_CRITICAL, "default route");
        assert_int_equal(count_grants(h), 0);

        /* Consent that nothing asked for is not kept for later. */
        assert_success(grant(h, 1U << CRITICAL_ADDRESS | 1U << CRITICAL_DEFAULT_ROUTE | 1U << CRITICAL_SWAP,
                             LIST(NIC)));
        assert_int_equal(read_grant(h, NIC).consent, 1U << CRITICAL_ADDRESS | 1U << CRITICAL_DEFAULT_ROUTE);
}

static void test_no_iommu_cannot_be_overridden(void **state) {
        FakeHost *h = *state;

        fake_host_add_device(h, &(FakeDevice){.address = "0000:66:00.0", .class_code = 0x020000});
        assert_failure(grant(h, UINT32_MAX, LIST("0000:66:00.0")), FAILURE_CRITICAL, "IOMMU");
        fake_host_add_device(h, &(FakeDevice){.address = "0000:01:10.0",
                                              .class_code = 0x020000,
                                              .iommu_set = 30,
                                              .physfn = NIC});
        assert_failure(grant(h, UINT32_MAX, LIST(NIC)), FAILURE_CRITICAL, "virtual functions");
}

static void test_what_the_host_uses_must_be_known(void **state) {
        FakeHost *h = *state;

        fake_host_remove(h, "fake/network");
        assert_failure(grant(h, UINT32_MAX, LIST(NIC)), FAILURE_CRITICAL, "could not be read");
        assert_int_equal(count_grants(h), 0);
}

static void test_granting_again_in_the_pool_keeps_the_way_back(void **state) {
        FakeHost *h = *state;

        assert_success(grant(h, 0, LIST(NIC)));
        assert_success(move(h, MOVE_BIND, NIC));
        assert_success(grant(h, 0, LIST(NIC)));
        assert_string_equal(read_grant(h, NIC).host_driver, "e1000e");
}

static void test_a_grant_that_fails_half_way_is_taken_back(void **state) {
        FakeHost *h = *state;

        /* A directory where the second grant's file is to be written. */
        fake_host_mkdir(h, GRANTS_DIR "/." PAIR_NVME GRANT_SUFFIX);
        assert_failure(grant(h, 0, LIST(PAIR_NIC, PAIR_NVME)), FAILURE_INTERNAL, "Nothing was granted");
        assert_int_equal(count_grants(h), 0);

        /* And one that stood before stands again. */
        fake_host_remove(h, GRANTS_DIR "/." PAIR_NVME GRANT_SUFFIX);
        assert_success(grant(h, 0, LIST(PAIR_NIC, PAIR_NVME)));
        Grant before = read_grant(h, PAIR_NIC);
        fake_host_mkdir(h, GRANTS_DIR "/." PAIR_NVME GRANT_SUFFIX);
        fake_host_add_net(h, "devices/pci0000:04/" BRIDGE "/" PAIR_NIC "/net/eth1");
        fake_host_add_network_address(h, "eth1", "192.0.2.7");
        Request q = {.consent = 1U << CRITICAL_ADDRESS, .uid = 1001};
        request_devices(&q, LIST(PAIR_NIC, PAIR_NVME));
        assert_failure(run_work(h, request_grant, &q, NULL), FAILURE_INTERNAL, "");
        assert_int_equal(read_grant(h, PAIR_NIC).consent, before.consent);
        assert_int_equal(count_grants(h), 2);
}

static void test_revoke(void **state) {
        FakeHost *h = *state;

        assert_failure(take_back(h, LIST(NIC)), FAILURE_NOT_GRANTED, NIC);
        assert_success(grant(h, 0, LIST(NIC, PAIR_NIC, PAIR_NVME)));
        /* Naming one is enough: the grants of a set go together. */
        assert_success(take_back(h, LIST(PAIR_NVME)));
        assert_int_equal(count_grants(h), 1);
        assert_success(take_back(h, LIST(NIC)));
        assert_int_equal(count_grants(h), 0);
}

static void test_revoke_only_at_the_host(void **state) {
        FakeHost *h = *state;

        assert_success(grant(h, 0, LIST(NIC)));
        assert_success(move(h, MOVE_BIND, NIC));
        assert_failure(take_back(h, LIST(NIC)), FAILURE_NOT_BOUND, NIC);
        assert_int_equal(count_grants(h), 1);
        assert_success(move(h, MOVE_RELEASE, NIC));
        assert_success(take_back(h, LIST(NIC)));
}

static void test_revoke_outlives_the_device(void **state) {
        FakeHost *h = *state;

        assert_success(grant(h, 0, LIST(NIC)));
        fake_host_remove_device(h, NIC);
        assert_success(take_back(h, LIST(NIC)));
        assert_int_equal(count_grants(h), 0);
        assert_failure(take_back(h, LIST(NIC)), FAILURE_NOT_GRANTED, NIC);
}

static WorkerResult prepare(FakeHost *h, worker_work_t work, uint32_t consent,
                            const char *const *addresses) {
        Request q = {.consent = consent};
        WorkerResult result;

        request_devices(&q, addresses);
        (void)run_work(h, work, &q, &result);
        return result;
}

static void test_the_prompt_tells_what_leaves(void **state) {
        FakeHost *h = *state;
        WorkerResult result;

        result = prepare(h, request_prepare_grant, 0, LIST(PAIR_NIC, PAIR_NVME));
        assert_success(result.failure);
        assert_string_equal(result.prompt.device, PAIR_NIC ", " PAIR_NVME);
        assert_string_equal(result.prompt.iommu_set, PAIR_NIC ", " PAIR_NVME);
        assert_string_equal(result.prompt.driver, "e1000e, nvme");
        assert_non_null(strstr(result.prompt.model, "[8086:10d3]"));
        assert_non_null(strstr(result.prompt.model, "[1b36:0010]"));
        assert_string_equal(result.prompt.consent, "");
        assert_int_equal(count_grants(h), 0);

        result = prepare(h, request_prepare_grant, 0, LIST(PAIR_NIC));
        assert_failure(result.failure, FAILURE_INCOMPLETE_IOMMU_SET, PAIR_NVME);
}

/* A word that is part of another is a word of its own. */
static void test_the_prompt_hides_nothing(void **state) {
        WorkerResult result;
        FakeHost *h = *state;

        fake_host_add_device(h, &(FakeDevice){.address = "0000:66:00.0",
                                              .class_code = 0x020000,
                                              .driver = "e1000",
                                              .iommu_set = 66});
        result = prepare(h, request_prepare_grant, 0, LIST(NIC, "0000:66:00.0"));
        assert_success(result.failure);
        assert_string_equal(result.prompt.driver, "e1000e, e1000");
}

static void test_the_prompt_names_what_is_overridden(void **state) {
        WorkerResult result;
        FakeHost *h = *state;

        fake_host_add_net(h, "devices/pci0000:01/" NIC "/net/eth1");
        fake_host_add_network_address(h, "eth1", "192.0.2.7");
        result = prepare(h, request_prepare_grant, 1U << CRITICAL_ADDRESS | 1U << CRITICAL_MOUNTED,
                         LIST(NIC));
        assert_success(result.failure);
        assert_string_equal(result.prompt.consent, "address");
        assert_int_equal(result.critical, 1U << CRITICAL_ADDRESS);
}

static void test_the_prompt_of_revoke(void **state) {
        WorkerResult result;
        FakeHost *h = *state;

        assert_success(grant(h, 0, LIST(PAIR_NIC, PAIR_NVME)));
        result = prepare(h, request_prepare_revoke, 0, LIST(PAIR_NIC));
        assert_success(result.failure);
        assert_string_equal(result.prompt.device, PAIR_NIC);
        assert_string_equal(result.prompt.iommu_set, PAIR_NIC ", " PAIR_NVME);
        assert_int_equal(count_grants(h), 2);
}

/* Two sets that have become one during the prompt are not what it named; nor is a set that somebody joined or left. */
static void test_what_changes_during_the_prompt(void **state) {
        FakeDevice d = {.address = "0000:06:00.0",
                        .class_code = 0x020000,
                        .driver = "e1000e",
                        .iommu_set = 10};
        FakeHost *h = *state;
        WorkerResult asked;
        Request q = {0};

        fake_host_add_device(h, &d);
        asked = prepare(h, request_prepare_grant, 0, LIST(NIC, "0000:06:00.0"));
        assert_success(asked.failure);
        request_devices(&q, LIST(NIC, "0000:06:00.0"));
        q.prompted = asked.prompted;
        fake_host_remove_device(h, d.address);
        d.iommu_set = 7;
        fake_host_add_device(h, &d);
        assert_failure(run_work(h, request_grant, &q, NULL), FAILURE_IDENTITY_CHANGED, d.address);
        assert_int_equal(count_grants(h), 0);
        fake_host_remove_device(h, d.address);

        q = (Request){0};
        assert_success(grant(h, 0, LIST(PAIR_NIC, PAIR_NVME)));
        asked = prepare(h, request_prepare_revoke, 0, LIST(PAIR_NIC));
        request_devices(&q, LIST(PAIR_NIC));
        q.prompted = asked.prompted;
        d.iommu_set = 9;
        fake_host_add_device(h, &d);
        assert_failure(run_work(h, request_revoke, &q, NULL), FAILURE_IDENTITY_CHANGED, "0000:06:00.0");
        fake_host_remove_device(h, d.address);
        fake_host_remove_device(h, PAIR_NVME);
        assert_failure(run_work(h, request_revoke, &q, NULL), FAILURE_IDENTITY_CHANGED, "is gone");
        assert_int_equal(count_grants(h), 2);
}

/* One that was not there when it was asked for, and has come since. */
static void test_what_comes_during_the_prompt(void **state) {
        FakeHost *h = *state;
        WorkerResult asked;
        Request q = {0};

        assert_success(grant(h, 0, LIST(NIC)));
        fake_host_remove_device(h, NIC);
        asked = prepare(h, request_prepare_revoke, 0, LIST(NIC));
        assert_success(asked.failure);
        assert_true(asked.prompted.asked);
        request_devices(&q, LIST(NIC));
        q.prompted = asked.prompted;
        fake_host_add_device(h, &(FakeDevice){.address = NIC, .class_code = 0x020000, .iommu_set = 7});
        assert_failure(run_work(h, request_revoke, &q, NULL), FAILURE_IDENTITY_CHANGED, NIC);
        assert_int_equal(count_grants(h), 1);
}

/* Behind enough others the one that matters is named all the same. */
static void test_the_prompt_names_all_models(void **state) {
        char address[PCI_ADDRESS_SIZE];
        FakeHost *h = *state;
        WorkerResult asked;
        Request q = {0};

        for (unsigned i = 0; i < 62; i++) {
                (void)snprintf(address, sizeof address, "0000:02:%02x.%u", i / 8, i % 8);
                fake_host_add_device(h, &(FakeDevice){.address = address,
                                                      .vendor = 0x1234,
                                                      .device = (uint16_t)i,
                                                      .class_code = 0x088000,
                                                      .iommu_set = 20 + i});
                request_devices(&q, LIST(address));
        }
        request_devices(&q, LIST(PAIR_NIC, PAIR_NVME));
        assert_success(run_work(h, request_prepare_grant, &q, &asked));
        assert_non_null(strstr(asked.prompt.model, "[1234:003d]"));
        assert_non_null(strstr(asked.prompt.model, "[1b36:0010]"));
}

static const CheckRow *find_row(const WorkerResult *result, const char *check) {
        for (size_t i = 0; i < result->n_rows; i++)
                if (streq(result->rows[i].check, check))
                        return &result->rows[i];
        fail_msg("no row %s", check);
        return NULL;
}

static WorkerResult check(FakeHost *h, const char *address) {
        return prepare(h, request_plan, 0, LIST(address));
}

static void test_check_of_a_free_device(void **state) {
        WorkerResult result;
        FakeHost *h = *state;

        assert_success(grant(h, 0, LIST(NIC)));
        result = check(h, NIC);
        assert_success(result.failure);
        for (size_t i = 0; i < result.n_rows; i++)
                assert_true(result.rows[i].passed);
        for (int i = 0; i < CRITICAL_REASON_MAX; i++)
                (void)find_row(&result, critical_reason_to_string((CriticalReason)i));
        assert_log(h, "");
}

static void test_check_tells_each_obstacle(void **state) {
        WorkerResult result;
        FakeHost *h = *state;

        fake_host_add_net(h, "devices/pci0000:04/" BRIDGE "/" PAIR_NIC "/net/eth1");
        fake_host_add_network_address(h, "eth1", "192.0.2.7");
        fake_host_remove(h, "sys/bus/pci/drivers/vfio-pci");
        result = check(h, PAIR_NVME);
        assert_success(result.failure);
        assert_false(find_row(&result, "granted")->passed);
        assert_false(find_row(&result, "driver")->passed);
        assert_false(find_row(&result, "address")->passed);
        assert_non_null(strstr(find_row(&result, "address")->sentence, "192.0.2.7"));
        assert_true(find_row(&result, "mounted")->passed);
}

static void test_check_of_what_is_no_device(void **state) {
        assert_failure(check(*state, "0000:66:00.0").failure, FAILURE_NO_SUCH_DEVICE, "0000:66:00.0");
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_grant_writes_who_what_and_how_back),
                        CASE(test_the_whole_set_or_nothing),
                        CASE(test_bad_devices),
                        CASE(test_critical_needs_consent_by_name),
                        CASE(test_no_iommu_cannot_be_overridden),
                        CASE(test_what_the_host_uses_must_be_known),
                        CASE(test_granting_again_in_the_pool_keeps_the_way_back),
                        CASE(test_a_grant_that_fails_half_way_is_taken_back),
                        CASE(test_revoke),
                        CASE(test_revoke_only_at_the_host),
                        CASE(test_revoke_outlives_the_device),
                        CASE(test_the_prompt_tells_what_leaves),
                        CASE(test_the_prompt_hides_nothing),
                        CASE(test_the_prompt_names_what_is_overridden),
                        CASE(test_the_prompt_of_revoke),
                        CASE(test_what_changes_during_the_prompt),
                        CASE(test_what_comes_during_the_prompt),
                        CASE(test_the_prompt_names_all_models),
                        CASE(test_check_of_a_free_device),
                        CASE(test_check_tells_each_obstacle),
                        CASE(test_check_of_what_is_no_device),
        };

        return cmocka_run_group_tests_name("request-grant", tests, NULL, NULL);
}
