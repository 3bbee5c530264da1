/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "array.h"
#include "confine.h"
#include "grant-confirm.h"
#include "log.h"
#include "revert.h"
#include "sysfs.h"

#define PAUSE_FIRST_USEC (1000ULL * 1000)
#define PAUSE_MAX_USEC (60ULL * 1000 * 1000)
#define AT_ONCE_MAX 16U   /* each is a process */
#define WAITING_MAX 1024U /* each was consented to in a prompt */

typedef struct Wait {
        PciAddress device;
        uint64_t until;    /* CLOCK_BOOTTIME, as all times here */
        uint64_t again_at; /* after a failure */
        unsigned failures;
        FailureKind told; /* the last failure that was logged */
        bool running;
        bool busy; /* another operation is at its set: its end has us look again */
} Wait;

struct Reverts {
        Operations *all;
        sd_event_source *timer;
        Wait *waits;
        size_t n, n_running;
        bool unread; /* the directory could not be read: it is looked at again */
};

static const Verb revert = {"Revert", .work = request_revert, .writes = CONFINE_ALL, .move = MOVE_RELEASE};

Reverts *reverts_free(Reverts *r) {
        if (!r)
                return NULL;

        sd_event_source_disable_unref(r->timer);
        free(r->waits);
        free(r);
        return NULL;
}
DEFINE_CLEANUP(Reverts *, reverts_free);

bool reverts_any(const Reverts *r) {
        return r->n > 0;
}

static Wait *find(const Reverts *r, const PciAddress *a) {
        for (size_t i = 0; i < r->n; i++)
                if (pci_address_compare(&r->waits[i].device, a) == 0)
                        return &r->waits[i];
        return NULL;
}

typedef struct Look {
        const Reverts *before;
        Wait *waits;
        size_t n;
} Look;

static int take(const char *name, void *userdata) {
        const char *suffix = strrchr(name, '.');
        Look *l = userdata;
        char stem[32];
        GrantConfirm c;
        PciAddress a;
        Wait *known;

        if (name[0] == '.' || !suffix || !streq(suffix, GRANT_CONFIRM_SUFFIX) || l->n >= WAITING_MAX ||
            (size_t)snprintf(stem, sizeof stem, "%.*s", (int)(suffix - name), name) >= sizeof stem ||
            pci_address_parse(stem, &a) < 0 ||
            !grant_confirm_find(l->before->all->root_fd, &a, l->before->all->authoriser.root_uid, &c))
                return 0;
        if (array_grow(&l->waits, l->n, sizeof *l->waits) < 0)
                return -ENOMEM;

        known = find(l->before, &a);
        l->waits[l->n] = known ? *known : (Wait){.device = a};
        l->waits[l->n].until = c.until;
        l->waits[l->n].busy = false;
        l->n++;
        return 0;
}

/* One that is under way stays until its end, whatever has become of its file. */
static int keep_running(Look *l) {
        for (size_t i = 0; i < l->before->n; i++) {
                const Wait *w = &l->before->waits[i];
                bool known = false;

                for (size_t k = 0; k < l->n; k++)
                        known |= pci_address_compare(&l->waits[k].device, &w->device) == 0;
                if (!w->running || known)
                        continue;
                if (array_grow(&l->waits, l->n, sizeof *l->waits) < 0)
                        return -ENOMEM;
                l->waits[l->n++] = *w;
        }
        return 0;
}

static void read_waits(Reverts *r) {
        Look l = {.before = r};
        int k;

        k = sysfs_each(r->all->root_fd, PENDING_GRANTS_DIR, take, &l);
        if (k == -ENOENT)
                k = 0;
        if (k >= 0)
                k = keep_running(&l);
        if (k < 0) {
                if (!r->unread)
                        log_error("What waits for a confirmation cannot be read in /" PENDING_GRANTS_DIR
                                  " (%s); it is tried again.",
                                  strerror(-k));
                free(l.waits);
        } else {
                free(r->waits);
                r->waits = l.waits;
                r->n = l.n;
        }
        r->unread = k < 0;
}

static void note_failure(Wait *w, const Failure *f) {
        uint64_t pause = PAUSE_FIRST_USEC;
        char address[PCI_ADDRESS_SIZE];

        for (unsigned i = 0; i < w->failures && pause < PAUSE_MAX_USEC; i++)
                pause *= 2;
        w->again_at = grant_confirm_now() + (pause < PAUSE_MAX_USEC ? pause : PAUSE_MAX_USEC);
        w->failures++;
        if (f->kind == FAILURE_BUSY || f->kind == w->told)
                return;
        w->told = f->kind;
        log_warning("Nobody has confirmed that device %s leaves the host, and it cannot be brought back "
                    "yet; it is tried again. %s",
                    pci_address_format(&w->device, address), f->sentence);
}

static void on_ended(const PciAddress *device, const Failure *failure, void *userdata) {
        Reverts *r = userdata;
        Wait *w;

        r->n_running--;
        w = find(r, device);
        assert(w);
        w->running = false;
        if (failure)
                note_failure(w, failure);
}

static bool is_idle(const Wait *w) {
        return !w->running && !w->busy;
}

static uint64_t due_at(const Wait *w) {
        return w->until > w->again_at ? w->until : w->again_at;
}

static int on_time(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        reverts_look(userdata);
        return 0;
}

static void arm(Reverts *r) {
        uint64_t first = r->unread ? grant_confirm_now() + PAUSE_FIRST_USEC : UINT64_MAX;

        for (size_t i = 0; i < r->n && r->n_running < AT_ONCE_MAX; i++)
                if (is_idle(&r->waits[i]) && due_at(&r->waits[i]) < first)
                        first = due_at(&r->waits[i]);
        (void)sd_event_source_set_time(r->timer, first);
        (void)sd_event_source_set_enabled(r->timer, first == UINT64_MAX ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

static void start(Reverts *r, Wait *w) {
        Failure f = {0};
        int k;

        k = operation_start_own(r->all, &revert, &w->device, on_ended, r);
        if (k >= 0) {
                w->running = true;
                r->n_running++;
        } else if (k == -EBUSY)
                w->busy = true;
        else {
                (void)failure_set(&f, FAILURE_INTERNAL, "No worker could be started (%s).", strerror(-k));
                note_failure(w, &f);
        }
}

static void run_due(Reverts *r) {
        for (size_t i = 0; i < r->n && r->n_running < AT_ONCE_MAX; i++)
                if (is_idle(&r->waits[i]) && due_at(&r->waits[i]) <= grant_confirm_now())
                        start(r, &r->waits[i]);
        arm(r);
}

void reverts_look(Reverts *r) {
        assert(r);

        read_waits(r);
        run_due(r);
}

int reverts_new(Operations *all, Reverts **ret) {
        _cleanup_(reverts_freep) Reverts *r = NULL;
        int k;

        assert(all);
        assert(ret);

        r = calloc(1, sizeof *r);
        if (!r)
                return -ENOMEM;
        r->all = all;
        if ((k = sd_event_add_time(all->event, &r->timer, CLOCK_BOOTTIME, UINT64_MAX, 1000, on_time, r)) < 0)
                return k;
        reverts_look(r);
        *ret = STEAL(r);
        return 0;
}
