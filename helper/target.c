/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <limits.h>
#include <time.h>

#include "grant-store.h"
#include "lock.h"
#include "sysfs.h"
#include "target.h"

#define SET_NONE UINT_MAX

Target *target_close(Target *t) {
        if (!t)
                return NULL;

        for (Target *next; t->vfs; t->vfs = next) {
                next = t->vfs->next;
                target_close(t->vfs);
        }
        for (size_t i = 0; i < t->n_members; i++)
                (void)close(t->members[i].fd);
        if (t->lock >= 0)
                (void)close(t->lock);
        host_facts_free(t->facts);
        free(t);
        return NULL;
}

static int fail_reading(Target *t, const PciAddress *a, int r) {
        char address[PCI_ADDRESS_SIZE];

        (void)pci_address_format(a, address);
        if (r == -ENODEV)
                return worker_fail(t->result, FAILURE_NO_SUCH_DEVICE,
                                   "There is no PCI device %s; 'lspci -D' lists those that exist.", address);
        return worker_fail(t->result, FAILURE_INTERNAL,
                           "Device %s cannot be read (%s); see 'dmesg' and try again.", address,
                           strerror(-r));
}

int target_refresh_driver(Target *t, Member *m) {
        int r;

        r = sysfs_read_link_name(m->fd, "driver", m->driver, sizeof m->driver);
        if (r < 0 && r != -ENOENT)
                return fail_reading(t, &m->identity.address, r);
        if (r < 0)
                m->driver[0] = '\0';
        worker_note_driver(t->result, m->address, m->driver);
        return 0;
}

/* Opens one function of the set; bridges are left out. */
static int open_member(Target *t, const PciAddress *a) {
        _cleanup_close_ int fd = -1;
        PciIdentity identity;
        Member *m;
        int r;

        fd = sysfs_open_device(t->root, a);
        if (fd < 0)
                return fail_reading(t, a, fd);

        r = pci_identity_read(fd, a, &identity);
        if (r < 0)
                return fail_reading(t, a, r);
        if (pci_class_is_forwarding_bridge(identity.class_code))
                return 0;

        m = &t->members[t->n_members];
        *m = (Member){.fd = STEAL_FD(fd), .identity = identity};
        (void)pci_address_format(a, m->address);
        t->n_members++;
        (void)iommu_set_add(&t->movers, a);

        return target_refresh_driver(t, m);
}

static int take_lock(Target *t, TargetAccess access) {
        t->lock = lock_set(t->root, t->movers.number, access == TARGET_CHANGE ? t->result : NULL);
        if (t->lock == -EAGAIN)
                return worker_fail(t->result, FAILURE_BUSY,
                                   "Nothing was changed: another operation on IOMMU set %u is under way; "
                                   "try again when it has ended.",
                                   t->movers.number);
        if (t->lock < 0)
                return worker_fail(t->result, FAILURE_INTERNAL,
                                   "Cannot lock IOMMU set %u (/" LOCKS_DIR
                                   ": %s); run 'systemd-tmpfiles --create' and try again.",
                                   t->movers.number, strerror(-t->lock));
        return 0;
}

static int read_set(Target *t, const PciAddress *a, IommuSet *ret) {
        _cleanup_close_ int fd = -1;
        char address[PCI_ADDRESS_SIZE];
        int r;

        fd = sysfs_open_device(t->root, a);
        if (fd < 0)
                return fail_reading(t, a, fd);

        *ret = (IommuSet){0};
        r = iommu_set_read(fd, ret);
        if (r == -ENOENT) {
                ret->number = SET_NONE;
                return iommu_set_add(ret, a);
        }
        if (r == -EXDEV || r == -E2BIG)
                return worker_fail(t->result, FAILURE_CRITICAL,
                                   "Device %s must stay with the host: its IOMMU set holds devices that are "
                                   "not PCI functions, or more than %u; pass another device.",
                                   pci_address_format(a, address), DEVICES_PER_CALL_MAX);
        return r < 0 ? fail_reading(t, a, r) : 0;
}

/* Finds the set and locks it. While it waited the set may have become another: then once more. */
static int settle_set(Target *t, const PciAddress *a, TargetAccess access) {
        char address[PCI_ADDRESS_SIZE];
        int r;

        worker_doing(t->result, "waiting for an earlier operation on %s", pci_address_format(a, address));
        for (;;) {
                if ((r = read_set(t, a, &t->set)) < 0)
                        return r;
                if (access == TARGET_READ || t->set.number == SET_NONE ||
                    (t->lock >= 0 && t->set.number == t->movers.number))
                        break;

                closep(&t->lock);
                t->movers.number = t->set.number;
                if ((r = take_lock(t, access)) < 0)
                        return r;
        }

        t->movers.number = t->set.number;
        return 0;
}

