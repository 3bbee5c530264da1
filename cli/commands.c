/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "commands.h"

static const Command table[] = {
                {NULL,
                 "list",
                 command_list,
                 "[FILTER]",
                 {WORD_FILTER},
                 0,
                 1,
                 OPTIONS_LIST | OPT(IOMMU) | OPT(GROUP) | OPT(CLASS),
                 "PCI devices, whether they can leave the host, and who has them"},
                {NULL,
                 "show",
                 command_show,
                 "[DEVICE...]",
                 {WORD_DEVICE},
                 0,
                 WORDS_ANY,
                 OPTIONS_SHOW,
                 "All about devices; without one about this host"},
                {NULL,
                 "doctor",
                 command_doctor,
                 "",
                 {},
                 0,
                 0,
                 OPTIONS_SHOW,
                 "Why passthrough does not work on this host, and what to do"},
                {NULL,
                 "help",
                 command_help,
                 "[COMMAND...]",
                 {WORD_COMMAND},
                 0,
                 2,
                 0,
                 "This, or what a command takes"},
};

const Command *commands(size_t *ret_n) {
        *ret_n = ELEMENTSOF(table);
        return table;
}
