/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <endian.h>
#include <inttypes.h>
#include <stdarg.h>
#include <syslog.h>

#include "audit-entry.h"
#include "critical.h"
#include "text.h"
#include "user-name.h"

#define VALUE_MAX 4096U   /* of one field */
#define MESSAGE_MAX 4096U /* room that the other fields leave it */
#define LIST_SIZE 2048U
#define WHO_SIZE (USER_NAME_SIZE + 32)

typedef enum AuditKind {
        AUDIT_CHANGE,
        AUDIT_REFUSAL,
        AUDIT_FAILURE,
        AUDIT_OVERRIDE,
} AuditKind;

static const struct {
        const char *id, *result;
        int priority;
} kinds[] = {
                [AUDIT_CHANGE] = {AUDIT_ID_CHANGE, "done", LOG_INFO},
                [AUDIT_REFUSAL] = {AUDIT_ID_REFUSAL, "refused", LOG_NOTICE},
                [AUDIT_FAILURE] = {AUDIT_ID_FAILURE, "failed", LOG_WARNING},
                [AUDIT_OVERRIDE] = {AUDIT_ID_OVERRIDE, "done", LOG_WARNING},
};

/* Somebody or something broke; all else that keeps a call from being carried out is a check that said no. */
static bool is_breakage(FailureKind kind) {
        return kind == FAILURE_DRIVER || kind == FAILURE_STUCK || kind == FAILURE_RESET ||
               kind == FAILURE_NO_RESET || kind == FAILURE_HELPER || kind == FAILURE_INTERNAL;
}

static AuditKind kind_of(const AuditEntry *e) {
        if (e->failure)
                return is_breakage(e->failure->kind) ? AUDIT_FAILURE : AUDIT_REFUSAL;
        return e->overridden ? AUDIT_OVERRIDE : AUDIT_CHANGE;
}

bool audit_entry_is_refusal(const AuditEntry *e) {
        return kind_of(e) == AUDIT_REFUSAL;
}

/* What does not fit is left out; the limits of all that is written here are such that it does. */
static void append_bytes(AuditDatagram *d, const char *name, const char *value, size_t length) {
        uint64_t size = htole64(length);
        size_t name_length = strlen(name);

        if (d->n + name_length + sizeof size + length + 2 > sizeof d->data - MESSAGE_MAX)
                return;

        memcpy(d->data + d->n, name, name_length);
        d->n += name_length;
        if (memchr(value, '\n', length)) {
                d->data[d->n++] = '\n';
                memcpy(d->data + d->n, &size, sizeof size);
                d->n += sizeof size;
        } else
                d->data[d->n++] = '=';
        memcpy(d->data + d->n, value, length);
        d->n += length;
        d->data[d->n++] = '\n';
}

static void append(AuditDatagram *d, const char *name, const char *value) {
        size_t length = strlen(strempty(value));

        if (length > 0)
                append_bytes(d, name, value, length < VALUE_MAX ? length : VALUE_MAX);
}

static void append_number(AuditDatagram *d, const char *name, uint64_t value) {
        char text[24];

        (void)snprintf(text, sizeof text, "%" PRIu64, value);
        append(d, name, text);
}

/* A field for each of a list. */
static void append_each(AuditDatagram *d, const char *name, const char *list) {
        const char *end;

        for (list = strempty(list); *list; list = end + (*end ? 2 : 0)) {
                end = strstr(list, ", ");
                if (!end)
                        end = list + strlen(list);
                append_bytes(d, name, list, (size_t)(end - list));
        }
}

/* The name, too, if he has one. */
static void append_user(AuditDatagram *d, int root, const char *uid_field, const char *name_field,
                        uid_t uid) {
        char name[USER_NAME_SIZE];

        append_number(d, uid_field, uid);
        if (!startswith(user_name(root, uid, name), "uid "))
                append(d, name_field, name);
}

/* Ends the datagram. The text is one line, of UTF-8. */
static void append_message(AuditDatagram *d, char *text) {
        text_make_utf8(text);
        d->n += (size_t)snprintf(d->data + d->n, sizeof d->data - d->n, "MESSAGE=");
        d->message = d->n;
        d->n += (size_t)snprintf(d->data + d->n, sizeof d->data - d->n, "%s", text);
        d->data[d->n++] = '\n';
}