/* The set is there, so nobody may take its device for one that is not. */
static int fail_sibling(Target *t, int r) {
        char address[PCI_ADDRESS_SIZE];

        if (t->result->failure.kind != FAILURE_NO_SUCH_DEVICE)
                return r;
        t->result->failure = (Failure){0};
        return worker_fail(t->result, FAILURE_BUSY,
                           "A device of the IOMMU set of %s is just going; try again.",
                           pci_address_format(&t->named, address));
}

int target_open(int root, const PciAddress *a, TargetAccess access, WorkerResult *result, Target **ret) {
        _cleanup_(target_closep) Target *t = NULL;
        char address[PCI_ADDRESS_SIZE];
        int r;

        assert(a);
        assert(result);
        assert(ret);

        t = calloc(1, sizeof *t);
        if (!t)
                return worker_fail(result, FAILURE_INTERNAL, "Out of memory; try again.");
        t->root = root;
        t->named = *a;
        t->result = result;
        t->lock = -1;

        if ((r = settle_set(t, a, access)) < 0)
                return r;

        worker_doing(result, "reading %s", pci_address_format(a, address));
        for (size_t i = 0; i < t->set.n_members; i++)
                if ((r = open_member(t, &t->set.members[i])) < 0)
                        return pci_address_compare(&t->set.members[i], a) == 0 ? r : fail_sibling(t, r);

        if (!iommu_set_contains(&t->movers, a))
                return worker_fail(result, FAILURE_CRITICAL,
                                   "Device %s is a bridge and must stay with the host; pass the devices "
                                   "behind it instead.",
                                   address);

        *ret = STEAL(t);
        return 0;
}

static int fail_identity(Target *t, const Member *m, const char *what) {
        return worker_fail(t->result, FAILURE_IDENTITY_CHANGED,
                           "Device %s is not what was granted: %s. Look at what is in the machine, %s.",
                           m->address, what,
                           m->grant.covers_vfs ? "then Revoke and GrantVfs again"
                                               : "then Revoke and Grant again");
}

int target_prove(Target *t, const Member *m) {
        char number[16], expected[16];
        PciIdentity now;
        int r;

        r = pci_identity_read(m->fd, &m->identity.address, &now);
        if (r < 0)
                return fail_reading(t, &m->identity.address, r);
        if (!pci_identity_same(&now, &m->identity))
                return fail_identity(t, m, "another device has taken its address");

        (void)snprintf(expected, sizeof expected, "%u", t->movers.number);
        r = sysfs_read_link_name(m->fd, "iommu_group", number, sizeof number);
        if (r < 0 || !streq(number, expected))
                return fail_identity(t, m, "it has moved to another IOMMU set");
        return 0;
}

void target_make_grant(Target *t, Member *m, const Grant *old) {
        pci_identity_read_slot(t->root, NULL, &m->identity);
        pci_identity_read_serial(m->fd, &m->identity);
        m->grant = (Grant){
                        .identity = m->identity,
                        .set = t->movers,
                        .granted_at = (uint64_t)time(NULL),
        };

        /* On vfio-pci, or half-way after a crash: where it belongs is what the old grant knew. */
        if (m->driver[0] && !member_on_vfio(m))
                strcpy(m->grant.host_driver, m->driver);
        else if (old)
                strcpy(m->grant.host_driver, old->host_driver);
}

static bool make_from_selector(Target *t, Member *m) {
        const Grant old = m->grant; /* perhaps from another selector, which is gone */
        GrantIds by;

        if (grant_ids_find(t->root, &m->identity, geteuid(), &by) < 0)
                return false;

        target_make_grant(t, m, pci_identity_same(&old.identity, &m->identity) ? &old : NULL);
        m->grant.granted_by = by.granted_by;
        (void)id_selector_format(&by.ids, m->grant.ids);
        m->made = true;
        return true;
}

bool target_is_granted_device(Target *t, Member *m) {
        if (m->grant.identity.slot[0])
                pci_identity_read_slot(t->root, m->grant.identity.slot, &m->identity);
        if (m->grant.identity.serial[0])
                pci_identity_read_serial(m->fd, &m->identity);
        return pci_identity_same(&m->grant.identity, &m->identity);
}

static int fail_other(Target *t, const Member *m) {
        return fail_identity(t, m, "its ids, serial number or slot are others");
}

