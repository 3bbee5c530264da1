/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "claim-state.h"
#include "pointers.h"

static Claim *claim_free(Claim *c) {
        if (!c)
                return NULL;

        claim_record_clear(&c->record);
        free(c->path);
        free(c->problem);
        free(c->progress);
        free(c->info);
        free(c);
        return NULL;
}
DEFINE_CLEANUP(Claim *, claim_free);

int claim_table_new(const ClaimTableConfig *config, ClaimTable **ret) {
        ClaimTable *t;

        assert(config);
        assert(ret);

        t = calloc(1, sizeof *t);
        if (!t)
                return -ENOMEM;

        t->config = *config;
        *ret = t;
        return 0;
}

ClaimTable *claim_table_free(ClaimTable *t) {
        Run *r;

        if (!t)
                return NULL;

        for (size_t i = 0; i < t->config.devices->n; i++)
                t->config.devices->devices[i]->claim = NULL;
        while ((r = t->runs)) {
                t->runs = r->next;
                run_free(r);
        }
        for (size_t i = 0; i < t->n; i++)
                claim_free(t->claims[i]);
        free(t->claims);
        free(t->by_id);
        free(t);
        return NULL;
}

static int compare_vm(const Claim *c, uid_t owner, const char *vm) {
        return c->record.owner != owner ? (c->record.owner > owner) - (c->record.owner < owner)
                                        : strcmp(c->record.vm, vm);
}

static int compare_number(uint64_t a, uint64_t b) {
        return (a > b) - (a < b);
}

static int compare_place(const void *item, const void *key) {
        const Claim *c = item;
        const ClaimRecord *k = key;

        return compare_vm(c, k->owner, k->vm)
                               ?: compare_number(c->record.order, k->order)
                                                  ?: compare_number(c->record.created, k->created)
                                                                     ?: strcmp(c->record.id, k->id);
}

static int compare_id(const void *item, const void *key) {
        return strcmp(((const Claim *)item)->record.id, key);
}

static size_t find_id(const ClaimTable *t, const char *id, bool *ret_found) {
        return pointers_find(t->by_id, t->n_by_id, id, compare_id, ret_found);
}

Claim *claim_table_find(const ClaimTable *t, const char *id) {
        bool found;
        size_t i;

        assert(t);
        assert(id);

        i = find_id(t, id, &found);
        return found ? t->by_id[i] : NULL;
}

Claim *claim_table_find_path(const ClaimTable *t, const char *path) {
        char id[RECORD_ID_SIZE];
        Claim *c;

        assert(path);

        if (!startswith(path, BUS_PATH_CLAIMS "/") ||
            strlen(path) != strlen(BUS_PATH_CLAIMS "/") + RECORD_ID_SIZE - 1)
                return NULL;

        (void)snprintf(id, sizeof id, "%s", path + strlen(BUS_PATH_CLAIMS "/"));
        for (char *at = id; *at; at++)
                if (*at == '_')
                        *at = '-';
        c = claim_table_find(t, id);
        return c && streq(c->path, path) ? c : NULL;
}

Claim *claim_table_find_name(const ClaimTable *t, uid_t owner, const char *vm, const char *name) {
        size_t at = 0;
        Claim *c;

        while ((c = claim_table_next_of_vm(t, owner, vm, &at)) && !streq(c->record.name, name))
                ;
        return c;
}

Claim *claim_table_find_mac(const ClaimTable *t, const uint8_t mac[static VF_MAC_LENGTH], const char *but) {
        assert(t);
        assert(but);

        for (size_t i = 0; i < t->n; i++)
                for (size_t k = 0; k < t->claims[i]->record.n_macs; k++)
                        if (memcmp(t->claims[i]->record.macs[k], mac, VF_MAC_LENGTH) == 0 &&
                            !streq(t->claims[i]->record.id, but))
                                return t->claims[i];
        return NULL;
}

size_t claim_table_count(const ClaimTable *t) {
        assert(t);

        return t->n;
}

static int compare_owner_and_vm(const void *item, const void *key) {
        const ClaimRecord *k = key;

        return compare_vm(item, k->owner, k->vm) < 0 ? -1 : 1; /* never equal: the place of the first */
}

static size_t find_vm(const ClaimTable *t, uid_t owner, const char *vm) {
        const ClaimRecord key = {.owner = owner, .vm = (char *)(uintptr_t)vm};
        bool found;

        return pointers_find(t->claims, t->n, &key, compare_owner_and_vm, &found);
}

size_t claim_table_count_of(const ClaimTable *t, uid_t owner) {
        size_t n = 0;

        assert(t);

        for (size_t i = find_vm(t, owner, ""); i < t->n && t->claims[i]->record.owner == owner; i++)
                n++;
        return n;
}

Claim *claim_table_next(const ClaimTable *t, size_t *at) {
        assert(t);
        assert(at);

        return *at < t->n ? t->claims[(*at)++] : NULL;
}

