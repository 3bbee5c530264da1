/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <getopt.h>
#include <inttypes.h>

#include "options.h"
#include "similar.h"

static const OptionInfo infos[OPTION_MAX] = {
                [OPTION_HELP] = {"help", 'h', NULL, NULL, "What there is, or what the command takes"},
                [OPTION_VERSION] = {"version", 0, NULL, NULL, "The version of the tool"},
                [OPTION_NO_ASK_PASSWORD] = {"no-ask-password", 0, NULL, NULL,
                                            "Fail where polkit would have to prompt"},
                [OPTION_COLOR] = {"color", 0, "WHEN", "auto always never",
                                  "Colours: auto (the default), always or never"},
                [OPTION_JSON] = {"json", 'j', "[FORM]", "pretty short",
                                 "JSON for programs: pretty (the default) or short, on one line"},
                [OPTION_NO_LEGEND] = {"no-legend", 0, NULL, NULL, "No line of titles"},
                [OPTION_NO_PAGER] = {"no-pager", 0, NULL, NULL,
                                     "No pager between long answers and the terminal"},
                [OPTION_IOMMU] = {"iommu", 0, NULL, NULL, "As a tree of IOMMU sets, which move as one"},
                [OPTION_GROUP] = {"group", 'g', "GROUP", NULL, "The resource group"},
                [OPTION_CLASS] = {"class", 'c', "CLASS",
                                  "gpu vgpu storage hid usb network media audio fpga pci unknown",
                                  "What kind of device"},
                [OPTION_WHOLE_SET] = {"whole-set", 0, NULL, NULL,
                                      "With all devices of their IOMMU sets, whatever these are"},
                [OPTION_CONSENT] = {"consent", 0, "REASON", NULL,
                                    "Override this critical reason by name; may be given several times"},
                [OPTION_NAME] = {"name", 'n', "NAME", NULL, "The name, or the new one"},
                [OPTION_DESCRIPTION] = {"description", 'd', "TEXT", NULL, "A note for people"},
                [OPTION_BINDING] = {"binding", 'b', "WHEN", "persistent on-claim",
                                    "persistent: on vfio-pci from boot; on-claim: at the host until a VM "
                                    "starts"},
                [OPTION_QUOTA] = {"quota", 0, "N", NULL,
                                  "How many devices the VMs of one user may have; 0: no limit"},
                [OPTION_ENABLE] = {"enable", 0, NULL, NULL, "Switch it on"},
                [OPTION_DISABLE] = {"disable", 0, NULL, NULL, "Switch it off, and keep it"},
                [OPTION_FILTER] = {"filter", 'f', "FILTER", NULL,
                                   "Which devices; see verge-passthrough-filter(7)"},
                [OPTION_NODE] = {"node", 0, "NODE", NULL, "For this host alone; '': for all"},
                [OPTION_COUNT] = {"count", 0, "N", NULL, "How many devices, 1 to 16"},
                [OPTION_OPTIONAL] = {"optional", 0, "[YES]", "yes no", "The VM may start without them"},
                [OPTION_ORDER] = {"order", 0, "N", NULL,
                                  "Among the claims of the VM the lower is served first"},
                [OPTION_TYPE] = {"type", 0, "TYPE", "pci sriov-nic",
                                 "Of a new group: pci, whole devices; sriov-nic, virtual functions of "
                                 "network "
                                 "cards"},
                [OPTION_VFS] = {"vfs", 0, "N", NULL, "How many virtual functions each physical one has"},
                [OPTION_VLAN] = {"vlan", 0, "N", NULL, "The VLAN of the functions, 1 to 4094; 0: none"},
                [OPTION_VLAN_PROTOCOL] = {"vlan-protocol", 0, "PROTOCOL", "802.1Q 802.1ad",
                                          "How the VLAN is tagged: 802.1Q or 802.1ad"},
                [OPTION_VLAN_QOS] = {"vlan-qos", 0, "N", NULL, "The priority in the VLAN's tag, 0 to 7"},
                [OPTION_MIN_RATE] = {"min-rate", 0, "MBIT", NULL, "Mbit/s to send at least; 0: no promise"},
                [OPTION_MAX_RATE] = {"max-rate", 0, "MBIT", NULL, "Mbit/s to send at most; 0: no limit"},
                [OPTION_LINK_STATE] =
                                {"link-state", 0, "STATE", "auto enable disable",
                                 "auto: the link is up when the port's is; enable: always; disable: never"},
                [OPTION_SPOOF_CHECKING] = {"spoof-checking", 0, "SWITCH", "default on off",
                                           "Drop frames with the source address of others"},
                [OPTION_TRUST] = {"trust", 0, "SWITCH", "default on off",
                                  "Let the VM change its address and see the frames of others"},
                [OPTION_QUERY_RSS] = {"query-rss", 0, "SWITCH", "default on off",
                                      "Let the VM read how the port spreads frames over queues"},
                [OPTION_OVERRIDABLE] =
                                {"overridable", 0, "SETTINGS", NULL,
                                 "Which of these settings a claim may have otherwise: vlan,mac; '': none"},
                [OPTION_MAC] = {"mac", 0, "MAC[,...]", NULL,
                                "The addresses of the claim's functions; '': made up by the service"},
                [OPTION_CONFIRM] = {"confirm", 0, "TIME", NULL,
                                    "Undo it unless 'passthroughctl confirm' comes in time: 60s, 5min; 10s "
                                    "to 1h"},
                [OPTION_PRUNE] = {"prune", 0, NULL, NULL,
                                  "Remove groups and rules that the document does not name"},
                [OPTION_FORCE] = {"force", 0, NULL, NULL, "Also if somebody else has changed it meanwhile"},
                [OPTION_ACCESS] = {"access", 0, "HOW", "acl fds",
                                   "acl: the user may open /dev/vfio; fds: QEMU inherits open descriptors"},
                [OPTION_WAIT] = {"wait", 'w', "TIME", NULL,
                                 "Wait so long for devices that others have: 30s, 2h"},
                [OPTION_MEMORY] = {"memory", 'm', "SIZE", NULL,
                                   "The VM's memory, 4G: says if the user may not lock as much"},
                [OPTION_VIOMMU] = {"viommu", 0, NULL, NULL, "The VM has a virtual IOMMU"},
                [OPTION_NUMA_NODE] = {"numa-node", 0, "N", NULL, "Devices of this NUMA node if possible"},
                [OPTION_OWNER] = {"owner", 0, "USER", NULL, "The VM of this user, by name or number"},
                [OPTION_LIBVIRT] = {"libvirt", 0, NULL, NULL, "As XML for libvirt"},
};

