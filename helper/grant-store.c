/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>

#include "atomic-files.h"
#include "grant-store.h"

static const char *split(char *path) {
        char *name = strrchr(path, '/');

        *name = '\0';
        return name + 1;
}

static int remove_file(int root, char *path) {
        const char *name = split(path);
        _cleanup_close_ int dir = -1;

        dir = openat(root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0)
                return errno == ENOENT ? 0 : -errno;
        if (unlinkat(dir, name, 0) < 0) /* on a read-only file system an error, whether it is there or not */
                return errno == ENOENT || faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0 ? 0 : -errno;
        return fsync(dir) < 0 ? -errno : 1;
}

/* Beside their places. */
static int prepare(AtomicFiles *f, int root, bool pending, const Grant *const *grants, size_t n) {
        char text[GRANT_TEXT_SIZE], path[GRANT_PATH_SIZE];
        int r;

        r = atomic_files_open(f, root, pending ? PENDING_GRANTS_DIR : GRANTS_DIR, true);
        for (size_t i = 0; i < n && r >= 0; i++) {
                (void)grant_path(pending, &grants[i]->identity.address, path);
                r = grant_format(grants[i], text, sizeof text);
                if (r >= 0)
                        r = atomic_files_add(f, split(path), text);
        }
        return r;
}

int grant_store_write(int root, bool pending, const Grant *const *grants, size_t n) {
        _cleanup_(atomic_files_close) AtomicFiles f = {.dir = -1};
        int r;

        if (n == 0)
                return 0;
        r = prepare(&f, root, pending, grants, n);
        return r < 0 ? r : atomic_files_commit(&f);
}

int grant_store_write_confirms(int root, const Grant *const *grants, const GrantConfirm *confirms,
                               size_t n) {
        _cleanup_(atomic_files_close) AtomicFiles f = {.dir = -1};
        char text[GRANT_CONFIRM_TEXT_SIZE], path[GRANT_CONFIRM_PATH_SIZE];
        int r;

        r = atomic_files_open(&f, root, PENDING_GRANTS_DIR, true);
        for (size_t i = 0; i < n && r >= 0; i++) {
                (void)grant_confirm_path(&grants[i]->identity.address, path);
                r = grant_confirm_format(&confirms[i], text, sizeof text);
                if (r >= 0)
                        r = atomic_files_add(&f, split(path), text);
        }
        return r < 0 ? r : atomic_files_commit(&f);
}

int grant_store_remove_confirm(int root, const PciAddress *a) {
        char path[GRANT_CONFIRM_PATH_SIZE];

        (void)grant_confirm_path(a, path);
        return remove_file(root, path);
}

int grant_store_remove_pending(int root, bool out, const PciAddress *a) {
        int r = 0, k;
        Grant kept;

        if (!out || grant_read_from(root, false, a, geteuid(), &kept) >= 0)
                r = grant_store_remove(root, true, a);
        k = r < 0 ? r : grant_store_remove_confirm(root, a);
        return k < 0 ? k : r;
}

int grant_store_keep(int root, const Grant *const *grants, size_t n) {
        _cleanup_(atomic_files_close) AtomicFiles f = {.dir = -1};
        int r;

        if (n == 0)
                return 0;
        r = prepare(&f, root, false, grants, n);
        for (size_t i = 0; i < n && r >= 0; i++)
                r = grant_store_remove_confirm(root, &grants[i]->identity.address);
        return r < 0 ? r : atomic_files_commit(&f);
}

int grant_store_remove(int root, bool pending, const PciAddress *a) {
        char path[GRANT_PATH_SIZE];

        (void)grant_path(pending, a, path);
        return remove_file(root, path);
}

int grant_store_write_ids(int root, const GrantIds *grants, size_t n) {
        char text[GRANT_IDS_TEXT_SIZE], name[ID_SELECTOR_SIZE + sizeof GRANT_IDS_SUFFIX],
                        ids[ID_SELECTOR_SIZE];
        _cleanup_(atomic_files_close) AtomicFiles f = {.dir = -1};
        int r;

        r = atomic_files_open(&f, root, GRANTS_DIR, true);
        for (size_t i = 0; i < n && r >= 0; i++) {
                (void)snprintf(name, sizeof name, "%s" GRANT_IDS_SUFFIX,
                               id_selector_format(&grants[i].ids, ids));
                r = grant_ids_format(&grants[i], text, sizeof text);
                if (r >= 0)
                        r = atomic_files_add(&f, name, text);
        }
        return r < 0 ? r : atomic_files_commit(&f);
}

int grant_store_remove_ids(int root, const IdSelector *ids) {
        char path[sizeof GRANTS_DIR + ID_SELECTOR_SIZE + sizeof GRANT_IDS_SUFFIX], word[ID_SELECTOR_SIZE];

        (void)snprintf(path, sizeof path, GRANTS_DIR "/%s" GRANT_IDS_SUFFIX, id_selector_format(ids, word));
        return remove_file(root, path);
}

int grant_store_mark(int root, const IommuSet *set, const char *boot) {
        _cleanup_(atomic_files_close) AtomicFiles f = {.dir = -1};
        char path[GRANT_PATH_SIZE], text[64];
        int r;

        (void)snprintf(text, sizeof text, "%s\n", boot);
        r = atomic_files_open(&f, root, GRANTS_DIR, true);
        for (size_t i = 0; i < set->n_members && r >= 0; i++) {
                (void)grant_mark_path(&set->members[i], path);
                r = atomic_files_add(&f, split(path), text);
        }
        return r < 0 ? r : atomic_files_commit(&f);
}

int grant_store_unmark(int root, const IommuSet *set) {
        char path[GRANT_PATH_SIZE];
        int r, first = 0;

        for (size_t i = 0; i < set->n_members; i++) {
                (void)grant_mark_path(&set->members[i], path);
                r = remove_file(root, path);
                if (r < 0 && first >= 0)
                        first = r;
        }
        return first;
}
