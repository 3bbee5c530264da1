/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vf-options.h"

/* Of the one option that is being read. */
typedef struct Reading {
        sd_bus_message *message;
        const char *option;
        VfSettings *settings;
        SriovPatch *group; /* NULL: of a claim */
        Failure *f;
} Reading;

static int fail_twice(const char *what, const Reading *r) {
        return failure_set(r->f, FAILURE_INVALID_ARGUMENT,
                           "\"%s\" stands twice in the option \"%s\"; give it once.", what, r->option);
}

static int fail_unknown(const Reading *r, const char *name) {
        char known[256] = "";
        size_t used = 0;

        if (streq(name, vf_setting_to_string(VF_MAC)))
                return failure_set(r->f, FAILURE_INVALID_ARGUMENT,
                                   "There is no setting \"mac\" in the option \"%s\"; the addresses of a "
                                   "claim's devices stand in its option \"mac-addresses\".",
                                   r->option);
        for (int s = 0; s < VF_MAC; s++)
                used += (size_t)snprintf(known + used, sizeof known - used, "%s\"%s\"", s > 0 ? ", " : "",
                                         vf_setting_to_string((VfSetting)s));
        static_assert(VF_MAC == VF_SETTING_MAX - 1, "the others are before it");
        return failure_set(r->f, FAILURE_INVALID_ARGUMENT,
                           "There is no setting \"%.64s\" in the option \"%s\"; there are %s%s.", name,
                           r->option, known, r->group ? ", \"vfs\" and \"overridable\"" : "");
}

static int enter_value(const Reading *r, const char *name, const char *type) {
        const char *contents;
        char outer;
        int k;

        k = sd_bus_message_peek_type(r->message, &outer, &contents);
        if (k < 0)
                return k;
        if (outer != 'v' || !streq(contents, type))
                return failure_set(r->f, FAILURE_INVALID_ARGUMENT,
                                   "The setting \"%s\" of the option \"%s\" must be of the D-Bus type %s.",
                                   name, r->option, type);
        return sd_bus_message_enter_container(r->message, 'v', type);
}

static int take_overridable(const Reading *r, const char *word) {
        int s = (int)vf_setting_from_string(word);

        if (s < 0)
                return failure_set(r->f, FAILURE_INVALID_ARGUMENT,
                                   "\"%.64s\" in \"overridable\" of the option \"%s\" is no setting of a "
                                   "virtual function; take the names of settings, or \"mac\".",
                                   word, r->option);
        if (r->group->overridable & 1U << s)
                return fail_twice(word, r);
        r->group->overridable |= 1U << s;
        return 0;
}

static int read_overridable(const Reading *r) {
        const char *word;
        int k;

        if (r->group->has_overridable)
                return fail_twice("overridable", r);
        if ((k = enter_value(r, "overridable", "as")) < 0 ||
            (k = sd_bus_message_enter_container(r->message, 'a', "s")) < 0)
                return k;
        while (k >= 0 && (k = sd_bus_message_read_basic(r->message, 's', &word)) > 0)
                k = take_overridable(r, word);
        r->group->has_overridable = true;
        return k < 0 || (k = sd_bus_message_exit_container(r->message)) < 0
                               ? k
                               : sd_bus_message_exit_container(r->message);
}

static int read_vfs(const Reading *r) {
        int k;

        if (r->group->has_vfs)
                return fail_twice("vfs", r);
        if ((k = enter_value(r, "vfs", "u")) < 0 ||
            (k = sd_bus_message_read_basic(r->message, 'u', &r->group->vfs)) < 0)
                return k;
        r->group->has_vfs = true;
        return sd_bus_message_exit_container(r->message);
}

static int read_setting(const Reading *r, VfSetting s) {
        const char *name = vf_setting_to_string(s), *word;
        bool number = vf_setting_is_number(s);
        char owner[48];
        uint32_t u;
        int k;

        if (vf_settings_has(r->settings, s))
                return fail_twice(name, r);
        (void)snprintf(owner, sizeof owner, "the option \"%s\"", r->option);
        if ((k = enter_value(r, name, number ? "u" : "s")) < 0 ||
            (k = number ? sd_bus_message_read_basic(r->message, 'u', &u)
                        : sd_bus_message_read_basic(r->message, 's', &word)) < 0 ||
            (k = number ? vf_settings_set_number(r->settings, s, u, owner, r->f)
                        : vf_settings_set_word(r->settings, s, word, owner, r->f)) < 0)
                return k;
        return sd_bus_message_exit_container(r->message);
}

static int read_entry(const Reading *r) {
        const char *name;
        int k, s;

        k = sd_bus_message_read_basic(r->message, 's', &name);
        if (k < 0)
                return k;
        if (r->group && streq(name, "vfs"))
                return read_vfs(r);
        if (r->group && streq(name, "overridable"))
                return read_overridable(r);
        s = (int)vf_setting_from_string(name);
        return s < 0 || s == VF_MAC ? fail_unknown(r, name) : read_setting(r, (VfSetting)s);
}

