/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Claims on groups of virtual functions: what they may set, and the addresses of their devices. */

#include "claim-plan.h"
#include "model-fixture.h"

#define NIC_GROUP "6ba7b810-9dad-11d1-80b4-000000000001"
#define PCI_GROUP "6ba7b810-9dad-11d1-80b4-000000000002"
#define CLAIM_ID "6ba7b810-9dad-11d1-80b4-000000000003"
#define OTHER_CLAIM "6ba7b810-9dad-11d1-80b4-000000000004"
#define RUN_ID "6ba7b810-9dad-11d1-80b4-000000000005"
#define RULE_ID "6ba7b810-9dad-11d1-80b4-000000000006"
#define PF "0000:01:00.0"
#define VF "0000:01:10.1"
#define USER 1000

typedef struct World {
        DeviceTable *table;
        Registry *registry;
        ClaimTable *claims;
        Group *nics, *pci;
        OrderPlan plan;
        OrderStamp stamp;
} World;

static Group *add_group(World *w, const char *id, const char *name, const char *sriov) {
        GroupRecord g = {.name = strdup(name), .description = strdup(""), .enabled = true};
        Group *ret;
        bool new;

        (void)snprintf(g.id, sizeof g.id, "%s", id);
        g.type = *sriov ? GROUP_TYPE_SRIOV_NIC : GROUP_TYPE_PCI;
        assert_int_equal(sriov_settings_parse(sriov, &g.sriov), 0);
        assert_int_equal(registry_put_group(w->registry, &g, &ret, &new), 0);
        return ret;
}

static void add_rule(World *w, const char *filter) {
        RuleRecord r = {.id = RULE_ID,
                        .group = NIC_GROUP,
                        .age = 1,
                        .enabled = true,
                        .name = strdup("pf"),
                        .node = strdup(""),
                        .filter = strdup(filter)};
        Rule *rule;
        bool new;

        assert_int_equal(registry_put_rule(w->registry, &r, &rule, &new), 0);
}

static int setup(void **state) {
        World *w = calloc(1, sizeof *w);

        assert_non_null(w);
        w->stamp = (OrderStamp){.id = CLAIM_ID, .now = 2000, .seed = 7};
        w->table = model_new();
        assert_int_equal(registry_new(&(RegistryConfig){.devices = w->table}, &w->registry), 0);
        assert_int_equal(claim_table_new(&(ClaimTableConfig){.devices = w->table, .registry = w->registry},
                                         &w->claims),
                         0);
        w->nics = add_group(w, NIC_GROUP, "nics", "vfs=4 overridable=vlan,trust,mac vlan=9");
        w->pci = add_group(w, PCI_GROUP, "pci", "");
        *state = w;
        return 0;
}

static int teardown(void **state) {
        World *w = *state;

        order_plan_clear(&w->plan);
        claim_table_free(w->claims);
        registry_free(w->registry);
        model_free(w->table);
        free(w);
        return 0;
}

static void expect(int r, const Failure *f, FailureKind kind, const char *sentence) {
        if (kind == FAILURE_NONE ? r == 0 && f->kind == FAILURE_NONE
                                 : r < 0 && f->kind == kind && streq(f->sentence, sentence))
                return;
        fail_msg("%d %d: %s", r, f->kind, f->sentence);
}

static ClaimPatch patch_of(unsigned count, const char *settings, const char *macs) {
        ClaimPatch p = {.has_count = count > 0, .count = count, .has_sriov = settings, .has_macs = macs};
        char text[VF_MAC_TEXT_SIZE];

        if (settings)
                assert_int_equal(vf_settings_parse(settings, &p.sriov), 0);
        for (; macs && *macs; macs += *macs == '-' ? 1 : sizeof text - 1) {
                (void)snprintf(text, sizeof text, "%s", macs);
                if (*macs != '-') /* "": made up */
                        assert_int_equal(vf_mac_parse(text, p.macs.macs[p.macs.n]), 0);
                p.macs.n++;
        }
        return p;
}

