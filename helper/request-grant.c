/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <time.h>

#include <systemd/sd-hwdb.h>

#include "atomic-file.h"
#include "request.h"
#include "steps.h"
#include "sysfs.h"
#include "target.h"
#include "text.h"

/* All that a Grant or Revoke is about: the targets of its devices, each IOMMU set once. To change them all are locked,
 * in the order of addresses; should two workers wait for each other all the same, the deadline ends it. */
typedef struct Scope {
        size_t n_targets;
        Target *targets[DEVICES_PER_CALL_MAX];
} Scope;

static void scope_close(Scope *s) {
        for (size_t i = 0; i < s->n_targets; i++)
                target_close(s->targets[i]);
}

static bool scope_contains(const Scope *s, const PciAddress *a) {
        for (size_t i = 0; i < s->n_targets; i++)
                if (iommu_set_contains(&s->targets[i]->movers, a))
                        return true;
        return false;
}

static bool request_names(const Request *q, const PciAddress *a) {
        for (size_t i = 0; i < q->n_devices; i++)
                if (pci_address_compare(&q->devices[i], a) == 0)
                        return true;
        return false;
}

static int check_complete(const Request *q, Target *t) {
        char address[PCI_ADDRESS_SIZE], text[512];
        IommuSet missing = {0};

        for (size_t i = 0; i < t->movers.n_members; i++)
                if (!request_names(q, &t->movers.members[i]))
                        (void)iommu_set_add(&missing, &t->movers.members[i]);
        if (missing.n_members == 0)
                return 0;

        return failure_set(&t->result->failure, FAILURE_INCOMPLETE_IOMMU_SET,
                           "The IOMMU cannot separate device %s from %s; name these too, they would move "
                           "along.",
                           pci_address_format(&q->devices[0], address),
                           iommu_set_format(&missing, text, sizeof text));
}

/* A function of a set that is open already, but not one that moves: opening it again would wait for our own lock. */
static int refuse_bridge(const Scope *s, int root, const PciAddress *a, WorkerResult *result) {
        char number[16], address[PCI_ADDRESS_SIZE];
        _cleanup_close_ int fd = -1;

        fd = sysfs_open_device(root, a);
        if (fd < 0 || sysfs_read_link_name(fd, "iommu_group", number, sizeof number) < 0)
                return 0;
        for (size_t i = 0; i < s->n_targets; i++)
                if (strtoul(number, NULL, 10) == s->targets[i]->movers.number)
                        return failure_set(&result->failure, FAILURE_CRITICAL,
                                           "Device %s is a bridge and stays with the host; leave it out.",
                                           pci_address_format(a, address));
        return 0;
}

static int scope_open(Scope *s, int root, const Request *q, TargetAccess access, bool or_missing,
                      WorkerResult *result) {
        int r;

        for (size_t i = 0; i < q->n_devices; i++) {
                const PciAddress *a = &q->devices[i];

                if (scope_contains(s, a))
                        continue;
                r = refuse_bridge(s, root, a, result);
                if (r < 0)
                        return r;
                r = target_open(root, a, access, result, &s->targets[s->n_targets]);
                if (r < 0 && or_missing && result->failure.kind == FAILURE_NO_SUCH_DEVICE) {
                        result->failure = (Failure){0};
                        continue;
                }
                if (r < 0)
                        return r;
                s->n_targets++;
        }

        if (access == TARGET_CHANGE && worker_past_deadline(result))
                return failure_set(&result->failure, FAILURE_STUCK,
                                   "An earlier operation did not end in time; nothing was changed.");
        return 0;
}

/* The prompt said who they are. Whoever sits at these addresses now must be the same, in the same sets. */
static int check_prompted(const Request *q, const Scope *s, WorkerResult *result) {
        char address[PCI_ADDRESS_SIZE];
        size_t n = 0;

        if (q->n_identities == 0)
                return 0;

        for (size_t i = 0; i < s->n_targets; i++)
                for (size_t k = 0; k < s->targets[i]->n_members; k++, n++) {
                        const PciIdentity *now = &s->targets[i]->members[k].identity;

                        if (n < q->n_identities && pci_identity_same(now, &q->identities[n]))
                                continue;
                        return failure_set(&result->failure, FAILURE_IDENTITY_CHANGED,
                                           "Device %s or its IOMMU set is another than the prompt named; "
                                           "nothing was "
                                           "granted. Look at what is in the machine and call Grant again.",
                                           pci_address_format(&now->address, address));
                }
        return 0;
}