static int fail_damaged(Target *t, const Member *m, const char *remedy) {
        char path[GRANT_PATH_SIZE];

        return worker_fail(t->result, FAILURE_NOT_GRANTED,
                           "The grant of device %s, /%s, is damaged or not root's alone; %s.", m->address,
                           grant_path(false, &m->identity.address, path), remedy);
}

int target_check_pf(Target *t, Member *m) {
        int r;

        r = grant_read_pf(t->root, &m->identity.address, geteuid(), &m->grant);
        if (r == -ENOENT)
                return worker_fail(t->result, FAILURE_NOT_GRANTED,
                                   "No administrator has granted that virtual functions of device %s may "
                                   "leave the host; call GrantVfs for it first.",
                                   m->address);
        if (r < 0)
                return fail_damaged(t, m, "remove it and GrantVfs again");
        return target_is_granted_device(t, m) ? 0 : fail_other(t, m);
}

/* The physical function of a virtual one, by the link in the device's own directory. 0: it is none. */
static int open_pf(const Member *vf, Member *ret) {
        char name[PCI_ADDRESS_SIZE];
        PciAddress a;

        if (sysfs_read_link_name(vf->fd, "physfn", name, sizeof name) < 0 || pci_address_parse(name, &a) < 0)
                return 0;
        *ret = (Member){.fd = sysfs_open_dir(vf->fd, "physfn")};
        if (ret->fd >= 0 && pci_identity_read(ret->fd, &a, &ret->identity) >= 0)
                return !!pci_address_format(&a, ret->address);
        closep(&ret->fd);
        return 0;
}

bool member_is_of_the_make(const Member *m) {
        PciIdentity granted = m->grant.identity;

        granted.serial[0] = granted.slot[0] = '\0';
        granted.revision = m->identity.revision;
        return pci_identity_same(&granted, &m->identity);
}

/* Consent for a virtual function is derived each time: its physical one has a grant for it, and is what that names; on
 * the way home, of its make. 1: so it is, and m->grant is filled in. 0: it has to have one of its own. */
static int check_covered(Target *t, Member *m, bool home) {
        _cleanup_close_ int fd = -1;
        Member pf;
        int r = 0;

        if (!open_pf(m, &pf))
                return 0;
        fd = pf.fd;
        if (t->pf && pci_identity_same(&t->pf->identity, &pf.identity))
                pf.grant = t->pf->grant;
        else if ((r = grant_read_pf(t->root, &pf.identity.address, geteuid(), &pf.grant)) < 0)
                return r == -ENOENT || home ? 0 : fail_damaged(t, &pf, "remove it and GrantVfs again");
        else if (home ? !member_is_of_the_make(&pf) : !target_is_granted_device(t, &pf))
                return home ? 0 : fail_other(t, &pf);

        m->grant = pf.grant;
        m->grant.identity = m->identity;
        m->grant.set = t->movers;
        m->grant.covers_vfs = false;
        m->grant.host_driver[0] = '\0'; /* that was the physical function's */
        return 1;
}

int target_check_grant(Target *t, Member *m) {
        char set[256];
        bool same_device, same_set;
        Grant pf;
        int r;

        if ((r = check_covered(t, m, false)) != 0)
                return r < 0 ? r : 0;

        r = grant_read(t->root, &m->identity.address, geteuid(), &m->grant);
        if (r == -ENOENT && grant_read_pf(t->root, &m->identity.address, geteuid(), &pf) >= 0)
                return worker_fail(t->result, FAILURE_NOT_GRANTED,
                                   "Device %s stays with the host: its virtual functions may leave, not "
                                   "itself. Revoke that grant to pass it as a whole; where they share its "
                                   "IOMMU set (%s), put the card into a slot with ACS.",
                                   m->address, iommu_set_format(&t->movers, set, sizeof set));
        if (r >= 0 && !grant_ids_stand(t->root, &m->grant, geteuid()))
                r = -ENOENT;
        if (r == -ENOENT && make_from_selector(t, m))
                return 0;
        if (r == -ENOENT)
                return worker_fail(t->result, FAILURE_NOT_GRANTED,
                                   "No administrator has granted that device %s may leave the host; call "
                                   "Grant for its whole IOMMU set (%s) first.",
                                   m->address, iommu_set_format(&t->movers, set, sizeof set));
        if (r < 0)
                return fail_damaged(t, m, "remove it and Grant again");

        same_device = target_is_granted_device(t, m);
        same_set = iommu_set_same_members(&m->grant.set, &t->movers);
        if (same_device && same_set)
                return 0;

        /* Nobody consented to this very device, but to all with such ids: so to the one that is there now. */
        if (m->grant.ids[0] && make_from_selector(t, m))
                return 0;
        return same_device ? fail_identity(t, m, "other devices share its IOMMU set") : fail_other(t, m);
}

