/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <time.h>

#include "monitor-event.h"
#include "sentence.h"

/* Of a device only these are shown to people: the others are what hardware is like. Of all else everything
 * but when. */
static const char *const device_properties[] = {
                "State", "Driver",   "Granted", "Eligible", "Reason",     "Attention",
                "Claim", "Critical", "Groups",  "IommuSet", "Quarantine", "SriovNumVfs",
};

static const char *const silent_properties[] = {"Path", "Modified", "Created", "Id"};

static bool is_listed(const char *const list[], size_t n, const char *name) {
        for (size_t i = 0; i < n; i++)
                if (streq(list[i], name))
                        return true;
        return false;
}

static bool is_for_people(const MonitorEvent *e, const char *property) {
        if (streq(e->kind, "device"))
                return is_listed(device_properties, ELEMENTSOF(device_properties), property);
        return !is_listed(silent_properties, ELEMENTSOF(silent_properties), property);
}

static int print_json(const Model *m, const MonitorEvent *e) {
        _cleanup_json_ json_t *properties = e->properties ? model_json(m, e->properties) : json_object();
        _cleanup_json_ json_t *line = NULL;
        char seconds[32], text[64];
        struct timespec now = {};
        struct tm tm;

        (void)clock_gettime(CLOCK_REALTIME, &now);
        if (!gmtime_r(&now.tv_sec, &tm) || strftime(seconds, sizeof seconds, "%FT%T", &tm) == 0)
                return -ERANGE;
        (void)snprintf(text, sizeof text, "%s.%06ldZ", seconds, now.tv_nsec / 1000);
        line = json_pack("{s:s, s:s, s:s, s:s, s:O}", "Time", text, "Event", e->what, "Kind", e->kind,
                         "Name", e->name, "Properties", properties);
        if (!line)
                return -ENOMEM;
        if (json_dumpf(line, stdout, JSON_COMPACT | JSON_SORT_KEYS) < 0)
                return -EPIPE;
        (void)fputc('\n', stdout);
        return 0;
}

static void print_head(const MonitorEvent *e) {
        time_t now = time(NULL);
        char text[32] = "";
        struct tm tm;

        if (localtime_r(&now, &tm))
                (void)strftime(text, sizeof text, "%b %d %T", &tm);
        (void)printf("%s%s%s  %s %s", output_tint(stdout, TINT_DIM), text, output_tint(stdout, TINT_NONE),
                     e->kind, output_tint(stdout, TINT_BOLD));
        (void)output_text(stdout, e->name, SIZE_MAX);
        (void)fputs(output_tint(stdout, TINT_NONE), stdout);
}

static void print_sentence(const MonitorEvent *e, Tint tint, const char *before, const char *text) {
        _cleanup_free_ char *translation = sentence_translate(text);

        print_head(e);
        (void)printf("  %s%s", output_tint(stdout, tint), before);
        (void)output_text(stdout, translation ? translation : text, SIZE_MAX);
        (void)printf("%s\n", output_tint(stdout, TINT_NONE));
}

/* A value as people read it; lists of lists by what stands last in each, which is the sentence or the newer
 * object. */
static void print_value(FILE *f, const json_t *value) {
        const json_t *item;
        size_t i;

        if (json_is_string(value))
                (void)fputs(isempty(json_string_value(value)) ? "-" : json_string_value(value), f);
        else if (json_is_boolean(value))
                (void)fputs(json_is_true(value) ? "yes" : "no", f);
        else if (json_is_integer(value))
                (void)fprintf(f, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        else if (json_is_real(value))
                (void)fprintf(f, "%g", json_real_value(value));
        else if (!json_is_array(value) || json_array_size(value) == 0)
                (void)fputs("-", f);
        else
                json_array_foreach(value, i, item) {
                        (void)fputs(i > 0 ? ", " : "", f);
                        print_value(f, json_is_array(item) && json_array_size(item) > 0
                                                       ? json_array_get(item, json_array_size(item) - 1)
                                                       : item);
                }
}

static int print_property(const MonitorEvent *e, const char *property, const json_t *value) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return -ENOMEM;
        (void)fprintf(f, "%s: ", property);
        print_value(f, value);
        if (fclose(f) != 0)
                return -ENOMEM;
        print_sentence(e, TINT_NONE, "", text);
        return 0;
}

static int print_changes(const Model *m, const MonitorEvent *e) {
        _cleanup_json_ json_t *properties = model_json(m, e->properties);
        const char *property;
        json_t *value;
        int r = properties ? 0 : -ENOMEM;

        json_object_foreach(properties, property, value) if (r >= 0 && is_for_people(e, property)) r =
                        print_property(e, property, value);
        return r;
}

static void print_until(const Model *m, const MonitorEvent *e) {
        const Object o = {.properties = e->properties};
        time_t until = (time_t)(object_number(&o, "ConfirmUntil") / 1000000U);
        _cleanup_free_ char *devices = object_names(m, &o, "ConfirmDevices");
        char text[32] = "";
        struct tm tm;

        if (localtime_r(&until, &tm))
                (void)strftime(text, sizeof text, "%T", &tm);
        print_head(e);
        (void)printf("  %sThe change of %s is undone at %s unless 'passthroughctl confirm' comes "
                     "before.%s\n",
                     output_tint(stdout, TINT_WARN), strempty(devices), text,
                     output_tint(stdout, TINT_NONE));
}

static int print_text(const Model *m, const MonitorEvent *e) {
        const Object o = {.properties = e->properties};

        if (streq(e->what, "changed"))
                return print_changes(m, e);
        if (streq(e->what, "added") && streq(e->kind, "device"))
                print_sentence(e, TINT_GOOD, "added: ", object_text(&o, "Name"));
        else if (streq(e->what, "device-stuck"))
                print_sentence(e, TINT_BAD, "stuck: ", object_text(&o, "Reason"));
        else if (streq(e->what, "device-vanished"))
                print_sentence(e, TINT_BAD,
                               "its VM has a device that has left the host: ", object_text(&o, "Address"));
        else if (streq(e->what, "confirmation-pending"))
                print_until(m, e);
        else if (streq(e->what, "service-lost"))
                print_sentence(e, TINT_BAD, "",
                               "The service has left the bus; what changes is told when it is back.");
        else if (streq(e->what, "service-back"))
                print_sentence(e, TINT_GOOD, "", "The service is back; what has changed meanwhile follows.");
        else
                print_sentence(e, streq(e->what, "added") ? TINT_GOOD : TINT_WARN, "", e->what);
        return 0;
}

int monitor_event_print(const Model *m, bool json, const MonitorEvent *event) {
        int r = json ? print_json(m, event) : print_text(m, event);

        if (r >= 0 && (fflush(stdout) != 0 || ferror(stdout)))
                r = -EPIPE;
        return r;
}
