/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Plan over the wire: for everybody, without a prompt and without effect; and what Bind does then is what it said. */

#include <signal.h>

#include "critical.h"
#include "fake-kernel.h"
#include "suite.h"
#include "vms.h"

#define THIRD "0000:05:03.0"
#define PLAN_RESULT "a(uaoba(ossbs)a(oss))"

typedef struct PlanRow {
        char device[32], check[32], severity[16], sentence[600];
        bool passed;
} PlanRow;

typedef struct PlanOfSet {
        uint32_t number;
        bool possible;
        char devices[256]; /* addresses, with spaces */
        size_t n_rows;
        PlanRow rows[64];
        char writes[2048]; /* as the fake kernel logs them */
} PlanOfSet;

static char *address_of(const char *path) {
        char *address = NULL;

        assert_true(sd_bus_path_decode(path, BUS_PATH_DEVICES, &address) > 0);
        return address;
}

static void read_devices(sd_bus_message *m, PlanOfSet *ret) {
        const char *path;
        size_t n = 0;

        assert_true(sd_bus_message_enter_container(m, 'a', "o") > 0);
        while (sd_bus_message_read_basic(m, 'o', &path) > 0) {
                _cleanup_free_ char *address = address_of(path);

                n += (size_t)snprintf(ret->devices + n, sizeof ret->devices - n, "%s%s", n ? " " : "",
                                      address);
        }
        assert_true(sd_bus_message_exit_container(m) >= 0);
}

static void read_rows(sd_bus_message *m, PlanOfSet *ret) {
        const char *path, *check, *severity, *sentence;
        int passed;

        assert_true(sd_bus_message_enter_container(m, 'a', "(ossbs)") > 0);
        while (sd_bus_message_read(m, "(ossbs)", &path, &check, &severity, &passed, &sentence) > 0) {
                _cleanup_free_ char *address = address_of(path);
                PlanRow *row = &ret->rows[ret->n_rows++];

                assert_true(ret->n_rows <= ELEMENTSOF(ret->rows));
                row->passed = passed;
                (void)snprintf(row->device, sizeof row->device, "%s", address);
                (void)snprintf(row->check, sizeof row->check, "%s", check);
                (void)snprintf(row->severity, sizeof row->severity, "%s", severity);
                (void)snprintf(row->sentence, sizeof row->sentence, "%s", sentence);
        }
        assert_true(sd_bus_message_exit_container(m) >= 0);
}

static void read_writes(sd_bus_message *m, PlanOfSet *ret) {
        const char *path, *file, *value;
        char own[64];
        size_t n = 0;

        assert_true(sd_bus_message_enter_container(m, 'a', "(oss)") > 0);
        while (sd_bus_message_read(m, "(oss)", &path, &file, &value) > 0) {
                _cleanup_free_ char *address = address_of(path);

                (void)snprintf(own, sizeof own, "/sys/bus/pci/devices/%s/", address);
                if (streq(file, "/sys/bus/pci/drivers_probe")) {
                        assert_string_equal(value, address);
                        n += (size_t)snprintf(ret->writes + n, sizeof ret->writes - n, "probe %s\n", value);
                        continue;
                }
                assert_true(startswith(file, own));
                if (streq(file + strlen(own), "driver/unbind")) {
                        assert_string_equal(value, address);
                        n += (size_t)snprintf(ret->writes + n, sizeof ret->writes - n, "unbind %s\n", value);
                } else {
                        assert_string_equal(file + strlen(own), "driver_override");
                        n += (size_t)snprintf(ret->writes + n, sizeof ret->writes - n, "override %s %s\n",
                                              address, value);
                }
        }
        assert_true(sd_bus_message_exit_container(m) >= 0);
}

/* How many sets the answer has; frees it. */
static size_t read_plans(sd_bus_message *reply, PlanOfSet *ret, size_t max) {
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        size_t n = 0;
        int possible;

        if (e)
                fail_msg("%s: %s", e->name, e->message);
        assert_true(sd_bus_message_has_signature(reply, PLAN_RESULT) > 0);
        assert_true(sd_bus_message_enter_container(reply, 'a', "(uaoba(ossbs)a(oss))") >= 0);
        while (sd_bus_message_enter_container(reply, 'r', "uaoba(ossbs)a(oss)") > 0) {
                PlanOfSet *p = &ret[n++];

                assert_true(n <= max);
                *p = (PlanOfSet){.n_rows = 0};
                assert_true(sd_bus_message_read(reply, "u", &p->number) > 0);
                read_devices(reply, p);
                assert_true(sd_bus_message_read(reply, "b", &possible) > 0);
                p->possible = possible;
                read_rows(reply, p);
                read_writes(reply, p);
                assert_true(sd_bus_message_exit_container(reply) >= 0);
        }
        sd_bus_message_unref(reply);
        return n;
}

