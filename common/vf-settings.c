/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "record-file.h"
#include "text.h"
#include "vf-settings.h"

static const char *const vf_setting_table[VF_SETTING_MAX] = {
                [VF_VLAN] = "vlan",
                [VF_VLAN_PROTOCOL] = "vlan-protocol",
                [VF_VLAN_QOS] = "vlan-qos",
                [VF_MIN_RATE] = "min-rate",
                [VF_MAX_RATE] = "max-rate",
                [VF_LINK_STATE] = "link-state",
                [VF_SPOOF_CHECKING] = "spoof-checking",
                [VF_TRUST] = "trust",
                [VF_QUERY_RSS] = "query-rss",
                [VF_MAC] = "mac",
};

DEFINE_STRING_TABLE(vf_setting, VfSetting, VF_SETTING_MAX);

typedef struct Word {
        const char *word;
        uint32_t value;
} Word;

static const Word protocols[] = {{"802.1Q", VF_PROTOCOL_8021Q}, {"802.1ad", VF_PROTOCOL_8021AD}, {NULL, 0}};
static const Word links[] = {
                {"auto", VF_LINK_AUTO}, {"enable", VF_LINK_ENABLE}, {"disable", VF_LINK_DISABLE}, {NULL, 0}};
static const Word switches[] = {
                {"default", VF_SWITCH_DEFAULT}, {"on", VF_SWITCH_ON}, {"off", VF_SWITCH_OFF}, {NULL, 0}};

/* A number has a maximum, a word is one of a few; the address is neither. `fresh`: what a function has that nobody has
 * set anything of; of switches, which drivers see differently, the careful one. */
static const struct {
        uint32_t max, fresh;
        const Word *words;
} kinds[VF_SETTING_MAX] = {
                [VF_VLAN] = {.max = VF_VLAN_MAX},
                [VF_VLAN_PROTOCOL] = {.words = protocols, .fresh = VF_PROTOCOL_8021Q},
                [VF_VLAN_QOS] = {.max = 7},
                [VF_MIN_RATE] = {.max = VF_RATE_MAX},
                [VF_MAX_RATE] = {.max = VF_RATE_MAX},
                [VF_LINK_STATE] = {.words = links, .fresh = VF_LINK_AUTO},
                [VF_SPOOF_CHECKING] = {.words = switches, .fresh = VF_SWITCH_ON},
                [VF_TRUST] = {.words = switches, .fresh = VF_SWITCH_OFF},
                [VF_QUERY_RSS] = {.words = switches, .fresh = VF_SWITCH_OFF},
};

bool vf_setting_is_number(VfSetting s) {
        return kinds[s].max > 0;
}

bool vf_setting_is_switch(VfSetting s) {
        return kinds[s].words == switches;
}

static void give(VfSettings *v, VfSetting s, uint32_t value) {
        v->values[s] = value;
        v->given |= 1U << s;
}

int vf_settings_set_number(VfSettings *v, VfSetting s, uint32_t number, const char *owner, Failure *f) {
        assert(v);
        assert(vf_setting_is_number(s));

        if (number > kinds[s].max)
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "The setting \"%s\" of %s is %" PRIu32 "; give 0 to %" PRIu32 "%s.",
                                   vf_setting_table[s], owner, number, kinds[s].max,
                                   s == VF_VLAN_QOS ? "" : ", 0 for none");
        give(v, s, number);
        return 0;
}

static int fail_word(VfSetting s, const char *word, const char *owner, Failure *f) {
        char shown[64], list[96] = "";

        text_sanitize(shown, sizeof shown, word, strlen(word));
        for (const Word *w = kinds[s].words; w && w->word; w++)
                text_append_item(list, sizeof list, w->word);
        return failure_set(f, FAILURE_INVALID_ARGUMENT, "The setting \"%s\" of %s is '%s'; give %s%s.",
                           vf_setting_table[s], owner, shown,
                           kinds[s].words ? "one of: " : "an address of one card, like 02:00:00:00:00:01",
                           list);
}

