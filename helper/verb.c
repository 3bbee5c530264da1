/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-util.h"
#include "confine.h"
#include "critical.h"
#include "grant-confirm.h"
#include "steps.h"
#include "text.h"
#include "verb.h"

#define BUS_NAME_LENGTH_MAX 255U

/* The names are those of the arguments, then those of the answer. */
static const Verb verbs[] = {
                {"Plan", "sasb", "a(sssbs)a(sss)", "device\0consent\0persistent\0checks\0writes\0",
                 request_plan, 0, MOVE_VERB_INVALID},
                {"Grant", "asasbus", "", "devices\0consent\0pending\0confirm\0subject\0", request_grant,
                 CONFINE_LOCKS | CONFINE_GRANTS, MOVE_VERB_INVALID, false, request_prepare_grant,
                 POLKIT_ACTION_GRANT, POLKIT_ACTION_GRANT_CRITICAL},
                {"Keep", "as", "", "devices\0", request_keep, CONFINE_LOCKS | CONFINE_GRANTS,
                 MOVE_VERB_INVALID},
                {"Drop", "as", "", "devices\0", request_drop, CONFINE_LOCKS | CONFINE_GRANTS,
                 MOVE_VERB_INVALID},
                {"Revoke", "asbs", "", "devices\0release\0subject\0", request_revoke,
                 CONFINE_ALL | CONFINE_VFS, MOVE_VERB_INVALID, false, request_prepare_revoke,
                 POLKIT_ACTION_REVOKE, POLKIT_ACTION_REVOKE},
                {"GrantVfs", "asbs", "", "devices\0pending\0subject\0", request_grant_vfs,
                 CONFINE_LOCKS | CONFINE_GRANTS, MOVE_VERB_INVALID, false, request_prepare_grant_vfs,
                 POLKIT_ACTION_GRANT, POLKIT_ACTION_GRANT,
                 "Authentication is required to let virtual functions of PCI device $(device) ($(model)), "
                 "and their settings in the network, leave this host for virtual machines"},
                {"GrantIds", "ass", "", "ids\0subject\0", request_grant_ids, CONFINE_LOCKS | CONFINE_KEPT,
                 MOVE_VERB_INVALID, true, request_prepare_grant_ids, POLKIT_ACTION_GRANT,
                 POLKIT_ACTION_GRANT,
                 "Authentication is required to let ALL PCI devices with the ids $(device) ($(model)), now "
                 "and later, leave this host for virtual machines"},
                {"RevokeIds", "ass", "", "ids\0subject\0", request_revoke_ids, CONFINE_LOCKS | CONFINE_KEPT,
                 MOVE_VERB_INVALID, true, request_prepare_revoke_ids, POLKIT_ACTION_REVOKE,
                 POLKIT_ACTION_REVOKE,
                 "Authentication is required to take back the consent that all PCI devices with the ids "
                 "$(device) ($(model)) may leave this host"},
                {"Bind", "sb", "", "device\0persistent\0", request_move, CONFINE_ALL, MOVE_BIND},
                {"Release", "s", "", "device\0", request_move, CONFINE_ALL, MOVE_RELEASE},
                {"Recover", "s", "", "device\0", request_recover, CONFINE_ALL, MOVE_RELEASE},
                {"Reset", "s", "", "device\0", request_move, CONFINE_LOCKS | CONFINE_MOVES | CONFINE_TARGETS,
                 MOVE_RESET},
                {"SetVfs", "sub", "", "device\0count\0bind\0", request_set_vfs,
                 CONFINE_LOCKS | CONFINE_MOVES | CONFINE_GRANTS | CONFINE_TARGETS | CONFINE_VFS, MOVE_VFS},
                {"Open", "asbs", "a{sh}", "devices\0fds\0subject\0descriptors\0", request_open,
                 CONFINE_OPEN | CONFINE_KEPT, MOVE_RESET, .lets_in = true},
                {"Close", "s", "", "device\0", request_close, CONFINE_OPEN, MOVE_RESET},
                {"SetVf", "sas", "", "device\0settings\0", request_set_vf, CONFINE_LOCKS, MOVE_RESET,
                 .sets_vf = true},
                {"Healthy", "", "", "", request_healthy, CONFINE_KEPT, MOVE_VERB_INVALID},
};

