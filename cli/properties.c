/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "properties.h"
#include "sriov.h"

typedef struct Property {
        Option option;
        const char *key;   /* of the service */
        char type;         /* of D-Bus: 's', 'u' or 'b' */
        uint32_t min, max; /* of a number */
        bool value;        /* of a switch that takes none */
} Property;

static const Property table[] = {
                {OPTION_NAME, "name", 's', 0, 0, false},
                {OPTION_DESCRIPTION, "description", 's', 0, 0, false},
                {OPTION_CLASS, "class", 's', 0, 0, false},
                {OPTION_BINDING, "binding", 's', 0, 0, false},
                {OPTION_QUOTA, "quota", 'u', 0, 65535, false},
                {OPTION_FILTER, "filter", 's', 0, 0, false},
                {OPTION_NODE, "node", 's', 0, 0, false},
                {OPTION_COUNT, "count", 'u', 1, 16, false},
                {OPTION_ORDER, "order", 'u', 0, 65535, false},
                {OPTION_OPTIONAL, "optional", 'b', 0, 0, true},
                {OPTION_ENABLE, "enabled", 'b', 0, 0, true},
                {OPTION_DISABLE, "enabled", 'b', 0, 0, false},
};

static ExitCode check_property(const Options *o, const Property *p) {
        uint64_t number;

        return p->type == 'u' ? option_number(o, p->option, p->min, p->max, &number) : EXIT_DONE;
}

static ExitCode complain_nothing(uint64_t which) {
        _cleanup_free_ char *names = NULL;
        size_t size;
        FILE *f = open_memstream(&names, &size);

        if (!f)
                return complain_oom();
        for (Option i = 0; i < OPTION_MAX; i++)
                if (which >> i & 1)
                        (void)fprintf(f, "%s--%s", ftell(f) > 0 ? ", " : "", option_info(i)->name);
        if (fclose(f) != 0)
                return complain_oom();
        return complain(EXIT_USAGE, "There is nothing to change; give some of these: %s.", names);
}

ExitCode properties_check(const Options *o, uint64_t which, bool change) {
        ExitCode code = EXIT_DONE;

        for (size_t i = 0; code == EXIT_DONE && i < ELEMENTSOF(table); i++)
                if (which >> table[i].option & 1)
                        code = check_property(o, &table[i]);
        if (code == EXIT_DONE)
                code = sriov_check(o, which);
        if (code != EXIT_DONE)
                return code;
        if (option_given(o, OPTION_ENABLE) && option_given(o, OPTION_DISABLE))
                return complain(EXIT_USAGE, "--enable and --disable contradict each other; give one.");
        return change && !(o->given & which) ? complain_nothing(which) : EXIT_DONE;
}

static int append_property(sd_bus_message *m, const Options *o, const Property *p) {
        const char *text = option_value(o, p->option);
        uint64_t number = 0;

        if (p->type == 's')
                return sd_bus_message_append(m, "{sv}", p->key, "s", text);
        if (p->type == 'b')
                return sd_bus_message_append(m, "{sv}", p->key, "b", p->value && !streq(text, "no"));
        (void)option_number(o, p->option, p->min, p->max, &number); /* it was checked */
        return sd_bus_message_append(m, "{sv}", p->key, "u", (uint32_t)number);
}

ExitCode properties_append(sd_bus_message *m, const Options *o, uint64_t which, const Object *seen) {
        int r = sd_bus_message_open_container(m, 'a', "{sv}");

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(table); i++)
                if (which & o->given & UINT64_C(1) << table[i].option)
                        r = append_property(m, o, &table[i]);
        if (r >= 0)
                r = sriov_append(m, o, which, seen);
        if (r >= 0 && seen && !option_given(o, OPTION_FORCE))
                r = sd_bus_message_append(m, "{sv}", "if-modified", "t", object_number(seen, "Modified"));
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? client_complain_message(r) : EXIT_DONE;
}