int target_check_grants(Target *t) {
        int r;

        for (size_t i = 0; i < t->n_members; i++)
                if ((r = target_check_grant(t, &t->members[i])) < 0)
                        return r;
        return 0;
}

int target_check_confirmed(Target *t) {
        GrantConfirm c;

        for (size_t i = 0; i < t->n_members; i++)
                if (grant_confirm_find(t->root, &t->members[i].identity.address, geteuid(), &c))
                        return worker_fail(
                                        t->result, FAILURE_CONFIRMATION_PENDING,
                                        "Device %s was given away by a change that nobody has confirmed "
                                        "yet; Confirm or Revert that first, or wait until it has gone back.",
                                        t->members[i].address);
        return 0;
}

bool target_is_interrupted(const Target *t, Move *ret) {
        char name[16];

        (void)snprintf(name, sizeof name, "%u", t->movers.number);
        return move_read(t->root, name, ret) >= 0;
}

int target_check_home(Target *t) {
        const Member *stranger = &t->members[0];
        bool any = false, held = false;
        Move move = {0};

        if (target_is_interrupted(t, &move) &&
            move.verb == MOVE_VFS) /* of a physical function, which stays */
                move.set = (IommuSet){0};
        for (size_t i = 0; i < t->n_members; i++) {
                Member *m = &t->members[i];
                const PciAddress *a = &m->identity.address;

                m->ours = check_covered(t, m, true) > 0 ||
                          (grant_read(t->root, a, geteuid(), &m->grant) >= 0 && member_is_of_the_make(m)) ||
                          iommu_set_contains(&move.set, a);
                any |= m->ours;
                if (!m->ours && member_on_vfio(m)) {
                        held = true;
                        stranger = m;
                }
        }

        if (any && !held)
                return 0;
        return worker_fail(t->result, FAILURE_NOT_GRANTED,
                           "Device %s has no valid grant; call Grant for it and its IOMMU set again, then "
                           "Release.",
                           stranger->address);
}

int target_load_facts(int root, WorkerResult *result, HostFacts **ret) {
        int r;

        worker_doing(result, "reading what the host uses");
        r = host_facts_load(root, ret);
        if (r < 0)
                return worker_fail(result, FAILURE_CRITICAL,
                                   "Nothing was moved or granted: " CRITICAL_UNKNOWN_SENTENCE " (%s).",
                                   strerror(-r));
        return 0;
}

int target_evaluate(Target *t, const Member *m, const HostFacts *facts, Critical *ret) {
        int r;

        r = critical_evaluate(facts, m->fd, &m->identity, ret);
        return r < 0 ? fail_reading(t, &m->identity.address, r) : 0;
}

uint32_t target_refused(const Target *t, const Member *m, const Critical *c, uint32_t consent) {
        consent |= t->ungranted ? 0 : m->grant.consent;
        return c->reasons & ~(consent & CRITICAL_OVERRIDABLE);
}

int target_check_critical(Target *t, const HostFacts *facts, uint32_t consent) {
        uint32_t refused;
        Critical c;
        int r;

        for (size_t i = 0; i < t->n_members; i++) {
                r = target_evaluate(t, &t->members[i], facts, &c);
                if (r < 0)
                        return r;

                t->members[i].critical = c.reasons;
                t->result->critical |= c.reasons;
                refused = target_refused(t, &t->members[i], &c, consent);
                for (int reason = 0; reason < CRITICAL_REASON_MAX; reason++)
                        if (refused & 1U << reason)
                                return worker_fail(t->result, FAILURE_CRITICAL, "%s", c.sentence[reason]);
        }
        return 0;
}

Member *target_member(Target *t, const PciAddress *a) {
        for (size_t i = 0; i < t->n_members; i++)
                if (pci_address_compare(&t->members[i].identity.address, a) == 0)
                        return &t->members[i];
        assert(false); /* a bridge is refused when it is opened */
        return NULL;
}

Member *target_named(Target *t) {
        return target_member(t, &t->named);
}

bool target_on_vfio(const Target *t) {
        for (size_t i = 0; i < t->n_members; i++)
                if (!member_on_vfio(&t->members[i]))
                        return false;
        return true;
}

int target_unmark(Target *t) {
        int r, k;

        r = grant_store_unmark(t->root, &t->movers);
        for (size_t i = 0; i < t->n_members; i++)
                if ((k = grant_store_unmark(t->root, &t->members[i].grant.set)) < 0)
                        r = k;
        return r;
}
