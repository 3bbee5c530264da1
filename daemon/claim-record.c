/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "array.h"
#include "claim-record.h"
#include "text.h"

static const char *const run_track_table[RUN_TRACK_MAX] = {
                [RUN_TRACK_LIFELINE] = "lifeline",
                [RUN_TRACK_CONNECTION] = "connection",
                [RUN_TRACK_MACHINE] = "machine",
                [RUN_TRACK_MANUAL] = "manual",
};

DEFINE_STRING_TABLE(run_track, RunTrack, RUN_TRACK_MAX);

static const char *const run_access_table[RUN_ACCESS_MAX] = {
                [RUN_ACCESS_ACL] = "acl",
                [RUN_ACCESS_FDS] = "fds",
};

DEFINE_STRING_TABLE(run_access, RunAccess, RUN_ACCESS_MAX);

/* --- owning them --- */

void claim_record_clear(ClaimRecord *c) {
        assert(c);

        free(c->vm);
        free(c->name);
        free(c->description);
        free(c->macs);
        *c = (ClaimRecord){0};
}

void run_record_clear(RunRecord *r) {
        assert(r);

        free(r->vm);
        free(r->tracked);
        free(r->devices);
        *r = (RunRecord){0};
}

void quarantine_record_clear(QuarantineRecord *q) {
        assert(q);

        free(q->reason);
        *q = (QuarantineRecord){0};
}

int claim_macs_add(ClaimRecord *c, const uint8_t mac[static VF_MAC_LENGTH]) {
        assert(c);

        if (array_grow(&c->macs, c->n_macs, sizeof *c->macs) < 0)
                return -ENOMEM;
        memcpy(c->macs[c->n_macs++], mac, VF_MAC_LENGTH);
        return 0;
}

int claim_record_copy(const ClaimRecord *c, ClaimRecord *ret) {
        ClaimRecord copy;
        int r = 0;

        assert(c);
        assert(ret);

        copy = *c;
        copy.macs = NULL;
        copy.n_macs = 0;
        for (size_t i = 0; i < c->n_macs && r >= 0; i++)
                r = claim_macs_add(&copy, c->macs[i]);
        copy.vm = strdup(c->vm);
        copy.name = strdup(c->name);
        copy.description = strdup(c->description);
        if (r < 0 || !copy.vm || !copy.name || !copy.description) {
                claim_record_clear(&copy);
                return -ENOMEM;
        }

        *ret = copy;
        return 0;
}

int run_record_copy(const RunRecord *r, RunRecord *ret) {
        RunRecord copy;
        int k = 0;

        assert(r);
        assert(ret);

        copy = *r;
        copy.devices = NULL;
        copy.vm = strdup(r->vm);
        copy.tracked = strdup(r->tracked);
        for (size_t i = 0; i < r->n_devices && k == 0; i++) {
                k = array_grow(&copy.devices, i, sizeof *copy.devices);
                if (k == 0)
                        copy.devices[i] = r->devices[i];
        }
        if (k < 0 || !copy.vm || !copy.tracked) {
                run_record_clear(&copy);
                return -ENOMEM;
        }

        *ret = copy;
        return 0;
}

int quarantine_record_copy(const QuarantineRecord *q, QuarantineRecord *ret) {
        QuarantineRecord copy;

        assert(q);
        assert(ret);

        copy = *q;
        copy.reason = strdup(q->reason);
        if (!copy.reason)
                return -ENOMEM;

        *ret = copy;
        return 0;
}

bool claim_record_same(const ClaimRecord *a, const ClaimRecord *b) {
        assert(a);
        assert(b);

        return streq(a->vm, b->vm) && streq(a->name, b->name) && streq(a->description, b->description) &&
               a->count == b->count && a->order == b->order && a->optional == b->optional &&
               a->enabled == b->enabled && a->doomed == b->doomed &&
               vf_settings_same(&a->settings, &b->settings) && claim_macs_same(a, b);
}

/* --- addresses --- */

bool claim_macs_same(const ClaimRecord *a, const ClaimRecord *b) {
        return a->n_macs == b->n_macs &&
               (a->n_macs == 0 || memcmp(a->macs, b->macs, a->n_macs * sizeof *a->macs) == 0);
}

const char *claim_macs_format(const ClaimRecord *c, char buf[static CLAIM_MACS_SIZE]) {
        size_t used = 0;

        assert(c);
        assert(c->n_macs <= CLAIM_COUNT_MAX);

        buf[0] = '\0';
        for (size_t i = 0; i < c->n_macs; i++) {
                if (i > 0)
                        buf[used++] = ' ';
                (void)vf_mac_format(c->macs[i], buf + used);
                used += VF_MAC_TEXT_SIZE - 1;
        }
        return buf;
}

