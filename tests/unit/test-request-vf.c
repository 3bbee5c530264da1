/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* SetVf on the fake kernel, whose driver is as igb. */

#include "request-fixture.h"
#include "vf-card.h"

static int setup(void **state) {
        (void)fixture_setup(state);
        card_add(*state);
        return 0;
}

static Failure set_vf_of(FakeHost *h, const char *address, const char *settings) {
        Request q = {.verb = MOVE_RESET};

        request_devices(&q, LIST(address));
        assert_int_equal(vf_settings_parse(settings, &q.settings), 0);
        return run_work(h, request_set_vf, &q, NULL);
}

static Failure set_vf(FakeHost *h, const char *settings) {
        return set_vf_of(h, CARD_VF1, settings);
}

static void assert_state(FakeHost *h, const char *expected) {
        _cleanup_free_ char *text = fake_host_read(h, CARD_STATE);

        assert_string_equal(strempty(text), expected);
}

static void test_only_differences_are_written(void **state) {
        FakeHost *h = *state;

        assert_success(set_vf(h, "vlan=100 max-rate=200 spoof-checking=on trust=on mac=02:00:00:00:00:07"));
        assert_log(h, "vf-vlan " CARD " 1 vlan=100 vlan-protocol=802.1Q vlan-qos=0\n"
                      "vf-rate " CARD " 1 min-rate=0 max-rate=200\n"
                      "vf-trust " CARD " 1 trust=on\n"
                      "vf-mac " CARD " 1 mac=02:00:00:00:00:07\n");
        assert_state(h,
                     "1: vlan=100 vlan-protocol=802.1Q vlan-qos=0 min-rate=0 max-rate=200 link-state=auto "
                     "spoof-checking=on trust=on mac=02:00:00:00:00:07\n");

        fake_host_clear(h);
        assert_success(set_vf(h, "vlan=100 vlan-qos=3 trust=on spoof-checking=default"));
        assert_log(h, "vf-vlan " CARD " 1 vlan=100 vlan-protocol=802.1Q vlan-qos=3\n");

        fake_host_clear(h);
        assert_success(set_vf(h, "vlan=100 max-rate=200 trust=on mac=02:00:00:00:00:07"));
        assert_success(set_vf(h, ""));
        assert_success(set_vf(h, "trust=default query-rss=default spoof-checking=default"));
        assert_log(h, "");
}

static void test_back_to_what_is_fresh(void **state) {
        FakeHost *h = *state;

        assert_success(set_vf(h, "vlan=100 vlan-qos=3 max-rate=200 spoof-checking=off trust=on "
                                 "mac=02:00:00:00:00:07"));
        fake_host_clear(h);
        assert_success(set_vf(h, "vlan=0 min-rate=0 max-rate=0 link-state=auto spoof-checking=on trust=off "
                                 "query-rss=off mac=00:00:00:00:00:00"));
        /* The driver does not know query-rss: so it is off. */
        assert_log(h, "vf-vlan " CARD " 1 vlan=0 vlan-protocol=802.1Q vlan-qos=0\n"
                      "vf-rate " CARD " 1 min-rate=0 max-rate=0\n"
                      "vf-spoof-checking " CARD " 1 spoof-checking=on\n"
                      "vf-trust " CARD " 1 trust=off\n"
                      "vf-query-rss " CARD " 1 query-rss=off = EOPNOTSUPP\n"
                      "vf-mac " CARD " 1 mac=00:00:00:00:00:00\n");
        assert_state(h, "");
}

static void test_a_driver_that_can_do_all(void **state) {
        FakeHost *h = *state;

        card_set_driver(h, "all");
        assert_success(set_vf(h, "vlan=9 vlan-protocol=802.1ad min-rate=100 max-rate=2000 link-state=enable "
                                 "query-rss=on"));
        assert_state(h,
                     "1: vlan=9 vlan-protocol=802.1ad vlan-qos=0 min-rate=100 max-rate=2000 "
                     "link-state=enable spoof-checking=on trust=off query-rss=on mac=00:00:00:00:00:00\n");
        assert_success(set_vf_of(h, CARD_VF0, "trust=on"));
        assert_state(h,
                     "0: vlan=0 vlan-protocol=802.1Q vlan-qos=0 min-rate=0 max-rate=0 "
                     "link-state=auto spoof-checking=on trust=on query-rss=off mac=00:00:00:00:00:00\n"
                     "1: vlan=9 vlan-protocol=802.1ad vlan-qos=0 min-rate=100 max-rate=2000 "
                     "link-state=enable spoof-checking=on trust=off query-rss=on mac=00:00:00:00:00:00\n");
}

