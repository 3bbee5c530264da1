/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Groups of virtual functions and claims on them as orders: their settings and addresses, with each error, who may say
 * what, what is told, documents, and what a restart keeps. */

#include "sriov-bench.h"
#include "suite.h"

#define FILTER "physical_function eq '" SPARE "'"
#define DEFAULTS                                                                                            \
        "vlan 0 vlan-protocol 802.1Q vlan-qos 0 min-rate 0 max-rate 0 link-state auto "                     \
        "spoof-checking default trust default query-rss default "

#define CREATE(...) bench_call_manager(b, admin, "CreateGroup", "ssa{sv}", "VFs", __VA_ARGS__)
#define SRIOV(...) CREATE("sriov-nic", 1, "sriov", "a{sv}", __VA_ARGS__)
#define UPDATE(n, ...)                                                                                      \
        orders_call_group(b, admin, &group, "Update", "a{sv}", 1, "sriov", "a{sv}", n, __VA_ARGS__)

static Path make_group(Bench *b, const char *name, unsigned vfs) {
        return orders_take_path(bench_call_manager(b, b->root, "CreateGroup", "ssa{sv}", name, "sriov-nic",
                                                   1, "sriov", "a{sv}", 3, "vfs", "u", vfs, "vlan", "u", 9,
                                                   "overridable", "as", 3, "vlan", "trust", "mac"));
}

static void test_a_group(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Path pci = orders_make_group(b, admin, "pci", NULL), group;

        assert_string_equal(orders_get_group(b, &pci, "Sriov"), "[]");
        group = orders_take_path(SRIOV(1, "vfs", "u", 4));
        assert_string_equal(orders_get_group(b, &group, "Type"), "sriov-nic");
        assert_string_equal(orders_get_group(b, &group, "Sriov"), "[vfs 4 " DEFAULTS "overridable [mac]]");
        bench_expect_introspection(b, BUS_NAME, group.text, BUS_INTERFACE_GROUP);

        orders_forget_signals(b);
        bench_expect_success(UPDATE(2, "vlan", "u", 100, "trust", "s", "off"));
        assert_int_equal(orders_count_told(b, group.text, "Sriov"), 1);
        bench_expect_success(UPDATE(2, "vfs", "u", 256, "overridable", "as", 2, "query-rss", "vlan"));
        bench_expect_success(UPDATE(1, "link-state", "s", "enable"));
        assert_string_equal(orders_get_group(b, &group, "Sriov"),
                            "[vfs 256 vlan 100 vlan-protocol 802.1Q vlan-qos 0 min-rate 0 max-rate 0 "
                            "link-state enable spoof-checking default trust off query-rss default "
                            "overridable [vlan query-rss]]");
        bench_expect_success(UPDATE(1, "overridable", "as", 0));
        assert_non_null(strstr(orders_get_group(b, &group, "Sriov"), "overridable []"));
        assert_int_equal(orders_count_told(b, group.text, "Sriov"), 4);
        bench_expect_success(UPDATE(1, "vlan", "u", 100)); /* as it is */
        assert_int_equal(orders_count_told(b, group.text, "Sriov"), 4);
        bench_disconnect(admin);
}