int claim_macs_parse(const char *line, ClaimRecord *c) {
        char text[VF_MAC_TEXT_SIZE], again[CLAIM_MACS_SIZE];
        uint8_t mac[VF_MAC_LENGTH];

        assert(line);
        assert(c);
        assert(c->n_macs == 0);

        for (const char *at = line; *at && c->n_macs < CLAIM_COUNT_MAX;) {
                (void)snprintf(text, sizeof text, "%s", at);
                if (vf_mac_parse(text, mac) < 0)
                        return -EBADMSG;
                if (claim_macs_add(c, mac) < 0)
                        return -ENOMEM;
                at += sizeof text - 1;
                at += *at == ' ';
        }
        return streq(claim_macs_format(c, again), line) ? 0 : -EBADMSG; /* one way to write them */
}

/* --- checking them --- */

static int check_user(const char *what, uid_t uid, const char *kind, const char *owner, Failure *f) {
        if (uid != (uid_t)-1)
                return 0;
        return failure_set(f, FAILURE_INVALID_ARGUMENT,
                           "The %s of %s '%.64s' is %u, which is no user; give the uid of one.", what, kind,
                           owner, (unsigned)uid);
}

/* As grant_read_boot() says it. */
static int check_boot(const char *id, const char *kind, const char *owner, Failure *f) {
        if (grant_boot_is_valid(id))
                return 0;
        return failure_set(f, FAILURE_INVALID_ARGUMENT,
                           "The boot of %s '%.64s' is '%.33s', which is no id of one; give 32 hexadecimal "
                           "digits.",
                           kind, owner, id);
}

/* Nothing that reads devices makes another text than this; and a slot is the name of a directory. */
static bool is_clean(const char *text) {
        char clean[PCI_SERIAL_SIZE];

        static_assert(PCI_SLOT_SIZE <= PCI_SERIAL_SIZE, "both fit");
        text_sanitize(clean, sizeof clean, text, strlen(text));
        return streq(clean, text);
}

static int check_identity(const PciIdentity *i, const char *kind, const char *owner, Failure *f) {
        const char *wrong = i->address.device > 31 || i->address.function > 7 ? "an address"
                            : i->class_code > 0xffffff                        ? "a class"
                            : !is_clean(i->serial)                            ? "a serial number"
                            : !is_clean(i->slot) || strchr(i->slot, '/')      ? "a slot"
                                                                              : NULL;

        if (!wrong)
                return 0;
        return failure_set(f, FAILURE_INVALID_ARGUMENT,
                           "A device of %s '%.64s' has %s that no device has; read it from the device.",
                           kind, owner, wrong);
}

static int check_macs(const ClaimRecord *c, Failure *f) {
        char text[VF_MAC_TEXT_SIZE];

        if (c->n_macs != 0 && c->n_macs != c->count)
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "Claim '%.64s' has %zu addresses for %u devices; give one for each, or "
                                   "none.",
                                   c->name, c->n_macs, c->count);
        for (size_t i = 0; i < c->n_macs; i++) {
                (void)vf_mac_format(c->macs[i], text);
                if (!vf_mac_is_unicast(c->macs[i]))
                        return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                           "The address %s of claim '%.64s' is not one of a card; give one "
                                           "like 02:00:00:00:00:01.",
                                           text, c->name);
                for (size_t k = 0; k < i; k++)
                        if (memcmp(c->macs[i], c->macs[k], sizeof c->macs[i]) == 0)
                                return failure_set(
                                                f, FAILURE_INVALID_ARGUMENT,
                                                "Claim '%.64s' has the address %s twice; give each device "
                                                "another one.",
                                                c->name, text);
        }
        return 0;
}

static int check_settings(const ClaimRecord *c, Failure *f) {
        if (vf_settings_has(&c->settings, VF_MAC))
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "The settings of claim '%.64s' have an address; give its devices' "
                                   "addresses beside the settings.",
                                   c->name);
        return check_macs(c, f);
}