static const PlanRow *find_row(const PlanOfSet *p, const char *check) {
        for (size_t i = 0; i < p->n_rows; i++)
                if (streq(p->rows[i].check, check))
                        return &p->rows[i];
        fail_msg("no row %s", check);
        return NULL;
}

/* The first that Bind would refuse for; a passed row where there is none. */
static const PlanRow *first_no(const PlanOfSet *p) {
        static const PlanRow none = {.passed = true};

        for (size_t i = 0; i < p->n_rows; i++)
                if (!p->rows[i].passed && !streq(p->rows[i].severity, "info") &&
                    !streq(p->rows[i].check, "moving"))
                        return &p->rows[i];
        return &none;
}

/* addresses: a list with spaces; consent: a reason or NULL. */
static Pending *start_plan(Bench *b, sd_bus *from, const char *addresses, const char *consent) {
        _cleanup_free_ char *list = strdup(addresses);
        sd_bus_message *m;
        char *save = NULL;

        assert_true(sd_bus_message_new_method_call(from, &m, BUS_NAME, BUS_PATH, BUS_INTERFACE_MANAGER,
                                                   "Plan") >= 0);
        assert_true(sd_bus_message_open_container(m, 'a', "o") >= 0);
        for (char *a = strtok_r(list, " ", &save); a; a = strtok_r(NULL, " ", &save))
                assert_true(sd_bus_message_append(m, "o", bench_device_path(a)) >= 0);
        assert_true(sd_bus_message_close_container(m) >= 0);
        if (consent)
                assert_true(sd_bus_message_append(m, "a{sv}", 1, "consent", "as", 1, consent) >= 0);
        else
                assert_true(sd_bus_message_append(m, "a{sv}", 0) >= 0);
        return bench_start_message(b, from, m);
}

static sd_bus_message *call_plan(Bench *b, sd_bus *from, const char *addresses, const char *consent) {
        return bench_finish(b, start_plan(b, from, addresses, consent));
}

static PlanOfSet plan_one(Bench *b, const char *address) {
        PlanOfSet p;

        assert_int_equal(read_plans(call_plan(b, b->root, address, NULL), &p, 1), 1);
        return p;
}

static void expect_log(Bench *b, const char *expected) {
        _cleanup_free_ char *log = fake_host_log(b->host);

        assert_string_equal(log, expected);
}

static int setup(void **state) {
        Bench *b;

        *state = b = bench_new(0);
        fake_host_add_device(b->host, &(FakeDevice){.address = THIRD,
                                                    .vendor = 0x1234,
                                                    .device = 0x11e8,
                                                    .class_code = 0x00ff00,
                                                    .iommu_set = PAIR_SET,
                                                    .below = BRIDGE});
        fake_host_add_device(b->host, &(FakeDevice){.address = CARD,
                                                    .vendor = 0x10de,
                                                    .device = 0x1eb8,
                                                    .class_code = 0x030200,
                                                    .driver = "nouveau",
                                                    .iommu_set = CARD_SET});
        bench_expect_success(bench_call_helper(b, b->root, "Grant", "asasbus", 4, NIC, PAIR_NIC, PAIR_NVME,
                                               THIRD, 0, 0, 0, ""));
        fake_host_clear(b->host);
        bench_start_daemon(b);
        return 0;
}

static void test_for_everybody_and_without_effect(void **state) {
        Bench *b = *state;
        sd_bus *nobody = bench_connect(b, NOBODY_UID);
        char *before = fake_host_read(b->host, GRANTS_DIR "/" NIC ".grant"), *after;
        PlanOfSet plans[3];

        polkit_set_mode(b, POLKIT_NO);
        assert_int_equal(read_plans(call_plan(b, nobody, CARD " " NIC " " PAIR_NVME, NULL), plans, 3), 3);
        assert_int_equal(b->n_asked, 0);
        expect_log(b, "");
        after = fake_host_read(b->host, GRANTS_DIR "/" NIC ".grant");
        assert_string_equal(before, after);
        assert_false(fake_host_exists(b->host, GRANTS_DIR "/" CARD ".grant"));
        assert_false(fake_host_exists(b->host, MOVES_DIR "/9"));
        assert_false(fake_host_exists(b->host, LOCKS_DIR "/8")); /* it takes none */
        assert_int_equal(bench_count_signals(b, "PropertiesChanged"), 0);
        free(before);
        free(after);
        bench_disconnect(nobody);
}

