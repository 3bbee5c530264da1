/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "authorisation.h"
#include "names.h"

/* One row a line: a test compares it with the vtables. */
/* clang-format off */
static const Authorisation authorisation_table[] = {
        { BUS_INTERFACE_MANAGER, "Grant",           AUTHORISATION_HELPER, POLKIT_ACTION_GRANT  },
        { BUS_INTERFACE_MANAGER, "Revoke",          AUTHORISATION_HELPER, POLKIT_ACTION_REVOKE },
        { BUS_INTERFACE_MANAGER, "GrantIds",        AUTHORISATION_HELPER, POLKIT_ACTION_GRANT  },
        { BUS_INTERFACE_MANAGER, "RevokeIds",       AUTHORISATION_HELPER, POLKIT_ACTION_REVOKE },
        { BUS_INTERFACE_MANAGER, "MakePassthrough", AUTHORISATION_HELPER, POLKIT_ACTION_GRANT  },
        { BUS_INTERFACE_MANAGER, "ReturnToHost",    AUTHORISATION_HELPER, POLKIT_ACTION_REVOKE },
        { BUS_INTERFACE_MANAGER, "Confirm",         AUTHORISATION_OWNER,  POLKIT_ACTION_MANAGE },
        { BUS_INTERFACE_MANAGER, "Revert",          AUTHORISATION_OWNER,  POLKIT_ACTION_MANAGE },
        { BUS_INTERFACE_MANAGER, "CreateGroup",     AUTHORISATION_POLKIT, POLKIT_ACTION_MANAGE },
        { BUS_INTERFACE_MANAGER, "CreateRule",      AUTHORISATION_POLKIT, POLKIT_ACTION_MANAGE },
        { BUS_INTERFACE_MANAGER, "CreateClaim",     AUTHORISATION_POLKIT, POLKIT_ACTION_CLAIM  },
        { BUS_INTERFACE_MANAGER, "StartVm",         AUTHORISATION_OWNER,  POLKIT_ACTION_CLAIM  },
        { BUS_INTERFACE_MANAGER, "StopVm",          AUTHORISATION_OWNER,  POLKIT_ACTION_CLAIM  },
        { BUS_INTERFACE_MANAGER, "Import",          AUTHORISATION_POLKIT, POLKIT_ACTION_MANAGE },
        { BUS_INTERFACE_MANAGER, "Export",          AUTHORISATION_OPEN,   NULL                 },
        { BUS_INTERFACE_MANAGER, "PreviewRule",     AUTHORISATION_OPEN,   NULL                 },
        { BUS_INTERFACE_MANAGER, "Plan",            AUTHORISATION_OPEN,   NULL                 },
        { BUS_INTERFACE_MANAGER, "Diagnose",        AUTHORISATION_OPEN,   NULL                 },
        { BUS_INTERFACE_GROUP,   "Update",          AUTHORISATION_POLKIT, POLKIT_ACTION_MANAGE },
        { BUS_INTERFACE_GROUP,   "Delete",          AUTHORISATION_POLKIT, POLKIT_ACTION_MANAGE },
        { BUS_INTERFACE_RULE,    "Update",          AUTHORISATION_POLKIT, POLKIT_ACTION_MANAGE },
        { BUS_INTERFACE_RULE,    "Delete",          AUTHORISATION_POLKIT, POLKIT_ACTION_MANAGE },
        { BUS_INTERFACE_RULE,    "Explain",         AUTHORISATION_OPEN,   NULL                 },
        { BUS_INTERFACE_CLAIM,   "Start",           AUTHORISATION_OWNER,  POLKIT_ACTION_CLAIM  },
        { BUS_INTERFACE_CLAIM,   "Stop",            AUTHORISATION_OWNER,  POLKIT_ACTION_CLAIM  },
        { BUS_INTERFACE_CLAIM,   "Update",          AUTHORISATION_OWNER,  POLKIT_ACTION_CLAIM  },
        { BUS_INTERFACE_CLAIM,   "Delete",          AUTHORISATION_OWNER,  POLKIT_ACTION_CLAIM  },
        { BUS_INTERFACE_CLAIM,   "QemuArguments",   AUTHORISATION_OPEN,   NULL                 },
        { BUS_INTERFACE_CLAIM,   "LibvirtXml",      AUTHORISATION_OPEN,   NULL                 },
        { BUS_INTERFACE_DEVICE,  "Check",           AUTHORISATION_OPEN,   NULL                 },
        { BUS_INTERFACE_DEVICE,  "Bind",            AUTHORISATION_POLKIT, POLKIT_ACTION_MANAGE },
        { BUS_INTERFACE_DEVICE,  "Release",         AUTHORISATION_POLKIT, POLKIT_ACTION_MANAGE },
        { BUS_INTERFACE_DEVICE,  "Reset",           AUTHORISATION_POLKIT, POLKIT_ACTION_MANAGE },
        { BUS_INTERFACE_DEVICE,  "SetVfCount",      AUTHORISATION_HELPER, POLKIT_ACTION_GRANT  },
        { BUS_INTERFACE_DEVICE,  "EndQuarantine",   AUTHORISATION_POLKIT, POLKIT_ACTION_MANAGE },
};
/* clang-format on */

const Authorisation *authorisation_find(const char *interface, const char *member) {
        for (size_t i = 0; i < ELEMENTSOF(authorisation_table) && interface && member; i++)
                if (streq(authorisation_table[i].interface, interface) &&
                    streq(authorisation_table[i].member, member))
                        return &authorisation_table[i];
        return NULL;
}