/* Of a table that may be in memory which a worker has written: bounded, whatever is in it. */
static const char *driver_or_none(const char *driver, char buf[static PCI_DRIVER_SIZE]) {
        (void)snprintf(buf, PCI_DRIVER_SIZE, "%.*s", PCI_DRIVER_SIZE - 1, driver[0] ? driver : "none");
        return buf;
}

static bool has_moved(const AuditDriver *d) {
        return strncmp(d->from, d->to, sizeof d->from) != 0;
}

static void append_drivers(AuditDatagram *d, const AuditEntry *e) {
        char from[PCI_DRIVER_SIZE], to[PCI_DRIVER_SIZE], both[PCI_ADDRESS_SIZE + 2 * PCI_DRIVER_SIZE];
        char seen_from[LIST_SIZE] = "", seen_to[LIST_SIZE] = "";

        for (size_t i = 0; i < e->n_drivers; i++) {
                const AuditDriver *driver = &e->drivers[i];

                if (!has_moved(driver))
                        continue;
                (void)snprintf(both, sizeof both, "%.*s %s %s", PCI_ADDRESS_SIZE - 1, driver->device,
                               driver_or_none(driver->from, from), driver_or_none(driver->to, to));
                append(d, "VERGE_MOVED", both);
                text_append_item(seen_from, sizeof seen_from, from);
                text_append_item(seen_to, sizeof seen_to, to);
        }
        append_each(d, "VERGE_DRIVER_FROM", seen_from);
        append_each(d, "VERGE_DRIVER_TO", seen_to);
}

static void append_head(AuditDatagram *d, const char *identifier, const char *id, int priority) {
        d->n = d->message = 0;
        append(d, "MESSAGE_ID", id);
        append_number(d, "PRIORITY", (unsigned)priority);
        append(d, "SYSLOG_IDENTIFIER", identifier);
}

/* "alice (uid 1000)", or "uid 70001". */
static const char *describe_user(int root, uid_t uid, char buf[static WHO_SIZE]) {
        char name[USER_NAME_SIZE];

        (void)user_name(root, uid, name);
        if (startswith(name, "uid "))
                (void)snprintf(buf, WHO_SIZE, "%s", name);
        else
                (void)snprintf(buf, WHO_SIZE, "%s (uid %u)", name, (unsigned)uid);
        return buf;
}

static void _printf_(3, 4) add(char *text, size_t size, const char *format, ...) {
        size_t n = strlen(text);
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(text + n, size - n, format, ap);
        va_end(ap);
}

/* Is it there: with what stands before it. */
static void add_named(char *text, size_t size, const char *before, const char *name) {
        if (!isempty(name))
                add(text, size, "%s%s\"%.300s\"", text[0] ? ", " : "", before, name);
}

static const char *describe_object(const AuditEntry *e, char *buf, size_t size) {
        (void)snprintf(buf, size, "%.1024s", strempty(e->devices));
        if (!isempty(e->ids))
                add(buf, size, "%s%.512s", buf[0] ? ", " : "", e->ids);
        add_named(buf, size, "VM ", e->vm);
        add_named(buf, size, "claim ", e->claim);
        add_named(buf, size, "rule ", e->rule);
        add_named(buf, size, "group ", e->group);
        return buf;
}

static void add_drivers(char *text, size_t size, const AuditEntry *e) {
        char from[PCI_DRIVER_SIZE], to[PCI_DRIVER_SIZE];
        const char *before = " ";

        for (size_t i = 0; i < e->n_drivers; i++) {
                if (!has_moved(&e->drivers[i]))
                        continue;
                add(text, size, "%s%.*s: %s to %s", before, PCI_ADDRESS_SIZE - 1, e->drivers[i].device,
                    driver_or_none(e->drivers[i].from, from), driver_or_none(e->drivers[i].to, to));
                before = "; ";
        }
        if (before[0] == ';')
                add(text, size, ".");
}

/* "Bind of 0000:01:00.0 for alice (uid 1000): done. 0000:01:00.0: e1000e to vfio-pci." What was overridden comes before
 * what can be long. */
