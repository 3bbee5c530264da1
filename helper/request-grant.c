/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <time.h>

#include <systemd/sd-hwdb.h>

#include "atomic-file.h"
#include "request.h"
#include "sysfs.h"
#include "target.h"

/* All that a Grant or Revoke is about: the targets of its devices, each IOMMU set once, all locked. Their order is
 * that of addresses, the same in every worker, so two of them cannot wait for each other. */
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

static int scope_open(Scope *s, int root, const Request *q, bool or_missing, WorkerResult *result) {
        int r;

        for (size_t i = 0; i < q->n_devices; i++) {
                if (scope_contains(s, &q->devices[i]))
                        continue;
                r = target_open(root, &q->devices[i], result, &s->targets[s->n_targets]);
                if (r < 0 && or_missing && result->failure.kind == FAILURE_NO_SUCH_DEVICE) {
                        result->failure = (Failure){0};
                        continue;
                }
                if (r < 0)
                        return r;
                s->n_targets++;
        }
        return 0;
}

static int open_for_grant(Scope *s, int root, const Request *q, WorkerResult *result) {
        _cleanup_(host_facts_freep) HostFacts *facts = NULL;
        int r;

        if ((r = scope_open(s, root, q, false, result)) < 0 ||
            (r = target_load_facts(root, result, &facts)) < 0)
                return r;

        for (size_t i = 0; i < s->n_targets; i++)
                if ((r = check_complete(q, s->targets[i])) < 0 ||
                    (r = target_check_critical(s->targets[i], facts, q->consent)) < 0)
                        return r;
        return 0;
}

static int open_for_revoke(Scope *s, int root, const Request *q, WorkerResult *result) {
        char address[PCI_ADDRESS_SIZE];
        int r;

        /* A grant outlives its device; taking it back must not need the device. */
        r = scope_open(s, root, q, true, result);
        if (r < 0)
                return r;

        for (size_t i = 0; i < s->n_targets; i++)
                for (size_t k = 0; k < s->targets[i]->n_members; k++) {
                        const Member *m = &s->targets[i]->members[k];

                        if (member_on_vfio(m))
                                return failure_set(&result->failure, FAILURE_NOT_BOUND,
                                                   "Device %s is not at the host; Release it before its "
                                                   "grant is "
                                                   "taken back.",
                                                   pci_address_format(&m->identity.address, address));
                }
        return 0;
}

/* Appends ", text" where it fits; a text that stands there already is not repeated. */
static void append(char *list, size_t size, const char *text) {
        size_t used = strlen(list);

        if (!text[0] || strstr(list, text))
                return;
        (void)snprintf(list + used, size - used, "%s%s", used > 0 ? ", " : "", text);
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
        append(list, size, words);
}

static void describe(const Scope *s, const Request *q, WorkerResult *result) {
        _cleanup_(sd_hwdb_unrefp) sd_hwdb *hwdb = NULL;
        char address[PCI_ADDRESS_SIZE];

        (void)sd_hwdb_new(&hwdb);

        for (size_t i = 0; i < q->n_devices; i++)
                append(result->prompt.device, sizeof result->prompt.device,
                       pci_address_format(&q->devices[i], address));

        for (size_t i = 0; i < s->n_targets; i++)
                for (size_t k = 0; k < s->targets[i]->n_members; k++) {
                        const Member *m = &s->targets[i]->members[k];

                        append(result->prompt.iommu_set, sizeof result->prompt.iommu_set,
                               pci_address_format(&m->identity.address, address));
                        append(result->prompt.driver, sizeof result->prompt.driver,
                               m->driver[0] ? m->driver : "none");
                        append_model(hwdb, m, result->prompt.model, sizeof result->prompt.model);
                }

        (void)critical_format(result->critical, result->prompt.consent, sizeof result->prompt.consent);
}

void request_prepare_grant(int root, const void *request, WorkerResult *result) {
        _cleanup_(scope_close) Scope s = {0};

        if (request_confine(root, request, NULL, result) >= 0 &&
            open_for_grant(&s, root, request, result) >= 0)
                describe(&s, request, result);
}

void request_prepare_revoke(int root, const void *request, WorkerResult *result) {
        _cleanup_(scope_close) Scope s = {0};

        if (request_confine(root, request, NULL, result) >= 0 &&
            open_for_revoke(&s, root, request, result) >= 0)
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
                        .consent = q->consent & t->result->critical & CRITICAL_OVERRIDABLE,
                        .granted_by = q->uid,
                        .granted_at = (uint64_t)time(NULL),
        };
        int r;

        /* What was there comes back if a later one fails. */
        m->touched = true;
        if (grant_read(t->root, &m->identity.address, geteuid(), &m->grant) < 0)
                m->grant = (Grant){0};

        pci_identity_read_serial(m->fd, &m->identity);
        r = target_prove(t, m);
        if (r < 0)
                return r;

        g.identity = m->identity;
        strcpy(g.host_driver, member_on_vfio(m) ? m->grant.host_driver : m->driver);
        r = write_grant(t->root, &g);
        if (r < 0)
                return failure_set(&t->result->failure, FAILURE_INTERNAL,
                                   "The grant cannot be written to /" GRANTS_DIR
                                   " (%s); nothing was granted.",
                                   strerror(-r));
        return 0;
}

static void take_back(Scope *s) {
        for (size_t i = 0; i < s->n_targets; i++)
                for (size_t k = 0; k < s->targets[i]->n_members; k++) {
                        Member *m = &s->targets[i]->members[k];

                        if (!m->touched)
                                continue;
                        if (m->grant.granted_at > 0)
                                (void)write_grant(s->targets[i]->root, &m->grant);
                        else
                                (void)remove_grant(s->targets[i]->root, &m->identity.address);
                }
}

void request_grant(int root, const void *request, WorkerResult *result) {
        _cleanup_(scope_close) Scope s = {0};

        if (request_confine(root, request, GRANTS_DIR, result) < 0 ||
            open_for_grant(&s, root, request, result) < 0)
                return;

        for (size_t i = 0; i < s.n_targets; i++)
                for (size_t k = 0; k < s.targets[i]->n_members; k++)
                        if (grant_member(s.targets[i], &s.targets[i]->members[k], request) < 0) {
                                take_back(&s);
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

        if (request_confine(root, q, GRANTS_DIR, result) < 0 || open_for_revoke(&s, root, q, result) < 0)
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
