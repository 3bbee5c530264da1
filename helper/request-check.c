/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "request-move.h"
#include "request.h"

void check_add(Target *t, const char *device, const char *check, const char *severity, bool passed,
               const char *sentence) {
        WorkerResult *result = t->result;
        CheckRow *row;

        /* When all is full, only what refuses gets in. */
        if (result->n_rows == CHECK_ROWS_MAX && (passed || !streq(severity, "error")))
                return;
        result->n_rows -= result->n_rows == CHECK_ROWS_MAX;

        row = &result->rows[result->n_rows++];
        (void)snprintf(row->device, sizeof row->device, "%s", device);
        (void)snprintf(row->check, sizeof row->check, "%s", check);
        (void)snprintf(row->severity, sizeof row->severity, "%s", severity);
        row->passed = passed;
        (void)snprintf(row->sentence, sizeof row->sentence, "%s", sentence);
        result->refused |= !passed && streq(severity, "error");
}

void check_add_set(Target *t) {
        char members[256], sentence[512];

        if (t->n_members == 1)
                (void)snprintf(sentence, sizeof sentence, "Device %s moves alone.", t->members[0].address);
        else
                (void)snprintf(sentence, sizeof sentence,
                               "The IOMMU cannot separate these devices, so they move together: %s.",
                               iommu_set_format(&t->movers, members, sizeof members));
        check_add(t, target_named(t)->address, "iommu-set", "info", true, sentence);
}

/* Of what is not refused although it holds: a warning, or what an administrator consented to. */
static const char *severity_of(int reason, uint32_t allowed) {
        if (CRITICAL_WARNINGS & 1U << reason)
                return "warning";
        return allowed & 1U << reason ? "info" : "error";
}

static void add_reason(Target *t, const Member *m, int reason, uint32_t allowed, const char *sentence) {
        const char *word = critical_reason_to_string((CriticalReason)reason);
        char none[128];

        (void)snprintf(none, sizeof none, "The host does not need it (%s).", word);
        check_add(t, m->address, word, severity_of(reason, allowed), !sentence, sentence ?: none);
}

int check_add_critical(Target *t, uint32_t consent) {
        uint32_t all = 0;
        Critical c;
        int r;

        for (const Member *m = t->members; t->facts && m < t->members + t->n_members; m++) {
                if ((r = target_evaluate(t, m, t->facts, &c)) < 0)
                        return r;
                all |= c.reasons | c.warnings;
                for (int reason = 0; reason < CRITICAL_REASON_MAX; reason++)
                        if ((c.reasons | c.warnings) & 1U << reason)
                                add_reason(t, m, reason, c.reasons & ~target_refused(t, m, &c, consent),
                                           c.sentence[reason]);
        }

        for (int reason = 0; reason < CRITICAL_REASON_MAX && t->facts; reason++)
                if (!(all & 1U << reason))
                        add_reason(t, target_named(t), reason, 0, NULL);
        return 0;
}

/* The weakest consent of its members: all move, or none. */
static const char *describe_consent(const Target *t, char *buf, size_t size) {
        const char *ids = "";
        bool pending = false;

        for (size_t i = 0; i < t->n_members; i++) {
                pending |= t->members[i].grant.pending;
                if (t->members[i].grant.ids[0])
                        ids = t->members[i].grant.ids;
        }

        (void)snprintf(buf, size, "An administrator has granted that %s%s may leave the host%s.",
                       ids[0] ? "devices with the ids " : "it", ids,
                       pending ? "; the grant is pending and ends with a reboot unless it is kept" : "");
        return buf;
}

static const char *describe_pool(const Target *t, char *buf, size_t size) {
        IommuSet there = {0};
        char members[256];

        for (size_t i = 0; i < t->n_members; i++)
                if (member_on_vfio(&t->members[i]))
                        (void)iommu_set_add(&there, &t->members[i].identity.address);
        (void)snprintf(buf, size, "On vfio-pci already: %s.",
                       there.n_members > 0 ? iommu_set_format(&there, members, sizeof members) : "nothing");
        return buf;
}

/* That the grant is another device's is a kind of its own; in Check it is a grant like none. */
static const char *name_of(const Target *t, const MoveCheck *c) {
        return t->planning && t->result->failure.kind == FAILURE_IDENTITY_CHANGED ? "identity" : c->name;
}

int check_ask(Target *t, const MoveCheck *c) {
        const char *severity = t->planning || !streq(c->severity, "warning") ? c->severity : "error";
        const char *named = target_named(t)->address;
        char text[320];
        bool no = false;
        int r = 0;

        for (size_t i = 0; i < (c->of_set ? 1 : t->n_members); i++) {
                if ((r = move_ask(c, t, i)) >= 0)
                        continue;
                check_add(t, c->of_set ? named : t->members[i].address, name_of(t, c), severity, false,
                          t->result->failure.sentence);
                t->result->failure = (Failure){0};
                no = true;
        }

        t->ungranted |= no && c->of_member == target_check_grant;
        if (!no)
                check_add(t, named, c->name, severity, true,
                          c->yes         ? c->yes
                          : c->of_member ? describe_consent(t, text, sizeof text)
                                         : describe_pool(t, text, sizeof text));
        if (!no && t->planning && c->of_member == target_check_grant)
                check_add(t, named, "identity", severity, true, "It is what was granted.");
        return r > 0;
}

void request_check(int root, const void *request, WorkerResult *result) {
        _cleanup_(target_closep) Target *t = NULL;
        const Request *q = request;

        if (target_open(root, &q->devices[0], TARGET_READ, result, &t) < 0)
                return;

        check_add_set(t);
        for (const MoveCheck *c = move_bind_checks; c->name; c++)
                if (c->check)
                        (void)check_ask(t, c);
        (void)check_add_critical(t, 0);
}
