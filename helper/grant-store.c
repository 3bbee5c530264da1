/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>

#include "atomic-file.h"
#include "grant-store.h"
#include "record-file.h"

static int remove_file(int root, const char *path) {
        if (unlinkat(root, path, 0) < 0)
                return errno == ENOENT ? 0 : -errno;
        return 1;
}

int grant_store_write(int root, const Grant *g) {
        char text[GRANT_TEXT_SIZE], now[GRANT_TEXT_SIZE], path[GRANT_PATH_SIZE], *name;
        int n, r;

        assert(g);

        n = grant_format(g, text, sizeof text);
        if (n < 0)
                return n;

        name = strrchr(grant_path(g->pending, &g->identity.address, path), '/');
        r = record_read(root, path, geteuid(), now, sizeof now); /* without its last newline */
        if (r == n - 1 && memcmp(now, text, (size_t)r) == 0)
                return 0;
        *name++ = '\0';
        return atomic_file_write(root, path, name, text, true);
}

int grant_store_remove(int root, bool pending, const PciAddress *a) {
        char path[GRANT_PATH_SIZE];

        return remove_file(root, grant_path(pending, a, path));
}

int grant_store_mark(int root, const PciAddress *a, const char *boot) {
        bool any = false;
        Grant g;
        int r;

        assert(boot);

        for (int pending = 1; pending >= 0 && !(any && boot[0]); pending--) {
                if (grant_read_from(root, pending, a, geteuid(), &g) < 0)
                        continue;
                any = true;
                (void)snprintf(g.persistent, sizeof g.persistent, "%s", boot);
                r = grant_store_write(root, &g);
                if (r < 0)
                        return r;
        }
        return any || !boot[0] ? 0 : -ENOENT;
}

int grant_store_write_ids(int root, const GrantIds *g) {
        char text[GRANT_IDS_TEXT_SIZE], name[ID_SELECTOR_SIZE + sizeof GRANT_IDS_SUFFIX],
                        ids[ID_SELECTOR_SIZE];
        int r;

        assert(g);

        r = grant_ids_format(g, text, sizeof text);
        if (r < 0)
                return r;
        (void)snprintf(name, sizeof name, "%s" GRANT_IDS_SUFFIX, id_selector_format(&g->ids, ids));
        return atomic_file_write(root, GRANTS_DIR, name, text, true);
}

int grant_store_remove_ids(int root, const IdSelector *ids) {
        char path[sizeof GRANTS_DIR + ID_SELECTOR_SIZE + sizeof GRANT_IDS_SUFFIX], word[ID_SELECTOR_SIZE];

        (void)snprintf(path, sizeof path, GRANTS_DIR "/%s" GRANT_IDS_SUFFIX, id_selector_format(ids, word));
        return remove_file(root, path);
}

void grant_backup_take(GrantBackup *b, int root, const PciAddress *a) {
        assert(b);
        assert(b->n < ELEMENTSOF(b->of));

        b->of[b->n].address = *a;
        for (int pending = 0; pending < 2; pending++)
                b->of[b->n].had[pending] = grant_read_from(root, pending, a, geteuid(),
                                                           &b->of[b->n].grant[pending]) >= 0;
        b->n++;
}

int grant_backup_restore(const GrantBackup *b, int root) {
        int r, first = 0;

        assert(b);

        for (size_t i = 0; i < b->n; i++)
                for (int pending = 0; pending < 2; pending++) {
                        r = b->of[i].had[pending] ? grant_store_write(root, &b->of[i].grant[pending])
                                                  : grant_store_remove(root, pending, &b->of[i].address);
                        if (r < 0 && first >= 0)
                                first = r;
                }
        return first;
}
