/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "calls.h"
#include "critical.h"
#include "plan-calls.h"
#include "plan-text.h"

/* Of all plans together: the helper has places for others, too. */
#define AT_ONCE_MAX 16U

#define ANSWER "a(sssbs)a(sss)"

typedef struct PlannedSet {
        Call *call;
        IommuSet set;
        PciAddress named; /* the first of it */
        HelperCall *helper;
        sd_bus_message *answer;
} PlannedSet;

typedef struct Plan {
        uint32_t consent;
        bool checks; /* of one device, for Check */
        bool begun;
        Failure failure; /* of one set, and so of all */
        size_t n, n_asked, n_answered;
        PlannedSet sets[];
} Plan;

static const CallKind plan_kind;

static void plan_free(void *data) {
        Plan *p = data;

        for (size_t i = 0; i < p->n; i++) {
                helper_call_free(p->sets[i].helper);
                sd_bus_message_unref(p->sets[i].answer);
        }
        free(p);
}

static int append_path(sd_bus_message *reply, const char *address) {
        _cleanup_free_ char *path = NULL; /* the device may have left meanwhile */
        int r;

        r = sd_bus_path_encode(BUS_PATH_DEVICES, address, &path);
        return r < 0 ? r : sd_bus_message_append_basic(reply, 'o', path);
}