static int read_entries(const Reading *r) {
        int k;

        k = sd_bus_message_enter_container(r->message, 'a', "{sv}");
        while (k >= 0 && (k = sd_bus_message_enter_container(r->message, 'e', "sv")) > 0) {
                k = read_entry(r);
                if (k >= 0)
                        k = sd_bus_message_exit_container(r->message);
        }
        return k < 0 ? k : sd_bus_message_exit_container(r->message);
}

int vf_options_read_group(sd_bus_message *message, const char *option, SriovPatch *ret, Failure *f) {
        const Reading r = {message, option, &ret->vf, ret, f};

        return read_entries(&r);
}

int vf_options_read_claim(sd_bus_message *message, const char *option, VfSettings *ret, Failure *f) {
        const Reading r = {message, option, ret, NULL, f};

        return read_entries(&r);
}

static int take_mac(const char *option, const char *text, MacList *list, Failure *f) {
        if (list->n == CLAIM_COUNT_MAX)
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "The option \"%s\" has more than %u addresses, and a claim has no more "
                                   "devices; give fewer.",
                                   option, CLAIM_COUNT_MAX);
        if (*text &&
            (vf_mac_parse(text, list->macs[list->n]) < 0 || !vf_mac_is_unicast(list->macs[list->n])))
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "'%.32s' in the option \"%s\" is no address of one card; give one like "
                                   "02:00:00:00:00:01, or '' for one that is made up.",
                                   text, option);
        list->n++;
        return 0;
}

int vf_options_read_macs(sd_bus_message *message, const char *option, MacList *ret, Failure *f) {
        const char *text;
        int r;

        assert(ret);

        r = sd_bus_message_enter_container(message, 'a', "s");
        while (r >= 0 && (r = sd_bus_message_read_basic(message, 's', &text)) > 0)
                r = take_mac(option, text, ret, f);
        return r < 0 ? r : sd_bus_message_exit_container(message);
}

/* --- properties --- */

static int append_given(sd_bus_message *reply, const VfSettings *v) {
        char text[VF_TEXT_SIZE];
        int r = 0;

        for (int s = 0; s < VF_SETTING_MAX && r >= 0; s++) {
                const char *name = vf_setting_to_string((VfSetting)s);

                if (!vf_settings_has(v, (VfSetting)s))
                        continue;
                r = vf_setting_is_number((VfSetting)s)
                                    ? sd_bus_message_append(reply, "{sv}", name, "u", v->values[s])
                                    : sd_bus_message_append(reply, "{sv}", name, "s",
                                                            vf_settings_text(v, (VfSetting)s, text));
        }
        return r;
}

int vf_options_append_settings(sd_bus_message *reply, const VfSettings *v) {
        int r;

        assert(v);

        if ((r = sd_bus_message_open_container(reply, 'a', "{sv}")) < 0 || (r = append_given(reply, v)) < 0)
                return r;
        return sd_bus_message_close_container(reply);
}

static int append_overridable(sd_bus_message *reply, uint32_t overridable) {
        int r;

        if ((r = sd_bus_message_open_container(reply, 'e', "sv")) < 0 ||
            (r = sd_bus_message_append_basic(reply, 's', "overridable")) < 0 ||
            (r = sd_bus_message_open_container(reply, 'v', "as")) < 0 ||
            (r = sd_bus_message_open_container(reply, 'a', "s")) < 0)
                return r;
        for (int s = 0; s < VF_SETTING_MAX && r >= 0; s++)
                if (overridable & 1U << s)
                        r = sd_bus_message_append_basic(reply, 's', vf_setting_to_string((VfSetting)s));
        for (int i = 0; i < 3 && r >= 0; i++)
                r = sd_bus_message_close_container(reply);
        return r;
}

int vf_options_append_group(sd_bus_message *reply, const SriovSettings *s) {
        int r;

        assert(s);

        r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0 && s->vfs > 0 && (r = sd_bus_message_append(reply, "{sv}", "vfs", "u", s->vfs)) >= 0 &&
            (r = append_given(reply, &s->vf)) >= 0)
                r = append_overridable(reply, s->overridable);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int vf_options_append_macs(sd_bus_message *reply, const ClaimRecord *c) {
        char text[VF_MAC_TEXT_SIZE];
        int r;

        assert(c);

        r = sd_bus_message_open_container(reply, 'a', "s");
        for (size_t i = 0; i < c->n_macs && r >= 0; i++)
                r = sd_bus_message_append_basic(reply, 's', vf_mac_format(c->macs[i], text));
        return r < 0 ? r : sd_bus_message_close_container(reply);
}
