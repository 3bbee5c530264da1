/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "claim-state.h"

static const char *const claim_property_table[CLAIM_PROPERTY_MAX] = {
                [CLAIM_PROPERTY_NAME] = "Name",
                [CLAIM_PROPERTY_DESCRIPTION] = "Description",
                [CLAIM_PROPERTY_COUNT] = "Count",
                [CLAIM_PROPERTY_OPTIONAL] = "Optional",
                [CLAIM_PROPERTY_ENABLED] = "Enabled",
                [CLAIM_PROPERTY_ORDER] = "Order",
                [CLAIM_PROPERTY_DEVICES] = "Devices",
                [CLAIM_PROPERTY_STATUS] = "Status",
                [CLAIM_PROPERTY_STATUS_INFO] = "StatusInfo",
                [CLAIM_PROPERTY_RESTART_NEEDED] = "RestartNeeded",
                [CLAIM_PROPERTY_MEMORY_LOCK] = "MemoryLock",
                [CLAIM_PROPERTY_SRIOV] = "Sriov",
                [CLAIM_PROPERTY_MAC_ADDRESSES] = "MacAddresses",
                [CLAIM_PROPERTY_MODIFIED] = "Modified",
};

DEFINE_STRING_TABLE(claim_property, ClaimProperty, CLAIM_PROPERTY_MAX);

static const char *const claim_status_table[CLAIM_STATUS_MAX] = {
                [CLAIM_IDLE] = "idle",
                [CLAIM_WAITING] = "waiting",
                [CLAIM_INITIALIZING] = "initializing",
                [CLAIM_ONLINE] = "online",
                [CLAIM_MISSING] = "missing",
                [CLAIM_ERRORS] = "errors",
                [CLAIM_OFFLINE] = "offline",
};

DEFINE_STRING_TABLE(claim_status, ClaimStatus, CLAIM_STATUS_MAX);

void claim_table_touch(ClaimTable *t, Claim *c, uint32_t mask) {
        assert(t);
        assert(c);

        c->changed |= mask;
        if (!c->is_listed) {
                c->is_listed = true;
                c->next_changed = t->changed;
                t->changed = c;
        }
        if (t->is_touched)
                return;
        t->is_touched = true;
        if (t->config.touched)
                t->config.touched(t->config.userdata);
}

void claim_table_touch_vm(ClaimTable *t, uid_t owner, const char *vm) {
        size_t at = 0;
        Claim *c;

        while ((c = claim_table_next_of_vm(t, owner, vm, &at)))
                claim_table_touch(t, c, 0);
}

void claim_set_problem(ClaimTable *t, Claim *c, const char *sentence) {
        if (device_set_text(&c->problem, strempty(sentence)))
                claim_table_touch(t, c, 0);
}

void claim_set_progress(ClaimTable *t, Claim *c, const char *sentence) {
        if (device_set_text(&c->progress, strempty(sentence)))
                claim_table_touch(t, c, 0);
}

void claim_set_waiting(ClaimTable *t, Claim *c, bool waiting) {
        if (c->waiting == waiting)
                return;
        c->waiting = waiting;
        claim_table_touch(t, c, 0);
}

void claim_set_memory_lock(ClaimTable *t, Claim *c, uint64_t bytes) {
        if (c->memory_lock == bytes)
                return;
        c->memory_lock = bytes;
        claim_table_touch(t, c, 1U << CLAIM_PROPERTY_MEMORY_LOCK);
}

static const RunDevice *find_of(const Claim *c, bool (*f)(const ClaimTable *t, const RunDevice *rd),
                                const ClaimTable *t) {
        for (size_t i = 0; i < c->run->record.n_devices; i++) {
                const RunDevice *rd = &c->run->record.devices[i];

                if (streq(rd->claim, c->record.id) && f(t, rd))
                        return rd;
        }
        return NULL;
}

static bool is_returning(const ClaimTable *t _unused_, const RunDevice *rd) {
        return rd->returning;
}

static bool is_missing(const ClaimTable *t, const RunDevice *rd) {
        return !claim_table_device(t, rd);
}