/* In the order in which they are named first, and each once. */
static void test_each_set_once(void **state) {
        PlanOfSet plans[3];
        Bench *b = *state;

        assert_int_equal(
                        read_plans(call_plan(b, b->root, THIRD " " CARD " " PAIR_NIC " " NIC " " CARD, NULL),
                                   plans, 3),
                        3);
        assert_int_equal(plans[0].number, PAIR_SET);
        assert_int_equal(plans[1].number, CARD_SET);
        assert_int_equal(plans[2].number, NIC_SET);
        assert_string_equal(plans[0].devices, PAIR_NIC " " PAIR_NVME " " THIRD); /* and no bridge */
        assert_string_equal(plans[1].devices, CARD);
        assert_string_equal(find_row(&plans[0], "iommu-set")->device, THIRD);
        assert_true(plans[0].possible);
        assert_string_equal(plans[0].writes, "override " PAIR_NIC " vfio-pci\n"
                                             "override " PAIR_NVME " vfio-pci\n"
                                             "override " THIRD " vfio-pci\n"
                                             "unbind " PAIR_NIC "\n"
                                             "probe " PAIR_NIC "\n"
                                             "unbind " PAIR_NVME "\n"
                                             "probe " PAIR_NVME "\n"
                                             "probe " THIRD "\n");

        /* Not granted is no end of it: MakePassthrough asks for that. */
        assert_true(plans[1].possible);
        assert_string_equal(find_row(&plans[1], "granted")->severity, "warning");
        assert_false(find_row(&plans[1], "granted")->passed);
        assert_non_null(strstr(plans[1].writes, "unbind " CARD));
}

static void test_bad_arguments(void **state) {
        char many[65 * 14 + 1] = "";
        Bench *b = *state;

        bench_expect_error(bench_call_manager(b, b->root, "Plan", "aoa{sv}", 0, 0), "InvalidArgument",
                           "name one to 64");
        bench_expect_error(bench_call_manager(b, b->root, "Plan", "aoa{sv}", 1, "/x", 0), "NoSuchDevice",
                           "/x");
        bench_expect_error(bench_call_manager(b, b->root, "Plan", "aoa{sv}", 1, bench_device_path(NIC), 1,
                                              "siblings", "ao", 0),
                           "InvalidArgument", "there is \"consent\"");
        bench_expect_error(bench_call_manager(b, b->root, "Plan", "aoa{sv}", 1, bench_device_path(NIC), 1,
                                              "consent", "s", "address"),
                           "InvalidArgument", "type as");
        bench_expect_error(call_plan(b, b->root, NIC, "rain"), "InvalidArgument", "rain");
        bench_expect_error(call_plan(b, b->root, NIC, "no-iommu"), "InvalidArgument", "no-iommu");
        bench_expect_error(call_plan(b, b->root, BRIDGE, NULL), "Critical", BRIDGE);
        bench_expect_error(call_plan(b, b->root, PAIR_NIC " " BRIDGE, NULL), "Critical", BRIDGE);
        for (unsigned i = 0; i < 65; i++)
                strcat(many, NIC " ");
        bench_expect_error(call_plan(b, b->root, many, NULL), "LimitsExceeded", "64");
        many[64 * strlen(NIC " ")] = '\0';
        bench_expect_success(call_plan(b, b->root, many, NULL));
        expect_log(b, "");
}

static void test_the_helper_serves_its_callers_alone(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        bench_expect_success(bench_call_helper(b, b->root, "Plan", "sasb", NIC, 0, 1));
        bench_expect_error(bench_call_helper(b, admin, "Plan", "sasb", NIC, 0, 1), "NotAuthorized", "");
        bench_expect_error(bench_call_helper(b, b->root, "Plan", "sasb", "x", 0, 1), "InvalidArgument",
                           "'x'");
        bench_expect_error(bench_call_helper(b, b->root, "Plan", "sasb", NIC, 1, "rain", 1),
                           "InvalidArgument", "rain");
        bench_expect_error(bench_call_helper(b, b->root, "Plan", "sas", NIC, 0), NULL, "");
        expect_log(b, "");
        bench_disconnect(admin);
}

