/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "record-file.h"
#include "sriov-settings.h"

const SriovSettings sriov_settings_default = {
                .vf = {.given = VF_SETTINGS_OF_GROUP,
                       .values = {[VF_VLAN_PROTOCOL] = VF_PROTOCOL_8021Q,
                                  [VF_LINK_STATE] = VF_LINK_AUTO,
                                  [VF_SPOOF_CHECKING] = VF_SWITCH_DEFAULT,
                                  [VF_TRUST] = VF_SWITCH_DEFAULT,
                                  [VF_QUERY_RSS] = VF_SWITCH_DEFAULT}},
                .overridable = 1U << VF_MAC,
};

void sriov_settings_apply(SriovSettings *s, const SriovPatch *patch) {
        assert(s);
        assert(patch);
        assert(!vf_settings_has(&patch->vf, VF_MAC));

        if (patch->has_vfs)
                s->vfs = patch->vfs;
        if (patch->has_overridable)
                s->overridable = patch->overridable;
        vf_settings_merge(&s->vf, &patch->vf);
}

int sriov_settings_check(const SriovSettings *s, const char *owner, Failure *f) {
        assert(s);
        assert(owner);
        assert(f);
        assert(s->vf.given == VF_SETTINGS_OF_GROUP);
        assert((s->overridable & ~VF_SETTINGS_ALL) == 0);

        if (s->vfs < 1 || s->vfs > VFS_MAX)
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "The setting \"vfs\" of %s, how many virtual functions each physical "
                                   "function is to have, is %" PRIu32 "; give 1 to %u.",
                                   owner, s->vfs, VFS_MAX);
        return vf_settings_check(&s->vf, owner, f);
}

static int fail_not_overridable(VfSetting setting, const char *owner, Failure *f) {
        return failure_set(
                        f, FAILURE_INVALID_ARGUMENT,
                        "The setting \"%s\" of %s is not for claims of its group to set; leave it out, or "
                        "have an administrator add it to \"overridable\" of the group.",
                        vf_setting_to_string(setting), owner);
}

int sriov_settings_check_claim(const SriovSettings *group, const VfSettings *claim, const char *owner,
                               Failure *f) {
        VfSettings merged;

        assert(group);
        assert(claim);
        assert(owner);
        assert(f);

        for (int s = 0; s < VF_SETTING_MAX; s++)
                if (vf_settings_has(claim, (VfSetting)s) && !(group->overridable & 1U << s))
                        return fail_not_overridable((VfSetting)s, owner, f);

        merged = group->vf;
        vf_settings_merge(&merged, claim);
        return vf_settings_check(&merged, owner, f);
}

bool sriov_settings_same(const SriovSettings *a, const SriovSettings *b) {
        return a->vfs == b->vfs && a->overridable == b->overridable && vf_settings_same(&a->vf, &b->vf);
}

/* --- text --- */

/* Only what is not as in the default: a setting that a later version knows is the default in what we have written. */
static VfSettings special_settings(const SriovSettings *s) {
        VfSettings v = s->vf;

        for (int i = 0; i < VF_SETTING_MAX; i++)
                if (v.values[i] == sriov_settings_default.vf.values[i])
                        v.given &= ~(1U << i);
        return v;
}

const char *sriov_settings_format(const SriovSettings *s, char buf[static SRIOV_LINE_SIZE]) {
        char line[VF_LINE_SIZE];
        VfSettings special;
        const char *gap = "";
        size_t used;

        assert(s);

        buf[0] = '\0';
        if (s->vfs == 0)
                return buf;

        used = (size_t)snprintf(buf, SRIOV_LINE_SIZE, "vfs=%" PRIu32 " overridable=", s->vfs);
        for (int i = 0; i < VF_SETTING_MAX; i++)
                if (s->overridable & 1U << i) {
                        used += (size_t)snprintf(buf + used, SRIOV_LINE_SIZE - used, "%s%s", gap,
                                                 vf_setting_to_string((VfSetting)i));
                        gap = ",";
                }
        special = special_settings(s);
        if (special.given)
                used += (size_t)snprintf(buf + used, SRIOV_LINE_SIZE - used, " %s",
                                         vf_settings_format(&special, line));
        assert(used < SRIOV_LINE_SIZE);
        return buf;
}