static void test_bad_settings(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);

        bench_expect_error(CREATE("sriov-nic", 0), "InvalidArgument",
                           "The group 'VFs' does not say how many virtual functions each of its physical "
                           "functions is to have; give \"vfs\", 1 to 256, in \"sriov\".");
        bench_expect_error(SRIOV(1, "vlan", "u", 1), "InvalidArgument", "does not say how many");
        bench_expect_error(SRIOV(1, "vfs", "u", 257), "InvalidArgument", "is 257; give 1 to 256.");
        bench_expect_error(CREATE("pci", 1, "sriov", "a{sv}", 1, "vfs", "u", 1), "InvalidArgument",
                           "The group 'VFs' is of the type \"pci\", which has no settings of virtual "
                           "functions; leave \"sriov\" out, or make a group of the type \"sriov-nic\".");
        bench_expect_error(CREATE("usb", 0), "InvalidArgument",
                           "\"usb\" is no type of a group; this version knows \"pci\" and \"sriov-nic\".");
        bench_expect_error(CREATE("sriov-nic", 1, "sriov", "s", "vfs=1"), "InvalidArgument",
                           "The option \"sriov\" must be of the D-Bus type a{sv}.");
        bench_expect_error(SRIOV(1, "vfs", "s", "1"), "InvalidArgument",
                           "The setting \"vfs\" of the option \"sriov\" must be of the D-Bus type u.");
        bench_expect_error(SRIOV(2, "vfs", "u", 1, "vlan", "i", 1), "InvalidArgument",
                           "The setting \"vlan\" of the option \"sriov\" must be of the D-Bus type u.");
        bench_expect_error(SRIOV(2, "vfs", "u", 1, "trust", "b", 1), "InvalidArgument",
                           "The setting \"trust\" of the option \"sriov\" must be of the D-Bus type s.");
        bench_expect_error(
                        SRIOV(2, "vfs", "u", 1, "overridable", "s", "mac"), "InvalidArgument",
                        "The setting \"overridable\" of the option \"sriov\" must be of the D-Bus type as.");
        bench_expect_error(SRIOV(2, "vfs", "u", 1, "vlans", "u", 1), "InvalidArgument",
                           "There is no setting \"vlans\" in the option \"sriov\"; there are \"vlan\", "
                           "\"vlan-protocol\", \"vlan-qos\", \"min-rate\", \"max-rate\", \"link-state\", "
                           "\"spoof-checking\", \"trust\", \"query-rss\", \"vfs\" and \"overridable\".");
        bench_expect_error(SRIOV(2, "vfs", "u", 1, "mac", "s", "02:00:00:00:00:01"), "InvalidArgument",
                           "There is no setting \"mac\" in the option \"sriov\"; the addresses of a claim's "
                           "devices stand in its option \"mac-addresses\".");
        bench_expect_error(SRIOV(2, "vfs", "u", 1, "vfs", "u", 1), "InvalidArgument",
                           "\"vfs\" stands twice in the option \"sriov\"; give it once.");
        bench_expect_error(SRIOV(3, "vfs", "u", 1, "vlan", "u", 1, "vlan", "u", 1), "InvalidArgument",
                           "\"vlan\" stands twice");
        bench_expect_error(SRIOV(2, "overridable", "as", 0, "overridable", "as", 0), "InvalidArgument",
                           "\"overridable\" stands twice");
        bench_expect_error(SRIOV(1, "overridable", "as", 2, "mac", "mac"), "InvalidArgument",
                           "\"mac\" stands twice");
        bench_expect_error(SRIOV(1, "overridable", "as", 1, "vfs"), "InvalidArgument",
                           "\"vfs\" in \"overridable\" of the option \"sriov\" is no setting of a virtual "
                           "function; take the names of settings, or \"mac\".");
        bench_expect_error(SRIOV(2, "vfs", "u", 1, "vlan", "u", 4095), "InvalidArgument",
                           "The setting \"vlan\" of the option \"sriov\" is 4095; give 0 to 4094, 0 for "
                           "none.");
        bench_expect_error(SRIOV(2, "vfs", "u", 1, "link-state", "s", "up"), "InvalidArgument",
                           "The setting \"link-state\" of the option \"sriov\" is 'up'; give one of: auto, "
                           "enable, disable.");
        bench_expect_error(SRIOV(2, "vfs", "u", 1, "vlan-qos", "u", 1), "InvalidArgument", "needs a VLAN");
        bench_expect_error(SRIOV(3, "vfs", "u", 1, "min-rate", "u", 9, "max-rate", "u", 9),
                           "InvalidArgument", "which is not below its \"max-rate\" of 9");
        assert_int_equal(b->n_asked, 0);
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_GROUP), 0);
        bench_disconnect(admin);
}

static void test_bad_updates(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Path group = make_group(b, "VFs", 4), pci = orders_make_group(b, b->root, "pci", NULL);
        _cleanup_free_ char *before = strdup(orders_get_group(b, &group, "Sriov"));

        orders_forget_signals(b);
        bench_expect_error(UPDATE(1, "vfs", "u", 0), "InvalidArgument", "does not say how many");
        bench_expect_error(UPDATE(1, "vlan-qos", "u", 8), "InvalidArgument", "give 0 to 7");
        bench_expect_error(UPDATE(2, "vlan", "u", 0, "vlan-qos", "u", 3), "InvalidArgument", "needs a VLAN");
        bench_expect_error(orders_call_group(b, admin, &pci, "Update", "a{sv}", 1, "sriov", "a{sv}", 1,
                                             "vlan", "u", 3),
                           "InvalidArgument", "no settings of virtual functions");
        bench_expect_error(orders_call_group(b, admin, &group, "Update", "a{sv}", 1, "type", "s", "pci"),
                           "InvalidArgument", "\"type\"");
        assert_string_equal(orders_get_group(b, &group, "Sriov"), before);
        assert_int_equal(b->n_signals, 0);
        bench_disconnect(admin);
}