/* Leaves the claim in the plan. macs: of 17 characters each, "-" for one that is made up; no spaces. */
static const ClaimRecord *create(World *w, const Group *g, unsigned count, const char *settings,
                                 const char *macs, FailureKind kind, const char *sentence) {
        ClaimPatch patch = patch_of(count, settings, macs);
        Failure f = {0};

        order_plan_clear(&w->plan);
        expect(claim_plan_create(&w->plan, w->claims, &w->stamp, USER, "web", g, &patch, &f), &f, kind,
               sentence);
        assert_int_equal(w->plan.n_claims, kind == FAILURE_NONE);
        return w->plan.claims;
}

static Claim *apply(World *w) {
        Claim *c;
        bool new;

        assert_int_equal(w->plan.n_claims, 1);
        assert_int_equal(claim_table_put(w->claims, &w->plan.claims[0], &c, &new), 0);
        return c;
}

static Claim *find(const World *w, const char *id) {
        Claim *c = claim_table_find(w->claims, id);

        assert_non_null(c);
        return c;
}

static void update(World *w, const Group *g, unsigned count, const char *settings, const char *macs,
                   FailureKind kind, const char *sentence) {
        ClaimPatch patch = patch_of(count, settings, macs);
        Failure f = {0};

        order_plan_clear(&w->plan);
        expect(claim_plan_update(&w->plan, w->claims, &w->stamp, find(w, CLAIM_ID), g, &patch, &f), &f, kind,
               sentence);
}

static void expect_macs(const ClaimRecord *c, const char *line) {
        char buf[CLAIM_MACS_SIZE];

        assert_string_equal(claim_macs_format(c, buf), line);
}

static bool is_local(const uint8_t mac[static VF_MAC_LENGTH]) {
        return (mac[0] & 0x03) == 0x02;
}

static void test_made_up(void **state) {
        uint8_t first[16][VF_MAC_LENGTH];
        World *w = *state;
        const ClaimRecord *c = create(w, w->nics, 16, NULL, NULL, FAILURE_NONE, NULL);

        assert_int_equal(c->n_macs, 16);
        for (size_t i = 0; i < 16; i++) {
                assert_true(is_local(c->macs[i]));
                for (size_t k = 0; k < i; k++)
                        assert_int_not_equal(memcmp(c->macs[i], c->macs[k], VF_MAC_LENGTH), 0);
        }
        memcpy(first, c->macs, sizeof first);
        (void)apply(w);

        /* The same randomness again: all that it gives is taken by now. */
        (void)snprintf(w->stamp.id, sizeof w->stamp.id, "%s", OTHER_CLAIM);
        c = create(w, w->nics, 16, NULL, NULL, FAILURE_NONE, NULL);
        for (size_t i = 0; i < 16; i++) {
                assert_true(is_local(c->macs[i]));
                for (size_t k = 0; k < 16; k++)
                        assert_int_not_equal(memcmp(c->macs[i], first[k], VF_MAC_LENGTH), 0);
        }

        c = create(w, w->pci, 2, NULL, NULL, FAILURE_NONE, NULL);
        assert_int_equal(c->n_macs, 0);
        (void)create(w, w->nics, 0, NULL, NULL, FAILURE_INVALID_ARGUMENT,
                     "Claim 'nics 2' asks for 0 devices; ask for 1 to 16, and make more claims for more.");
        (void)create(w, w->nics, UINT32_MAX, NULL, NULL, FAILURE_INVALID_ARGUMENT,
                     "Claim 'nics 2' asks for 4294967295 devices; ask for 1 to 16, and make more claims for "
                     "more.");
}

