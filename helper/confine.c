/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "capabilities.h"
#include "confine.h"
#include "landlock.h"

/* What the move of this target writes, and nothing else. */
static int allow_move(int ruleset, const Target *t, bool vfs) {
        char path[64 + PCI_DRIVER_SIZE];
        int r;

        for (size_t i = 0; i < t->n_members; i++) {
                const Member *m = &t->members[i];

                (void)snprintf(path, sizeof path, "sys/bus/pci/drivers/%s/unbind", m->driver);
                if ((r = landlock_allow_file(ruleset, m->fd, "driver_override")) < 0 ||
                    (r = landlock_allow_file(ruleset, m->fd, "reset")) < 0 ||
                    (m->driver[0] && (r = landlock_allow_file(ruleset, t->root, path)) < 0))
                        return r;
                if (vfs && ((r = landlock_allow_file(ruleset, m->fd, "sriov_numvfs")) < 0 ||
                            (r = landlock_allow_file(ruleset, m->fd, "sriov_drivers_autoprobe")) < 0 ||
                            (t->vfs_to_come && (r = landlock_allow_file(ruleset, m->fd, "..")) < 0)))
                        return r;
        }
        for (const Target *v = t->vfs; v; v = v->next)
                if ((r = allow_move(ruleset, v, false)) < 0)
                        return r;

        r = landlock_allow_file(ruleset, t->root, "sys/bus/pci/drivers/" VFIO_DRIVER "/unbind");
        return r < 0 ? r : landlock_allow_file(ruleset, t->root, "sys/bus/pci/drivers_probe");
}

int confine(int root, const Request *q, Target *const *targets, size_t n_targets, WorkerResult *result) {
        static const char *const paths[] = {LOCKS_DIR, MOVES_DIR, GRANTS_DIR, PENDING_GRANTS_DIR,
                                            ACCESS_DIR};
        _cleanup_close_ int ruleset = -1;
        int r;

        if (!q->confine)
                return 0;

        r = ruleset = landlock_new();
        if (ruleset == -EOPNOTSUPP)
                return 0;
        for (size_t i = 0; i < ELEMENTSOF(paths) && r >= 0; i++)
                if (q->writes & 1U << i)
                        r = landlock_allow_directory(ruleset, root, paths[i]);
        for (size_t i = 0; i < n_targets && r >= 0; i++)
                r = allow_move(ruleset, targets[i], q->writes & CONFINE_VFS);
        if (r >= 0)
                r = landlock_restrict(ruleset);
        if (r < 0)
                return worker_fail(
                                result, FAILURE_INTERNAL,
                                "Nothing was changed: the worker could not be confined (%s); see 'dmesg'.",
                                strerror(-r));
        return 0;
}

/* Before anything of the request is looked at. */
static int give_up_capabilities(const Request *q, WorkerResult *result) {
        int r;

        r = q->confine ? capabilities_keep(q->net_admin) : 0;
        if (r >= 0)
                return 0;
        return worker_fail(result, FAILURE_INTERNAL,
                           "Nothing was changed: the worker could not give up its capabilities (%s); does a "
                           "drop-in of the unit forbid capset?",
                           strerror(-r));
}

void confine_and_work(int root, const void *request, WorkerResult *result) {
        const Request *q = request;

        if (give_up_capabilities(q, result) < 0)
                return;
        if (q->writes & CONFINE_TARGETS || confine(root, q, NULL, 0, result) >= 0)
                q->work(root, q, result);
}