const OptionInfo *option_info(Option o) {
        assert(o >= 0 && o < OPTION_MAX);
        return &infos[o];
}

static ExitCode take(Options *o, Option option, const char *value) {
        const char **list;

        o->given |= UINT64_C(1) << option;
        o->values[option] = strempty(value);
        if (option != OPTION_CONSENT)
                return EXIT_DONE;
        list = reallocarray(o->consent, o->n_consent + 1, sizeof *list);
        if (!list)
                return complain_oom();
        o->consent = list;
        o->consent[o->n_consent++] = value;
        return EXIT_DONE;
}

/* Letters that getopt takes, and the long names; val: 256 + the option. */
static void fill_tables(char letters[static 4 * OPTION_MAX], struct option longs[static OPTION_MAX + 1]) {
        *letters++ = ':';
        for (Option i = 0; i < OPTION_MAX; i++) {
                const char *argument = infos[i].argument;
                int kind = !argument            ? no_argument
                           : argument[0] == '[' ? optional_argument
                                                : required_argument;

                longs[i] = (struct option){infos[i].name, kind, NULL, 256 + (int)i};
                if (!infos[i].letter)
                        continue;
                *letters++ = infos[i].letter;
                /* "-j" takes no value: it would have to stick to it. */
                if (kind == required_argument)
                        *letters++ = ':';
        }
        *letters = '\0';
        longs[OPTION_MAX] = (struct option){};
}

Option option_from_letter(int letter) {
        for (Option i = 0; i < OPTION_MAX; i++)
                if (infos[i].letter == letter)
                        return i;
        return OPTION_INVALID;
}

