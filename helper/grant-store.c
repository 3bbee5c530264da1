/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "atomic-files.h"
#include "grant-store.h"

#define FILES_ON_DISK(root_fd)                                                                              \
        { .root = (root_fd), .dir = -1, .sync = true }

static void add_grants(AtomicFiles *f, bool pending, const Grant *const *grants, size_t n) {
        char text[GRANT_TEXT_SIZE], path[GRANT_PATH_SIZE];

        for (size_t i = 0; i < n; i++)
                atomic_files_add(f, grant_path(pending, &grants[i]->identity.address, path),
                                 grant_format(grants[i], text, sizeof text), text);
}

int grant_store_write(int root, bool pending, const Grant *const *grants, size_t n) {
        _cleanup_(atomic_files_close) AtomicFiles f = FILES_ON_DISK(root);

        add_grants(&f, pending, grants, n);
        return atomic_files_commit(&f);
}

int grant_store_write_confirms(int root, const Grant *const *grants, const GrantConfirm *confirms,
                               size_t n) {
        _cleanup_(atomic_files_close) AtomicFiles f = FILES_ON_DISK(root);
        char text[GRANT_CONFIRM_TEXT_SIZE], path[GRANT_CONFIRM_PATH_SIZE];

        for (size_t i = 0; i < n; i++)
                atomic_files_add(&f, grant_confirm_path(&grants[i]->identity.address, path),
                                 grant_confirm_format(&confirms[i], text, sizeof text), text);
        return atomic_files_commit(&f);
}

int grant_store_remove_confirm(int root, const PciAddress *a) {
        char path[GRANT_CONFIRM_PATH_SIZE];

        return atomic_file_remove(root, grant_confirm_path(a, path));
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
        _cleanup_(atomic_files_close) AtomicFiles f = FILES_ON_DISK(root);
        int r;

        add_grants(&f, false, grants, n);
        for (size_t i = 0; i < n && f.error >= 0; i++)
                if ((r = grant_store_remove_confirm(root, &grants[i]->identity.address)) < 0)
                        return r;
        return atomic_files_commit(&f);
}

int grant_store_remove(int root, bool pending, const PciAddress *a) {
        char path[GRANT_PATH_SIZE];

        return atomic_file_remove(root, grant_path(pending, a, path));
}

#define IDS_PATH_SIZE (sizeof GRANTS_DIR + ID_SELECTOR_SIZE + sizeof GRANT_IDS_SUFFIX)

static const char *ids_path(const IdSelector *ids, char buf[static IDS_PATH_SIZE]) {
        char word[ID_SELECTOR_SIZE];

        (void)snprintf(buf, IDS_PATH_SIZE, GRANTS_DIR "/%s" GRANT_IDS_SUFFIX, id_selector_format(ids, word));
        return buf;
}

int grant_store_write_ids(int root, const GrantIds *grants, size_t n) {
        _cleanup_(atomic_files_close) AtomicFiles f = FILES_ON_DISK(root);
        char text[GRANT_IDS_TEXT_SIZE], path[IDS_PATH_SIZE];

        for (size_t i = 0; i < n; i++)
                atomic_files_add(&f, ids_path(&grants[i].ids, path),
                                 grant_ids_format(&grants[i], text, sizeof text), text);
        return atomic_files_commit(&f);
}

int grant_store_remove_ids(int root, const IdSelector *ids) {
        char path[IDS_PATH_SIZE];

        return atomic_file_remove(root, ids_path(ids, path));
}

int grant_store_mark(int root, const IommuSet *set, const char *boot) {
        _cleanup_(atomic_files_close) AtomicFiles f = FILES_ON_DISK(root);
        char path[GRANT_PATH_SIZE], text[64];
        int length;

        length = snprintf(text, sizeof text, "%s\n", boot);
        for (size_t i = 0; i < set->n_members; i++)
                atomic_files_add(&f, grant_mark_path(&set->members[i], path), length, text);
        return atomic_files_commit(&f);
}

int grant_store_unmark(int root, const IommuSet *set) {
        char path[GRANT_PATH_SIZE];
        int r, first = 0;

        for (size_t i = 0; i < set->n_members; i++) {
                r = atomic_file_remove(root, grant_mark_path(&set->members[i], path));
                if (r < 0 && first >= 0)
                        first = r;
        }
        return first;
}