static void test_what_a_driver_cannot_do(void **state) {
        static const struct {
                const char *settings, *sentence;
        } cases[] = {
                        {"vlan=9 vlan-protocol=802.1ad", "set \"vlan-protocol\" to '802.1Q' in the group"},
                        {"max-rate=1001", "above the speed of the link"},
                        {"min-rate=1", "and \"min-rate\" to 0"},
                        {"link-state=enable", "leave it at its default in the group"},
                        {"query-rss=on",
                         "query-rss=on cannot be set for device " CARD_VF1 ", virtual function 1 of " CARD
                         " (enp6s0): its driver igb says 'Operation not supported'. It cannot do that: "
                         "leave it "
                         "at its default in the group. Nothing was changed."},
        };
        FakeHost *h = *state;

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_failure(set_vf(h, cases[i].settings), FAILURE_DRIVER, cases[i].sentence);
        assert_state(h, "");
}

static void test_what_does_not_fit_together(void **state) {
        FakeHost *h = *state;

        card_set_driver(h, "all");
        assert_failure(set_vf(h, "vlan-qos=3"), FAILURE_INVALID_ARGUMENT, "needs a VLAN");
        assert_success(set_vf(h, "vlan=5 min-rate=500"));
        assert_success(set_vf(h, "vlan-qos=3"));
        assert_failure(set_vf(h, "max-rate=400"), FAILURE_INVALID_ARGUMENT, "not below its \"max-rate\"");
        assert_success(set_vf(h, "vlan=0"));
}

static void test_failure_restores(void **state) {
        FakeHost *h = *state;

        assert_success(set_vf(h, "vlan=7 mac=02:00:00:00:00:01"));
        fake_host_clear(h);
        fake_host_fail(h, "vf-mac " CARD " EBUSY 1");
        assert_failure(set_vf(h, "vlan=100 vlan-qos=1 trust=on mac=02:00:00:00:00:02"), FAILURE_BUSY,
                       "says 'Device or resource busy: It is in reset'. Try again in a moment. All is set "
                       "as it "
                       "was before.");
        assert_log(h, "vf-vlan " CARD " 1 vlan=100 vlan-protocol=802.1Q vlan-qos=1\n"
                      "vf-trust " CARD " 1 trust=on\n"
                      "vf-mac " CARD " 1 mac=02:00:00:00:00:02 = EBUSY\n"
                      "vf-trust " CARD " 1 trust=off\n"
                      "vf-vlan " CARD " 1 vlan=7 vlan-protocol=802.1Q vlan-qos=0\n");
        assert_state(h, "1: vlan=7 vlan-protocol=802.1Q vlan-qos=0 min-rate=0 max-rate=0 link-state=auto "
                        "spoof-checking=on trust=off mac=02:00:00:00:00:01\n");
}

static void test_what_cannot_be_restored_is_told(void **state) {
        FakeHost *h = *state;

        fake_host_fail(h, "vf-mac " CARD " EBUSY");
        fake_host_fail(h, "vf-trust " CARD " EIO 2");
        assert_failure(set_vf(h, "vlan=100 trust=on mac=02:00:00:00:00:02"), FAILURE_BUSY,
                       "What was set before could not be put back and stays: trust=on.");
        assert_state(h, "1: vlan=0 vlan-protocol=802.1Q vlan-qos=0 min-rate=0 max-rate=0 link-state=auto "
                        "spoof-checking=on trust=on mac=00:00:00:00:00:00\n");
}

static void test_without_the_capability(void **state) {
        FakeHost *h = *state;

        fake_host_fail(h, "vf-vlan " CARD " EPERM");
        assert_failure(set_vf(h, "vlan=100"), FAILURE_INTERNAL,
                       "Does a drop-in of verge-passthrough-helper.service take CAP_NET_ADMIN");
        assert_state(h, "");
}

static void test_a_driver_that_only_says_yes(void **state) {
        FakeHost *h = *state;

        fake_host_fail(h, "vf-vlan " CARD " nothing 1");
        assert_failure(set_vf(h, "vlan=100 trust=on"), FAILURE_DRIVER,
                       "vlan=100 was set for device " CARD_VF1 ", virtual function 1 of " CARD
                       " (enp6s0), but afterwards its driver igb says vlan=0.");
        assert_state(h, "");
}

