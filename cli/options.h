/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The options of the command line: one table, which getopt, the help and the completion are made from. */

#include "exit-code.h"

typedef enum Option {
        /* of each command */
        OPTION_HELP,
        OPTION_VERSION,
        OPTION_NO_ASK_PASSWORD,
        OPTION_COLOR,
        /* how answers look */
        OPTION_JSON,
        OPTION_NO_LEGEND,
        OPTION_NO_PAGER,
        /* which devices */
        OPTION_IOMMU,
        OPTION_GROUP,
        OPTION_CLASS,
        OPTION_WHOLE_SET,
        OPTION_CONSENT,
        /* properties */
        OPTION_NAME,
        OPTION_DESCRIPTION,
        OPTION_BINDING,
        OPTION_QUOTA,
        OPTION_ENABLE,
        OPTION_DISABLE,
        OPTION_FILTER,
        OPTION_NODE,
        OPTION_COUNT,
        OPTION_OPTIONAL,
        OPTION_ORDER,
        /* virtual functions */
        OPTION_TYPE,
        OPTION_VFS,
        OPTION_VLAN,
        OPTION_VLAN_PROTOCOL,
        OPTION_VLAN_QOS,
        OPTION_MIN_RATE,
        OPTION_MAX_RATE,
        OPTION_LINK_STATE,
        OPTION_SPOOF_CHECKING,
        OPTION_TRUST,
        OPTION_QUERY_RSS,
        OPTION_OVERRIDABLE,
        OPTION_MAC,
        /* changes */
        OPTION_CONFIRM,
        OPTION_PRUNE,
        OPTION_FORCE,
        /* VMs */
        OPTION_ACCESS,
        OPTION_WAIT,
        OPTION_MEMORY,
        OPTION_VIOMMU,
        OPTION_NUMA_NODE,
        OPTION_OWNER,
        OPTION_LIBVIRT,
        OPTION_MAX,
        OPTION_INVALID = -EINVAL,
} Option;

#define OPT(o) (UINT64_C(1) << OPTION_##o)
#define OPTIONS_EVERYWHERE (OPT(HELP) | OPT(VERSION) | OPT(NO_ASK_PASSWORD) | OPT(COLOR))
#define OPTIONS_SHOW (OPT(JSON) | OPT(NO_PAGER))
#define OPTIONS_SETTINGS                                                                                    \
        (OPT(VLAN) | OPT(VLAN_PROTOCOL) | OPT(VLAN_QOS) | OPT(MIN_RATE) | OPT(MAX_RATE) | OPT(LINK_STATE) | \
         OPT(SPOOF_CHECKING) | OPT(TRUST) | OPT(QUERY_RSS))
#define OPTIONS_SRIOV_GROUP (OPTIONS_SETTINGS | OPT(VFS) | OPT(OVERRIDABLE))
#define OPTIONS_SRIOV_CLAIM (OPTIONS_SETTINGS | OPT(MAC))
#define OPTIONS_LIST (OPTIONS_SHOW | OPT(NO_LEGEND))

typedef struct OptionInfo {
        const char *name;
        char letter;          /* 0: none */
        const char *argument; /* "NAME", "[short|pretty]"; NULL: none */
        const char *values;   /* what it can be, with blanks between, for the completion; or NULL */
        const char *help;
} OptionInfo;

typedef struct Options {
        uint64_t given;                 /* OPT() of each */
        const char *values[OPTION_MAX]; /* of the last of its kind, borrowed from argv; "" without a value */
        size_t n_consent;
        const char **consent; /* each --consent */
        bool separated;       /* "--" stands in front of some words, so that they are no options of ours */
        int n_words;          /* what is no option */
        char **words;
} Options;

const OptionInfo *option_info(Option o);
/* OPTION_INVALID: of none. */
Option option_from_letter(int letter);

/* Complains about options that there are none of. Words may stand anywhere; behind "--" everything is one. */
ExitCode options_parse(int argc, char **argv, Options *ret);
void options_done(Options *o);

static inline bool option_given(const Options *o, Option option) {
        return o->given >> option & 1;
}
/* NULL: it is not given. */
const char *option_value(const Options *o, Option option) _pure_;
/* A whole number in decimal digits and nothing else. */
bool number_parse(const char *text, uint64_t *ret);
/* A whole number, min..max; complains. *ret is untouched if it is not given. */
ExitCode option_number(const Options *o, Option option, uint64_t min, uint64_t max, uint64_t *ret);