static void test_beside_a_read_only_database(void **state) {
        Bench *b = *state;

        bench_stop_daemon(b);
        fake_host_write(b->host, STATE_DIR "/store.db", "%s", "");
        fake_host_remove(b->host, STATE_DIR "/store.db-wal");
        fake_host_remove(b->host, STATE_DIR "/store.db-shm");
        assert_int_equal(fchownat(b->host->fd, STATE_DIR "/store.db", DAEMON_UID, (gid_t)-1, 0), 0);
        bench_start_daemon(b);
        assert_string_equal(orders_get_manager(b, "ReadOnly"), "true");
        assert_true(plan_one(b, PAIR_NIC).possible);
}

static void put(Bench *b, const char *address, const char *driver, bool overridden) {
        char path[256], dir[512];

        fake_kernel_unbind_address(address);
        (void)snprintf(path, sizeof path, "sys/bus/pci/devices/%s/driver_override", address);
        fake_host_write(b->host, path, "%s\n", overridden ? "vfio-pci" : "(null)");
        (void)snprintf(dir, sizeof dir, "%s/sys/%s", b->host->root, fake_host_device_path(b->host, address));
        if (driver)
                assert_int_equal(fake_kernel_bind(dir, driver), 0);
}

/* Layouts of one set of three, and of one device: what Bind writes is what was planned, byte for byte. */
static void test_bind_does_what_was_planned(void **state) {
        static const struct {
                const char *named, *of_nic, *of_nvme, *of_third;
                bool nic_overridden, nvme_overridden;
        } layouts[] = {
                        {PAIR_NVME, "e1000e", "nvme", NULL, false, false},
                        {PAIR_NIC, NULL, NULL, NULL, false, false},         /* none has a driver */
                        {THIRD, "vfio-pci", "nvme", NULL, true, false},     /* partly there */
                        {PAIR_NIC, "e1000e", NULL, "vfio-pci", true, true}, /* left by a crash */
                        {PAIR_NIC, "vfio-pci", "nvme", NULL, false, true},  /* by a crash on its way home */
                        {PAIR_NIC, "vfio-pci", "vfio-pci", NULL, true, true},
        };
        Bench *b = *state;
        PlanOfSet p;

        for (size_t i = 0; i < ELEMENTSOF(layouts); i++) {
                put(b, PAIR_NIC, layouts[i].of_nic, layouts[i].nic_overridden);
                put(b, PAIR_NVME, layouts[i].of_nvme, layouts[i].nvme_overridden);
                put(b, THIRD, layouts[i].of_third, false);
                fake_host_clear(b->host);
                p = plan_one(b, layouts[i].named);
                assert_true(p.possible);
                assert_true(strlen(p.writes) > 0);
                expect_log(b, "");
                bench_expect_success(bench_call_helper(b, b->root, "Bind", "sb", layouts[i].named, 0));
                expect_log(b, p.writes);
        }

        fake_host_clear(b->host);
        p = plan_one(b, PAIR_NIC);
        assert_true(p.possible);
        assert_string_equal(p.writes, "");
        bench_expect_success(bench_call_helper(b, b->root, "Bind", "sb", PAIR_NIC, 0));
        expect_log(b, "");
}

/* Through the daemon and all its ways: MakePassthrough obtains what the plan has as a warning. */
static void test_make_passthrough_does_what_was_planned(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        PlanOfSet p = plan_one(b, CARD);

        assert_true(p.possible);
        assert_false(first_no(&p)->passed);
        bench_expect_success(orders_make(b, admin, CARD, NULL, "pool", "persistent"));
        expect_log(b, p.writes);
        bench_disconnect(admin);
}

static void foreign_override(Bench *b) {
        fake_host_write(b->host, "sys/bus/pci/devices/" PAIR_NVME "/driver_override", "pci-stub\n");
}

static void in_use(Bench *b) {
        fake_host_hold_vfio(b->host, PAIR_SET, true);
}

static void no_driver(Bench *b) {
        fake_host_remove(b->host, "sys/bus/pci/drivers/vfio-pci");
}