int vf_settings_set_word(VfSettings *v, VfSetting s, const char *word, const char *owner, Failure *f) {
        assert(v);
        assert(word);
        assert(!vf_setting_is_number(s));

        if (s == VF_MAC && vf_mac_parse(word, v->mac) >= 0) {
                give(v, s, 0);
                return 0;
        }
        for (const Word *w = kinds[s].words; w && w->word; w++)
                if (streq(w->word, word)) {
                        give(v, s, w->value);
                        return 0;
                }
        return fail_word(s, word, owner, f);
}

const char *vf_settings_text(const VfSettings *v, VfSetting s, char buf[static VF_TEXT_SIZE]) {
        assert(v);
        assert(vf_settings_has(v, s));

        if (s == VF_MAC)
                return vf_mac_format(v->mac, buf);
        for (const Word *w = kinds[s].words; w && w->word; w++)
                if (w->value == v->values[s])
                        return w->word;
        (void)snprintf(buf, VF_TEXT_SIZE, "%" PRIu32, v->values[s]);
        return buf;
}

int vf_settings_check(const VfSettings *v, const char *owner, Failure *f) {
        const uint32_t min = v->values[VF_MIN_RATE], max = v->values[VF_MAX_RATE];
        bool vlan = vf_settings_has(v, VF_VLAN) && v->values[VF_VLAN] > 0;

        if (!vlan && vf_settings_has(v, VF_VLAN_QOS) && v->values[VF_VLAN_QOS] > 0)
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "The setting \"vlan-qos\" of %s needs a VLAN to be the priority in; set "
                                   "\"vlan\", too, or \"vlan-qos\" to 0.",
                                   owner);
        if (!vlan && vf_settings_has(v, VF_VLAN_PROTOCOL) &&
            v->values[VF_VLAN_PROTOCOL] != VF_PROTOCOL_8021Q)
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "The setting \"vlan-protocol\" of %s needs a VLAN; set \"vlan\", too, or "
                                   "\"vlan-protocol\" to '802.1Q'.",
                                   owner);
        if (vf_settings_has(v, VF_MIN_RATE) && vf_settings_has(v, VF_MAX_RATE) && min > 0 && max > 0 &&
            min >= max)
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "The setting \"min-rate\" of %s is %" PRIu32
                                   " Mbit/s, which is not below "
                                   "its \"max-rate\" of %" PRIu32 "; lower one or raise the other.",
                                   owner, min, max);
        return 0;
}

int vf_settings_parse_item(const char *item, VfSettings *v, Failure *f) {
        const char *value = strchr(item, '=');
        char name[24] = "", shown[64];
        uint64_t number;
        int s;

        if (value && (size_t)(value - item) < sizeof name)
                (void)snprintf(name, sizeof name, "%.*s", (int)(value - item), item);
        s = (int)vf_setting_from_string(name);
        if (s >= 0 && vf_settings_has(v, (VfSetting)s))
                return failure_set(f, FAILURE_INVALID_ARGUMENT, "'%s' is given twice; give it once.", name);
        if (s >= 0 && !vf_setting_is_number((VfSetting)s))
                return vf_settings_set_word(v, (VfSetting)s, value + 1, "this function", f);
        if (s >= 0 && record_parse_decimal(value + 1, UINT32_MAX, &number) >= 0)
                return vf_settings_set_number(v, (VfSetting)s, (uint32_t)number, "this function", f);

        text_sanitize(shown, sizeof shown, item, strlen(item));
        return failure_set(f, FAILURE_INVALID_ARGUMENT,
                           "'%s' is no setting of a virtual function; write it as 'vlan=100'.", shown);
}

const char *vf_settings_format(const VfSettings *v, char buf[static VF_LINE_SIZE]) {
        char text[VF_TEXT_SIZE];
        size_t used = 0;

        assert(v);

        buf[0] = '\0';
        for (int s = 0; s < VF_SETTING_MAX; s++)
                if (vf_settings_has(v, (VfSetting)s))
                        used += (size_t)snprintf(buf + used, VF_LINE_SIZE - used, "%s%s=%s",
                                                 used > 0 ? " " : "", vf_setting_table[s],
                                                 vf_settings_text(v, (VfSetting)s, text));
        assert(used < VF_LINE_SIZE);
        return buf;
}

