/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <limits.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "array.h"
#include "log.h"
#include "record-file.h"
#include "root-files.h"
#include "sysfs.h"

#define MOVES_MAX 4096U

#define MASK_DIRECTORY                                                                                      \
        (IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF |            \
         IN_MOVE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK)
#define MASK_PARENT (IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

static const char *const path_table[ROOT_DIRECTORY_MAX] = {
                [ROOT_GRANTS] = GRANTS_DIR,
                [ROOT_PENDING_GRANTS] = PENDING_GRANTS_DIR,
                [ROOT_MOVES] = MOVES_DIR,
};

/* One inotify instance for each directory, with one watch: on the directory, or while that is missing, on
 * the nearest parent that is there. */
typedef struct Watch {
        RootFiles *files;
        sd_event_source *source;
        int fd, wd;
        bool whole; /* the watch is on the directory itself */
} Watch;

struct RootFiles {
        int root;
        Watch watches[ROOT_DIRECTORY_MAX];
        root_files_changed_t changed;
        void *userdata;
};

RootFiles *root_files_free(RootFiles *f) {
        if (!f)
                return NULL;

        for (size_t i = 0; i < ELEMENTSOF(f->watches); i++) {
                sd_event_source_disable_unref(f->watches[i].source);
                closep(&f->watches[i].fd);
        }
        free(f);
        return NULL;
}
DEFINE_CLEANUP(RootFiles *, root_files_free);

static RootDirectory which(const Watch *w) {
        return (RootDirectory)(w - w->files->watches);
}

static int try_watch(Watch *w, const char *path, uint32_t mask) {
        char full[PATH_MAX];

        /* inotify_add_watch() takes no directory fd. */
        if ((size_t)snprintf(full, sizeof full, "/proc/self/fd/%d/%s", w->files->root, path) >= sizeof full)
                return -ENAMETOOLONG;
        w->wd = inotify_add_watch(w->fd, full, mask);
        return w->wd < 0 ? -errno : 0;
}

static bool is_directory(int root, const char *path) {
        struct stat st;

        return fstatat(root, path, &st, 0) >= 0 && S_ISDIR(st.st_mode);
}

/* Sets the watch as deep as possible. What appeared between the failed try and the watch on its parent would
 * be missed, hence the second look. */
static int settle(Watch *w) {
        const char *path = path_table[which(w)];
        char at[PATH_MAX], child[PATH_MAX], *slash;
        int old = w->wd, r;

        do {
                (void)snprintf(at, sizeof at, "%s", path);
                r = try_watch(w, at, MASK_DIRECTORY);
                w->whole = r >= 0;
                while ((r == -ENOENT || r == -ENOTDIR) && at[0]) {
                        (void)memcpy(child, at, sizeof child);
                        slash = strrchr(at, '/');
                        *(slash ? slash : at) = '\0';
                        r = try_watch(w, at, MASK_PARENT);
                }
                if (r < 0)
                        return r;
        } while (!w->whole && is_directory(w->files->root, child));

        if (old >= 0 && old != w->wd)
                (void)inotify_rm_watch(w->fd, old);
        return 0;
}

static void settle_or_warn(Watch *w) {
        int r;

        r = settle(w);
        if (r < 0)
                log_warning("Cannot watch /%s: %s; changes there will be seen late. Check its permissions.",
                            path_table[which(w)], strerror(-r));
}

static int on_inotify(sd_event_source *s _unused_, int fd, uint32_t events _unused_, void *userdata) {
        _Alignas(struct inotify_event) char buf[4096];
        bool unsettled = false, changed = false;
        const struct inotify_event *e;
        Watch *w = userdata;
        ssize_t n;

        while ((n = read(fd, buf, sizeof buf)) > 0)
                for (char *p = buf; p < buf + n; p += sizeof *e + e->len) {
                        e = (const struct inotify_event *)(void *)p;
                        changed = changed || w->whole || e->mask & IN_Q_OVERFLOW;
                        unsettled = unsettled || !w->whole ||
                                    e->mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT);
                }

        if (unsettled) {
                settle_or_warn(w);
                changed = changed || w->whole;
        }
        if (changed)
                w->files->changed(which(w), w->files->userdata);
        return 0;
}

int root_files_new(sd_event *event, int root, root_files_changed_t changed, void *userdata,
                   RootFiles **ret) {
        _cleanup_(root_files_freep) RootFiles *f = NULL;
        int r;

        assert(event);
        assert(changed);
        assert(ret);

        f = calloc(1, sizeof *f);
        if (!f)
                return -ENOMEM;
        f->root = root;
        f->changed = changed;
        f->userdata = userdata;
        for (size_t i = 0; i < ELEMENTSOF(f->watches); i++)
                f->watches[i] = (Watch){.files = f, .fd = -1, .wd = -1};

        for (size_t i = 0; i < ELEMENTSOF(f->watches); i++) {
                Watch *w = &f->watches[i];

                w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
                if (w->fd < 0)
                        return -errno;
                settle_or_warn(w);
                r = sd_event_add_io(event, &w->source, w->fd, EPOLLIN, on_inotify, w);
                if (r < 0)
                        return r;
        }

        *ret = STEAL(f);
        return 0;
}

typedef struct Moves {
        int root;
        Move *moves;
        size_t n;
} Moves;

static int take_move(const char *name, void *userdata) {
        Moves *m = userdata;
        Move move;
        int r;

        r = move_read(m->root, name, &move);
        if (r < 0) {
                if (r != -EINVAL && r != -ENOENT)
                        log_debug("Journal entry %s cannot be read: %s.", name, strerror(-r));
                return 0;
        }

        if (m->n == MOVES_MAX || array_grow(&m->moves, m->n, sizeof *m->moves) < 0)
                return -ENOMEM;
        m->moves[m->n++] = move;
        return 0;
}

int root_files_read_moves(int root, Move **ret, size_t *ret_n) {
        Moves m = {.root = root};
        int r;

        assert(ret);
        assert(ret_n);

        r = sysfs_each(root, MOVES_DIR, take_move, &m);
        if (r < 0 && r != -ENOENT) {
                free(m.moves);
                return r;
        }

        *ret = m.moves;
        *ret_n = m.n;
        return 0;
}

bool root_files_has_boots(int root) {
        return faccessat(root, BOOTS_FILE, F_OK, AT_SYMLINK_NOFOLLOW) >= 0;
}

void root_files_read_guard(int root, uid_t root_uid, char *ret, size_t size) {
        assert(ret);

        if (record_read(root, BOOT_GUARD_FILE, root_uid, ret, size) <= 0)
                ret[0] = '\0';
}
