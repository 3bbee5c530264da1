/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "document-internal.h"

static int take_number(json_t *value, const char *path, const char *name, uint32_t *ret, Failure *f) {
        json_int_t number = json_integer_value(value);

        if (!json_is_integer(value))
                return document_refuse_member(f, path, name, "expected a whole number");
        if (number < 0 || number > (json_int_t)UINT32_MAX)
                return document_refuse_member(f, path, name, "expected a number from 0 to 4294967295");
        *ret = (uint32_t)number;
        return 0;
}

static int take_setting(json_t *value, const char *path, VfSetting s, VfSettings *v, Failure *f) {
        const char *name = vf_setting_to_string(s), *owner = "the group";
        Failure found = {0};
        uint32_t number;
        int r;

        if (vf_setting_is_number(s)) {
                if (take_number(value, path, name, &number, f) < 0)
                        return -EREMOTEIO;
                r = vf_settings_set_number(v, s, number, owner, &found);
        } else {
                if (!json_is_string(value))
                        return document_refuse_member(f, path, name, "expected a text");
                r = vf_settings_set_word(v, s, json_string_value(value), owner, &found);
        }
        return r < 0 ? document_pass_on(&found, path, f) : 0;
}

static int take_overridable(json_t *list, const char *path, uint32_t *ret, Failure *f) {
        int s;

        if (!json_is_array(list))
                return document_refuse_member(f, path, "overridable", "expected a list");
        *ret = 0;
        for (size_t i = 0; i < json_array_size(list); i++) {
                s = (int)vf_setting_from_string(json_string_value(json_array_get(list, i)));
                if (s < 0 || *ret & 1U << s)
                        return document_refuse_member(f, path, "overridable",
                                                      "expected names of settings, or \"mac\", each once");
                *ret |= 1U << s;
        }
        return 0;
}

static int take_member(const char *name, json_t *value, const char *path, SriovPatch *patch, Failure *f) {
        int s = (int)vf_setting_from_string(name);

        if (streq(name, "vfs")) {
                patch->has_vfs = true;
                return take_number(value, path, name, &patch->vfs, f);
        }
        if (streq(name, "overridable")) {
                patch->has_overridable = true;
                return take_overridable(value, path, &patch->overridable, f);
        }
        if (s < 0 || s == VF_MAC)
                return document_refuse_member(f, path, name, "there is no such setting of a group");
        return take_setting(value, path, (VfSetting)s, &patch->vf, f);
}

int document_take_sriov(json_t *object, const char *path, SriovSettings *s, Failure *f) {
        SriovPatch patch = {0};
        const char *name;
        json_t *value;

        assert(path);
        assert(s);
        assert(f);

        if (!json_is_object(object))
                return document_invalid(f, path, "expected an object, { ... }");
        json_object_foreach(object, name,
                            value) if (take_member(name, value, path, &patch, f) < 0) return -EREMOTEIO;
        sriov_settings_apply(s, &patch);
        return 0;
}

static json_t *setting_to_json(const VfSettings *v, VfSetting s) {
        char text[VF_TEXT_SIZE];

        return vf_setting_is_number(s) ? json_integer(v->values[s])
                                       : json_string(vf_settings_text(v, s, text));
}

json_t *document_sriov_to_json(const SriovSettings *s) {
        _cleanup_(json_decrefp) json_t *object = json_object(), *overridable = json_array();
        int r;

        assert(s);

        r = json_object_set_new(object, "vfs", json_integer(s->vfs));
        for (int i = 0; i < VF_SETTING_MAX && r >= 0; i++)
                if (vf_settings_has(&s->vf, (VfSetting)i))
                        r = json_object_set_new(object, vf_setting_to_string((VfSetting)i),
                                                setting_to_json(&s->vf, (VfSetting)i));
        for (int i = 0; i < VF_SETTING_MAX && r >= 0; i++)
                if (s->overridable & 1U << i)
                        r = json_array_append_new(overridable,
                                                  json_string(vf_setting_to_string((VfSetting)i)));
        if (r < 0 || json_object_set(object, "overridable", overridable) < 0)
                return NULL;
        return STEAL(object);
}