const sd_bus_vtable *verb_vtable(sd_bus_message_handler_t on_call) {
        static sd_bus_vtable vtable[ELEMENTSOF(verbs) + 2] = {SD_BUS_VTABLE_START(0)};

        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                vtable[i + 1] = (sd_bus_vtable)SD_BUS_METHOD_WITH_NAMES(verbs[i].name, verbs[i].signature,
                                                                        verbs[i].names, verbs[i].result, ,
                                                                        on_call, SD_BUS_VTABLE_UNPRIVILEGED);
        vtable[ELEMENTSOF(verbs) + 1] = (sd_bus_vtable)SD_BUS_VTABLE_END;
        return vtable;
}

const Verb *verb_find(const char *name) {
        for (size_t i = 0; name && i < ELEMENTSOF(verbs); i++)
                if (streq(verbs[i].name, name))
                        return &verbs[i];
        return NULL;
}

static int fail_malformed(Failure *f) {
        return failure_set(f, FAILURE_INVALID_ARGUMENT,
                           "The arguments are not of the documented form; see org.verge.Passthrough(5).");
}

/* The word is shown as far as it can be printed. */
static int fail_word(Failure *f, const char *word, const char *why) {
        char shown[64];

        text_sanitize(shown, sizeof shown, word, strlen(word));
        return failure_set(f, FAILURE_INVALID_ARGUMENT, "'%s' %s", shown, why);
}

static int fail_twice(Failure *f, const char *word) {
        return fail_word(f, word, "is named twice; name it once.");
}

static int fail_many(Failure *f, unsigned max) {
        return failure_set(f, FAILURE_LIMITS_EXCEEDED, "More than %u names in one call; split it.", max);
}

static int take_address(const char *s, Request *q, Failure *f) {
        PciAddress a;
        size_t i;

        if (pci_address_parse(s, &a) < 0)
                return fail_word(f, s,
                                 "is not a PCI address; write it as '0000:3b:00.0', as 'lspci -D' does.");
        if (q->n_devices == ELEMENTSOF(q->devices))
                return fail_many(f, DEVICES_PER_CALL_MAX);
        for (i = 0; i < q->n_devices; i++)
                if (pci_address_compare(&q->devices[i], &a) == 0)
                        return fail_twice(f, s);

        for (i = q->n_devices++; i > 0 && pci_address_compare(&q->devices[i - 1], &a) > 0; i--)
                q->devices[i] = q->devices[i - 1];
        q->devices[i] = a;
        return 0;
}

static int take_ids(const char *s, Request *q, Failure *f) {
        IdSelector ids;

        if (id_selector_parse(s, &ids) < 0)
                return fail_word(f, s,
                                 "does not name devices by their ids; write it as '10de:1eb8' or "
                                 "'10de:1eb8:10de:12a2', as 'lspci -nn' does.");
        if (q->n_ids == ELEMENTSOF(q->ids))
                return fail_many(f, SELECTORS_PER_CALL_MAX);
        for (size_t i = 0; i < q->n_ids; i++)
                if (id_selector_same(&q->ids[i], &ids))
                        return fail_twice(f, s);

        q->ids[q->n_ids++] = ids;
        return 0;
}

static int take_consent(const char *s, Request *q, Failure *f) {
        int reason;

        reason = (int)critical_reason_from_string(s);
        if (reason < 0 || !(CRITICAL_OVERRIDABLE & 1U << reason))
                return fail_word(
                                f, s,
                                "is not a critical reason that can be overridden; Device.Critical lists the "
                                "reasons of a device.");

        q->consent |= 1U << reason;
        return 0;
}

static int take_setting(const char *s, Request *q, Failure *f) {
        return vf_settings_parse_item(s, &q->settings, f);
}

typedef int (*take_t)(const char *s, Request *q, Failure *f);

static int read_strings(sd_bus_message *m, take_t take, Request *q, Failure *f) {
        const char *s;
        int r;

        if (sd_bus_message_enter_container(m, 'a', "s") < 0)
                return fail_malformed(f);
        while ((r = sd_bus_message_read_basic(m, 's', &s)) > 0)
                if ((r = take(s, q, f)) < 0)
                        return r;
        return r < 0 || sd_bus_message_exit_container(m) < 0 ? fail_malformed(f) : 0;
}

/* One argument: `s` alone is the device or behind others the subject, the first list is what the call is about, and a
 * flag is the one that this verb has. */
