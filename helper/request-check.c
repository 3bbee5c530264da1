/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "request.h"
#include "sysfs.h"
#include "target.h"

static void add_row(WorkerResult *result, const char *check, const char *severity, bool passed,
                    const char *sentence) {
        CheckRow *row;

        assert(result->n_rows < CHECK_ROWS_MAX);

        row = &result->rows[result->n_rows++];
        (void)snprintf(row->check, sizeof row->check, "%s", check);
        (void)snprintf(row->severity, sizeof row->severity, "%s", severity);
        row->passed = passed;
        (void)snprintf(row->sentence, sizeof row->sentence, "%s", sentence);
}

/* The outcome of a check that speaks in failures: its sentence, or the one for success. */
static void add_outcome(Target *t, const char *check, int r, const char *success) {
        add_row(t->result, check, "error", r >= 0, r >= 0 ? success : t->result->failure.sentence);
        t->result->failure = (Failure){0};
}

static void add_set(Target *t) {
        char members[256], sentence[512];

        if (t->n_members == 1)
                (void)snprintf(sentence, sizeof sentence, "Device %s moves alone.", t->members[0].address);
        else
                (void)snprintf(sentence, sizeof sentence,
                               "The IOMMU cannot separate these devices, so they move together: %s.",
                               iommu_set_format(&t->movers, members, sizeof members));
        add_row(t->result, "iommu-set", "info", true, sentence);
}

/* Of what is not refused although it holds: a warning, or what an administrator consented to. */
static const char *severity_of(int reason, uint32_t allowed) {
        if (CRITICAL_WARNINGS & 1U << reason)
                return "warning";
        return allowed & 1U << reason ? "info" : "error";
}

/* A reason of any member stands in the way of all, unless its grant overrides it by name. */
static int add_critical(Target *t, const HostFacts *facts, bool granted) {
        Critical c, all = {0};
        uint32_t refused = 0;
        char sentence[256];
        int r;

        for (size_t i = 0; i < t->n_members; i++) {
                if ((r = target_evaluate(t, &t->members[i], facts, &c)) < 0)
                        return r;
                c.reasons |= c.warnings;
                refused |= c.reasons & ~CRITICAL_WARNINGS &
                           ~(granted ? t->members[i].grant.consent & CRITICAL_OVERRIDABLE : 0);
                for (int reason = 0; reason < CRITICAL_REASON_MAX; reason++)
                        if (c.reasons & 1U << reason && !(all.reasons & 1U << reason)) {
                                all.reasons |= 1U << reason;
                                memcpy(all.sentence[reason], c.sentence[reason], sizeof c.sentence[reason]);
                        }
        }

        for (int reason = 0; reason < CRITICAL_REASON_MAX; reason++) {
                const char *word = critical_reason_to_string((CriticalReason)reason);

                (void)snprintf(sentence, sizeof sentence, "The host does not need it (%s).", word);
                add_row(t->result, word, severity_of(reason, all.reasons & ~refused),
                        !(all.reasons & 1U << reason),
                        all.reasons & 1U << reason ? all.sentence[reason] : sentence);
        }
        return 0;
}

static void add_driver(Target *t) {
        _cleanup_close_ int driver = -1;

        driver = sysfs_open_dir(t->root, "sys/bus/pci/drivers/" VFIO_DRIVER);
        add_row(t->result, "driver", "error", driver >= 0,
                driver >= 0 ? "The driver vfio-pci is loaded."
                            : "The driver vfio-pci is not loaded; 'modprobe vfio-pci'.");
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

void request_check(int root, const void *request, WorkerResult *result) {
        _cleanup_(host_facts_freep) HostFacts *facts = NULL;
        _cleanup_(target_closep) Target *t = NULL;
        const Request *q = request;
        char sentence[256];
        int granted;

        if (target_open(root, &q->devices[0], TARGET_READ, result, &t) < 0 ||
            target_load_facts(root, result, &facts) < 0)
                return;

        add_set(t);
        granted = target_check_grants(t);
        add_outcome(t, "granted", granted, describe_consent(t, sentence, sizeof sentence));
        add_driver(t);
        if (add_critical(t, facts, granted >= 0) < 0)
                result->n_rows = 0;
}