static void test_given(void **state) {
        World *w = *state;
        const ClaimRecord *c = create(w, w->nics, 3, NULL, "02:00:00:00:00:01-00:1b:21:00:00:07",
                                      FAILURE_NONE, NULL);

        assert_int_equal(c->n_macs, 3);
        assert_int_equal(c->macs[0][5], 1);
        assert_true(is_local(c->macs[1]));
        assert_int_equal(c->macs[2][5], 7); /* of a vendor: it is the caller's */
        (void)apply(w);

        (void)snprintf(w->stamp.id, sizeof w->stamp.id, "%s", OTHER_CLAIM);
        (void)create(w, w->nics, 1, NULL, "02:00:00:00:00:01", FAILURE_NAME_TAKEN,
                     "The address 02:00:00:00:00:01 belongs to the claim \"nics 1\" of the VM \"web\" (of "
                     "user 1000) already; take another one, or leave it out to have one made up.");
        (void)create(w, w->nics, 2, NULL, "02:00:00:00:00:0202:00:00:00:00:02", FAILURE_INVALID_ARGUMENT,
                     "Claim 'nics 2' has the address 02:00:00:00:00:02 twice; give each device another "
                     "one.");
        (void)create(w, w->nics, 1, NULL, "02:00:00:00:00:0202:00:00:00:00:03", FAILURE_INVALID_ARGUMENT,
                     "The claim \"nics 2\" is for 1 device, and 2 addresses were given; give no more "
                     "addresses than devices.");
        (void)create(w, w->pci, 1, NULL, "02:00:00:00:00:02", FAILURE_INVALID_ARGUMENT,
                     "The group \"pci\" is of the type \"pci\", whose devices have no settings; leave "
                     "\"mac-addresses\" out, or name a group of the type \"sriov-nic\".");
        w->nics->record.sriov.overridable = 0;
        (void)create(w, w->nics, 2, NULL, "-02:00:00:00:00:02", FAILURE_INVALID_ARGUMENT,
                     "The group \"nics\" does not let claims choose addresses; leave \"mac-addresses\" out, "
                     "or have an administrator add \"mac\" to \"overridable\" of the group.");
        (void)create(w, w->nics, 2, NULL, "--", FAILURE_NONE, NULL);
}

static void test_count(void **state) {
        World *w = *state;
        char first[CLAIM_MACS_SIZE], three[CLAIM_MACS_SIZE];
        Claim *c;

        (void)create(w, w->nics, 2, NULL, NULL, FAILURE_NONE, NULL);
        c = apply(w);
        (void)claim_macs_format(&c->record, first);

        update(w, w->nics, 3, NULL, NULL, FAILURE_NONE, NULL);
        c = apply(w);
        assert_int_equal(c->record.n_macs, 3);
        assert_true(startswith(claim_macs_format(&c->record, three), first));
        update(w, w->nics, 2, NULL, NULL, FAILURE_NONE, NULL);
        c = apply(w);
        expect_macs(&c->record, first);

        update(w, w->nics, 2, "", NULL, FAILURE_NONE, NULL); /* as it is */
        assert_true(order_plan_is_empty(&w->plan));
        update(w, w->nics, 0, NULL, "02:00:00:00:00:01", FAILURE_NONE, NULL);
        c = apply(w);
        assert_true(startswith(claim_macs_format(&c->record, three), "02:00:00:00:00:01 "));
        assert_null(strstr(three, first + 18)); /* the second is new */
        update(w, w->nics, 1, NULL, NULL, FAILURE_NONE, NULL);
        c = apply(w);
        expect_macs(&c->record, "02:00:00:00:00:01");
        update(w, w->nics, 0, NULL, "02:00:00:00:00:01", FAILURE_NONE, NULL); /* its own */
        assert_true(order_plan_is_empty(&w->plan));
}