static void test_rules(void **state) {
        static const char sentence[] =
                        "The rule 'x' does not name the physical function whose virtual functions it puts "
                        "into a group of the type \"sriov-nic\"; write its filter as physical_function eq "
                        "'0000:3b:00.0', with no address, serial, slot or vendor and device beside it.";
        Bench *b = *state;
        Path group = make_group(b, "VFs", 4), rule;

#define RULE(filter) bench_call_manager(b, b->root, "CreateRule", "ossa{sv}", group.text, "x", filter, 0)
        bench_expect_error(RULE("address eq '" SPARE "'"), "InvalidArgument", sentence);
        bench_expect_error(RULE("physical_function eq '03:00.0'"), "InvalidArgument", sentence);
        bench_expect_error(RULE(FILTER " or numa eq 1"), "InvalidArgument", sentence);
        rule = orders_take_path(RULE(FILTER " and numa eq 1"));
        bench_expect_error(orders_call_rule(b, b->root, &rule, "Update", "a{sv}", 1, "filter", "s",
                                            "class_hex bw '02'"),
                           "InvalidArgument", sentence);
        assert_string_equal(orders_get_rule(b, &rule, "Filter"), FILTER " and numa eq 1");
        bench_expect_success(
                        orders_call_rule(b, b->root, &rule, "Update", "a{sv}", 1, "filter", "s", FILTER));
        bench_expect_success(orders_call_rule(b, b->root, &rule, "Update", "a{sv}", 1, "name", "s", "y"));
}

#define DOCUMENT(groups) "{\"format\": \"org.verge.Passthrough\", \"version\": 1, \"groups\": [" groups "]}"
#define IMPORT(document) bench_call_manager(b, b->root, "Import", "sa{sv}", document, 0)

static void test_documents(void **state) {
        Bench *b = *state;
        Path group = make_group(b, "VFs", 4);
        _cleanup_free_ char *document = NULL, *sriov = strdup(orders_get_group(b, &group, "Sriov"));

        (void)orders_make_rule(b, b->root, &group, "port", FILTER);
        document = strdup(orders_show(bench_call_manager(b, b->root, "Export", "")));
        assert_string_equal(orders_show(IMPORT(document)), "0");
        bench_expect_success(orders_call_group(b, b->root, &group, "Update", "a{sv}", 1, "sriov", "a{sv}", 2,
                                               "vfs", "u", 7, "overridable", "as", 0));
        assert_string_equal(orders_show(IMPORT(document)), "1");
        assert_string_equal(orders_get_group(b, &group, "Sriov"), sriov);
        bench_expect_success(orders_call_group(b, b->root, &group, "Delete", ""));
        assert_string_equal(orders_show(IMPORT(document)), "2");
        assert_string_equal(orders_show(bench_call_manager(b, b->root, "Export", "")), document);

        bench_expect_error(
                        IMPORT(DOCUMENT("{\"name\": \"VFs\"}")), "InvalidArgument",
                        "The document has a group \"VFs\" of the type \"pci\", and there is one of the "
                        "type \"sriov-nic\", which never changes; take another name, or delete that group "
                        "first.");
        bench_expect_error(
                        IMPORT(DOCUMENT("{\"name\": \"VFs\", \"type\": \"sriov-nic\", \"sriov\": {\"vfs\": "
                                        "4}, \"rules\": [{\"name\": \"x\", \"filter\": \"numa eq 1\"}]}")),
                        "InvalidArgument", "does not name the physical function");
        assert_string_equal(orders_show(bench_call_manager(b, b->root, "Export", "")), document);
}

#undef CREATE
#define CREATE(...) bench_call_manager(b, user, "CreateClaim", "soua{sv}", "web", __VA_ARGS__)
#define CHANGE(from, ...) orders_call_claim(b, from, &claim, "Update", "a{sv}", __VA_ARGS__)

