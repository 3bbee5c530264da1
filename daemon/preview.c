/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <time.h>

#include "array.h"
#include "calls.h"
#include "device-fields.h"
#include "preview.h"

#define SLICE_USEC 1000U
#define OVERLAPS_MAX 1000U /* shown; one may preview a filter that matches all */

typedef struct Preview {
        Filter *filter;
        const char *node; /* in the message */
        sd_event_source *next;
        PciAddress *found, at; /* found so far; the last that was looked at */
        size_t n_found;
        bool begun;
} Preview;

static void preview_free(void *data) {
        Preview *p = data;

        sd_event_source_disable_unref(p->next);
        filter_free(p->filter);
        free(p->found);
        free(p);
}

static int append_overlaps(sd_bus_message *reply, const Preview *p, const DeviceTable *t) {
        unsigned n = 0;
        const Device *d;
        int r;

        r = sd_bus_message_open_container(reply, 'a', "(oo)");
        for (size_t i = 0; i < p->n_found; i++) {
                d = device_table_find(t, &p->found[i]);
                for (size_t k = 0; d && k < d->n_rules && r >= 0 && n < OVERLAPS_MAX; k++, n++)
                        r = sd_bus_message_append(reply, "(oo)", d->path, d->rules[k]->path);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int make_reply(const Call *c, sd_bus_message **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const DeviceTable *t = &c->manager->devices;
        const Preview *p = c->data;
        const Device *d;
        int r;

        if ((r = sd_bus_message_new_method_return(c->message, &reply)) < 0 ||
            (r = sd_bus_message_open_container(reply, 'a', "o")) < 0)
                return r;
        for (size_t i = 0; i < p->n_found && r >= 0; i++) {
                d = device_table_find(t, &p->found[i]);
                if (d) /* it may have left meanwhile */
                        r = sd_bus_message_append_basic(reply, 'o', d->path);
        }
        if (r < 0 || (r = sd_bus_message_close_container(reply)) < 0 ||
            (r = append_overlaps(reply, p, t)) < 0)
                return r;

        *ret = STEAL(reply);
        return 0;
}

static int look_at(Preview *p, const Device *d) {
        DeviceFields fields;

        device_fields_fill(d, &fields);
        if (!filter_match(p->filter, &fields.subject))
                return 0;

        if (array_grow(&p->found, p->n_found, sizeof *p->found) < 0)
                return -ENOMEM;
        p->found[p->n_found++] = *device_address(d);
        return 0;
}

/* The next device by address: the table may have become another since the last slice. */
static const Device *next_device(const DeviceTable *t, Preview *p) {
        size_t i = p->begun ? device_table_after(t, &p->at) : 0;

        if (i >= t->n)
                return NULL;
        p->begun = true;
        p->at = *device_address(t->devices[i]);
        return t->devices[i];
}

static uint64_t now_usec(void) {
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
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

static int on_slice(sd_event_source *s, void *userdata) {
        uint64_t end = now_usec() + SLICE_USEC;
        Call *c = userdata;
        const DeviceTable *t = &c->manager->devices;
        Preview *p = c->data;
        const Device *d;

        do {
                d = next_device(t, p);
                if (!d) {
                        finish(c);
                        return 0;
                }
                if ((!p->node[0] || streq(p->node, t->node)) && look_at(p, d) < 0) {
                        call_fail(c, -ENOMEM);
                        return 0;
                }
        } while (now_usec() < end);
        return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

static void go(Call *c) {
        Preview *p = c->data;
        int r;

        /* After everything else that is waiting. */
        if ((r = sd_event_add_defer(c->manager->event, &p->next, on_slice, c)) < 0 ||
            (r = sd_event_source_set_priority(p->next, SD_EVENT_PRIORITY_IDLE)) < 0)
                call_fail(c, r);
}

static int parse(const char *text, Filter **ret, Failure *f) {
        FilterError why;
        int r;

        r = filter_parse(text, ret, &why);
        if (r == -EINVAL)
                return failure_set(f, FAILURE_INVALID_FILTER, "The filter cannot be understood: %s.",
                                   why.sentence);
        return r;
}

int preview_rule(Manager *m, sd_bus_message *message, const char *filter, const char *node) {
        static const CallKind kind = {.go = go, .free = preview_free};
        _cleanup_(filter_freep) Filter *parsed = NULL;
        Failure f = {0};
        Preview *p;
        int r;

        assert(m);
        assert(filter);
        assert(node);

        r = parse(filter, &parsed, &f);
        if (r < 0)
                return f.kind != FAILURE_NONE ? bus_reply_failure(message, &f) : r;
        p = calloc(1, sizeof *p);
        if (!p)
                return -ENOMEM;

        *p = (Preview){.filter = STEAL(parsed), .node = node};
        return call_start(m, message, &kind, p);
}
