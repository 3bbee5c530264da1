/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <time.h>

#include "confine.h"
#include "grant-store.h"
#include "prompt.h"
#include "request-move.h"
#include "sysfs.h"

#define GRANTS_LISTED_MAX 4096U

void request_prepare_grant_ids(int root, const void *request, WorkerResult *result) {
        if (confine(root, request, 0, NULL, 0, result) >= 0)
                prompt_ids(request, result);
}

void request_grant_ids(int root, const void *request, WorkerResult *result) {
        const Request *q = request;
        GrantIds g = {.granted_by = q->uid, .granted_at = (uint64_t)time(NULL)}, old[SELECTORS_PER_CALL_MAX];
        bool had[SELECTORS_PER_CALL_MAX];
        size_t n = 0;
        int r = 0;

        if (confine(root, q, CONFINE_KEPT, NULL, 0, result) < 0)
                return;

        for (; n < q->n_ids && r >= 0; n++) {
                had[n] = grant_ids_read(root, &q->ids[n], geteuid(), &old[n]) >= 0;
                g.ids = q->ids[n];
                r = grant_store_write_ids(root, &g);
        }
        if (r >= 0)
                return;

        (void)failure_set(&result->failure, FAILURE_INTERNAL,
                          "The consent cannot be written to /" GRANTS_DIR " (%s); nothing was granted.",
                          strerror(-r));
        while (n-- > 0)
                (void)(had[n] ? grant_store_write_ids(root, &old[n])
                              : grant_store_remove_ids(root, &q->ids[n]));
}

/* The grants that were made from some selectors, found by reading the directory. */
typedef struct Search {
        int root;
        const Request *q;
        bool remove; /* else only look whether all are at home */
        size_t n;    /* files seen */
        bool any;
        WorkerResult *result;
} Search;

static bool is_made_from(const Grant *g, const Request *q) {
        IdSelector ids;

        if (id_selector_parse(g->ids, &ids) < 0)
                return false;
        for (size_t i = 0; i < q->n_ids; i++)
                if (id_selector_same(&ids, &q->ids[i]))
                        return true;
        return false;
}

/* The one lock held at a time: however many devices a selector has, there is no waiting in a circle. */
static int settle_grant(Search *s, const PciAddress *a) {
        _cleanup_(target_closep) Target *t = NULL;
        Failure *f = &s->result->failure;
        int r;

        r = target_open(s->root, a, s->remove ? TARGET_CHANGE : TARGET_READ, s->result, &t);
        if (r < 0 && f->kind == FAILURE_NO_SUCH_DEVICE)
                *f = (Failure){0};
        else if (r < 0 || (r = move_check_at_home(t)) < 0)
                return r;
        if (!s->remove)
                return 0;

        r = grant_store_remove(s->root, false, a);
        if (r < 0)
                return failure_set(f, FAILURE_INTERNAL,
                                   "The grants of devices with these ids cannot be removed from /" GRANTS_DIR
                                   " (%s); remove them by hand.",
                                   strerror(-r));
        return 0;
}

/* The address that a file is named after. */
static int address_of(const char *name, PciAddress *ret) {
        char address[PCI_ADDRESS_SIZE + sizeof GRANT_SUFFIX], *end;

        if ((size_t)snprintf(address, sizeof address, "%s", name) >= sizeof address)
                return -EINVAL;
        end = strrchr(address, '.');
        if (!end || !streq(end, GRANT_SUFFIX))
                return -EINVAL;
        *end = '\0';
        return pci_address_parse(address, ret);
}

static int visit_grant(const char *name, void *userdata) {
        Search *s = userdata;
        PciAddress a;
        Grant g;

        if (++s->n > GRANTS_LISTED_MAX)
                return failure_set(&s->result->failure, FAILURE_LIMITS_EXCEEDED,
                                   "There are more than %u files in /" GRANTS_DIR
                                   "; remove those that nobody needs.",
                                   GRANTS_LISTED_MAX);

        if (address_of(name, &a) < 0 || grant_read_from(s->root, false, &a, geteuid(), &g) < 0 ||
            !is_made_from(&g, s->q))
                return 0;

        s->any = true;
        return settle_grant(s, &a);
}

static int search_grants(Search *s) {
        int r;

        s->n = 0;
        r = sysfs_each(s->root, GRANTS_DIR, visit_grant, s);
        if (r < 0)
                (void)failure_set(&s->result->failure, FAILURE_INTERNAL,
                                  "/" GRANTS_DIR " cannot be read (%s); run 'systemd-tmpfiles --create'.",
                                  strerror(-r));
        return r;
}

void request_prepare_revoke_ids(int root, const void *request, WorkerResult *result) {
        Search s = {.root = root, .q = request, .result = result};

        if (confine(root, request, CONFINE_LOCKS, NULL, 0, result) >= 0 && search_grants(&s) >= 0)
                prompt_ids(request, result);
}

/* The selectors go between two readings: the first refuses before anything is changed; the second comes upon what a
 * Bind has made meanwhile, for after it has written a grant it looks whether the selector still stands. */
void request_revoke_ids(int root, const void *request, WorkerResult *result) {
        Search s = {.root = root, .q = request, .result = result};
        char ids[ID_SELECTOR_SIZE];
        int r;

        if (confine(root, request, CONFINE_LOCKS | CONFINE_KEPT, NULL, 0, result) < 0 ||
            search_grants(&s) < 0)
                return;

        for (size_t i = 0; i < s.q->n_ids; i++) {
                r = grant_store_remove_ids(root, &s.q->ids[i]);
                if (r < 0) {
                        (void)failure_set(&result->failure, FAILURE_INTERNAL,
                                          "The grant of the ids %s cannot be removed from /" GRANTS_DIR
                                          " (%s); remove it by hand.",
                                          id_selector_format(&s.q->ids[i], ids), strerror(-r));
                        return;
                }
                s.any |= r > 0;
        }

        s.remove = true;
        if (search_grants(&s) >= 0 && !s.any)
                (void)failure_set(&result->failure, FAILURE_NOT_GRANTED,
                                  "The ids %s were not granted; nothing was changed.",
                                  id_selector_format(&s.q->ids[0], ids));
}