/* The value of the first word of *line, "key=value"; goes on behind it. */
static int take_value(const char **line, const char *key, char *ret, size_t size) {
        const char *value = *line + strlen(key);
        size_t n;

        if (!startswith(*line, key))
                return -EBADMSG;
        n = strcspn(value, " ");
        if (n >= size)
                return -EBADMSG;
        memcpy(ret, value, n);
        ret[n] = '\0';
        *line = value + n + (value[n] == ' ');
        return 0;
}

static int parse_overridable(char *words, uint32_t *ret) {
        char *rest = *words ? words : NULL;
        int setting;

        *ret = 0;
        while (rest) {
                setting = (int)vf_setting_from_string(strsep(&rest, ","));
                if (setting < 0)
                        return -EBADMSG;
                *ret |= 1U << setting;
        }
        return 0;
}

int sriov_settings_parse(const char *line, SriovSettings *ret) {
        char vfs[16], words[SRIOV_LINE_SIZE], again[SRIOV_LINE_SIZE];
        SriovSettings s = sriov_settings_default;
        const char *rest = line;
        VfSettings v;
        uint64_t n;

        assert(line);
        assert(ret);

        if (!*line) {
                *ret = (SriovSettings){0};
                return 0;
        }

        if (take_value(&rest, "vfs=", vfs, sizeof vfs) < 0 ||
            record_parse_decimal(vfs, UINT32_MAX, &n) < 0 ||
            take_value(&rest, "overridable=", words, sizeof words) < 0 ||
            parse_overridable(words, &s.overridable) < 0 || vf_settings_parse(rest, &v) < 0 ||
            vf_settings_has(&v, VF_MAC))
                return -EBADMSG;

        s.vfs = (uint32_t)n;
        vf_settings_merge(&s.vf, &v);
        if (!streq(sriov_settings_format(&s, again), line)) /* another way to say it: not ours */
                return -EBADMSG;
        *ret = s;
        return 0;
}

/* --- what a function gets --- */

static uint32_t switches(void) {
        uint32_t mask = 0;

        for (int s = 0; s < VF_SETTING_MAX; s++)
                mask |= vf_setting_is_switch((VfSetting)s) ? 1U << s : 0;
        return mask;
}

static void set_mac(VfSettings *v, const uint8_t *mac) {
        v->given |= 1U << VF_MAC;
        v->values[VF_MAC] = 0;
        memcpy(v->mac, mac, VF_MAC_LENGTH);
}

void sriov_settings_effective(const SriovSettings *group, const VfSettings *claim, const uint8_t *mac,
                              VfSettings *ret) {
        VfSettings v, over;

        assert(group);
        assert(claim);
        assert(ret);

        v = group->vf;
        over = *claim;
        over.given &= group->overridable; /* it may have been let more when it was made */
        vf_settings_merge(&v, &over);
        if (mac)
                set_mac(&v, mac);
        vf_settings_complete(&v, VF_SETTINGS_ALL & ~(1U << VF_SPOOF_CHECKING));
        *ret = v;
}

void sriov_settings_after(const SriovSettings *group, const VfSettings *claim, VfSettings *ret) {
        static const uint8_t none[VF_MAC_LENGTH] = {0};
        uint32_t turned;
        VfSettings v;

        assert(group);
        assert(ret);

        turned = switches() & (group->overridable | (claim ? claim->given : VF_SETTINGS_ALL));
        v = group->vf;
        set_mac(&v, none);
        vf_settings_complete(&v, (VF_SETTINGS_ALL & ~switches()) | turned);
        *ret = v;
}

/* FNV-1a, of the line that is the same for the same settings. */
uint64_t sriov_settings_fingerprint(const VfSettings *v) {
        uint64_t sum = 0xcbf29ce484222325ULL;
        char line[VF_LINE_SIZE];

        assert(v);

        for (const char *c = vf_settings_format(v, line); *c; c++)
                sum = (sum ^ (unsigned char)*c) * 0x100000001b3ULL;
        return sum ?: 1;
}
