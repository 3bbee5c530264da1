/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Every name that both processes, the bus policy and polkit must agree on. */

#define BUS_NAME "org.verge.Passthrough"
#define BUS_PATH "/org/verge/Passthrough"
#define BUS_PATH_DEVICES BUS_PATH "/device"
#define BUS_PATH_GROUPS BUS_PATH "/group"
#define BUS_PATH_RULES BUS_PATH "/rule"
#define BUS_PATH_CLAIMS BUS_PATH "/claim"
#define BUS_INTERFACE_MANAGER "org.verge.Passthrough.Manager"
#define BUS_INTERFACE_DEVICE "org.verge.Passthrough.Device"
#define BUS_INTERFACE_GROUP "org.verge.Passthrough.Group"
#define BUS_INTERFACE_RULE "org.verge.Passthrough.Rule"
#define BUS_INTERFACE_CLAIM "org.verge.Passthrough.Claim"

#define HELPER_NAME "org.verge.Passthrough.Helper"
#define HELPER_PATH "/org/verge/Passthrough/Helper"
#define HELPER_INTERFACE "org.verge.Passthrough.Helper"

#define DAEMON_USER "verge-passthrough"

/* In the journal. */
#define DAEMON_IDENTIFIER "verge-passthroughd"
#define HELPER_IDENTIFIER "verge-passthrough-helper"

#define POLKIT_ACTION_MANAGE "org.verge.Passthrough.manage"
#define POLKIT_ACTION_CLAIM "org.verge.Passthrough.claim"
#define POLKIT_ACTION_GRANT "org.verge.Passthrough.grant"
#define POLKIT_ACTION_GRANT_CRITICAL "org.verge.Passthrough.grant-critical"
#define POLKIT_ACTION_REVOKE "org.verge.Passthrough.revoke"

/* Below the root directory of the host (or of a test's fake host). */
#define GRANTS_DIR "etc/verge-passthrough/grants.d"         /* the helper's: grants, selectors, marks */
#define PENDING_GRANTS_DIR "run/verge-passthrough/grants.d" /* the same, until they are kept */
#define HELPER_CONF "etc/verge-passthrough/verge-passthrough.conf" /* written by root */
#define STATE_DIR "var/lib/verge-passthrough"                      /* the daemon's own */
#define MOVES_DIR "run/verge-passthrough/moves" /* written by the helper, one file a moving IOMMU set */
#define LOCKS_DIR "run/verge-passthrough/locks" /* the helper's own */

#define ACCESS_DIR                                                                                          \
        "run/verge-passthrough/access" /* written by the helper, one file an IOMMU set that is open */

/* The boot guard's, written by the helper: boots that bound something and are not known to have gone well; and, in a
 * boot that binds nothing by itself for that, why. */
#define BOOTS_FILE GRANTS_DIR "/boots"
#define BOOT_GUARD_FILE "run/verge-passthrough/boot-guard"
#define BOOT_BEGUN_FILE "run/verge-passthrough/boot-begun" /* the unit has run, and need not again */

#define VFIO_DRIVER "vfio-pci"

/* On the kernel command line it leaves everything at the host: the way back in. */
#define KERNEL_OPTION_OFF "verge_passthrough=off"

/* Limits on what a caller can make us allocate. */
#define SELECTORS_PER_CALL_MAX 64U /* id selectors in one call */
#define DEVICES_PER_CALL_MAX 64U   /* addresses in one call, and members of one IOMMU set we move */
#define VFS_MAX 256U               /* virtual functions of one physical function */
#define POLKIT_PENDING_PER_UID 8U  /* authorisations waiting for one user */
#define POLKIT_PENDING_MAX 64U     /* authorisations waiting in all */
#define CALLS_PENDING_PER_UID 16U  /* calls a user may have under way that cost helper work */
#define CALLS_PENDING_MAX 64U
#define CALLS_UNIDENTIFIED_MAX 32U /* of these, such whose user the bus has not named yet */