static void test_a_claim(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = make_group(b, "VFs", 4), pci = orders_make_group(b, b->root, "pci", NULL),
             claim = orders_make_claim(b, user, "web", &pci, 2);
        _cleanup_free_ char *made_up = NULL;

        assert_string_equal(orders_get_claim(b, &claim, "Sriov"), "[]");
        assert_string_equal(orders_get_claim(b, &claim, "MacAddresses"), "[]");

        claim = orders_take_path(CREATE(group.text, 2, 2, "sriov", "a{sv}", 2, "vlan", "u", 100, "trust",
                                        "s", "on", "mac-addresses", "as", 1, "02:00:00:00:00:01"));
        bench_expect_introspection(b, BUS_NAME, claim.text, BUS_INTERFACE_CLAIM);
        assert_string_equal(orders_get_claim(b, &claim, "Sriov"), "[vlan 100 trust on]");
        made_up = strdup(orders_get_claim(b, &claim, "MacAddresses"));
        assert_int_equal(strlen(made_up), 2 * 17 + 3);
        assert_true(startswith(made_up, "[02:00:00:00:00:01 "));
        assert_non_null(strchr("26ae", made_up[20])); /* one card's, and locally administered */

        orders_forget_signals(b);
        bench_expect_success(CHANGE(user, 1, "sriov", "a{sv}", 1, "vlan", "u", 7));
        assert_string_equal(orders_get_claim(b, &claim, "Sriov"), "[vlan 7]");
        assert_int_equal(orders_count_told(b, claim.text, "Sriov"), 1);
        assert_int_equal(orders_count_told(b, claim.text, "MacAddresses"), 0);
        bench_expect_success(CHANGE(user, 1, "sriov", "a{sv}", 0));
        assert_string_equal(orders_get_claim(b, &claim, "Sriov"), "[]");
        assert_string_equal(orders_get_claim(b, &claim, "MacAddresses"), made_up);

        bench_expect_success(CHANGE(user, 1, "count", "u", 1));
        assert_string_equal(orders_get_claim(b, &claim, "MacAddresses"), "[02:00:00:00:00:01]");
        assert_int_equal(orders_count_told(b, claim.text, "MacAddresses"), 1);
        bench_expect_success(CHANGE(user, 2, "count", "u", 2, "mac-addresses", "as", 2, "02:00:00:00:00:02",
                                    "02:00:00:00:00:01"));
        assert_string_equal(orders_get_claim(b, &claim, "MacAddresses"),
                            "[02:00:00:00:00:02 02:00:00:00:00:01]");
        bench_expect_success(CHANGE(user, 1, "mac-addresses", "as", 2, "", "02:00:00:00:00:01"));
        assert_null(strstr(orders_get_claim(b, &claim, "MacAddresses"), "02:00:00:00:00:02"));
        assert_non_null(strstr(orders_get_claim(b, &claim, "MacAddresses"), " 02:00:00:00:00:01]"));
        bench_disconnect(user);
}

