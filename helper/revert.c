/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "confine.h"
#include "grant-confirm.h"
#include "log.h"
#include "revert.h"
#include "sysfs.h"

#define PAUSE_FIRST_USEC (1000ULL * 1000)
#define PAUSE_MAX_USEC (60ULL * 1000 * 1000)
#define AT_ONCE_MAX DEVICES_PER_CALL_MAX /* each is a process; no change of the daemon's needs more */

/* All times are of CLOCK_BOOTTIME. Which devices there are, and until when, is read anew each time. */
struct Reverts {
        Operations *all;
        sd_event_source *timer;
        unsigned n_running;
        uint64_t looked_at; /* what was due by then has been tried */
        uint64_t again_at;  /* and what of it is still there is tried again then */
        uint64_t pause;     /* until then: ever longer, until something comes home or is due */
        FailureKind told;   /* the last that was logged */
        bool unread;        /* the directory could not be read: it is looked at again */
        bool busy;          /* a set was taken */
        bool any;
};

static const Verb revert = {"Revert", .work = request_revert, .writes = CONFINE_ALL, .move = MOVE_RELEASE};

Reverts *reverts_free(Reverts *r) {
        if (!r)
                return NULL;

        sd_event_source_disable_unref(r->timer);
        free(r);
        return NULL;
}
DEFINE_CLEANUP(Reverts *, reverts_free);

bool reverts_any(const Reverts *r) {
        return r->any || r->n_running > 0;
}

static void note_failure(Reverts *r, const PciAddress *device, const Failure *f) {
        char address[PCI_ADDRESS_SIZE];

        if (r->again_at > grant_confirm_now() + r->pause)
                r->again_at = grant_confirm_now() + r->pause;
        if (f->kind == FAILURE_BUSY || f->kind == r->told)
                return;
        r->told = f->kind;
        log_warning("Nobody has confirmed that device %s leaves the host, and it cannot be brought back "
                    "yet; it is tried again. %s",
                    pci_address_format(device, address), f->sentence);
}

static void on_ended(const PciAddress *device, const Failure *failure, void *userdata) {
        Reverts *r = userdata;

        r->n_running--;
        if (failure) {
                note_failure(r, device, failure);
                return;
        }
        r->told = FAILURE_NONE;
        r->pause = PAUSE_FIRST_USEC;
}

static void start(Reverts *r, const PciAddress *device) {
        Failure f = {.kind = FAILURE_BUSY};
        int k;

        k = operation_start_own(r->all, &revert, device, on_ended, r);
        if (k >= 0) {
                r->n_running++;
                return;
        }
        if (k == -EBUSY)
                r->busy = true;
        else
                (void)failure_set(&f, FAILURE_INTERNAL, "No worker could be started (%s).", strerror(-k));
        note_failure(r, device, &f);
}

typedef struct Look {
        Reverts *reverts;
        uint64_t now, next; /* the first deadline that is still to come */
        bool again, left;   /* what failed is tried once more; something that is due has not been tried */
} Look;

static int look_at(const char *name, void *userdata) {
        Look *l = userdata;
        Reverts *r = l->reverts;
        GrantConfirm c;
        PciAddress a;

        if (!grant_file_is(name, GRANT_CONFIRM_SUFFIX, &a) ||
            !grant_confirm_find(r->all->root_fd, &a, r->all->authoriser.root_uid, &c))
                return 0;

        r->any = true;
        if (c.until > r->looked_at && c.until <= l->now)
                r->pause = PAUSE_FIRST_USEC;
        if (c.until > l->now)
                l->next = c.until < l->next ? c.until : l->next;
        else if ((l->again || c.until > r->looked_at) && r->n_running < AT_ONCE_MAX)
                start(r, &a);
        else
                l->left = true;
        return 0;
}

static int on_time(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        reverts_look(userdata, false);
        return 0;
}

void reverts_look(Reverts *r, bool left) {
        Look l = {.reverts = r, .now = grant_confirm_now(), .next = UINT64_MAX};
        int k;

        assert(r);

        l.again = r->again_at <= l.now;
        if (l.again) {
                r->again_at = UINT64_MAX;
                r->pause = r->pause < PAUSE_MAX_USEC / 2 ? r->pause * 2 : PAUSE_MAX_USEC;
        }

        l.again |= left && r->busy;
        r->busy = r->busy && !l.again;

        r->any = false;
        k = sysfs_each(r->all->root_fd, PENDING_GRANTS_DIR, look_at, &l);
        if (k < 0 && k != -ENOENT && !r->unread)
                log_error("What waits for a confirmation cannot be read in /" PENDING_GRANTS_DIR
                          " (%s); it is tried again.",
                          strerror(-k));
        r->unread = k < 0 && k != -ENOENT;
        r->looked_at = l.now;

        if ((l.left || r->unread) && r->again_at == UINT64_MAX)
                r->again_at = l.now + r->pause;
        l.next = r->again_at < l.next ? r->again_at : l.next;
        (void)sd_event_source_set_time(r->timer, l.next);
        (void)sd_event_source_set_enabled(r->timer, l.next == UINT64_MAX ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
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
        r->pause = PAUSE_FIRST_USEC;
        if ((k = sd_event_add_time(all->event, &r->timer, CLOCK_BOOTTIME, UINT64_MAX, 1000, on_time, r)) < 0)
                return k;
        reverts_look(r, false);
        *ret = STEAL(r);
        return 0;
}