static void has_address(Bench *b) {
        fake_host_add_net(b->host, "devices/pci0000:04/" BRIDGE "/" PAIR_NIC "/net/eth1");
        fake_host_add_network_address(b->host, "eth1", "192.0.2.7");
}

static void unknown_use(Bench *b) {
        fake_host_remove(b->host, "fake/network");
}

static void damaged_grant(Bench *b) {
        fake_host_write(b->host, GRANTS_DIR "/" PAIR_NVME ".grant", "format=1\n");
}

static void another_device(Bench *b) {
        fake_host_write(b->host, "sys/bus/pci/devices/" PAIR_NVME "/device", "0x1234\n");
}

static void switched_off(Bench *b) {
        fake_host_write(b->host, "proc/cmdline", "quiet " KERNEL_OPTION_OFF "\n");
}

/* With each fault, added to those before: the first no is the sentence of Bind. */
static void test_bind_refuses_with_what_was_planned(void **state) {
        static const struct {
                void (*inject)(Bench *b);
                const char *check;
        } faults[] = {
                        {has_address, "address"},   {unknown_use, "host-use"},
                        {no_driver, "driver"},      {switched_off, "switched-off"},
                        {in_use, "in-use"},         {foreign_override, "driver-override"},
                        {damaged_grant, "granted"}, {another_device, "granted"},
        };
        Bench *b = *state;
        const PlanRow *row;
        PlanOfSet p;

        for (size_t i = 0; i < ELEMENTSOF(faults); i++) {
                faults[i].inject(b);
                p = plan_one(b, PAIR_NIC);
                row = first_no(&p);
                assert_string_equal(row->check, faults[i].check);
                assert_false(p.possible);
                assert_string_equal(p.writes, "");
                bench_expect_error(bench_call_helper(b, b->root, "Bind", "sb", PAIR_NIC, 0), NULL,
                                   row->sentence);
                for (size_t k = i > 0; k < i && k < 6; k++) /* unknown use hides the address */
                        assert_false(find_row(&p, faults[k].check)->passed);
        }
        expect_log(b, "");
        fake_host_hold_vfio(b->host, PAIR_SET, false);
}

static void test_consent(void **state) {
        Bench *b = *state;
        PlanOfSet p;

        has_address(b);
        p = plan_one(b, PAIR_NIC);
        assert_false(p.possible);
        assert_string_equal(find_row(&p, "address")->device, PAIR_NIC);
        assert_int_equal(read_plans(call_plan(b, b->root, PAIR_NIC, "address"), &p, 1), 1);
        assert_true(p.possible);
        assert_string_equal(find_row(&p, "address")->severity, "info");
        assert_true(strlen(p.writes) > 0);
        bench_expect_success(bench_call_helper(b, b->root, "Grant", "asasbus", 3, PAIR_NIC, PAIR_NVME, THIRD,
                                               1, "address", 0, 0, ""));
        bench_expect_success(bench_call_helper(b, b->root, "Bind", "sb", PAIR_NIC, 0));
        expect_log(b, p.writes);
}

/* What a VM has stays with it. */
static void test_claimed(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = vms_make_group(b, NIC, NULL, NULL);
        PlanOfSet p;
        Answer a;

        (void)orders_make_claim(b, user, "web", &group, 1);
        p = plan_one(b, NIC);
        assert_true(find_row(&p, "claimed")->passed);
        a = vm_take_answer(START(b, user, "web", 0));
        p = plan_one(b, NIC);
        assert_false(find_row(&p, "claimed")->passed);
        assert_false(p.possible);
        bench_expect_error(bench_call_device(b, b->root, NIC, "Bind"), "Claimed",
                           find_row(&p, "claimed")->sentence);
        vm_let_go(&a);
        bench_disconnect(user);
}

#define MANY 60U

static void add_many(Bench *b, char *list) {
        char address[32];

        for (unsigned i = 0; i < MANY; i++) {
                (void)snprintf(address, sizeof address, "0000:20:%02x.%u", i / 8, i % 8);
                fake_host_add_device(b->host, &(FakeDevice){.address = address,
                                                            .vendor = 0x1234,
                                                            .device = 0x11e8,
                                                            .class_code = 0x088000,
                                                            .driver = "edu",
                                                            .iommu_set = 100 + i});
                strcat(strcat(list, address), " ");
        }
        bench_until_signal(b, "InterfacesAdded 0000:20:07.3");
}