static int open_for_grant(Scope *s, int root, const Request *q, TargetAccess access, WorkerResult *result) {
        _cleanup_(host_facts_freep) HostFacts *facts = NULL;
        int r;

        if ((r = scope_open(s, root, q, access, false, result)) < 0 ||
            (r = check_prompted(q, s, result)) < 0 || (r = target_load_facts(root, result, &facts)) < 0)
                return r;

        for (size_t i = 0; i < s->n_targets; i++)
                if ((r = check_complete(q, s->targets[i])) < 0 ||
                    (r = target_check_critical(s->targets[i], facts, q->consent)) < 0)
                        return r;
        return 0;
}

/* Without its grant a device could not come home: so it must be there, with no move of ours left unfinished. */
static int check_at_home(Target *t) {
        char address[PCI_ADDRESS_SIZE];
        Move left;
        int r;

        r = steps_check_override(t);
        if (r < 0)
                return r;

        for (size_t i = 0; i < t->n_members; i++)
                if (member_on_vfio(&t->members[i]) || t->members[i].overridden ||
                    target_is_interrupted(t, &left))
                        return failure_set(&t->result->failure, FAILURE_NOT_BOUND,
                                           "Device %s is not at the host; Release it before its grant is "
                                           "taken back.",
                                           pci_address_format(&t->members[i].identity.address, address));
        return 0;
}

/* A grant outlives its device; taking it back must not need the device. */
static int open_for_revoke(Scope *s, int root, const Request *q, TargetAccess access, WorkerResult *result) {
        int r;

        r = scope_open(s, root, q, access, true, result);
        for (size_t i = 0; i < s->n_targets && r >= 0; i++)
                r = check_at_home(s->targets[i]);
        return r;
}

/* The prompt must not be written by whom it is about: words come from the system's hardware database, by the ids
 * that the kernel reads, never from the daemon. */
static void append_model(sd_hwdb *hwdb, const Member *m, char *list, size_t size) {
        const char *vendor = NULL, *model = NULL;
        char modalias[256], words[192];

        if (hwdb && sysfs_read(m->fd, "modalias", modalias, sizeof modalias) > 0) {
                (void)sd_hwdb_get(hwdb, modalias, "ID_VENDOR_FROM_DATABASE", &vendor);
                (void)sd_hwdb_get(hwdb, modalias, "ID_MODEL_FROM_DATABASE", &model);
        }

        (void)snprintf(words, sizeof words, "%.80s%s%.80s [%04x:%04x]", strempty(vendor), vendor ? " " : "",
                       model ? model : "PCI device", m->identity.vendor, m->identity.device);
        text_append_item(list, size, words);
}

static void describe(const Scope *s, const Request *q, WorkerResult *result) {
        _cleanup_(sd_hwdb_unrefp) sd_hwdb *hwdb = NULL;
        char address[PCI_ADDRESS_SIZE];

        (void)sd_hwdb_new(&hwdb);

        for (size_t i = 0; i < q->n_devices; i++)
                text_append_item(result->prompt.device, sizeof result->prompt.device,
                                 pci_address_format(&q->devices[i], address));

        for (size_t i = 0; i < s->n_targets; i++)
                for (size_t k = 0; k < s->targets[i]->n_members; k++) {
                        const Member *m = &s->targets[i]->members[k];

                        if (result->n_identities < DEVICES_PER_CALL_MAX)
                                result->identities[result->n_identities++] = m->identity;
                        text_append_item(result->prompt.iommu_set, sizeof result->prompt.iommu_set,
                                         pci_address_format(&m->identity.address, address));
                        text_append_item(result->prompt.driver, sizeof result->prompt.driver,
                                         m->driver[0] ? m->driver : "none");
                        append_model(hwdb, m, result->prompt.model, sizeof result->prompt.model);
                }

        (void)critical_format(result->critical, result->prompt.consent, sizeof result->prompt.consent);
}

void request_prepare_grant(int root, const void *request, WorkerResult *result) {
        _cleanup_(scope_close) Scope s = {0};

        if (request_confine(root, request, NULL, result) >= 0 &&
            open_for_grant(&s, root, request, TARGET_READ, result) >= 0)
                describe(&s, request, result);
}

void request_prepare_revoke(int root, const void *request, WorkerResult *result) {
        _cleanup_(scope_close) Scope s = {0};

        if (request_confine(root, request, NULL, result) >= 0 &&
            open_for_revoke(&s, root, request, TARGET_READ, result) >= 0)
                describe(&s, request, result);
}

static int write_grant(int root, const Grant *g) {
        char text[GRANT_TEXT_SIZE], name[PCI_ADDRESS_SIZE + sizeof GRANT_SUFFIX], address[PCI_ADDRESS_SIZE];
        int r;

        r = grant_format(g, text, sizeof text);
        if (r < 0)
                return r;

        (void)snprintf(name, sizeof name, "%s" GRANT_SUFFIX,
                       pci_address_format(&g->identity.address, address));
        return atomic_file_write(root, GRANTS_DIR, name, text, true);
}