static int take_argument(const Verb *v, const char *at, sd_bus_message *m, Request *q, const char **subject,
                         Failure *f) {
        bool first = at == v->signature;
        const char *s;
        int flag;

        if (*at == 'a')
                return read_strings(m,
                                    first        ? v->of_ids ? take_ids : take_address
                                    : v->sets_vf ? take_setting
                                                 : take_consent,
                                    q, f);
        if (*at == 'b') {
                if (sd_bus_message_read_basic(m, 'b', &flag) <= 0)
                        return fail_malformed(f);
                q->pending = q->release = q->persistent = q->fds = flag;
                return 0;
        }

        if (*at == 'u')
                return sd_bus_message_read_basic(m, 'u', v->move == MOVE_VFS ? &q->count : &q->confirm) <= 0
                                       ? fail_malformed(f)
                                       : 0;

        if (sd_bus_message_read_basic(m, 's', &s) <= 0)
                return fail_malformed(f);
        if (first)
                return take_address(s, q, f);
        if (strlen(s) > BUS_NAME_LENGTH_MAX)
                return fail_malformed(f);
        *subject = s;
        return 0;
}

int verb_parse(const Verb *v, sd_bus_message *m, Request *ret, const char **ret_subject, Failure *f) {
        Request q = {.verb = v->move, .net_admin = v->sets_vf};
        const char *subject = "";
        int r;

        assert(v);
        assert(m);
        assert(ret);
        assert(ret_subject);

        if (sd_bus_message_has_signature(m, v->signature) <= 0)
                return fail_malformed(f);

        for (const char *at = v->signature; *at; at += *at == 'a' ? 2 : 1)
                if ((r = take_argument(v, at, m, &q, &subject, f)) < 0)
                        return r;
        if (v->signature[0] && q.n_devices == 0 && q.n_ids == 0)
                return failure_set(f, FAILURE_INVALID_ARGUMENT, "No device is named; name at least one.");

        if (q.confirm > 0 && (!q.pending || q.confirm > GRANT_CONFIRM_SECONDS_MAX))
                return failure_set(
                                f, FAILURE_INVALID_ARGUMENT,
                                "confirm is for pending grants, 1 to %u seconds; 0 is without a deadline.",
                                GRANT_CONFIRM_SECONDS_MAX);

        if (q.count > VFS_MAX)
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "%u virtual functions of one device are too many; ask for 0 to %u.",
                                   q.count, VFS_MAX);

        *ret = q;
        *ret_subject = subject;
        return 0;
}

/* The counts, too, lie in memory that a worker has written. */
static int append_plan(sd_bus_message *m, const WorkerResult *result) {
        char address[PCI_ADDRESS_SIZE], path[STEP_PATH_SIZE];
        const char *value;
        int r;

        r = sd_bus_message_open_container(m, 'a', "(sssbs)");
        for (size_t i = 0; r >= 0 && i < result->n_rows && i < CHECK_ROWS_MAX; i++) {
                const CheckRow *row = &result->rows[i];

                r = sd_bus_message_append(m, "(sssbs)", row->device, row->check, row->severity,
                                          (int)row->passed, row->sentence);
        }
        if (r < 0 || (r = sd_bus_message_close_container(m)) < 0 ||
            (r = sd_bus_message_open_container(m, 'a', "(sss)")) < 0)
                return r;
        for (size_t i = 0; r >= 0 && i < result->plan.n_writes && i < PLANNED_WRITES_MAX; i++) {
                const PlannedWrite w = result->plan.writes[i];

                if (w.member >= DEVICES_PER_CALL_MAX || w.step >= STEP_MAX)
                        return -EBADMSG;
                (void)pci_address_format(&result->plan.set.members[w.member], address);
                value = steps_describe(&w, address, path);
                r = sd_bus_message_append(m, "(sss)", address, path, value);
        }
        return r < 0 ? r : sd_bus_message_close_container(m);
}

size_t verb_gifts(const Request *q) {
        return q->fds && q->work == request_open ? q->n_devices + 1 : 0;
}

static int append_fds(sd_bus_message *m, const Request *q, const int *fds) {
        char address[PCI_ADDRESS_SIZE];
        size_t n = verb_gifts(q);
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sh}");
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = sd_bus_message_append(m, "{sh}",
                                          i == q->n_devices ? "iommufd"
                                                            : pci_address_format(&q->devices[i], address),
                                          fds[i]);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int verb_reply(const Verb *v, sd_bus_message *call, const Request *q, const WorkerResult *result,
               const int *fds) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        assert(v);
        assert(call);
        assert(result);

        r = sd_bus_message_new_method_return(call, &reply);
        if (r < 0)
                return r;

        if (v->work == request_plan)
                r = append_plan(reply, result);
        else if (streq(v->result, "a{sh}"))
                r = append_fds(reply, q, fds);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}