/* More sets than the helper has places, asked for by several at once: all are answered, in their order. */
static void test_many_sets_by_many(void **state) {
        static PlanOfSet plans[MANY];
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        char list[MANY * 14 + 1] = "";
        Pending *calls[4];

        add_many(b, list);
        for (size_t i = 0; i < ELEMENTSOF(calls); i++)
                calls[i] = start_plan(b, i % 2 ? user : b->root, list, NULL);
        for (size_t i = 0; i < ELEMENTSOF(calls); i++) {
                assert_int_equal(read_plans(bench_finish(b, calls[i]), plans, MANY), MANY);
                for (unsigned k = 0; k < MANY; k++)
                        assert_int_equal(plans[k].number, 100 + k);
        }
        bench_disconnect(user);
}

/* Plans that hang keep neither the helper's places from others, nor one set from another for longer than they must. */
static void test_a_plan_that_hangs(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        char list[MANY * 14 + 1] = "";
        Pending *calls[CALLS_PENDING_PER_UID];

        bench_expect_success(bench_call_helper(b, b->root, "Bind", "sb", NIC, 0));
        add_many(b, list);
        fake_host_write(b->host, HELPER_CONF, "deadline-seconds=1\n");
        bench_kill_helper(b);
        fake_host_hold_network(b->host, true);
        for (size_t i = 0; i < ELEMENTSOF(calls); i++)
                calls[i] = start_plan(b, user, i % 2 ? CARD : list, NULL);
        bench_expect_success(bench_call_device(b, b->root, NIC, "Release"));
        for (size_t i = 0; i < ELEMENTSOF(calls); i++)
                bench_expect_error(bench_finish(b, calls[i]), "Stuck", "");

        /* The first has come to no end: no second stands beside it, and who moves it is told, too. */
        bench_expect_error(call_plan(b, user, CARD, NULL), "Stuck", "does not come to an end");
        bench_expect_error(bench_call_helper(b, b->root, "Plan", "sasb", CARD, 0, 1), "Stuck", "");
        fake_host_hold_network(b->host, false);
        bench_until_property(b, NIC, "State", "host");
        bench_disconnect(user);
}

static Pending *start_helper(Bench *b, const char *member) {
        return streq(member, "Plan") ? bench_start(b, b->root, HELPER_NAME, HELPER_PATH, HELPER_INTERFACE,
                                                   "Plan", false, "sasb", NIC, 0, 0)
                                     : bench_start(b, b->root, HELPER_NAME, HELPER_PATH, HELPER_INTERFACE,
                                                   member, false, "sb", NIC, 0);
}

/* Of one set the helper makes a few plans at a time, and they are in the way of no move. */
static void test_a_few_plans_for_a_set(void **state) {
        Bench *b = *state;
        Pending *calls[4], *bind;

        fake_host_hold_network(b->host, true);
        for (size_t i = 0; i < ELEMENTSOF(calls); i++)
                calls[i] = start_helper(b, "Plan");
        bench_expect_error(bench_finish(b, start_helper(b, "Plan")), "Busy", "Plan of " NIC " is under way");
        bind = start_helper(b, "Bind");
        fake_host_hold_network(b->host, false);
        bench_expect_success(bench_finish(b, bind));
        for (size_t i = 0; i < ELEMENTSOF(calls); i++)
                bench_expect_success(bench_finish(b, calls[i]));
}

static bool it_hangs(void *userdata) {
        Bench *b = userdata;
        _cleanup_free_ char *log = fake_host_log(b->host);

        return strstr(log, "= HANG");
}

/* While the helper moves a set, a plan of it says that, and asks no further. */
static void test_while_it_moves(void **state) {
        Bench *b = *state;
        Pending *bind;
        PlanOfSet p;

        fake_host_fail(b->host, "unbind " PAIR_NIC " hang 1");
        bind = bench_start(b, b->root, BUS_NAME, bench_device_path(PAIR_NIC), BUS_INTERFACE_DEVICE, "Bind",
                           true, "");
        bench_until_property(b, PAIR_NVME, "State", "moving");
        orders_until_files(b, it_hangs, b);
        p = plan_one(b, PAIR_NVME);
        assert_false(p.possible);
        assert_string_equal(p.writes, "");
        assert_false(find_row(&p, "moving")->passed);
        assert_string_equal(find_row(&p, "moving")->severity, "error");
        assert_true(plan_one(b, NIC).possible);
        fake_host_let_go(b->host);
        bench_expect_success(bench_finish(b, bind));
        assert_true(find_row((p = plan_one(b, PAIR_NVME), &p), "moving")->passed);
}

