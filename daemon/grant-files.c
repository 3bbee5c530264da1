/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "array.h"
#include "grant-files.h"
#include "sysfs.h"

typedef struct Reading {
        int root;
        uid_t root_uid;
        bool pending;
        GrantFiles found;
} Reading;

void grant_files_clear(GrantFiles *f) {
        assert(f);

        free(f->grants);
        free(f->damaged);
        free(f->ids);
        *f = (GrantFiles){0};
}

static bool has(const GrantFiles *f, const PciAddress *a) {
        for (size_t i = 0; i < f->n_grants; i++)
                if (pci_address_compare(&f->grants[i].identity.address, a) == 0)
                        return true;
        return false;
}

static int take_damaged(GrantFiles *f, const PciAddress *a) {
        if (f->n_damaged >= GRANT_FILES_MAX)
                return 0;
        if (array_grow(&f->damaged, f->n_damaged, sizeof *f->damaged) < 0)
                return -ENOMEM;

        f->damaged[f->n_damaged++] = *a;
        return 0;
}

static int take_grant(Reading *r, const PciAddress *a) {
        GrantFiles *f = &r->found;
        Grant g;
        int k;

        if (f->n_grants >= GRANT_FILES_MAX || (!r->pending && has(f, a)))
                return 0;
        k = grant_read_from(r->root, r->pending, a, r->root_uid, &g);
        if (k < 0)
                return k == -ENOENT ? 0 : take_damaged(f, a);
        if (array_grow(&f->grants, f->n_grants, sizeof *f->grants) < 0)
                return -ENOMEM;

        f->grants[f->n_grants++] = g;
        return 0;
}

static int take_ids(Reading *r, const IdSelector *ids) {
        GrantFiles *f = &r->found;
        GrantIds g;

        if (f->n_ids >= GRANT_FILES_MAX || grant_ids_read(r->root, ids, r->root_uid, &g) < 0)
                return 0;
        if (array_grow(&f->ids, f->n_ids, sizeof *f->ids) < 0)
                return -ENOMEM;

        f->ids[f->n_ids++] = *ids;
        return 0;
}

static int take(const char *name, void *userdata) {
        const char *suffix = strrchr(name, '.');
        Reading *r = userdata;
        IdSelector ids;
        char stem[32];
        PciAddress a;

        if (grant_file_is(name, GRANT_SUFFIX, &a))
                return take_grant(r, &a);
        if (name[0] == '.' || !suffix ||
            (size_t)snprintf(stem, sizeof stem, "%.*s", (int)(suffix - name), name) >= sizeof stem)
                return 0;
        if (streq(suffix, GRANT_IDS_SUFFIX) && !r->pending && id_selector_parse(stem, &ids) >= 0)
                return take_ids(r, &ids);
        return 0;
}

static int compare_ids(const void *a, const void *b) {
        char one[ID_SELECTOR_SIZE], two[ID_SELECTOR_SIZE];

        return strcmp(id_selector_format(a, one), id_selector_format(b, two));
}

static int compare_grants(const void *a, const void *b) {
        const Grant *one = a, *two = b;

        return pci_address_compare(&one->identity.address, &two->identity.address);
}

int grant_files_read(int root, uid_t root_uid, GrantFiles *ret) {
        Reading r = {.root = root, .root_uid = root_uid};
        int k;

        assert(ret);

        for (r.pending = true;; r.pending = false) {
                k = sysfs_each(root, r.pending ? PENDING_GRANTS_DIR : GRANTS_DIR, take, &r);
                if (k < 0 && k != -ENOENT) {
                        grant_files_clear(&r.found);
                        return k;
                }
                if (!r.pending)
                        break;
        }

        if (r.found.n_ids > 0)
                qsort(r.found.ids, r.found.n_ids, sizeof *r.found.ids, compare_ids);
        if (r.found.n_grants > 0)
                qsort(r.found.grants, r.found.n_grants, sizeof *r.found.grants, compare_grants);
        *ret = r.found;
        return 0;
}

const Grant *grant_files_find(const GrantFiles *f, const PciAddress *a) {
        const Grant key = {.identity.address = *a};

        return f->n_grants > 0 ? bsearch(&key, f->grants, f->n_grants, sizeof key, compare_grants) : NULL;
}

bool grant_files_has(const GrantFiles *f, const PciAddress *a) {
        for (size_t i = 0; i < f->n_damaged; i++)
                if (pci_address_compare(&f->damaged[i], a) == 0)
                        return true;
        return !!grant_files_find(f, a);
}

bool grant_files_cover(const GrantFiles *f, const PciIdentity *identity) {
        for (size_t i = 0; i < f->n_ids; i++)
                if (id_selector_matches(&f->ids[i], identity))
                        return true;
        return false;
}

bool grant_files_stand(const GrantFiles *f, const Grant *g) {
        IdSelector ids;

        if (g->ids[0] && id_selector_parse(g->ids, &ids) < 0)
                return false;
        for (size_t i = 0; g->ids[0] && i < f->n_ids; i++)
                if (id_selector_same(&f->ids[i], &ids))
                        return true;
        return !g->ids[0];
}
