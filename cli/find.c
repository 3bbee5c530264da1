/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <strings.h>

#include "find.h"
#include "output.h"
#include "pci-address.h"
#include "users.h"

#define PART_LEAST 3U
#define CANDIDATES_MAX 12

/* How well the word fits, best first. */
typedef enum Fit {
        FIT_EXACT,
        FIT_OWN, /* exactly a part of the name that is enough: without domain, without group or VM */
        FIT_SLOT,
        FIT_PART,
        FIT_MAX,
} Fit;

static bool contains(const char *text, const char *word) {
        return strcasestr(text, word);
}

static bool has_prefix_and_dot(const char *address, const char *slot) {
        size_t n = strlen(slot);

        return strncasecmp(address, slot, n) == 0 && address[n] == '.';
}

static Fit fit_device(const Object *o, const char *word) {
        const char *address = o->name, *colon = strchr(address, ':');
        const char *without_domain = colon ? colon + 1 : address, *slot = object_text(o, "Slot");

        if (strcasecmp(word, address) == 0)
                return FIT_EXACT;
        if (startswith(address, "0000:") && strcasecmp(word, without_domain) == 0)
                return FIT_OWN;
        if (streq(word, slot) || has_prefix_and_dot(address, word) ||
            (startswith(address, "0000:") && has_prefix_and_dot(without_domain, word)))
                return FIT_SLOT;
        /* Shorter is a slip, and would soon fit something. */
        return strlen(word) >= PART_LEAST && contains(object_text(o, "Name"), word) ? FIT_PART : FIT_MAX;
}

static Fit fit_named(const Object *o, const char *word) {
        const char *name = object_text(o, "Name");

        if (streq(word, o->name) || strcasecmp(word, object_text(o, "Id")) == 0)
                return FIT_EXACT;
        if (streq(word, name))
                return FIT_OWN;
        return contains(o->name, word) ? FIT_PART : FIT_MAX;
}

static Fit fit(const Object *o, const char *word) {
        if (isempty(word))
                return FIT_MAX;
        if (streq(word, o->path))
                return FIT_EXACT;
        return o->kind == KIND_DEVICE ? fit_device(o, word) : fit_named(o, word);
}

static bool is_own(const Object *o) {
        return object_number(o, "Owner") == getuid();
}

static ExitCode complain_none(const Model *m, Kind kind, const char *word) {
        if (m->n[kind] == 0)
                return complain(EXIT_NOT_FOUND, "There is no %s '%s': there are no %s here.",
                                kind_name(kind, false), word, kind_name(kind, true));
        return complain(EXIT_NOT_FOUND, "There is no %s '%s'; 'passthroughctl %s%s' shows which there are.",
                        kind_name(kind, false), word, kind == KIND_DEVICE ? "" : kind_name(kind, false),
                        kind == KIND_DEVICE ? "list" : " list");
}

static ExitCode complain_many(const Model *m, Kind kind, const char *word, const Fit fits[], Fit best) {
        char user[USER_TEXT_SIZE];
        size_t n = 0;

        (void)complain(EXIT_NOT_FOUND, "More than one %s is called '%s'; say which:", kind_name(kind, false),
                       word);
        for (size_t i = 0; i < m->n[kind]; i++) {
                const Object *o = &m->objects[kind][i];

                if (fits[i] != best || ++n > CANDIDATES_MAX)
                        continue;
                /* Two users can have VMs and claims of one name: then only the id tells them apart. */
                (void)fprintf(stderr, "  %s  %s%s%s\n", o->name,
                              kind == KIND_DEVICE ? object_text(o, "Name") : object_text(o, "Id"),
                              kind == KIND_CLAIM ? "  of " : "",
                              kind == KIND_CLAIM ? users_owner(o, user) : "");
        }
        if (n > CANDIDATES_MAX)
                (void)fprintf(stderr, "  and %zu more\n", n - CANDIDATES_MAX);
        return EXIT_NOT_FOUND;
}

ExitCode find_object(const Model *m, Kind kind, const char *word, const Object **ret) {
        size_t count[FIT_MAX + 1] = {}, own[FIT_MAX + 1] = {};
        _cleanup_free_ Fit *fits = calloc(m->n[kind] + 1, sizeof *fits);
        Fit best = FIT_EXACT;

        if (!fits)
                return complain_oom();
        for (size_t i = 0; i < m->n[kind]; i++) {
                const Object *o = &m->objects[kind][i];

                fits[i] = fit(o, word);
                count[fits[i]]++;
                own[fits[i]] += kind == KIND_CLAIM && is_own(o);
        }
        while (best < FIT_MAX && count[best] == 0)
                best++;
        if (best == FIT_MAX)
                return complain_none(m, kind, word);
        if (count[best] > 1 && own[best] != 1)
                return complain_many(m, kind, word, fits, best);
        for (size_t i = 0; i < m->n[kind]; i++)
                if (fits[i] == best && (own[best] != 1 || is_own(&m->objects[kind][i])))
                        *ret = &m->objects[kind][i];
        return EXIT_DONE;
}

ExitCode find_objects(const Model *m, Kind kind, size_t n, char *const words[], const Object ***ret,
                      size_t *ret_n) {
        _cleanup_free_ const Object **list = calloc(n + 1, sizeof *list);
        size_t n_list = 0;

        if (!list)
                return complain_oom();
        for (size_t i = 0; i < n; i++) {
                ExitCode code = find_object(m, kind, words[i], &list[n_list]);
                bool known = false;

                if (code != EXIT_DONE)
                        return code;
                for (size_t j = 0; j < n_list; j++)
                        known = known || list[j] == list[n_list];
                n_list += !known;
        }
        *ret = STEAL(list);
        *ret_n = n_list;
        return EXIT_DONE;
}
