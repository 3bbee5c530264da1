/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the host would lose if a device left it. HostFacts is one reading of what the host uses (mounts, swap,
 * volumes, addresses, routes, remote sessions, screens, keyboards, watchdogs), followed through partitions, dm,
 * md, bonds, bridges and VLANs down to sysfs paths; critical_evaluate() asks it about one device. Read-only, needs
 * no privilege. Both processes use it: the daemon to show, the helper to decide.
 *
 * host_facts_load() can wait for kernel locks (RTNL) that a hung driver holds: call it where waiting is
 * allowed, in a worker or thread.
 */

#include "pci-identity.h"
#include "string-table.h"

typedef enum CriticalReason {
        CRITICAL_ROOT_FILESYSTEM, /* the root file system, or a part of what it is on */
        CRITICAL_MOUNTED,         /* another file system on it is mounted */
        CRITICAL_SWAP,            /* the host swaps to it */
        CRITICAL_BOOT_DISK,       /* the next boot needs it: /boot, ESP, what fstab mounts on them */
        CRITICAL_VOLUME_MEMBER, /* an active md, LVM, LUKS, multipath, bcache, ZFS or btrfs volume is on it */
        CRITICAL_DEFAULT_ROUTE, /* the way out of the host */
        CRITICAL_ADDRESS,       /* the host has an IP address on it, or another network namespace has it */
        CRITICAL_BRIDGE_OR_BOND_MEMBER, /* a bridge, bond, team, VLAN, macvlan or VRF is on top of it */
        CRITICAL_YOUR_CONNECTION,       /* a remote session comes in through it */
        CRITICAL_WAKE_PATH,             /* the host can be woken up through it */
        CRITICAL_CONSOLE,         /* boot VGA, framebuffer, lit screen, only graphics adapter, console tty */
        CRITICAL_INPUT,           /* the only keyboards of the host are on it */
        CRITICAL_WATCHDOG_OR_BMC, /* an armed watchdog, IPMI, a TPM */
        CRITICAL_BRIDGE_DEVICE,   /* a bridge: other devices are behind it */
        CRITICAL_PF_WITH_VFS,     /* its virtual functions would be orphaned */
        CRITICAL_NO_IOMMU,        /* nothing would keep it from writing to any memory */
        CRITICAL_FIRMWARE_MAPPING,  /* firmware uses memory through it (reserved direct region) */
        CRITICAL_UNSAFE_INTERRUPTS, /* VFIO was told to do without interrupt remapping */
        CRITICAL_REASON_MAX,
        CRITICAL_REASON_INVALID = -EINVAL,
} CriticalReason;

DECLARE_STRING_TABLE(critical_reason, CriticalReason); /* "mounted", "default-route", ... */

/* An administrator can consent to these by name. Of the others the kernel refuses some, and nothing could bring back
 * a host without its root file system, or memory that anybody may write to. */
#define CRITICAL_OVERRIDABLE                                                                                \
        (1U << CRITICAL_MOUNTED | 1U << CRITICAL_SWAP | 1U << CRITICAL_BOOT_DISK |                          \
         1U << CRITICAL_VOLUME_MEMBER | 1U << CRITICAL_DEFAULT_ROUTE | 1U << CRITICAL_ADDRESS |             \
         1U << CRITICAL_BRIDGE_OR_BOND_MEMBER | 1U << CRITICAL_YOUR_CONNECTION | 1U << CRITICAL_CONSOLE |   \
         1U << CRITICAL_INPUT | 1U << CRITICAL_WATCHDOG_OR_BMC | 1U << CRITICAL_FIRMWARE_MAPPING |          \
         1U << CRITICAL_UNSAFE_INTERRUPTS)

/* These are told, and keep nobody from anything: drivers arm them without being asked. */
#define CRITICAL_WARNINGS (1U << CRITICAL_WAKE_PATH)

typedef struct Critical {
        uint32_t reasons;  /* bits 1 << CriticalReason, without warnings: it must stay */
        uint32_t warnings; /* those of CRITICAL_WARNINGS that hold */
        char sentence[CRITICAL_REASON_MAX][384]; /* for each reason that holds: object, reason, what to do */
} Critical;

typedef struct HostFacts HostFacts;

/* Fails (negative errno) rather than knowing half: no verdict is better than a wrong "nothing is lost". */
int host_facts_load(int root, HostFacts **ret);
HostFacts *host_facts_free(HostFacts *facts);
DEFINE_CLEANUP(HostFacts *, host_facts_free);

/* Part of it goes without an event: what is mounted in other mount namespaces only, or was unmounted here a moment
 * ago and is being taken down; volumes of bcache, DRBD and ZFS; an armed watchdog. Whoever keeps verdicts must look
 * again by himself. */
bool host_facts_are_unwatched(const HostFacts *facts) _pure_;

/* -ENODEV: the device is gone. */
int critical_evaluate(const HostFacts *facts, int device_fd, const PciIdentity *identity, Critical *ret);

/* "mounted, swap" for bits. Returns buf. */
const char *critical_format(uint32_t reasons, char *buf, size_t size);

/* What a failed evaluation means for the user, used where facts could not be had. */
#define CRITICAL_UNKNOWN_SENTENCE                                                                           \
        "what the host uses could not be read, so nothing may leave it; see the log and try again"
