/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "claim-settings.h"
#include "order-plan.h"

static const uint8_t no_mac[VF_MAC_LENGTH] = {0};

static bool is_none(const uint8_t mac[static VF_MAC_LENGTH]) {
        return memcmp(mac, no_mac, VF_MAC_LENGTH) == 0;
}

static int check_type(const Group *g, const VfSettings *settings, const MacList *macs, Failure *f) {
        const char *option = settings && settings->given != 0 ? "sriov"
                             : macs && macs->n > 0            ? "mac-addresses"
                                                              : NULL;

        if (!option || g->record.type == GROUP_TYPE_SRIOV_NIC)
                return 0;
        return failure_set(
                        f, FAILURE_INVALID_ARGUMENT,
                        "The group \"%.100s\" is of the type \"%s\", whose devices have no settings; leave "
                        "\"%s\" out, or name a group of the type \"sriov-nic\".",
                        g->record.name, group_type_to_string(g->record.type), option);
}

static int check_settings(const Group *g, const ClaimRecord *c, const VfSettings *settings, Failure *f) {
        char owner[128];

        (void)snprintf(owner, sizeof owner, "claim \"%.100s\"", c->name);
        return sriov_settings_check_claim(&g->record.sriov, settings, owner, f);
}

int claim_settings_check(const Group *g, const ClaimRecord *c, Failure *f) {
        assert(g);
        assert(c);
        assert(f);

        return g->record.type == GROUP_TYPE_SRIOV_NIC ? check_settings(g, c, &c->settings, f) : 0;
}

static int take_settings(const Group *g, ClaimRecord *c, const VfSettings *settings, Failure *f) {
        if (check_settings(g, c, settings, f) < 0)
                return -EREMOTEIO;
        c->settings = *settings;
        return 0;
}

static int check_free(const ClaimTable *t, const ClaimRecord *c, const uint8_t mac[static VF_MAC_LENGTH],
                      Failure *f) {
        const Claim *other = claim_table_find_mac(t, mac, c->id);
        char text[VF_MAC_TEXT_SIZE];

        if (!other)
                return 0;
        return failure_set(
                        f, FAILURE_NAME_TAKEN,
                        "The address %s belongs to the claim \"%.100s\" of the VM \"%.100s\" (of user %u) "
                        "already; take another one, or leave it out to have one made up.",
                        vf_mac_format(mac, text), other->record.name, other->record.vm,
                        (unsigned)other->record.owner);
}

static int check_macs(const ClaimTable *t, const Group *g, const ClaimRecord *c, const MacList *macs,
                      Failure *f) {
        if (macs->n > c->count)
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "The claim \"%.100s\" is for %u device%s, and %zu addresses were "
                                   "given; give no more addresses than devices.",
                                   c->name, c->count, c->count == 1 ? "" : "s", macs->n);
        for (size_t i = 0; i < macs->n; i++) {
                if (is_none(macs->macs[i]))
                        continue;
                if (!(g->record.sriov.overridable & 1U << VF_MAC))
                        return failure_set(
                                        f, FAILURE_INVALID_ARGUMENT,
                                        "The group \"%.100s\" does not let claims choose addresses; leave "
                                        "\"mac-addresses\" out, or have an administrator add \"mac\" to "
                                        "\"overridable\" of the group.",
                                        g->record.name);
                if (check_free(t, c, macs->macs[i], f) < 0)
                        return -EREMOTEIO;
        }
        return 0;
}

static int take_macs(const ClaimTable *t, const Group *g, ClaimRecord *c, const MacList *macs, Failure *f) {
        if (check_macs(t, g, c, macs, f) < 0)
                return -EREMOTEIO;
        c->n_macs = 0;
        for (size_t i = 0; i < macs->n; i++)
                if (claim_macs_add(c, macs->macs[i]) < 0)
                        return order_plan_fail_memory(f);
        return 0;
}

/* splitmix64: all of the randomness is in the seed. */
static uint64_t next_random(uint64_t *state) {
        uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
        z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
        return z ^ z >> 31;
}

static bool is_own(const ClaimRecord *c, const uint8_t mac[static VF_MAC_LENGTH]) {
        for (size_t i = 0; i < c->n_macs; i++)
                if (memcmp(c->macs[i], mac, VF_MAC_LENGTH) == 0)
                        return true;
        return false;
}

/* A locally administered one (bit 1 of the first byte) of one card (not bit 0). */
static void make_up(const ClaimTable *t, const ClaimRecord *c, uint64_t *state,
                    uint8_t ret[static VF_MAC_LENGTH]) {
        uint8_t mac[VF_MAC_LENGTH];
        uint64_t random;

        do {
                random = next_random(state);
                for (size_t i = 0; i < VF_MAC_LENGTH; i++)
                        mac[i] = (uint8_t)(random >> 8 * i);
                mac[0] = (uint8_t)((mac[0] | 0x02) & ~0x01);
        } while (is_own(c, mac) || claim_table_find_mac(t, mac, c->id));
        memcpy(ret, mac, VF_MAC_LENGTH);
}

/* The last ones go; what is missing is made up. */
static int fit_macs(const ClaimTable *t, uint64_t seed, ClaimRecord *c, Failure *f) {
        if (c->n_macs > c->count)
                c->n_macs = c->count;
        while (c->n_macs < c->count)
                if (claim_macs_add(c, no_mac) < 0)
                        return order_plan_fail_memory(f);
        for (size_t i = 0; i < c->n_macs; i++)
                if (is_none(c->macs[i]))
                        make_up(t, c, &seed, c->macs[i]);
        return 0;
}

int claim_settings_plan(const ClaimTable *t, uint64_t seed, const Group *g, ClaimRecord *c,
                        const VfSettings *settings, const MacList *macs, Failure *f) {
        assert(t);
        assert(g);
        assert(c);
        assert(f);

        if (check_type(g, settings, macs, f) < 0)
                return -EREMOTEIO;
        if (g->record.type != GROUP_TYPE_SRIOV_NIC || c->count > CLAIM_COUNT_MAX)
                return 0; /* too many: the record's check says so */
        if ((settings && take_settings(g, c, settings, f) < 0) || (macs && take_macs(t, g, c, macs, f) < 0))
                return -EREMOTEIO;
        return fit_macs(t, seed, c, f);
}
