/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-util.h"
#include "critical.h"
#include "text.h"
#include "verb.h"

static const Verb verbs[] = {
                {"Check", "s", "a(ssbs)", MOVE_VERB_INVALID, request_check, NULL, NULL, NULL},
                {"Grant", "asass", "", MOVE_VERB_INVALID, request_grant, request_prepare_grant,
                 POLKIT_ACTION_GRANT, POLKIT_ACTION_GRANT_CRITICAL},
                {"Revoke", "ass", "", MOVE_VERB_INVALID, request_revoke, request_prepare_revoke,
                 POLKIT_ACTION_REVOKE, POLKIT_ACTION_REVOKE},
                {"Bind", "s", "", MOVE_BIND, request_move, NULL, NULL, NULL},
                {"Release", "s", "", MOVE_RELEASE, request_move, NULL, NULL, NULL},
                {"Recover", "s", "", MOVE_RELEASE, request_recover, NULL, NULL, NULL},
                {"Reset", "s", "", MOVE_RESET, request_move, NULL, NULL, NULL},
};

const Verb *verb_find(const char *name) {
        for (size_t i = 0; name && i < ELEMENTSOF(verbs); i++)
                if (streq(verbs[i].name, name))
                        return &verbs[i];
        return NULL;
}

static int fail_malformed(Failure *f) {
        return failure_set(f, FAILURE_INVALID_ARGUMENT,
                           "The arguments are not of the documented form; see org.verge.Passthrough(7).");
}

static int take_address(const char *s, Request *q, Failure *f) {
        char shown[64];
        PciAddress a;
        size_t i;

        if (pci_address_parse(s, &a) < 0) {
                text_sanitize(shown, sizeof shown, s, strlen(s));
                return failure_set(
                                f, FAILURE_INVALID_ARGUMENT,
                                "'%s' is not a PCI address; write it as '0000:3b:00.0', as 'lspci -D' does.",
                                shown);
        }
        if (q->n_devices == ELEMENTSOF(q->devices))
                return failure_set(f, FAILURE_LIMITS_EXCEEDED, "More than %u devices in one call; split it.",
                                   DEVICES_PER_CALL_MAX);

        for (i = 0; i < q->n_devices; i++)
                if (pci_address_compare(&q->devices[i], &a) == 0)
                        return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                           "Device %s is named twice; name each once.", s);

        for (i = q->n_devices++; i > 0 && pci_address_compare(&q->devices[i - 1], &a) > 0; i--)
                q->devices[i] = q->devices[i - 1];
        q->devices[i] = a;
        return 0;
}

static int take_consent(const char *s, Request *q, Failure *f) {
        char shown[64];
        int reason;

        reason = (int)critical_reason_from_string(s);
        if (reason < 0 || !(CRITICAL_OVERRIDABLE & 1U << reason)) {
                text_sanitize(shown, sizeof shown, s, strlen(s));
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "'%s' is not a critical reason that can be overridden; Device.Critical "
                                   "lists the "
                                   "reasons of a device.",
                                   shown);
        }

        q->consent |= 1U << reason;
        return 0;
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

int verb_parse(const Verb *v, sd_bus_message *m, Request *ret, const char **ret_subject, Failure *f) {
        const char *subject = "", *device;
        Request q = {.verb = v->move};
        int r;

        assert(v);
        assert(m);
        assert(ret);
        assert(ret_subject);

        if (sd_bus_message_has_signature(m, v->signature) <= 0)
                return fail_malformed(f);

        if (streq(v->signature, "s"))
                r = sd_bus_message_read_basic(m, 's', &device) <= 0 ? fail_malformed(f)
                                                                    : take_address(device, &q, f);
        else {
                r = read_strings(m, take_address, &q, f);
                if (r >= 0 && streq(v->signature, "asass"))
                        r = read_strings(m, take_consent, &q, f);
                if (r >= 0 && sd_bus_message_read_basic(m, 's', &subject) <= 0)
                        r = fail_malformed(f);
        }
        if (r < 0)
                return r;
        if (q.n_devices == 0)
                return failure_set(f, FAILURE_INVALID_ARGUMENT, "No device is named; name at least one.");

        *ret = q;
        *ret_subject = subject;
        return 0;
}

int verb_reply(const Verb *v, sd_bus_message *call, const WorkerResult *result) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int r;

        assert(v);
        assert(call);
        assert(result);

        r = sd_bus_message_new_method_return(call, &reply);
        if (r < 0)
                return r;

        if (v->result[0]) {
                r = sd_bus_message_open_container(reply, 'a', "(ssbs)");
                for (size_t i = 0; r >= 0 && i < result->n_rows && i < CHECK_ROWS_MAX; i++)
                        r = sd_bus_message_append(reply, "(ssbs)", result->rows[i].check,
                                                  result->rows[i].severity, (int)result->rows[i].passed,
                                                  result->rows[i].sentence);
                if (r < 0 || (r = sd_bus_message_close_container(reply)) < 0)
                        return r;
        }

        return sd_bus_send(NULL, reply, NULL);
}
