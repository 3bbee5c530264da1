/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "calls.h"
#include "text.h"

#define LIST_SIZE (DEVICES_PER_CALL_MAX * (PCI_ADDRESS_SIZE + 2) + 16)

/* The words of describe() that the audit trail has, as they were before the call changed anything. */
typedef enum TrailWord {
        TRAIL_VERB,
        TRAIL_IDS,
        TRAIL_GROUP,
        TRAIL_RULE,
        TRAIL_VM,
        TRAIL_CLAIM,
        TRAIL_WORD_MAX,
} TrailWord;

static const char *const words[TRAIL_WORD_MAX] = {
                [TRAIL_VERB] = "verb", [TRAIL_IDS] = "ids", [TRAIL_GROUP] = "group",
                [TRAIL_RULE] = "rule", [TRAIL_VM] = "vm",   [TRAIL_CLAIM] = "claim",
};

struct CallTrail {
        char devices[LIST_SIZE];
        char *words[TRAIL_WORD_MAX];
};

CallTrail *call_trail_free(CallTrail *t) {
        if (!t)
                return NULL;

        for (int i = 0; i < TRAIL_WORD_MAX; i++)
                free(t->words[i]);
        free(t);
        return NULL;
}

/* Without memory an entry has fewer fields. */
static CallTrail *get_trail(Call *c) {
        if (!c->trail)
                c->trail = calloc(1, sizeof *c->trail);
        return c->trail;
}

static void take(CallTrail *t, const char *key, const char *value) {
        if (streq(key, "device"))
                (void)snprintf(t->devices, sizeof t->devices, "%s", value);
        for (int i = 0; i < TRAIL_WORD_MAX; i++)
                if (streq(key, words[i]) && !t->words[i])
                        t->words[i] = strdup(value);
}

void call_trail_describe(Call *c) {
        CallDetails details = {0};

        if (c->trail || !c->kind->describe || !get_trail(c))
                return;
        c->kind->describe(c, &details);
        for (size_t i = 0; i < details.n; i += 2)
                take(c->trail, details.pairs[i], details.pairs[i + 1]);
}

void call_trail_add_device(Call *c, const PciAddress *a) {
        CallTrail *t = get_trail(c);
        char address[PCI_ADDRESS_SIZE];

        if (t)
                text_append_item(t->devices, sizeof t->devices, pci_address_format(a, address));
}

/* What was refused before anybody was asked is the caller's mistake, but for what the host needs. */
static bool is_worth_it(const Call *c, const Failure *failure) {
        return c->row->kind != AUTHORISATION_OPEN &&
               (!failure || c->passed || failure->kind == FAILURE_CRITICAL);
}

void call_trail_end(Call *c, const Failure *failure) {
        const CallTrail *t = c->trail ?: &(const CallTrail){0};
        AuditEntry e = {
                        .verb = t->words[TRAIL_VERB] ?: c->row->member,
                        .failure = failure,
                        .has_caller = c->uid != (uid_t)-1,
                        .caller = c->uid,
                        .action = c->action,
                        .verdict = c->verdict,
                        .devices = t->devices,
                        .ids = t->words[TRAIL_IDS],
                        .group = t->words[TRAIL_GROUP],
                        .rule = t->words[TRAIL_RULE],
                        .vm = t->words[TRAIL_VM],
                        .claim = t->words[TRAIL_CLAIM],
        };

        if (is_worth_it(c, failure))
                audit_write(c->manager->audit, &e);
}