static void test_bad_claims(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = make_group(b, "VFs", 4), pci = orders_make_group(b, b->root, "pci", NULL), claim;
        const char *g = group.text;

        claim = orders_take_path(CREATE(g, 1, 2, "name", "s", "first", "mac-addresses", "as", 1,
                                        "02:00:00:00:00:01"));
        orders_forget_signals(b);
#define MACS(...) CREATE(g, 2, 1, "mac-addresses", "as", __VA_ARGS__)
        bench_expect_error(MACS(1, "02:00:00:00:00:01"), "NameTaken",
                           "The address 02:00:00:00:00:01 belongs to the claim \"first\" of the VM \"web\" "
                           "(of user 3) already; take another one, or leave it out to have one made up.");
        bench_expect_error(MACS(2, "02:00:00:00:00:02", "02:00:00:00:00:02"), "InvalidArgument",
                           "Claim 'VFs 1' has the address 02:00:00:00:00:02 twice; give each device another "
                           "one.");
        bench_expect_error(MACS(3, "", "", ""), "InvalidArgument",
                           "The claim \"VFs 1\" is for 2 devices, and 3 addresses were given; give no more "
                           "addresses than devices.");
        bench_expect_error(
                        MACS(17, "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", ""),
                        "InvalidArgument",
                        "The option \"mac-addresses\" has more than 16 addresses, and a claim has no more "
                        "devices; give fewer.");
        bench_expect_error(MACS(1, "02-00-00-00-00-02"), "InvalidArgument",
                           "'02-00-00-00-00-02' in the option \"mac-addresses\" is no address of one card; "
                           "give one like 02:00:00:00:00:01, or '' for one that is made up.");
        bench_expect_error(MACS(1, "01:00:5e:00:00:01"), "InvalidArgument", "is no address of one card");
        bench_expect_error(MACS(1, "00:00:00:00:00:00"), "InvalidArgument", "is no address of one card");
        bench_expect_error(CREATE(g, 1, 1, "mac-addresses", "s", "02:00:00:00:00:02"), "InvalidArgument",
                           "The option \"mac-addresses\" must be of the D-Bus type as.");
        bench_expect_error(CREATE(pci.text, 1, 1, "mac-addresses", "as", 1, "02:00:00:00:00:02"),
                           "InvalidArgument",
                           "The group \"pci\" is of the type \"pci\", whose devices have no settings; leave "
                           "\"mac-addresses\" out, or name a group of the type \"sriov-nic\".");
        bench_expect_error(CREATE(pci.text, 1, 1, "sriov", "a{sv}", 1, "vlan", "u", 1), "InvalidArgument",
                           "leave \"sriov\" out");
#define SETS(...) CREATE(g, 1, 1, "sriov", "a{sv}", __VA_ARGS__)
        bench_expect_error(SETS(1, "max-rate", "u", 1), "InvalidArgument",
                           "The setting \"max-rate\" of claim \"VFs 1\" is not for claims of its group to "
                           "set; leave it out, or have an administrator add it to \"overridable\" of the "
                           "group.");
        bench_expect_error(SETS(1, "vfs", "u", 1), "InvalidArgument",
                           "There is no setting \"vfs\" in the option \"sriov\"; there are \"vlan\"");
        bench_expect_error(SETS(1, "overridable", "as", 0), "InvalidArgument", "no setting \"overridable\"");
        bench_expect_error(SETS(1, "mac", "s", "02:00:00:00:00:02"), "InvalidArgument", "\"mac-addresses\"");
        bench_expect_error(SETS(1, "vlan", "s", "1"), "InvalidArgument", "type u");
        bench_expect_error(CHANGE(user, 1, "sriov", "a{sv}", 1, "trust", "s", "maybe"), "InvalidArgument",
                           "is 'maybe'; give one of: default, on, off.");
        assert_int_equal(b->n_asked, 1);
        assert_int_equal(b->n_signals, 0);
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_CLAIM), 1);

        /* What it may no more, it may not again. */
        bench_expect_success(orders_call_group(b, b->root, &group, "Update", "a{sv}", 1, "sriov", "a{sv}", 1,
                                               "overridable", "as", 0));
        bench_expect_error(MACS(1, "02:00:00:00:00:02"), "InvalidArgument",
                           "The group \"VFs\" does not let claims choose addresses; leave \"mac-addresses\" "
                           "out, or have an administrator add \"mac\" to \"overridable\" of the group.");
        assert_string_equal(orders_get_claim(b, &claim, "MacAddresses"), "[02:00:00:00:00:01]");
        bench_disconnect(user);
}

/* An address is what a network knows somebody by: its owner does not get another one unasked. */
static void test_who_may_choose_addresses(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID);
        Path group = make_group(b, "VFs", 4), claim = orders_make_claim(b, user, "web", &group, 2);
        _cleanup_free_ char *before = strdup(orders_get_claim(b, &claim, "MacAddresses"));

        polkit_set_mode(b, POLKIT_NO);
        bench_expect_success(CHANGE(user, 1, "sriov", "a{sv}", 1, "trust", "s", "on"));
        assert_int_equal(b->n_asked, 1);
        bench_expect_error(CHANGE(user, 1, "mac-addresses", "as", 1, "02:00:00:00:00:01"), "NotAuthorized",
                           "");
        bench_expect_error(CHANGE(user, 1, "mac-addresses", "as", 0), "NotAuthorized", "");
        assert_int_equal(b->n_asked, 3);
        assert_string_equal(b->asked[1].action, "org.verge.Passthrough.claim");
        assert_string_equal(polkit_detail(b, 1, "verb"), "UpdateClaim");
        assert_string_equal(polkit_detail(b, 1, "count"), "2");
        assert_string_equal(polkit_detail(b, 1, "addresses"), "02:00:00:00:00:01");
        assert_non_null(strstr(polkit_detail(b, 1, "polkit.message"), "$(addresses)"));
        assert_null(polkit_detail(b, 2, "addresses"));
        assert_null(strstr(polkit_detail(b, 2, "polkit.message"), "$(addresses)"));
        assert_string_equal(orders_get_claim(b, &claim, "MacAddresses"), before);
        bench_expect_success(CHANGE(b->root, 1, "mac-addresses", "as", 1, "02:00:00:00:00:01"));
        assert_int_equal(b->n_asked, 3);
        bench_expect_error(CREATE(group.text, 3, 2, "name", "s", "two", "mac-addresses", "as", 3,
                                  "02:00:00:00:00:02", "", "02:00:00:00:00:03"),
                           "NotAuthorized", "");
        assert_string_equal(polkit_detail(b, 3, "addresses"), "02:00:00:00:00:02, 02:00:00:00:00:03");
        bench_disconnect(user);
}