/* What moves: all but bridges. The first that a VM has says so in *f. */
static int append_movers(sd_bus_message *reply, const Manager *m, const PlannedSet *s, const Device **ret,
                         Failure *f) {
        const Device *d;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "o");
        for (size_t i = 0; i < s->set.n_members && r >= 0; i++) {
                d = device_table_find(&m->devices, &s->set.members[i]);
                if (!d || device_is_bridge(d))
                        continue;
                r = sd_bus_message_append_basic(reply, 'o', d->path);
                if (!*ret && claim_table_check_device(d, f) < 0)
                        *ret = d;
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

typedef struct Row {
        const char *device, *check, *severity, *sentence;
        int passed;
} Row;

/* buf: for the words that the helper leaves to us. */
static int read_row(const Manager *m, sd_bus_message *answer, Row *ret, char buf[static PLAN_TEXT_SIZE]) {
        int r;

        r = sd_bus_message_read(answer, "(sssbs)", &ret->device, &ret->check, &ret->severity, &ret->passed,
                                &ret->sentence);
        if (r > 0 && ret->passed && !ret->sentence[0])
                ret->sentence = plan_text(m, ret->device, ret->check, buf);
        return r;
}

/* Looks through the rows, and goes back to their beginning. */
static int read_verdict(const Manager *m, sd_bus_message *answer, bool *ret) {
        char text[PLAN_TEXT_SIZE];
        Row row;
        int r;

        *ret = true;
        r = sd_bus_message_enter_container(answer, 'a', "(sssbs)");
        while (r >= 0 && (r = read_row(m, answer, &row, text)) > 0)
                *ret = *ret && (row.passed || !streq(row.severity, "error"));
        return r < 0 ? r : sd_bus_message_rewind(answer, true);
}

static int append_row(sd_bus_message *reply, const Row *row) {
        int r;

        if ((r = sd_bus_message_open_container(reply, 'r', "ossbs")) < 0 ||
            (r = append_path(reply, row->device)) < 0 ||
            (r = sd_bus_message_append(reply, "ssbs", row->check, row->severity, row->passed,
                                       row->sentence)) < 0)
                return r;
        return sd_bus_message_close_container(reply);
}

static int append_rows(sd_bus_message *reply, const Manager *m, sd_bus_message *answer, const Row *claimed) {
        char text[PLAN_TEXT_SIZE];
        Row row;
        int r;

        if ((r = sd_bus_message_open_container(reply, 'a', "(ossbs)")) < 0 ||
            (r = sd_bus_message_enter_container(answer, 'a', "(sssbs)")) < 0)
                return r;
        while ((r = read_row(m, answer, &row, text)) > 0)
                if ((r = append_row(reply, &row)) < 0)
                        return r;
        if (r < 0 || (r = sd_bus_message_exit_container(answer)) < 0 || (r = append_row(reply, claimed)) < 0)
                return r;
        return sd_bus_message_close_container(reply);
}

static int append_writes(sd_bus_message *reply, sd_bus_message *answer, bool possible) {
        const char *device, *file, *value;
        int r;

        if ((r = sd_bus_message_open_container(reply, 'a', "(oss)")) < 0 ||
            (r = sd_bus_message_enter_container(answer, 'a', "(sss)")) < 0)
                return r;
        while (possible && (r = sd_bus_message_read(answer, "(sss)", &device, &file, &value)) > 0)
                if ((r = sd_bus_message_open_container(reply, 'r', "oss")) < 0 ||
                    (r = append_path(reply, device)) < 0 ||
                    (r = sd_bus_message_append(reply, "ss", file, value)) < 0 ||
                    (r = sd_bus_message_close_container(reply)) < 0)
                        return r;
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_set(sd_bus_message *reply, const Manager *m, const PlannedSet *s) {
        char address[PCI_ADDRESS_SIZE];
        const Device *claimed = NULL;
        Row row = {.check = "claimed", .severity = "error"};
        Failure f = {0};
        bool possible;
        int r;

        if ((r = sd_bus_message_has_signature(s->answer, ANSWER)) <= 0)
                return r < 0 ? r : -EBADMSG;
        if ((r = sd_bus_message_open_container(reply, 'r', "uaoba(ossbs)a(oss)")) < 0 ||
            (r = sd_bus_message_append(reply, "u", s->set.number)) < 0 ||
            (r = append_movers(reply, m, s, &claimed, &f)) < 0 ||
            (r = read_verdict(m, s->answer, &possible)) < 0)
                return r;

        possible = possible && !claimed;
        row.device = claimed ? claimed->address : pci_address_format(&s->named, address);
        row.passed = !claimed;
        row.sentence = claimed ? f.sentence : "No VM has it.";
        if ((r = sd_bus_message_append(reply, "b", (int)possible)) < 0 ||
            (r = append_rows(reply, m, s->answer, &row)) < 0 ||
            (r = append_writes(reply, s->answer, possible)) < 0)
                return r;
        return sd_bus_message_close_container(reply);
}

/* Check asks less than Plan, and of the grant it has one row: what is no grant for this device is none. */
static bool is_check(Row *row) {
        static const char *const checks[] = {"iommu-set", "granted", "driver", "host-use"};

        if (streq(row->check, "identity") && !row->passed)
                row->check = "granted";
        if (streq(row->check, "granted"))
                row->severity = "error";
        for (size_t i = 0; i < ELEMENTSOF(checks); i++)
                if (streq(row->check, checks[i]))
                        return true;
        return critical_reason_from_string(row->check) >= 0;
}

static int append_checks(sd_bus_message *reply, const Manager *m, sd_bus_message *answer) {
        char text[PLAN_TEXT_SIZE];
        Row row;
        int r;

        if ((r = sd_bus_message_has_signature(answer, ANSWER)) <= 0)
                return r < 0 ? r : -EBADMSG;
        if ((r = sd_bus_message_open_container(reply, 'a', "(ssbs)")) < 0 ||
            (r = sd_bus_message_enter_container(answer, 'a', "(sssbs)")) < 0)
                return r;
        while ((r = read_row(m, answer, &row, text)) > 0)
                if (is_check(&row) && (r = sd_bus_message_append(reply, "(ssbs)", row.check, row.severity,
                                                                 row.passed, row.sentence)) < 0)
                        return r;
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int make_reply(const Call *c, sd_bus_message **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const Plan *p = c->data;
        int r;

        if (p->checks) {
                if ((r = sd_bus_message_new_method_return(c->message, &reply)) < 0 ||
                    (r = append_checks(reply, c->manager, p->sets[0].answer)) < 0)
                        return r;
                *ret = STEAL(reply);
                return 0;
        }

        if ((r = sd_bus_message_new_method_return(c->message, &reply)) < 0 ||
            (r = sd_bus_message_open_container(reply, 'a', "(uaoba(ossbs)a(oss))")) < 0)
                return r;
        for (size_t i = 0; i < p->n; i++)
                if ((r = append_set(reply, c->manager, &p->sets[i])) < 0)
                        return r;
        if ((r = sd_bus_message_close_container(reply)) < 0)
                return r;

        *ret = STEAL(reply);
        return 0;
}

static void finish(Call *c) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        r = make_reply(c, &reply);
        if (r < 0)
                call_fail(c, r);
        else
                call_finish_with(c, reply);
}

/* The next that is to be asked about, if it can be now: of one set one at a time, whoever asks. */
static PlannedSet *next_of(Call *c) {
        Plan *p = c->data;
        PlannedSet *s = &p->sets[p->n_asked];
        size_t under_way = 0;

        if (!p->begun || p->n_asked == p->n || p->failure.kind != FAILURE_NONE)
                return NULL;
        for (const Call *other = c->manager->calls; other; other = other->next) {
                const Plan *o = other->data;

                if (other->kind != &plan_kind || o->n_asked == o->n_answered)
                        continue;
                for (size_t i = 0; i < o->n_asked; i++) {
                        under_way += !!o->sets[i].helper;
                        if (o->sets[i].helper && iommu_set_contains(&o->sets[i].set, &s->named))
                                return NULL;
                }
        }
        return under_way < AT_ONCE_MAX ? s : NULL;
}

static void on_planned(const Failure *failure, sd_bus_message *answer, void *userdata);

static void ask(Call *c) {
        Plan *p = c->data;
        PlannedSet *s = &p->sets[p->n_asked];
        HelperRequest q = {
                        .verb = HELPER_PLAN, .device = &s->named, .consent = p->consent, .persistent = true};

        p->n_asked++;
        if (helper_client_call(c->manager->helper, &q, on_planned, s, &s->helper) >= 0)
                return;
        (void)failure_set(&p->failure, FAILURE_HELPER,
                          "Nothing can be planned: the helper cannot be called; see 'journalctl -u "
                          "verge-passthroughd' and try again.");
        p->n_answered++;
}

/* Even after a failure those under way are waited for, so that none of them is forgotten where they are counted. */
static void finish_if_done(Call *c) {
        const Plan *p = c->data;
        bool failed = p->failure.kind != FAILURE_NONE;

        if (!p->begun || p->n_answered < p->n_asked || (p->n_asked < p->n && !failed))
                return;
        if (failed)
                call_finish(c, &p->failure);
        else
                finish(c);
}

/* Whoever came first goes first: nobody is kept waiting by those who ask again and again. */
static void ask_more(Manager *m) {
        Call *oldest;

        for (;;) {
                oldest = NULL;
                for (Call *c = m->calls; c; c = c->next)
                        if (c->kind == &plan_kind && next_of(c))
                                oldest = c;
                if (!oldest)
                        return;
                ask(oldest);
                finish_if_done(oldest); /* if it could not even be asked */
        }
}

static void on_planned(const Failure *failure, sd_bus_message *answer, void *userdata) {
        PlannedSet *s = userdata;
        Call *c = s->call;
        Manager *m = c->manager;
        Plan *p = c->data;

        s->helper = NULL;
        s->answer = sd_bus_message_ref(answer);
        p->n_answered++;
        if (failure)
                (void)failure_set(&p->failure, failure->kind, "%s", failure->sentence);
        finish_if_done(c);
        ask_more(m);
}

static void go(Call *c) {
        Plan *p = c->data;

        p->begun = true;
        for (size_t i = 0; i < p->n; i++)
                p->sets[i].call = c;
        ask_more(c->manager);
}

static const CallKind plan_kind = {.go = go, .free = plan_free};

/* A bridge is never taken for one of its set: the helper says why it stays. */
static bool is_named_before(const Plan *p, const Device *d) {
        for (size_t i = 0; i < p->n; i++)
                if (pci_address_compare(&p->sets[i].named, device_address(d)) == 0 ||
                    (!device_is_bridge(d) && iommu_set_contains(&d->facts.set, &p->sets[i].named)))
                        return true;
        return false;
}

int plan_devices(Manager *m, sd_bus_message *message, const DeviceList *devices, uint32_t consent) {
        const Device *d;
        Plan *p;

        assert(m);
        assert(devices);

        p = calloc(1, sizeof *p + devices->n * sizeof p->sets[0]);
        if (!p)
                return -ENOMEM;

        p->consent = consent;
        for (size_t i = 0; i < devices->n; i++) {
                d = device_table_find(&m->devices, &devices->devices[i]);
                assert(d); /* it was found there just now */
                if (!is_named_before(p, d))
                        p->sets[p->n++] = (PlannedSet){.set = d->facts.set, .named = devices->devices[i]};
        }
        return call_start(m, message, &plan_kind, p);
}

int plan_check(Manager *m, sd_bus_message *message, const Device *d) {
        Plan *p;

        assert(m);
        assert(d);

        p = calloc(1, sizeof *p + sizeof p->sets[0]);
        if (!p)
                return -ENOMEM;

        p->checks = true;
        p->n = 1;
        p->sets[0] = (PlannedSet){.set = d->facts.set, .named = *device_address(d)};
        return call_start(m, message, &plan_kind, p);
}
