/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the port of an SR-IOV network card does with the frames of one virtual function. The words are the same on
 * D-Bus, in the database, in documents, on the command line and in a call of the helper. The kernel's names for them
 * are in <linux/if_link.h>, IFLA_VF_*; ip-link(8), "vf NUM", says what they mean.
 */

#include "bus-error.h"
#include "string-table.h"

typedef enum VfSetting {
        VF_VLAN, /* 0: none; else frames get this VLAN id on their way out, and lose it on their way in */
        VF_VLAN_PROTOCOL, /* "802.1Q", "802.1ad" */
        VF_VLAN_QOS,      /* 0..7, the priority in the tag */
        VF_MIN_RATE,      /* Mbit/s that it gets at least when it sends; 0: no promise */
        VF_MAX_RATE,      /* Mbit/s at most; 0: no limit */
        VF_LINK_STATE, /* "auto": as the port; "enable": always up, also when the port is down; "disable" */
        VF_SPOOF_CHECKING, /* frames with another source address (or VLAN) than its own are dropped */
        VF_TRUST,          /* it may change its address and see what is not for it */
        VF_QUERY_RSS,      /* it may read the hash key by which the port spreads frames */
        VF_MAC,            /* its address; a unicast one, or 00:00:00:00:00:00: none yet */
        VF_SETTING_MAX,
        VF_SETTING_INVALID = -EINVAL,
} VfSetting;

DECLARE_STRING_TABLE(vf_setting,
                     VfSetting); /* "vlan", "vlan-protocol", "vlan-qos", "min-rate", ..., "mac" */

#define VF_VLAN_MAX 4094U
#define VF_RATE_MAX 10000000U /* Mbit/s */
#define VF_PROTOCOL_8021Q 0x8100U
#define VF_PROTOCOL_8021AD 0x88a8U

/* As the kernel counts them. */
enum { VF_LINK_AUTO, VF_LINK_ENABLE, VF_LINK_DISABLE };

/* Of spoof-checking, trust and query-rss; default: what the driver does by itself, and nothing is written. */
enum { VF_SWITCH_DEFAULT, VF_SWITCH_ON, VF_SWITCH_OFF };

#define VF_MAC_LENGTH 6U
#define VF_MAC_TEXT_SIZE 18U

typedef struct VfSettings {
        uint32_t given;                  /* bits 1 << VfSetting; of others nothing is said */
        uint32_t values[VF_SETTING_MAX]; /* numbers as they are, words by the numbers above; not of VF_MAC */
        uint8_t mac[VF_MAC_LENGTH];
} VfSettings;

static inline bool vf_settings_has(const VfSettings *v, VfSetting s) {
        return v->given & 1U << s;
}

/* A number (D-Bus: u) or a word (D-Bus: s)? */
bool vf_setting_is_number(VfSetting s) _const_;

/* Switches are those with "default", "on" and "off". */
bool vf_setting_is_switch(VfSetting s) _const_;

/* Sets one. owner: whom it is for, in the sentence: "group \"x\"". InvalidArgument, and -EREMOTEIO. */
int vf_settings_set_number(VfSettings *v, VfSetting s, uint32_t number, const char *owner, Failure *f);
int vf_settings_set_word(VfSettings *v, VfSetting s, const char *word, const char *owner, Failure *f);

/* The text of one that is given: "100", "802.1ad", "02:00:00:00:00:01". Returns buf. */
#define VF_TEXT_SIZE 24U
const char *vf_settings_text(const VfSettings *v, VfSetting s, char buf[static VF_TEXT_SIZE]);

/* Do they fit together? InvalidArgument: a priority or a protocol without a VLAN; min-rate not below max-rate. */
int vf_settings_check(const VfSettings *v, const char *owner, Failure *f);

/* One as "vlan=100"; words that the helper takes, and the parts of the line below. -EREMOTEIO with a sentence. */
int vf_settings_parse_item(const char *item, VfSettings *v, Failure *f);

/* All that are given, in one order: "vlan=100 max-rate=200 mac=02:00:00:00:00:01"; "" for none. Returns buf. */
#define VF_LINE_SIZE 320U
const char *vf_settings_format(const VfSettings *v, char buf[static VF_LINE_SIZE]);
int vf_settings_parse(const char *line,
                      VfSettings *ret); /* -EBADMSG: not such a line, or one is there twice */

bool vf_settings_same(const VfSettings *a, const VfSettings *b) _pure_;

/* What `over` gives replaces what is there. */
void vf_settings_merge(VfSettings *v, const VfSettings *over);

/* Those of `mask` (bits) that are not given, or are a switch that is "default", become what a fresh function has, and
 * of switches the careful one: no VLAN, no rates, link "auto", spoof-checking on, trust and query-rss off, no
 * address. */
void vf_settings_complete(VfSettings *v, uint32_t mask);

int vf_mac_parse(const char *text, uint8_t ret[static VF_MAC_LENGTH]); /* -EINVAL */
const char *vf_mac_format(const uint8_t mac[static VF_MAC_LENGTH], char buf[static VF_MAC_TEXT_SIZE]);
/* A card's own address: neither a group's nor 00:00:00:00:00:00. */
bool vf_mac_is_unicast(const uint8_t mac[static VF_MAC_LENGTH]) _pure_;