static void make_message(int root, const AuditEntry *e, char *text, size_t size) {
        char object[LIST_SIZE], who[WHO_SIZE], reasons[LIST_SIZE];

        (void)describe_object(e, object, sizeof object);
        (void)snprintf(text, size, "%s%s%s%s%s: %s.", e->verb, object[0] ? " of " : "", object,
                       e->has_caller ? " for " : "",
                       e->has_caller ? describe_user(root, e->caller, who) : "", kinds[kind_of(e)].result);
        if (e->has_user)
                add(text, size, " Access for %s.", describe_user(root, e->user, who));
        if (!isempty(e->settings))
                add(text, size, " Settings: %.400s.", e->settings);
        if (e->has_vfs)
                add(text, size, " Virtual functions: %u.", e->vfs);
        if (e->overridden)
                add(text, size, " Overridden by name: %s.",
                    critical_format(e->overridden, reasons, sizeof reasons));
        if (e->failure)
                add(text, size, " %s", e->failure->sentence);
        add_drivers(text, size, e);
}

void audit_entry_format(int root, const char *identifier, const AuditEntry *e, AuditDatagram *ret) {
        char text[MESSAGE_MAX - 16], reasons[LIST_SIZE];
        AuditKind kind;

        assert(identifier);
        assert(e && e->verb);
        assert(ret);

        kind = kind_of(e);
        append_head(ret, identifier, kinds[kind].id, kinds[kind].priority);
        append(ret, "VERGE_VERB", e->verb);
        append(ret, "VERGE_RESULT", kinds[kind].result);
        if (e->failure)
                append(ret, "VERGE_ERROR", failure_kind_to_string(e->failure->kind));
        if (e->has_caller)
                append_user(ret, root, "VERGE_CALLER_UID", "VERGE_CALLER_NAME", e->caller);
        if (e->has_user)
                append_user(ret, root, "VERGE_USER_UID", "VERGE_USER_NAME", e->user);
        append(ret, "VERGE_POLKIT_ACTION", e->action);
        append(ret, "VERGE_POLKIT_RESULT", polkit_verdict_to_string(e->verdict));
        append_each(ret, "VERGE_DEVICE", e->devices);
        append_each(ret, "VERGE_IDS", e->ids);
        append(ret, "VERGE_SETTINGS", e->settings);
        if (e->has_vfs)
                append_number(ret, "VERGE_VFS", e->vfs);
        append_drivers(ret, e);
        if (e->overridden)
                append_each(ret, "VERGE_REASONS_OVERRIDDEN",
                            critical_format(e->overridden, reasons, sizeof reasons));
        append(ret, "VERGE_GROUP", e->group);
        append(ret, "VERGE_RULE", e->rule);
        append(ret, "VERGE_VM", e->vm);
        append(ret, "VERGE_CLAIM", e->claim);
        make_message(root, e, text, sizeof text);
        append_message(ret, text);
}

void audit_missing_format(int root, const char *identifier, const AuditMissing *m, AuditDatagram *ret) {
        char text[512], who[WHO_SIZE];

        assert(identifier);
        assert(m);
        assert(ret);

        append_head(ret, identifier, AUDIT_ID_LEFT_OUT, m->refusals ? LOG_NOTICE : LOG_WARNING);
        append_number(ret, "VERGE_LEFT_OUT", m->n);
        if (m->has_caller)
                append_user(ret, root, "VERGE_CALLER_UID", "VERGE_CALLER_NAME", m->caller);
        if (m->refusals)
                (void)snprintf(text, sizeof text,
                               "%" PRIu64 " more refusals of calls by %s are left out: there were too many.",
                               m->n, m->has_caller ? describe_user(root, m->caller, who) : "several users");
        else
                (void)snprintf(text, sizeof text,
                               "%" PRIu64
                               " entries of the audit trail are lost: the journal did not take them.",
                               m->n);
        append_message(ret, text);
}

bool audit_datagram_cut(char *data, size_t message, size_t *n) {
        size_t length = *n - message - 1;

        if (length < 2)
                return false;
        length /= 2;
        while (length > 0 && (data[message + length] & 0xc0) == 0x80) /* not in the middle of a character */
                length--;
        data[message + length] = '\n';
        *n = message + length + 1;
        return true;
}