int claim_record_check(const ClaimRecord *c, Failure *f) {
        static const RecordText name = {"name", "claim", RECORD_NAME_MAX, false, false},
                                vm = {"VM name", "claim", RECORD_NAME_MAX, false, false},
                                description = {"description", "claim", RECORD_DESCRIPTION_MAX, true, true};
        int r;

        assert(c);
        assert(f);

        if ((r = record_check_text(&name, c->name, c->name, f)) < 0 ||
            (r = record_check_text(&vm, c->vm, c->name, f)) < 0 ||
            (r = record_check_id("id", c->id, "claim", c->name, f)) < 0 ||
            (r = record_check_id("group", c->group, "claim", c->name, f)) < 0 ||
            (r = check_user("owner", c->owner, "claim", c->name, f)) < 0)
                return r;
        if (c->count < 1 || c->count > CLAIM_COUNT_MAX)
                return failure_set(
                                f, FAILURE_INVALID_ARGUMENT,
                                "Claim '%.64s' asks for %u devices; ask for 1 to %u, and make more claims "
                                "for more.",
                                c->name, c->count, CLAIM_COUNT_MAX);
        if (c->order > CLAIM_ORDER_MAX)
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "The order of claim '%.64s' is %u; give a number from 0 to %u.", c->name,
                                   c->order, CLAIM_ORDER_MAX);
        if (check_settings(c, f) < 0)
                return -EREMOTEIO;
        return record_check_text(&description, c->description, c->name, f);
}

/* A name where there is something to have one, and only there. */
static bool tracked_fits(const RunRecord *r) {
        switch (r->track) {
        case RUN_TRACK_CONNECTION:
                return r->tracked[0] == ':';
        case RUN_TRACK_MACHINE:
                return r->tracked[0] != '\0';
        default:
                return r->tracked[0] == '\0';
        }
}

static int check_tracked(const RunRecord *r, Failure *f) {
        static const RecordText tracked = {"tracked name", "run", RUN_TRACKED_MAX, true, false};

        if (tracked_fits(r))
                return record_check_text(&tracked, r->tracked, r->vm, f);
        return failure_set(f, FAILURE_INVALID_ARGUMENT,
                           "The tracked name of run '%.64s' is '%.64s', which does not fit \"%s\"; give the "
                           "unique name of a connection, the name of a machine, or none.",
                           r->vm, r->tracked, run_track_to_string(r->track));
}

static int check_devices(const RunRecord *r, Failure *f) {
        char address[PCI_ADDRESS_SIZE];
        int k;

        if (r->n_devices > RUN_DEVICES_MAX)
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "Run '%.64s' has %zu devices, and %u is the most; ask for less.", r->vm,
                                   r->n_devices, RUN_DEVICES_MAX);

        for (size_t i = 0; i < r->n_devices; i++) {
                const RunDevice *d = &r->devices[i];

                if ((k = record_check_id("claim", d->claim, "run", r->vm, f)) < 0 ||
                    (k = check_identity(&d->identity, "run", r->vm, f)) < 0)
                        return k;
                for (size_t j = 0; j < i; j++)
                        if (pci_address_compare(&r->devices[j].identity.address, &d->identity.address) == 0)
                                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                                   "Run '%.64s' has the device %s twice; name it once.",
                                                   r->vm, pci_address_format(&d->identity.address, address));
        }
        return 0;
}

int run_record_check(const RunRecord *r, Failure *f) {
        static const RecordText vm = {"VM name", "run", RECORD_NAME_MAX, false, false};
        int k;

        assert(r);
        assert(r->track >= 0 && r->track < RUN_TRACK_MAX);
        assert(r->access >= 0 && r->access < RUN_ACCESS_MAX);
        assert(f);

        if ((k = record_check_text(&vm, r->vm, r->vm, f)) < 0 ||
            (k = record_check_id("id", r->id, "run", r->vm, f)) < 0 ||
            (k = check_user("owner", r->owner, "run", r->vm, f)) < 0 ||
            (k = check_user("user", r->uid, "run", r->vm, f)) < 0 || (k = check_tracked(r, f)) < 0 ||
            (k = check_boot(r->boot_id, "run", r->vm, f)) < 0)
                return k;
        return check_devices(r, f);
}

int quarantine_record_check(const QuarantineRecord *q, Failure *f) {
        static const RecordText reason = {"reason", "quarantine", QUARANTINE_REASON_MAX, false, false};
        char address[PCI_ADDRESS_SIZE];
        int r;

        assert(q);
        assert(f);

        (void)pci_address_format(&q->identity.address, address);
        if ((r = check_identity(&q->identity, "quarantine", address, f)) < 0 ||
            (r = check_boot(q->boot_id, "quarantine", address, f)) < 0)
                return r;
        return record_check_text(&reason, q->reason, address, f);
}