static ClaimStatus find_status(const ClaimTable *t, const Claim *c) {
        if (c->run && c->run->record.starting)
                return CLAIM_INITIALIZING;
        if (c->run && find_of(c, is_returning, t))
                return CLAIM_OFFLINE;
        if (c->run)
                return find_of(c, is_missing, t) ? CLAIM_MISSING : CLAIM_ONLINE;
        if (c->waiting)
                return CLAIM_WAITING;
        return c->problem ? CLAIM_ERRORS : CLAIM_IDLE;
}

static bool vm_is_running(const ClaimTable *t, const Claim *c) {
        Run *r = NULL;

        while ((r = claim_table_next_run_of_vm(t, c->record.owner, c->record.vm, r)))
                for (size_t i = 0; i < r->record.n_devices; i++)
                        if (!r->record.devices[i].returning)
                                return true;
        return false;
}

/* Is a device set to something else than it would be now? Of one that has no settings nothing is asked. */
static bool has_other_settings(const ClaimTable *t, const Claim *c) {
        const Group *g = registry_find_group(t->config.registry, c->record.group);
        VfSettings now;
        size_t k = 0;

        for (size_t i = 0; g && i < c->run->record.n_devices; i++) {
                const RunDevice *rd = &c->run->record.devices[i];

                if (!streq(rd->claim, c->record.id))
                        continue;
                sriov_settings_effective(&g->record.sriov, &c->record.settings,
                                         k < c->record.n_macs ? c->record.macs[k] : NULL, &now);
                k++;
                if (rd->settings != 0 && rd->settings != sriov_settings_fingerprint(&now))
                        return true;
        }
        return false;
}

static bool needs_restart(const ClaimTable *t, const Claim *c) {
        bool wants = c->record.enabled && !c->record.doomed;

        if (!vm_is_running(t, c))
                return false;
        if (!c->run)
                return wants;
        return !wants || run_count_devices(c->run, c) != c->record.count || has_other_settings(t, c);
}

static const char *find_info(const ClaimTable *t, const Claim *c, char *buf, size_t size) {
        char address[PCI_ADDRESS_SIZE];
        const RunDevice *rd;

        switch (c->status) {
        case CLAIM_MISSING:
                rd = find_of(c, is_missing, t);
                (void)snprintf(buf, size,
                               "Device %s has vanished from the host; the VM goes on without it until it is "
                               "back, or until the VM ends.",
                               pci_address_format(&rd->identity.address, address));
                return buf;
        case CLAIM_OFFLINE:
                return c->progress ?: "The VM has ended; its devices are on their way back.";
        case CLAIM_ERRORS:
                return c->problem;
        case CLAIM_ONLINE:
                if (c->record.doomed)
                        return "The claim was deleted; it goes when the VM has given its devices back.";
                return strempty(c->progress);
        case CLAIM_IDLE:
        case CLAIM_WAITING:
        case CLAIM_INITIALIZING:
        case CLAIM_STATUS_MAX:
        case CLAIM_STATUS_INVALID:
                return strempty(c->progress);
        }
        return "";
}

static uint32_t derive(const ClaimTable *t, Claim *c) {
        ClaimStatus status = find_status(t, c);
        bool restart = needs_restart(t, c);
        uint32_t mask = 0;
        char buf[256];

        if (status != c->status)
                mask |= 1U << CLAIM_PROPERTY_STATUS;
        c->status = status;
        if (restart != !!c->restart_needed)
                mask |= 1U << CLAIM_PROPERTY_RESTART_NEEDED;
        c->restart_needed = restart;
        if (device_set_text(&c->info, find_info(t, c, buf, sizeof buf)))
                mask |= 1U << CLAIM_PROPERTY_STATUS_INFO;
        return mask;
}

void claim_table_settle(ClaimTable *t, Claim *c) {
        assert(t);
        assert(c);

        (void)derive(t, c);
        c->changed = 0;
}

void claim_table_flush(ClaimTable *t, claim_changed_t changed, void *userdata) {
        uint32_t mask;
        Claim *c;

        assert(t);
        assert(changed);

        t->is_touched = false;
        while ((c = t->changed)) {
                t->changed = c->next_changed;
                c->is_listed = false;
                mask = c->changed | derive(t, c);
                c->changed = 0;
                if (mask != 0)
                        changed(c, mask, userdata);
        }
}