static void test_a_restart_keeps_all(void **state) {
        Bench *b = *state;
        Path group = make_group(b, "VFs", 4), claim = orders_make_claim(b, b->root, "web", &group, 16);
        _cleanup_free_ char *sriov = NULL, *macs = NULL;

        bench_expect_success(CHANGE(b->root, 1, "sriov", "a{sv}", 1, "vlan", "u", 7));
        sriov = strdup(orders_get_group(b, &group, "Sriov"));
        macs = strdup(orders_get_claim(b, &claim, "MacAddresses"));
        for (int i = 0; i < 2; i++) {
                if (i == 0)
                        bench_stop_daemon(b);
                else
                        bench_kill_daemon(b);
                bench_start_daemon(b);
                assert_string_equal(orders_get_group(b, &group, "Sriov"), sriov);
                assert_string_equal(orders_get_claim(b, &claim, "MacAddresses"), macs);
                assert_string_equal(orders_get_claim(b, &claim, "Sriov"), "[vlan 7]");
        }
}

/* All functions would be made anew: not while a VM has one of them. */
static void test_the_number_stays_while_one_is_claimed(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID), *user = bench_connect(b, OTHER_UID);
        Path group = make_group(b, "VFs", 4), claim;
        Answer a;

        bench_expect_success(bench_call_manager(b, admin, "MakePassthrough", "aosa{sv}", 1,
                                                bench_device_path(PF), "VFs", 0));
        claim = orders_make_claim(b, user, "web", &group, 1);
        orders_until_group(b, &group, "Available", "4");
        a = vm_take_answer(START(b, user, "web", 0));
        assert_true(vm_has(&a, vf_of(PF, 0)));

        bench_expect_error(UPDATE(1, "vfs", "u", 5), "Claimed",
                           "The number of virtual functions of the group \"VFs\" cannot change while the VM "
                           "\"web\" (of user 3) has 0000:06:10.0: they would all be made anew. Stop the VM "
                           "first.");
        bench_expect_error(
                        IMPORT(DOCUMENT("{\"name\": \"VFs\", \"type\": \"sriov-nic\", \"sriov\": {\"vfs\": "
                                        "5}}")),
                        "Claimed", "cannot change while the VM \"web\"");
        bench_expect_success(UPDATE(2, "vfs", "u", 4, "vlan", "u", 10)); /* what else there is, it may be */
        assert_string_equal(orders_get_claim(b, &claim, "Status"), "online");
        vm_let_go(&a);
        orders_until_claim(b, &claim, "Status", "idle");
        bench_expect_success(UPDATE(1, "vfs", "u", 5));

        /* And what it may set no more, it does not start with. */
        bench_expect_success(CHANGE(user, 1, "sriov", "a{sv}", 1, "trust", "s", "on"));
        bench_expect_success(UPDATE(1, "overridable", "as", 0));
        bench_expect_error(START(b, user, "web", 1, "wait", "u", 60), "InvalidArgument",
                           "The setting \"trust\" of claim \"VFs 1\" is not for claims of its group to set; "
                           "leave it out, or have an administrator add it to \"overridable\" of the group.");
        bench_expect_success(CHANGE(user, 1, "sriov", "a{sv}", 0));
        orders_until_group(b, &group, "Available", "5");
        a = vm_take_answer(START(b, user, "web", 0));
        vm_let_go(&a);
        orders_until_claim(b, &claim, "Status", "idle");
        bench_disconnect(user);
        bench_disconnect(admin);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, orders_setup, bench_teardown)
#define VF_CASE(name) cmocka_unit_test_setup_teardown(name, sriov_setup, bench_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                        CASE(test_a_group),
                        CASE(test_bad_settings),
                        CASE(test_bad_updates),
                        CASE(test_rules),
                        CASE(test_documents),
                        CASE(test_a_claim),
                        CASE(test_bad_claims),
                        CASE(test_who_may_choose_addresses),
                        CASE(test_a_restart_keeps_all),
                        VF_CASE(test_the_number_stays_while_one_is_claimed),
        };

        return suite_run("bus-settings", "processes of several users", tests);
}
