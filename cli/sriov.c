/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "fields.h"
#include "names.h"
#include "sriov.h"
#include "vf-settings.h"

#define AS_GROUP "group" /* a claim's value for what it leaves to its group */

static const Option setting_options[VF_SETTING_MAX] = {
                [VF_VLAN] = OPTION_VLAN,
                [VF_VLAN_PROTOCOL] = OPTION_VLAN_PROTOCOL,
                [VF_VLAN_QOS] = OPTION_VLAN_QOS,
                [VF_MIN_RATE] = OPTION_MIN_RATE,
                [VF_MAX_RATE] = OPTION_MAX_RATE,
                [VF_LINK_STATE] = OPTION_LINK_STATE,
                [VF_SPOOF_CHECKING] = OPTION_SPOOF_CHECKING,
                [VF_TRUST] = OPTION_TRUST,
                [VF_QUERY_RSS] = OPTION_QUERY_RSS,
                [VF_MAC] = OPTION_MAC,
};

static bool is_of_claim(uint64_t which) {
        return which & OPT(MAC);
}

static bool is_asked(const Options *o, uint64_t which, Option option) {
        return which & o->given & UINT64_C(1) << option;
}

bool sriov_is_as_group(Option option, const char *value) {
        return OPTIONS_SETTINGS >> option & 1 && streq(value, AS_GROUP);
}

/* What the number can be says the service. */
static ExitCode check_setting(const Options *o, uint64_t which, VfSetting s) {
        Option option = setting_options[s];
        const char *value = option_value(o, option);
        uint64_t number;

        if (sriov_is_as_group(option, value))
                return is_of_claim(which)
                                       ? EXIT_DONE
                                       : complain(EXIT_USAGE,
                                                  "--%s=%s is for claims, which have the setting of their "
                                                  "group then; give a value.",
                                                  option_info(option)->name, value);
        return vf_setting_is_number(s) ? option_number(o, option, 0, UINT32_MAX, &number) : EXIT_DONE;
}

ExitCode sriov_check(const Options *o, uint64_t which) {
        ExitCode code = EXIT_DONE;
        uint64_t number;

        for (int s = 0; s < VF_SETTING_MAX && code == EXIT_DONE; s++)
                if (is_asked(o, which, setting_options[s]))
                        code = check_setting(o, which, (VfSetting)s);
        if (code == EXIT_DONE && is_asked(o, which, OPTION_VFS))
                code = option_number(o, OPTION_VFS, 1, VFS_MAX, &number);
        return code;
}

static int append_number(sd_bus_message *m, const char *key, const char *text) {
        uint64_t number = 0;

        (void)number_parse(text, &number); /* it was checked */
        return sd_bus_message_append(m, "{sv}", key, "u", (uint32_t)number);
}

static int append_given(sd_bus_message *m, VfSetting s, const char *text) {
        const char *key = vf_setting_to_string(s);

        return vf_setting_is_number(s) ? append_number(m, key, text)
                                       : sd_bus_message_append(m, "{sv}", key, "s", text);
}

static int append_seen(sd_bus_message *m, VfSetting s, const json_t *value) {
        const char *key = vf_setting_to_string(s);

        return json_is_integer(value) ? sd_bus_message_append(m, "{sv}", key, "u",
                                                              (uint32_t)json_integer_value(value))
                                      : sd_bus_message_append(m, "{sv}", key, "s",
                                                              strempty(json_string_value(value)));
}

static int append_settings(sd_bus_message *m, const Options *o, uint64_t which, const Object *seen) {
        const json_t *has = seen && is_of_claim(which) ? json_object_get(seen->properties, "Sriov") : NULL;
        int r = 0;

        for (int s = 0; s < VF_MAC && r >= 0; s++) {
                const json_t *value = json_object_get(has, vf_setting_to_string((VfSetting)s));
                const char *text = option_value(o, setting_options[s]);

                if (!is_asked(o, which, setting_options[s]))
                        r = value ? append_seen(m, (VfSetting)s, value) : 0;
                else if (!is_of_claim(which) || !streq(text, AS_GROUP))
                        r = append_given(m, (VfSetting)s, text);
        }
        return r;
}

