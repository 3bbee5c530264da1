/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <time.h>

#include "grant-store.h"
#include "lock.h"
#include "prompt.h"
#include "request-move.h"
#include "sysfs.h"

#define GRANTS_LISTED_MAX 4096U

void request_prepare_grant_ids(int root _unused_, const void *request, WorkerResult *result) {
        prompt_ids(request, result);
}

void request_grant_ids(int root, const void *request, WorkerResult *result) {
        GrantIds grants[SELECTORS_PER_CALL_MAX];
        _cleanup_close_ int lock = -1;
        const Request *q = request;
        int r;

        if ((lock = lock_grants(root, result)) < 0)
                return;

        for (size_t i = 0; i < q->n_ids; i++)
                grants[i] = (GrantIds){q->ids[i], q->uid, (uint64_t)time(NULL)};
        r = grant_store_write_ids(root, grants, q->n_ids);
        if (r < 0)
                (void)worker_fail_write(result, "Nothing was granted", GRANTS_DIR, r);
}

/* The grants that were made from some selectors, found by reading the directory. */
typedef struct Search {
        int root;
        const Request *q;
        WorkerResult *result;
        size_t n; /* grants seen */
        size_t n_made;
        PciAddress made[GRANTS_LISTED_MAX];
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

/* Without the lock of its set: who binds by ids writes the grant, or finds it, and begins the journal under the lock
 * of the grants. So it is seen here, or comes too late. */
static int check_at_home(Search *s, const PciAddress *a) {
        _cleanup_(target_closep) Target *t = NULL;
        int r;

        r = target_open(s->root, a, TARGET_READ, s->result, &t);
        if (r >= 0)
                return move_check_at_home(t);
        if (s->result->failure.kind != FAILURE_NO_SUCH_DEVICE)
                return r;
        s->result->failure = (Failure){0};
        return 0;
}

static int visit_grant(const char *name, void *userdata) {
        Search *s = userdata;
        PciAddress a;
        Grant g;

        if (!grant_file_is(name, GRANT_SUFFIX, &a))
                return 0;
        if (++s->n > GRANTS_LISTED_MAX)
                return failure_set(&s->result->failure, FAILURE_LIMITS_EXCEEDED,
                                   "There are more than %u grants in /" GRANTS_DIR
                                   "; remove those that nobody needs.",
                                   GRANTS_LISTED_MAX);
        if (grant_read_from(s->root, false, &a, geteuid(), &g) < 0 || !is_made_from(&g, s->q))
                return 0;

        s->made[s->n_made++] = a;
        return check_at_home(s, &a);
}

static int search_grants(Search *s) {
        int r;

        r = sysfs_each(s->root, GRANTS_DIR, visit_grant, s);
        if (r < 0)
                (void)failure_set(&s->result->failure, FAILURE_INTERNAL,
                                  "/" GRANTS_DIR " cannot be read (%s); run 'systemd-tmpfiles --create'.",
                                  strerror(-r));
        return r;
}

void request_prepare_revoke_ids(int root, const void *request, WorkerResult *result) {
        Search s = {.root = root, .q = request, .result = result};

        if (search_grants(&s) >= 0)
                prompt_ids(request, result);
}

/* Without its selector a grant that was made from it counts no more, so what is left of them is of no consequence. */
static int remove_all(Search *s, bool *any) {
        IommuSet one;
        int r = 0;

        for (size_t i = 0; i < s->q->n_ids && r >= 0; i++)
                if ((r = grant_store_remove_ids(s->root, &s->q->ids[i])) > 0)
                        *any = true;
        for (size_t i = 0; i < s->n_made && r >= 0; i++) {
                one = (IommuSet){.n_members = 1, .members = {s->made[i]}};
                if ((r = grant_store_unmark(s->root, &one)) >= 0)
                        r = grant_store_remove(s->root, false, &s->made[i]);
        }
        return r;
}

void request_revoke_ids(int root, const void *request, WorkerResult *result) {
        Search s = {.root = root, .q = request, .result = result};
        _cleanup_close_ int lock = -1;
        char ids[ID_SELECTOR_SIZE];
        bool any = false;
        int r;

        if ((lock = lock_grants(root, result)) < 0 || search_grants(&s) < 0)
                return;

        r = remove_all(&s, &any);
        if (r < 0)
                (void)worker_fail_remove(result, "The grant of, or what was made from,",
                                         id_selector_format(&s.q->ids[0], ids), GRANTS_DIR, r);
        else if (!any && s.n_made == 0)
                (void)worker_fail(result, FAILURE_NOT_GRANTED,
                                  "The ids %s were not granted; nothing was changed.",
                                  id_selector_format(&s.q->ids[0], ids));
}