static int remove_grant(int root, const PciAddress *a) {
        char path[sizeof GRANTS_DIR + PCI_ADDRESS_SIZE + sizeof GRANT_SUFFIX], address[PCI_ADDRESS_SIZE];

        (void)snprintf(path, sizeof path, GRANTS_DIR "/%s" GRANT_SUFFIX, pci_address_format(a, address));
        return unlinkat(root, path, 0) < 0 ? -errno : 1;
}

static int grant_member(Target *t, Member *m, const Request *q) {
        Grant g = {
                        .set = t->movers,
                        .consent = q->consent & m->critical & CRITICAL_OVERRIDABLE,
                        .granted_by = q->uid,
                        .granted_at = (uint64_t)time(NULL),
        };
        int r;

        /* What was there comes back if a later one fails. */
        m->touched = true;
        m->had_grant = grant_read(t->root, &m->identity.address, geteuid(), &m->grant) >= 0;

        pci_identity_read_slot(t->root, NULL, &m->identity);
        pci_identity_read_serial(m->fd, &m->identity);
        r = target_prove(t, m);
        if (r < 0)
                return r;

        g.identity = m->identity;
        /* On vfio-pci, or half-way after a crash: where it belongs is what the old grant knew. */
        if (m->driver[0] && !member_on_vfio(m))
                strcpy(g.host_driver, m->driver);
        else if (m->had_grant)
                strcpy(g.host_driver, m->grant.host_driver);
        r = write_grant(t->root, &g);
        if (r < 0)
                return failure_set(&t->result->failure, FAILURE_INTERNAL,
                                   "The grant cannot be written to /" GRANTS_DIR
                                   " (%s); nothing was granted.",
                                   strerror(-r));
        return 0;
}

static void take_back(Scope *s, WorkerResult *result) {
        size_t n = strlen(result->failure.sentence);
        int r;

        for (size_t i = 0; i < s->n_targets; i++)
                for (size_t k = 0; k < s->targets[i]->n_members; k++) {
                        Member *m = &s->targets[i]->members[k];

                        if (!m->touched)
                                continue;
                        r = m->had_grant ? write_grant(s->targets[i]->root, &m->grant)
                                         : remove_grant(s->targets[i]->root, &m->identity.address);
                        if (r < 0 && r != -ENOENT)
                                (void)snprintf(result->failure.sentence + n,
                                               sizeof result->failure.sentence - n,
                                               " Not all could be put back (%s): look into /" GRANTS_DIR ".",
                                               strerror(-r));
                }
}

void request_grant(int root, const void *request, WorkerResult *result) {
        _cleanup_(scope_close) Scope s = {0};

        if (request_confine(root, request, GRANTS_DIR, result) < 0 ||
            open_for_grant(&s, root, request, TARGET_CHANGE, result) < 0)
                return;

        for (size_t i = 0; i < s.n_targets; i++)
                for (size_t k = 0; k < s.targets[i]->n_members; k++)
                        if (grant_member(s.targets[i], &s.targets[i]->members[k], request) < 0) {
                                take_back(&s, result);
                                return;
                        }
}

static int revoke_one(int root, const PciAddress *a, bool *any, WorkerResult *result) {
        char address[PCI_ADDRESS_SIZE];
        int r;

        r = remove_grant(root, a);
        if (r < 0 && r != -ENOENT)
                return failure_set(&result->failure, FAILURE_INTERNAL,
                                   "The grant of device %s cannot be removed from /" GRANTS_DIR
                                   " (%s); remove it by hand.",
                                   pci_address_format(a, address), strerror(-r));

        *any |= r > 0;
        return 0;
}

void request_revoke(int root, const void *request, WorkerResult *result) {
        _cleanup_(scope_close) Scope s = {0};
        char address[PCI_ADDRESS_SIZE];
        const Request *q = request;
        bool any = false;

        if (request_confine(root, q, GRANTS_DIR, result) < 0 ||
            open_for_revoke(&s, root, q, TARGET_CHANGE, result) < 0)
                return;

        for (size_t i = 0; i < s.n_targets; i++)
                for (size_t k = 0; k < s.targets[i]->n_members; k++)
                        if (revoke_one(root, &s.targets[i]->members[k].identity.address, &any, result) < 0)
                                return;

        for (size_t i = 0; i < q->n_devices; i++)
                if (!scope_contains(&s, &q->devices[i]) &&
                    revoke_one(root, &q->devices[i], &any, result) < 0)
                        return;

        if (!any)
                (void)failure_set(&result->failure, FAILURE_NOT_GRANTED,
                                  "Device %s was not granted; nothing was changed.",
                                  pci_address_format(&q->devices[0], address));
}