Claim *claim_table_next_of_vm(const ClaimTable *t, uid_t owner, const char *vm, size_t *at) {
        size_t i;

        assert(t);
        assert(vm);
        assert(at);

        i = *at > 0 ? *at : find_vm(t, owner, vm);
        if (i >= t->n || compare_vm(t->claims[i], owner, vm) != 0)
                return NULL;
        *at = i + 1;
        return t->claims[i];
}

Claim *claim_table_next_of_group(const ClaimTable *t, const char *group, size_t *at) {
        Claim *c;

        assert(group);

        while ((c = claim_table_next(t, at)) && !streq(c->record.group, group))
                ;
        return c;
}

static void unlink_changed(ClaimTable *t, Claim *c) {
        for (Claim **at = &t->changed; *at; at = &(*at)->next_changed)
                if (*at == c) {
                        *at = c->next_changed;
                        break;
                }
        c->is_listed = false;
}

static void take_out(ClaimTable *t, const Claim *c) {
        bool found;
        size_t i;

        i = pointers_find(t->claims, t->n, &c->record, compare_place, &found);
        assert(found && t->claims[i] == c);
        pointers_remove(t->claims, &t->n, i);
}

static void put_in(ClaimTable *t, Claim *c) {
        bool found;

        pointers_insert(t->claims, &t->n, pointers_find(t->claims, t->n, &c->record, compare_place, &found),
                        c);
}

static uint32_t compare_records(const ClaimRecord *a, const ClaimRecord *b) {
        return (uint32_t)!streq(a->name, b->name) << CLAIM_PROPERTY_NAME |
               (uint32_t)!streq(a->description, b->description) << CLAIM_PROPERTY_DESCRIPTION |
               (uint32_t)(a->count != b->count) << CLAIM_PROPERTY_COUNT |
               (uint32_t)(a->optional != b->optional) << CLAIM_PROPERTY_OPTIONAL |
               (uint32_t)(a->enabled != b->enabled) << CLAIM_PROPERTY_ENABLED |
               (uint32_t)(a->order != b->order) << CLAIM_PROPERTY_ORDER |
               (uint32_t)!vf_settings_same(&a->settings, &b->settings) << CLAIM_PROPERTY_SRIOV |
               (uint32_t)!claim_macs_same(a, b) << CLAIM_PROPERTY_MAC_ADDRESSES |
               (uint32_t)(a->modified != b->modified) << CLAIM_PROPERTY_MODIFIED;
}

static int replace(ClaimTable *t, Claim *c, ClaimRecord *record) {
        uint32_t mask;

        if (c->record.owner != record->owner || !streq(c->record.vm, record->vm) ||
            !streq(c->record.group, record->group))
                return -EINVAL;

        mask = compare_records(&c->record, record);
        take_out(t, c);
        claim_record_clear(&c->record);
        c->record = *record;
        *record = (ClaimRecord){0};
        put_in(t, c);
        claim_table_touch(t, c, mask);
        return 0;
}

static int claim_new(const ClaimRecord *record, Claim **ret) {
        _cleanup_(claim_freep) Claim *c = NULL;
        char path[REGISTRY_PATH_SIZE];

        c = calloc(1, sizeof *c);
        if (!c || !(c->path = strdup(registry_path(BUS_PATH_CLAIMS, record->id, path))))
                return -ENOMEM;

        *ret = STEAL(c);
        return 0;
}

static int insert(ClaimTable *t, ClaimRecord *record, Claim **ret) {
        bool found;
        int r;

        if ((r = pointers_reserve(&t->claims, &t->n_allocated, t->n + 1)) < 0 ||
            (r = pointers_reserve(&t->by_id, &t->n_by_id_allocated, t->n_by_id + 1)) < 0 ||
            (r = claim_new(record, ret)) < 0)
                return r;

        (*ret)->record = *record;
        *record = (ClaimRecord){0};
        put_in(t, *ret);
        pointers_insert(t->by_id, &t->n_by_id, find_id(t, (*ret)->record.id, &found), *ret);
        claim_table_touch(t, *ret, 0);
        return 0;
}

int claim_table_put(ClaimTable *t, ClaimRecord *record, Claim **ret, bool *ret_new) {
        const Claim *named;
        Claim *c;
        int r;

        assert(t);
        assert(record);
        assert(ret);
        assert(ret_new);

        if (!registry_find_group(t->config.registry, record->group))
                return -ENOENT;
        c = claim_table_find(t, record->id);
        named = claim_table_find_name(t, record->owner, record->vm, record->name);
        if (named && named != c)
                return -EEXIST;

        r = c ? replace(t, c, record) : insert(t, record, ret);
        if (r < 0)
                return r;
        *ret_new = !c;
        if (c)
                *ret = c;
        return 0;
}

void claim_table_remove(ClaimTable *t, Claim *c) {
        bool found;
        size_t i;

        assert(t);
        assert(c);
        assert(!c->run);

        unlink_changed(t, c);
        take_out(t, c);
        i = find_id(t, c->record.id, &found);
        assert(found);
        pointers_remove(t->by_id, &t->n_by_id, i);
        claim_free(c);
}