/* How many rows; the first that did not pass, or "". */
static size_t read_checks(sd_bus_message *reply, char *ret_no, size_t size) {
        const char *check, *severity, *sentence;
        size_t n = 0;
        int passed;

        ret_no[0] = '\0';
        assert_true(sd_bus_message_enter_container(reply, 'a', "(ssbs)") > 0);
        while (sd_bus_message_read(reply, "(ssbs)", &check, &severity, &passed, &sentence) > 0) {
                n++;
                assert_true(strlen(sentence) > 10);
                if (!passed && !ret_no[0])
                        (void)snprintf(ret_no, size, "%s %s", severity, check);
        }
        sd_bus_message_unref(reply);
        return n;
}

static void expect_words(Bench *b, const char *address, const char *check, const char *words) {
        PlanOfSet p = plan_one(b, address);
        const PlanRow *row;

        for (size_t i = 0; i < p.n_rows; i++)
                assert_true(strlen(p.rows[i].sentence) > 10);
        row = find_row(&p, check);
        assert_non_null(row);
        assert_true(row->passed);
        if (!strstr(row->sentence, words))
                fail_msg("'%s' does not speak of '%s'", row->sentence, words);
}

/* The helper says what is wrong, the daemon what is right; and Check is a part of what Plan finds. */
static void test_the_words_of_what_is_right(void **state) {
        Bench *b = *state;
        char no[64];

        expect_words(b, NIC, "iommu-set", NIC " moves alone");
        expect_words(b, PAIR_NIC, "iommu-set", PAIR_NIC ", " PAIR_NVME ", " THIRD);
        expect_words(b, NIC, "on-vfio-pci", "nothing");
        expect_words(b, NIC, "granted", "that it may leave the host.");
        expect_words(b, NIC, "mounted", "does not need it (mounted)");
        assert_int_equal(read_checks(bench_call_device(b, b->root, NIC, "Check"), no, sizeof no),
                         4 + CRITICAL_REASON_MAX);
        assert_string_equal(no, "");
        assert_int_equal(read_checks(bench_call_device(b, b->root, CARD, "Check"), no, sizeof no),
                         4 + CRITICAL_REASON_MAX);
        assert_string_equal(no, "error granted");

        bench_expect_success(bench_call_helper(b, b->root, "Grant", "asasbus", 1, CARD, 0, 1, 0, ""));
        orders_until_device(b, CARD, "Granted", "true");
        expect_words(b, CARD, "granted", "pending");
        bench_expect_success(bench_call_helper(b, b->root, "Revoke", "asbs", 1, CARD, 0, ""));
        orders_until_device(b, CARD, "Granted", "false");
        bench_expect_success(bench_call_helper(b, b->root, "GrantIds", "ass", 1, "10de:1eb8", ""));
        orders_until_device(b, CARD, "Granted", "true");
        expect_words(b, CARD, "granted", "with its ids");

        bench_expect_success(bench_call_helper(b, b->root, "Bind", "sb", NIC, 0));
        orders_until_device(b, NIC, "State", "pool");
        expect_words(b, NIC, "on-vfio-pci", NIC);
        assert_int_equal(read_checks(bench_call_device(b, b->root, NIC, "Check"), no, sizeof no), 2);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, bench_teardown)
#define CASE_VMS(name) cmocka_unit_test_setup_teardown(name, vms_setup, bench_teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_for_everybody_and_without_effect),
                        CASE(test_each_set_once),
                        CASE(test_the_words_of_what_is_right),
                        CASE(test_bad_arguments),
                        CASE(test_the_helper_serves_its_callers_alone),
                        CASE(test_beside_a_read_only_database),
                        CASE(test_bind_does_what_was_planned),
                        CASE(test_make_passthrough_does_what_was_planned),
                        CASE(test_bind_refuses_with_what_was_planned),
                        CASE(test_consent),
                        CASE_VMS(test_claimed),
                        CASE(test_many_sets_by_many),
                        CASE(test_a_plan_that_hangs),
                        CASE(test_a_few_plans_for_a_set),
                        CASE(test_while_it_moves),
        };

        return suite_run("bus-plan", "the processes run under several users", tests);
}