static void test_settings(void **state) {
        World *w = *state;
        char line[VF_LINE_SIZE];
        Failure f = {0};
        Claim *c;

        (void)create(w, w->nics, 1, "max-rate=5", NULL, FAILURE_INVALID_ARGUMENT,
                     "The setting \"max-rate\" of claim \"nics 1\" is not for claims of its group to set; "
                     "leave it out, or have an administrator add it to \"overridable\" of the group.");
        (void)create(w, w->pci, 1, "trust=on", NULL, FAILURE_INVALID_ARGUMENT,
                     "The group \"pci\" is of the type \"pci\", whose devices have no settings; leave "
                     "\"sriov\" out, or name a group of the type \"sriov-nic\".");
        (void)create(w, w->pci, 1, "", "", FAILURE_NONE, NULL);
        (void)create(w, w->nics, 1, "vlan=100 trust=on", NULL, FAILURE_NONE, NULL);
        c = apply(w);
        assert_string_equal(vf_settings_format(&c->record.settings, line), "vlan=100 trust=on");

        update(w, w->nics, 0, "vlan=7", NULL, FAILURE_NONE, NULL); /* all of them, not more of them */
        c = apply(w);
        assert_string_equal(vf_settings_format(&c->record.settings, line), "vlan=7");

        /* What it has may stay when the group lets it no more; only the same again would be refused. */
        w->nics->record.sriov.overridable = 0;
        update(w, w->nics, 2, NULL, NULL, FAILURE_NONE, NULL);
        c = apply(w);
        assert_string_equal(vf_settings_format(&c->record.settings, line), "vlan=7");
        update(w, w->nics, 0, "vlan=7", NULL, FAILURE_INVALID_ARGUMENT,
               "The setting \"vlan\" of claim \"nics 1\" is not for claims of its group to set; leave it "
               "out, or have an administrator add it to \"overridable\" of the group.");
        expect(claim_settings_check(w->nics, &c->record, &f), &f, FAILURE_INVALID_ARGUMENT,
               "The setting \"vlan\" of claim \"nics 1\" is not for claims of its group to set; leave it "
               "out, or have an administrator add it to \"overridable\" of the group.");
        update(w, w->nics, 0, "", NULL, FAILURE_NONE, NULL);
        c = apply(w);
        assert_string_equal(vf_settings_format(&c->record.settings, line), "");
        f = (Failure){0};
        expect(claim_settings_check(w->nics, &c->record, &f), &f, FAILURE_NONE, NULL);
        expect(claim_settings_check(w->pci, &c->record, &f), &f, FAILURE_NONE, NULL);
}

static Run *run_with(World *w, const char *address, const char *claim, uint64_t settings) {
        RunRecord r = {.id = RUN_ID,
                       .owner = USER,
                       .vm = strdup("web"),
                       .tracked = strdup(""),
                       .n_devices = 1,
                       .devices = calloc(1, sizeof(RunDevice))};
        Run *run;

        assert_non_null(r.devices);
        (void)snprintf(r.devices[0].claim, sizeof r.devices[0].claim, "%s", claim);
        r.devices[0].identity.address = model_address(address);
        r.devices[0].identity.class_code = MODEL_NIC;
        r.devices[0].settings = settings;
        assert_int_equal(claim_table_put_run(w->claims, &r, &run), 0);
        return run;
}

static void expect_vfs(const World *w, uint32_t vfs, FailureKind kind) {
        Failure f = {0};

        expect(claim_plan_check_vfs(w->claims, w->nics, vfs, &f), &f, kind,
               "The number of virtual functions of the group \"nics\" cannot change while the VM \"web\" "
               "(of user 1000) has " VF ": they would all be made anew. Stop the VM first.");
}