/* c: what getopt says; word: as it was typed. */
static ExitCode complain_option(int c, const char *word) {
        size_t n = strcspn(word, "=");

        if (c == ':')
                return complain(EXIT_USAGE, "Option '%s' needs a value; see 'passthroughctl help'.", word);
        if (optopt >= 256)
                return complain(EXIT_USAGE, "Option '%.*s' takes no value; see 'passthroughctl help'.",
                                (int)n, word);
        for (Option i = 0; i < OPTION_MAX && startswith(word, "--"); i++)
                if (strncmp(infos[i].name, word + 2, n - 2) == 0)
                        return complain(EXIT_USAGE,
                                        "Option '%.*s' could be several, --%s for one; give all of it.",
                                        (int)n, word, infos[i].name);
        for (Option i = 0; i < OPTION_MAX && startswith(word, "--"); i++) {
                _cleanup_free_ char *name = strndup(word + 2, n - 2);

                if (name && similar(name, infos[i].name))
                        return complain(EXIT_USAGE, "There is no option '--%s'; did you mean --%s?", name,
                                        infos[i].name);
        }
        return complain(EXIT_USAGE, "There is no option '%s'; see 'passthroughctl help'.", word);
}

/* "-group NICs" is "-g roup" and one more word to getopt, which could be a device. */
static ExitCode check_hyphens(int argc, char **argv) {
        for (int i = 1; i < argc && !streq(argv[i], "--"); i++) {
                size_t n = strcspn(argv[i], "=");

                if (argv[i][0] != '-' || argv[i][1] == '-' || n < 3)
                        continue;
                for (Option o = 0; o < OPTION_MAX; o++)
                        if (strlen(infos[o].name) == n - 1 &&
                            strncmp(infos[o].name, argv[i] + 1, n - 1) == 0)
                                return complain(EXIT_USAGE, "There is no option '%.*s'; did you mean --%s?",
                                                (int)n, argv[i], infos[o].name);
        }
        return EXIT_DONE;
}

ExitCode options_parse(int argc, char **argv, Options *ret) {
        struct option longs[OPTION_MAX + 1];
        char letters[4 * OPTION_MAX];
        ExitCode hyphens;
        int c;

        *ret = (Options){};
        hyphens = check_hyphens(argc, argv);
        if (hyphens != EXIT_DONE)
                return hyphens;
        fill_tables(letters, longs);
        optind = 1;
        while ((c = getopt_long(argc, argv, letters, longs, NULL)) >= 0) {
                Option option = c >= 256 ? (Option)(c - 256) : option_from_letter(c);
                ExitCode code;
                char word[3] = {'-', (char)optopt, '\0'};

                if (c == '?' || c == ':' || option < 0)
                        return complain_option(c, optopt > 0 && optopt < 256 ? word : argv[optind - 1]);
                code = take(ret, option, optarg);
                if (code != EXIT_DONE)
                        return code;
        }
        ret->separated = optind > 1 && streq(argv[optind - 1], "--");
        ret->n_words = argc - optind;
        ret->words = argv + optind;
        return EXIT_DONE;
}

void options_done(Options *o) {
        free(o->consent);
        *o = (Options){};
}

const char *option_value(const Options *o, Option option) {
        return o->values[option];
}

bool number_parse(const char *text, uint64_t *ret) {
        char *end = NULL;

        if (text[0] < '0' || text[0] > '9')
                return false;
        errno = 0;
        *ret = strtoull(text, &end, 10);
        return *end == '\0' && errno == 0;
}

ExitCode option_number(const Options *o, Option option, uint64_t min, uint64_t max, uint64_t *ret) {
        const char *text = option_value(o, option);
        uint64_t n;

        if (!text)
                return EXIT_DONE;
        if (!number_parse(text, &n) || n < min || n > max)
                return complain(EXIT_USAGE, "--%s=%s: give a whole number from %" PRIu64 " to %" PRIu64 ".",
                                infos[option].name, text, min, max);
        *ret = n;
        return EXIT_DONE;
}
