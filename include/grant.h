/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A grant: root's consent that a device may leave the host. The helper alone writes grants, as root-owned files
 * `<address>.grant` in /etc/verge-passthrough/grants.d; everybody may read them. One that is not yet confirmed is
 * pending: it lies in /run/verge-passthrough/grants.d, counts as much, is looked at first, and dies with a reboot.
 * This is the record and its text form; who may write one is the helper's business.
 *
 * A mark, `<address>.boot` beside the kept grants, is the standing order to bind the device at boot; it holds the id
 * of the boot in which that was last done. A file of its own, because it must go when a disk is full, too.
 *
 * The text is lines of `key=value`; unknown keys, missing keys and keys given twice are errors, because half a
 * consent is none.
 */

#include <sys/types.h>

#include "pci-identity.h"

#define GRANT_TEXT_SIZE 4096
#define GRANT_SUFFIX ".grant"
#define GRANT_MARK_SUFFIX ".boot"
#define GRANT_BOOT_SIZE 33 /* the id of a boot: 32 hexadecimal digits */

typedef struct Grant {
        PciIdentity identity;
        IommuSet set; /* who must move along, this device among them; number is unused */
        char host_driver[PCI_DRIVER_SIZE]; /* driver at grant time; "" when it had none */
        uint32_t consent;                  /* bits of CriticalReason that were overridden by name */
        uid_t granted_by;
        uint64_t granted_at; /* seconds since the epoch */
        bool covers_vfs; /* not the device itself may leave, but its SR-IOV virtual functions, and they alone */
        uint16_t vfs;    /* how many it was last told to have; 0..VFS_MAX */
        char ids[20];    /* the selector (grant-ids.h) it was made from; "": the device itself was granted */
        bool pending;    /* where it was read; not in the text */
        char persistent[GRANT_BOOT_SIZE]; /* the boot (its id) in its mark; "": it has none. Not in the text */
} Grant;

/* -EBADMSG: not a grant. Bounded by the text; allocates nothing. */
int grant_parse(const char *text, Grant *ret);

/* Returns the length, or -ENOBUFS. parse(format(g)) = g. */
int grant_format(const Grant *grant, char *buf, size_t size);

/* Reads the grant of a device itself, the pending or else the kept one. -ENOENT: there is none; -EBADMSG: damaged, or
 * of another address; -EPERM: not owned by root, or writable by others. `root_uid` is 0 but in tests. A mark that is
 * damaged or not root's alone counts as none. */
int grant_read(int root, const PciAddress *a, uid_t root_uid, Grant *ret);

/* The same of the virtual functions of a physical one: an address has the one or the other, never both. */
int grant_read_pf(int root, const PciAddress *pf, uid_t root_uid, Grant *ret);
/* The same, with the mark of this virtual function. That `pf` is still what the grant names, and `vf` a function of it,
 * is the caller's to prove. */
int grant_read_vf(int root, const PciAddress *vf, const PciAddress *pf, uid_t root_uid, Grant *ret);

/* Exactly the pending, or exactly the kept one, of either kind. */
int grant_read_from(int root, bool pending, const PciAddress *a, uid_t root_uid, Grant *ret);

/* Which boot this is, as marks say it. -EBADMSG: the kernel's boot_id is no UUID. */
int grant_read_boot(int root, char ret[static GRANT_BOOT_SIZE]);
bool grant_boot_is_valid(const char *s) _pure_;

/* Where it lies, below the root directory. Returns buf. */
#define GRANT_PATH_SIZE                                                                                     \
        (sizeof PENDING_GRANTS_DIR + sizeof GRANTS_DIR + PCI_ADDRESS_SIZE + sizeof GRANT_SUFFIX)
const char *grant_path(bool pending, const PciAddress *a, char buf[static GRANT_PATH_SIZE]);
const char *grant_mark_path(const PciAddress *a, char buf[static GRANT_PATH_SIZE]);

/* Is this the name of a file "ADDRESS<suffix>", and of which device? */
bool grant_file_is(const char *name, const char *suffix, PciAddress *ret);