/* The number of functions stays while a VM has one of them, by a claim on this group or on another. */
static void test_number_of_functions(void **state) {
        World *w = *state;
        Device *d = model_add(w->table, VF, 1);
        Run *run;

        expect_vfs(w, 5, FAILURE_NONE);
        (void)create(w, w->nics, 1, NULL, NULL, FAILURE_NONE, NULL);
        (void)apply(w);
        run = run_with(w, VF, CLAIM_ID, 0);
        expect_vfs(w, 5, FAILURE_CLAIMED);
        expect_vfs(w, 4, FAILURE_NONE);
        claim_table_remove_run(w->claims, run);
        expect_vfs(w, 5, FAILURE_NONE);

        (void)snprintf(w->stamp.id, sizeof w->stamp.id, "%s", OTHER_CLAIM);
        (void)create(w, w->pci, 1, NULL, NULL, FAILURE_NONE, NULL);
        (void)apply(w);
        run = run_with(w, VF, OTHER_CLAIM, 0);
        expect_vfs(w, 5, FAILURE_NONE); /* no rule names its physical function */
        add_rule(w, "physical_function eq '" PF "'");
        expect_vfs(w, 5, FAILURE_NONE); /* nor is it a virtual one */
        d->facts.is_virtual = true;
        d->facts.physical_function = model_address(PF);
        expect_vfs(w, 5, FAILURE_CLAIMED);
        d->facts.physical_function = model_address("0000:02:00.0");
        expect_vfs(w, 5, FAILURE_NONE);
        claim_table_remove_run(w->claims, run);
}

static void test_number_that_a_device_can_have(void **state) {
        World *w = *state;
        Device *pf = model_add(w->table, PF, 1);
        Failure f = {0};

        pf->facts.sriov_total_vfs = 7;
        expect_vfs(w, 8, FAILURE_NONE); /* it is none of the group's */
        add_rule(w, "physical_function eq '" PF "'");
        expect_vfs(w, 7, FAILURE_NONE);
        expect(claim_plan_check_vfs(w->claims, w->nics, 8, &f), &f, FAILURE_INVALID_ARGUMENT,
               "The group \"nics\" cannot ask for 8 virtual functions of each device: " PF
               " can have 7 at most; ask for fewer.");
        pf->facts.sriov_total_vfs = 0; /* switched off since: nothing is known */
        expect_vfs(w, 8, FAILURE_NONE);
}

static void ignore_change(Claim *c _unused_, uint32_t mask _unused_, void *userdata _unused_) {
}

static void expect_restart(World *w, bool needed) {
        Claim *c = find(w, CLAIM_ID);

        claim_table_touch(w->claims, c, 0);
        claim_table_flush(w->claims, ignore_change, NULL);
        assert_int_equal(!!c->restart_needed, needed);
}

/* What it was set to is not what it would be now. */
static void test_restart_needed(void **state) {
        World *w = *state;
        VfSettings now;
        Claim *c;
        Run *run;

        (void)model_add(w->table, VF, 1);
        (void)create(w, w->nics, 1, "trust=on", NULL, FAILURE_NONE, NULL);
        c = apply(w);
        sriov_settings_effective(&w->nics->record.sriov, &c->record.settings, c->record.macs[0], &now);
        run = run_with(w, VF, CLAIM_ID, sriov_settings_fingerprint(&now));
        expect_restart(w, false);

        w->nics->record.sriov.vfs = 9; /* nothing of it */
        expect_restart(w, false);
        w->nics->record.sriov.vf.values[VF_VLAN] = 10;
        expect_restart(w, true);
        w->nics->record.sriov.vf.values[VF_VLAN] = 9;
        expect_restart(w, false);

        update(w, w->nics, 0, "", NULL, FAILURE_NONE, NULL);
        (void)apply(w);
        expect_restart(w, true);
        update(w, w->nics, 0, "trust=on", NULL, FAILURE_NONE, NULL);
        (void)apply(w);
        expect_restart(w, false);
        update(w, w->nics, 0, NULL, "02:00:00:00:00:01", FAILURE_NONE, NULL);
        (void)apply(w);
        expect_restart(w, true);

        claim_table_remove_run(w->claims, run);
        run = run_with(w, VF, CLAIM_ID, 0); /* it is not known to what */
        expect_restart(w, false);
        claim_table_remove_run(w->claims, run);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_made_up),
                        CASE(test_given),
                        CASE(test_count),
                        CASE(test_settings),
                        CASE(test_number_of_functions),
                        CASE(test_number_that_a_device_can_have),
                        CASE(test_restart_needed),
        };

        return cmocka_run_group_tests_name("claim-settings", tests, NULL, NULL);
}
