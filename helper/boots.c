/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/stat.h>

#include "atomic-files.h"
#include "boots.h"
#include "grant.h"
#include "log.h"
#include "record-file.h"
#include "request.h"
#include "sysfs.h"
#include "text.h"

#define LIST_TEXT_SIZE 512 /* of a list; one that is longer is none of ours */

typedef struct BootList {
        bool damaged, has_own;
        size_t n_others;
        char others[BOOTS_TRIP][GRANT_BOOT_SIZE]; /* the last of them, in the order in which they were */
} BootList;

static void take_boot(BootList *l, const char *own, const char *boot) {
        if (streq(boot, own)) {
                l->has_own = true;
                return;
        }
        for (size_t i = 0; i < l->n_others; i++)
                if (streq(l->others[i], boot))
                        return;
        if (l->n_others == BOOTS_TRIP)
                (void)memmove(l->others[0], l->others[1], sizeof l->others - sizeof l->others[0]);
        else
                l->n_others++;
        strcpy(l->others[l->n_others - 1], boot);
}

static void read_list(int root, const char *own, BootList *ret) {
        char text[LIST_TEXT_SIZE], line[LIST_TEXT_SIZE];
        const char *at = text;
        int r;

        *ret = (BootList){0};
        r = record_read(root, BOOTS_FILE, geteuid(), text, sizeof text);
        if (r == -ENOENT || r == -ENOTDIR)
                return;
        ret->damaged = r <= 0; /* a list is never empty */
        while (!ret->damaged && text_next_line(&at, line, sizeof line) > 0)
                if (grant_boot_is_valid(line))
                        take_boot(ret, own, line);
                else
                        ret->damaged = true;
}

/* So early nobody may have made it yet. */
static int make_run_directory(int root) {
        static const char path[] = "run/verge-passthrough";

        if (mkdirat(root, path, 0755) < 0)
                return errno == EEXIST ? 0 : -errno;
        return fchmodat(root, path, 0755, 0) < 0 ? -errno : 0;
}

static int write_file(int root, const char *path, const char *text, bool sync) {
        _cleanup_(atomic_files_close)
                        AtomicFiles f = {.root = root, .dir = -1, .sync = sync, .unlocked = true};

        atomic_files_add(&f, path, (int)strlen(text), text);
        return atomic_files_commit(&f);
}

bool boots_guard(int root) {
        char own[GRANT_BOOT_SIZE] = "", text[LIST_TEXT_SIZE];
        BootList list;
        int r;

        if (record_read(root, BOOT_GUARD_FILE, geteuid(), text, sizeof text) > 0)
                return true;
        (void)grant_read_boot(root, own);
        read_list(root, own, &list);
        if (!list.damaged && list.n_others < BOOTS_TRIP)
                return false;

        (void)snprintf(text, sizeof text, "%s\n%s\n", list.damaged ? "damaged" : list.others[0],
                       list.damaged ? "" : list.others[1]);
        r = make_run_directory(root);
        if (r >= 0)
                r = write_file(root, BOOT_GUARD_FILE, text, false);
        if (r < 0)
                log_warning("/" BOOT_GUARD_FILE " cannot be written (%s): the service will not know of it.",
                            strerror(-r));
        return true;
}

int boots_record(int root) {
        char own[GRANT_BOOT_SIZE], text[LIST_TEXT_SIZE] = "";
        BootList list;
        size_t n = 0;
        int r;

        r = grant_read_boot(root, own);
        if (r < 0)
                return r;
        read_list(root, own, &list);
        if (list.damaged || list.has_own)
                return 0;

        for (size_t i = 0; i < list.n_others; i++)
                n += (size_t)snprintf(text + n, sizeof text - n, "%s\n", list.others[i]);
        (void)snprintf(text + n, sizeof text - n, "%s\n", own);
        return write_file(root, BOOTS_FILE, text, true);
}

typedef struct Marks {
        int root;
        char own[GRANT_BOOT_SIZE];
} Marks;

/* One of this boot is of a Bind, which has recorded it. */
static int is_older_mark(const char *name, void *userdata) {
        char path[GRANT_PATH_SIZE], boot[64];
        const Marks *marks = userdata;
        PciAddress a;

        return grant_file_is(name, GRANT_MARK_SUFFIX, &a) &&
               record_read(marks->root, grant_mark_path(&a, path), geteuid(), boot, sizeof boot) > 0 &&
               grant_boot_is_valid(boot) && !streq(boot, marks->own);
}

int boots_begin(int root) {
        Marks marks = {.root = root};
        int r;

        if (sysfs_is_switched_off(root))
                return 0;
        if (make_run_directory(root) >= 0)
                (void)write_file(root, BOOT_BEGUN_FILE, "", false);
        if (boots_guard(root)) {
                log_warning("%s", BOOTS_GUARD_SENTENCE);
                return 0;
        }

        r = grant_read_boot(root, marks.own);
        if (r >= 0)
                r = sysfs_each(root, GRANTS_DIR, is_older_mark, &marks);
        if (r > 0)
                r = boots_record(root);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                log_error("This boot cannot be written to /" BOOTS_FILE
                          " (%s): the boot guard does not count it. Make room there, or make it writable.",
                          strerror(-r));
        return r;
}

/* Whatever there is: of a list that is damaged the next boot is to know nothing either. Needs no room on the disk. */
void request_healthy(int root, const void *request _unused_, WorkerResult *result) {
        int r;

        r = atomic_file_remove(root, BOOTS_FILE);
        if (r < 0)
                (void)worker_fail(result, FAILURE_INTERNAL,
                                  "The list of boots /" BOOTS_FILE
                                  " cannot be removed (%s), so boots that go well count as failed; remove "
                                  "it by hand.",
                                  strerror(-r));
}
