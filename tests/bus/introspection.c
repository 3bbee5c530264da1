/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>

#include "bench.h"
#include "sysfs.h"

/* The members of one interface, each as one line, sorted: comments, order, and names of what does not go over the
 * wire in that direction do not count. */

#define MEMBERS_MAX 64

typedef struct Interface {
        size_t n;
        char members[MEMBERS_MAX][512];
} Interface;

static void attribute(const char *tag, size_t length, const char *name, char *ret, size_t size) {
        char key[32];
        const char *at;
        size_t n;

        (void)snprintf(key, sizeof key, " %s=\"", name);
        at = memmem(tag, length, key, strlen(key));
        ret[0] = '\0';
        if (!at)
                return;
        at += strlen(key);
        n = strcspn(at, "\"");
        assert_true(n < size);
        memcpy(ret, at, n);
        ret[n] = '\0';
}

static void append(Interface *f, const char *format, ...) _printf_(2, 3);
static void append(Interface *f, const char *format, ...) {
        char *line;
        va_list ap;
        size_t n;

        assert_true(f->n > 0);
        line = f->members[f->n - 1];
        n = strlen(line);
        va_start(ap, format);
        (void)vsnprintf(line + n, sizeof f->members[0] - n, format, ap);
        va_end(ap);
        assert_true(strlen(line) < sizeof f->members[0] - 1);
}

static void take_tag(Interface *f, const char *tag, size_t length) {
        char name[128], type[64], value[128];

        attribute(tag, length, "name", name, sizeof name);
        attribute(tag, length, "type", type, sizeof type);
        if (startswith(tag, "method ") || startswith(tag, "signal ") || startswith(tag, "property ")) {
                assert_true(f->n < MEMBERS_MAX);
                attribute(tag, length, "access", value, sizeof value);
                (void)snprintf(f->members[f->n++], sizeof f->members[0], "%.*s %s %s %s",
                               (int)strcspn(tag, " "), tag, name, type, value);
        } else if (startswith(tag, "arg ")) {
                attribute(tag, length, "direction", value, sizeof value);
                append(f, " %s %s:%s", startswith(f->members[f->n - 1], "signal") ? "" : value, type, name);
        } else if (startswith(tag, "annotation ")) {
                attribute(tag, length, "value", value, sizeof value);
                append(f, " @%s=%s", name, value);
        }
}

static int compare_lines(const void *a, const void *b) {
        return strcmp(a, b);
}

static void parse(const char *xml, const char *interface, Interface *f) {
        char wanted[128];
        const char *at, *end, *close;

        (void)snprintf(wanted, sizeof wanted, "<interface name=\"%s\">", interface);
        f->n = 0;
        at = strstr(xml, wanted);
        if (!at)
                fail_msg("no interface %s", interface);
        at += strlen(wanted);
        for (end = strstr(at, "</interface>"); (at = strchr(at, '<')) && at < end; at = close + 1) {
                close = startswith(at, "<!--") ? strstr(at, "-->") + 2 : strchr(at, '>');
                assert_non_null(close);
                take_tag(f, at + 1, (size_t)(close - at - 1));
        }
        qsort(f->members, f->n, sizeof f->members[0], compare_lines);
}

void bench_expect_introspection(Bench *b, const char *to, const char *path, const char *interface) {
        _cleanup_free_ Interface *live = calloc(1, sizeof *live), *file = calloc(1, sizeof *file);
        _cleanup_free_ char *text = NULL;
        sd_bus_message *reply;
        const char *xml;
        char source[512];

        reply = bench_finish(b, bench_start(b, b->root, to, path, "org.freedesktop.DBus.Introspectable",
                                            "Introspect", false, ""));
        assert_true(sd_bus_message_read(reply, "s", &xml) > 0);
        parse(xml, interface, live);
        sd_bus_message_unref(reply);

        (void)snprintf(source, sizeof source, "%s/%s.xml", DBUS_XML_DIR, interface);
        assert_int_equal(sysfs_read_full(AT_FDCWD, source, 1U << 20, &text), 0);
        parse(text, interface, file);

        for (size_t i = 0; i < live->n && i < file->n; i++)
                assert_string_equal(live->members[i], file->members[i]);
        assert_int_equal(live->n, file->n);
}