static void test_an_address_that_stays(void **state) {
        FakeHost *h = *state;

        assert_success(set_vf(h, "vlan=5 mac=02:00:00:00:00:01"));
        card_set_driver(h, "keeps-mac");
        assert_success(set_vf(h, "vlan=0 mac=00:00:00:00:00:00"));
        assert_state(h, "1: vlan=0 vlan-protocol=802.1Q vlan-qos=0 min-rate=0 max-rate=0 link-state=auto "
                        "spoof-checking=on trust=off mac=02:00:00:00:00:01\n");
}

static void expect_waits(FakeHost *h, uint64_t n) {
        uint64_t waits = 0;

        (void)sysfs_read_u64(h->fd, "fake/links/waits", 10, &waits);
        assert_int_equal(waits, n);
}

static void test_rate_and_link(void **state) {
        FakeHost *h = *state;

        card_set_driver(h, "down");
        assert_failure(set_vf(h, "max-rate=100"), FAILURE_DRIVER, "The port has no link");
        assert_success(set_vf(h, "vlan=8"));
        expect_waits(h, 0); /* nobody wants it to have one */

        card_set_driver(h, "slow-link");
        fake_host_clear(h);
        assert_success(set_vf(h, "max-rate=100"));
        assert_log(h, "vf-rate " CARD " 1 min-rate=0 max-rate=100 = EINVAL\n"
                      "vf-rate " CARD " 1 min-rate=0 max-rate=100\n");
        expect_waits(h, 3);
        assert_failure(set_vf(h, "max-rate=2000"), FAILURE_DRIVER, "above the speed of the link");
        expect_waits(h, 3); /* it has one, and still */

        card_set_driver(h, "no-link");
        fake_host_clear(h);
        assert_failure(set_vf(h, "max-rate=200"), FAILURE_DRIVER,
                       "The port has no link, and some drivers take a rate only with one");
        assert_log(h, "vf-rate " CARD " 1 min-rate=0 max-rate=200 = EINVAL\n");
        expect_waits(h, 4); /* until the time was over */
}

static void test_no_interface(void **state) {
        FakeHost *h = *state;

        card_set_driver(h, "silent");
        assert_failure(set_vf(h, "vlan=1"), FAILURE_DRIVER, "tell nothing about device " CARD_VF1);
        fake_host_remove(h, "sys/devices/pci0000:06/" CARD "/net");
        assert_failure(set_vf(h, "vlan=1"), FAILURE_DRIVER, "has no network interface (its driver: igb)");
}

/* It passes: the end of a VM waits for it. */
static void test_one_that_is_reset_just_now(void **state) {
        FakeHost *h = *state;

        card_set_driver(h, "resets-1");
        assert_failure(set_vf(h, "vlan=1"), FAILURE_BUSY, "not of device " CARD_VF1 " just now");
        assert_log(h, "");
}

/* Of several interfaces the first that tells of the function. */
static void test_several_interfaces(void **state) {
        FakeHost *h = *state;

        fake_links_add(h, CARD, "a-first", 7, "silent");
        fake_links_add(h, CARD, "a-later", 99, "");
        assert_failure(set_vf(h, "query-rss=on"), FAILURE_DRIVER, "(enp6s0)");

        /* One that is at it does not keep another from telling. */
        fake_links_add(h, CARD, "a-first", 7, "resets-1");
        assert_failure(set_vf(h, "query-rss=on"), FAILURE_DRIVER, "(enp6s0)");
}

static void test_consent(void **state) {
        FakeHost *h = *state;

        assert_failure(set_vf_of(h, NIC, "vlan=1"), FAILURE_INVALID_ARGUMENT, "is not a virtual function");
        assert_failure(set_vf_of(h, CARD, "vlan=1"), FAILURE_INVALID_ARGUMENT, "is not a virtual function");
        assert_failure(set_vf_of(h, "0000:06:1f.0", "vlan=1"), FAILURE_NO_SUCH_DEVICE, "0000:06:1f.0");

        fake_host_write(h, "sys/devices/pci0000:06/" CARD "/device", "0x10fb\n");
        assert_failure(set_vf(h, "vlan=1"), FAILURE_IDENTITY_CHANGED, CARD " is not what was granted");
        fake_host_remove(h, CARD_GRANT);
        assert_failure(set_vf(h, "vlan=1"), FAILURE_NOT_GRANTED, "call GrantVfs for it first");

        /* Its own grant, and one of the physical function itself, are about something else. */
        assert_success(grant(h, 0, LIST(CARD_VF1)));
        assert_failure(set_vf(h, "vlan=1"), FAILURE_NOT_GRANTED, "call GrantVfs for it first");
        assert_log(h, "");
}