int vf_settings_parse(const char *line, VfSettings *ret) {
        VfSettings v = {0};
        Failure f = {0};
        char item[64];
        size_t n;

        assert(line);
        assert(ret);

        while (*line) {
                n = strcspn(line, " ");
                if (n >= sizeof item)
                        return -EBADMSG;
                memcpy(item, line, n);
                item[n] = '\0';
                if (vf_settings_parse_item(item, &v, &f) < 0 || (line[n] && !line[n + 1]))
                        return -EBADMSG;
                line += n + (line[n] == ' ');
        }

        *ret = v;
        return 0;
}

bool vf_settings_same(const VfSettings *a, const VfSettings *b) {
        if (a->given != b->given)
                return false;
        for (int s = 0; s < VF_SETTING_MAX; s++)
                if (s != VF_MAC && vf_settings_has(a, (VfSetting)s) && a->values[s] != b->values[s])
                        return false;
        return !vf_settings_has(a, VF_MAC) || memcmp(a->mac, b->mac, VF_MAC_LENGTH) == 0;
}

void vf_settings_merge(VfSettings *v, const VfSettings *over) {
        assert(v);
        assert(over);

        for (int s = 0; s < VF_SETTING_MAX; s++)
                if (vf_settings_has(over, (VfSetting)s))
                        give(v, (VfSetting)s, over->values[s]);
        if (vf_settings_has(over, VF_MAC))
                memcpy(v->mac, over->mac, VF_MAC_LENGTH);
}

void vf_settings_complete(VfSettings *v, uint32_t mask) {
        assert(v);

        for (int s = 0; s < VF_SETTING_MAX; s++) {
                bool open = vf_setting_is_switch((VfSetting)s) && v->values[s] == VF_SWITCH_DEFAULT;

                if (!(mask & 1U << s) || (vf_settings_has(v, (VfSetting)s) && !open))
                        continue;
                give(v, (VfSetting)s, kinds[s].fresh);
                if (s == VF_MAC)
                        memset(v->mac, 0, VF_MAC_LENGTH);
        }
}

static int hex_digit(char c) {
        return c >= '0' && c <= '9'   ? c - '0'
               : c >= 'a' && c <= 'f' ? c - 'a' + 10
               : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                      : -1;
}

int vf_mac_parse(const char *text, uint8_t ret[static VF_MAC_LENGTH]) {
        static const uint8_t none[VF_MAC_LENGTH] = {0};
        uint8_t mac[VF_MAC_LENGTH];

        assert(text);

        if (strlen(text) != VF_MAC_TEXT_SIZE - 1)
                return -EINVAL;
        for (size_t i = 0; i < VF_MAC_LENGTH; i++) {
                int high = hex_digit(text[3 * i]), low = hex_digit(text[3 * i + 1]);

                if (high < 0 || low < 0 || text[3 * i + 2] != (i + 1 < VF_MAC_LENGTH ? ':' : '\0'))
                        return -EINVAL;
                mac[i] = (uint8_t)(high << 4 | low);
        }
        if (!vf_mac_is_unicast(mac) && memcmp(mac, none, sizeof mac) != 0)
                return -EINVAL;
        memcpy(ret, mac, sizeof mac);
        return 0;
}

const char *vf_mac_format(const uint8_t mac[static VF_MAC_LENGTH], char buf[static VF_MAC_TEXT_SIZE]) {
        (void)snprintf(buf, VF_MAC_TEXT_SIZE, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
                       mac[3], mac[4], mac[5]);
        return buf;
}

bool vf_mac_is_unicast(const uint8_t mac[static VF_MAC_LENGTH]) {
        uint8_t any = 0;

        for (size_t i = 0; i < VF_MAC_LENGTH; i++)
                any |= mac[i];
        return any != 0 && !(mac[0] & 1);
}