/* "a,b" as as; one that is empty between commas stays. */
static int append_words(sd_bus_message *m, const char *text) {
        char word[64];
        size_t n;
        int r = sd_bus_message_open_container(m, 'a', "s");

        for (bool more = text[0]; r >= 0 && more; text += n + 1) {
                n = strcspn(text, ",");
                more = text[n];
                (void)snprintf(word, sizeof word, "%.*s", (int)n, text);
                r = sd_bus_message_append_basic(m, 's', word);
        }
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_list(sd_bus_message *m, const char *key, const char *text) {
        int r = client_open_entry(m, key, "as");

        if (r < 0 || (r = append_words(m, text)) < 0)
                return r;
        return client_close_entry(m);
}

static int append_sriov(sd_bus_message *m, const Options *o, uint64_t which, const Object *seen) {
        int r;

        if ((r = client_open_entry(m, "sriov", "a{sv}")) < 0 ||
            (r = sd_bus_message_open_container(m, 'a', "{sv}")) < 0 ||
            (r = append_settings(m, o, which, seen)) < 0)
                return r;
        if (is_asked(o, which, OPTION_VFS))
                r = append_number(m, "vfs", option_value(o, OPTION_VFS));
        if (r >= 0 && is_asked(o, which, OPTION_OVERRIDABLE))
                r = append_list(m, "overridable", option_value(o, OPTION_OVERRIDABLE));
        if (r < 0 || (r = sd_bus_message_close_container(m)) < 0)
                return r;
        return client_close_entry(m);
}

int sriov_append(sd_bus_message *m, const Options *o, uint64_t which, const Object *seen) {
        int r = 0;

        if (which & o->given & OPTIONS_SRIOV_GROUP)
                r = append_sriov(m, o, which, seen);
        if (r >= 0 && is_asked(o, which, OPTION_MAC))
                r = append_list(m, "mac-addresses", option_value(o, OPTION_MAC));
        return r;
}

/* As fresh functions have it, or as the driver does by itself; of orders only what is left to that. */
static bool is_usual(VfSetting s, const json_t *value, bool ordered) {
        const char *word = strempty(json_string_value(value));

        if (!ordered && vf_setting_is_switch(s) && streq(word, s == VF_SPOOF_CHECKING ? "on" : "off"))
                return true;
        return json_is_integer(value)
                               ? json_integer_value(value) == 0
                               : streq(word, "auto") || streq(word, "default") || streq(word, "802.1Q") ||
                                                 (s == VF_MAC && streq(word, "00:00:00:00:00:00"));
}

static void print_settings(FILE *f, const json_t *settings, bool ordered) {
        for (int s = 0; s < VF_SETTING_MAX; s++) {
                const char *key = vf_setting_to_string((VfSetting)s);
                const json_t *value = json_object_get(settings, key);

                if (!value || is_usual((VfSetting)s, value, ordered))
                        continue;
                (void)fputs(ftell(f) > 0 ? ", " : "", f);
                if (json_is_integer(value))
                        (void)fprintf(f, "%s %" JSON_INTEGER_FORMAT, key, json_integer_value(value));
                else
                        (void)fprintf(f, "%s %s", key, strempty(json_string_value(value)));
        }
}

char *sriov_settings_text(const json_t *settings, bool ordered) {
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return NULL;
        print_settings(f, settings, ordered);
        if (fclose(f) == 0)
                return text;
        free(text);
        return NULL;
}

static char *words_text(const json_t *list) {
        char *text = NULL;
        json_t *word;
        size_t size, i;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return NULL;
        json_array_foreach(list, i, word)(void)
                        fprintf(f, "%s%s", i > 0 ? ", " : "", strempty(json_string_value(word)));
        if (fclose(f) == 0)
                return text;
        free(text);
        return NULL;
}

void sriov_show_group(const Object *group) {
        const json_t *sriov = json_object_get(group->properties, "Sriov");
        _cleanup_free_ char *text = sriov_settings_text(sriov, true);
        json_int_t n = json_integer_value(json_object_get(sriov, "vfs"));
        _cleanup_free_ char *list = words_text(json_object_get(sriov, "overridable"));

        if (json_object_size(sriov) == 0)
                return;
        field_printf("SR-IOV", TINT_NONE, "%" JSON_INTEGER_FORMAT " virtual function%s of each physical one",
                     n, n == 1 ? "" : "s");
        field_print_sentence("Settings", TINT_NONE, isempty(text) ? "those of fresh functions" : text);
        field_print_sentence("Claims may set", TINT_NONE, isempty(list) ? "nothing" : list);
}

void sriov_show_claim(const Object *claim) {
        _cleanup_free_ char *text = sriov_settings_text(json_object_get(claim->properties, "Sriov"), true);
        json_t *item;
        size_t i;

        field_print_sentence("Settings", TINT_NONE, strempty(text));
        json_array_foreach(object_list(claim, "MacAddresses"), i, item)
                        field_print(i == 0 ? "Addresses" : "", TINT_NONE, json_string_value(item));
}