static void add_interface(FakeHost *h, const char *path, const char *mac) {
        char file[256];

        fake_host_add_net(h, path);
        (void)snprintf(file, sizeof file, "sys/%s/address", path);
        fake_host_write(h, file, "%s\n", mac);
}

/* The frames to such an address are the host's. */
static void test_addresses_of_the_host(void **state) {
        static const char port[] = "sys/devices/pci0000:06/" CARD "/net/enp6s0";
        static const struct {
                const char *mac, *name;
        } taken[] = {
                        {"02:00:00:00:00:01", "enp6s0"},
                        {"02:00:00:00:00:0a", "bond0"},
                        {"02:00:00:00:00:0b", "br0"},
                        {"02:00:00:00:00:0c", "enp6s0v0"},
        };
        char settings[64], sentence[128];
        FakeHost *h = *state;

        fake_host_write(h, "sys/devices/pci0000:06/" CARD "/net/enp6s0/address", "02:00:00:00:00:01\n");
        add_interface(h, "devices/virtual/net/bond0", "02:00:00:00:00:0A");
        add_interface(h, "devices/virtual/net/br0", "02:00:00:00:00:0b");
        add_interface(h, "devices/virtual/net/elsewhere", "02:00:00:00:00:0d");
        add_interface(h, "devices/pci0000:06/" CARD_VF0 "/net/enp6s0v0", "02:00:00:00:00:0c");
        (void)snprintf(settings, sizeof settings, "%s/upper_bond0", port);
        fake_host_link(h, settings, "../../../../virtual/net/bond0");
        fake_host_link(h, "sys/devices/virtual/net/bond0/upper_br0", "../br0");
        fake_host_link(h, "sys/devices/virtual/net/br0/upper_bond0", "../bond0"); /* never ends */

        for (size_t i = 0; i < ELEMENTSOF(taken); i++) {
                (void)snprintf(settings, sizeof settings, "vlan=7 mac=%s", taken[i].mac);
                (void)snprintf(sentence, sizeof sentence, "is that of the interface %s of this host",
                               taken[i].name);
                assert_failure(set_vf(h, settings), FAILURE_CONFLICT, sentence);
        }
        assert_log(h, "");
        assert_success(set_vf(h, "mac=02:00:00:00:00:0d"));
        assert_success(set_vf(h, "mac=00:00:00:00:00:00"));
}

static void test_who_uses_it(void **state) {
        FakeHost *h = *state;

        fake_host_hold_vfio(h, 32, true);
        assert_failure(set_vf(h, "vlan=1"), FAILURE_IN_USE, CARD_VF1);
        fake_host_hold_vfio(h, 32, false);

        fake_host_mkdir(h, "sys/bus/pci/drivers/igbvf");
        fake_host_link(h, "sys/devices/pci0000:06/" CARD_VF1 "/driver", "../../../bus/pci/drivers/igbvf");
        assert_failure(set_vf(h, "vlan=1"), FAILURE_NOT_BOUND, "is used by the host (driver igbvf)");
        assert_log(h, "");
}

static void test_past_the_deadline(void **state) {
        WorkerResult result = {0};
        Request q = {.settings = {.given = 1U << VF_TRUST, .values[VF_TRUST] = VF_SWITCH_ON}};
        FakeHost *h = *state;

        request_devices(&q, LIST(CARD_VF1));
        request_set_vf(h->fd, &q, &result);
        assert_failure(result.failure, FAILURE_STUCK, "nothing was begun");
        assert_log(h, "");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

int main(void) {
        static const struct CMUnitTest tests[] = {
                        CASE(test_only_differences_are_written),
                        CASE(test_back_to_what_is_fresh),
                        CASE(test_a_driver_that_can_do_all),
                        CASE(test_what_a_driver_cannot_do),
                        CASE(test_what_does_not_fit_together),
                        CASE(test_failure_restores),
                        CASE(test_what_cannot_be_restored_is_told),
                        CASE(test_without_the_capability),
                        CASE(test_a_driver_that_only_says_yes),
                        CASE(test_an_address_that_stays),
                        CASE(test_rate_and_link),
                        CASE(test_no_interface),
                        CASE(test_one_that_is_reset_just_now),
                        CASE(test_several_interfaces),
                        CASE(test_consent),
                        CASE(test_addresses_of_the_host),
                        CASE(test_who_uses_it),
                        CASE(test_past_the_deadline),
        };

        return cmocka_run_group_tests_name("request-vf", tests, NULL, NULL);
}
