/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/random.h>
#include <time.h>

#include <systemd/sd-id128.h>

#include "log.h"
#include "order-book.h"
#include "sysfs.h"
#include "transaction.h"

int order_book_stamp(OrderStamp *ret) {
        struct timespec now;
        uint64_t seed;
        sd_id128_t id;
        int r;

        assert(ret);

        r = sd_id128_randomize(&id);
        if (r < 0)
                return r;
        if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed ||
            clock_gettime(CLOCK_REALTIME, &now) < 0)
                return -errno;

        *ret = (OrderStamp){.seed = seed,
                            .now = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000};
        (void)sd_id128_to_uuid_string(id, ret->id);
        return 0;
}

uint64_t order_book_next_age(Manager *m) {
        return m->next_age++;
}

void order_book_match(Manager *m, Device *d) {
        if (registry_match_device(m->registry, d) < 0)
                log_error("Out of memory: the groups of device %s may be shown wrong.", d->address);
}

void order_book_note_store(Manager *m) {
        bool read_only = store_read_only(m->store);

        if (read_only == !!m->read_only)
                return;

        m->read_only = read_only;
        changes_mark_manager(&m->changes,
                             1U << MANAGER_PROPERTY_READ_ONLY | 1U << MANAGER_PROPERTY_READ_ONLY_REASON);
        if (read_only)
                log_error("Groups, rules and claims cannot be changed: %s", store_read_only(m->store));
}

static void on_touched(void *userdata) {
        Manager *m = userdata;

        changes_arm(&m->changes);
}

static void on_regrouped(Device *d, void *userdata) {
        Manager *m = userdata;

        changes_mark(&m->changes, d, 1U << DEVICE_PROPERTY_GROUPS);
}

static void on_claimed(Device *d, void *userdata) {
        Manager *m = userdata;

        changes_touch_device(&m->changes, d); /* its state follows */
        changes_mark(&m->changes, d, 1U << DEVICE_PROPERTY_CLAIM);
}

static int take_groups(Manager *m, StoreContents *c) {
        Group *g;
        bool new;
        int r = 0;

        for (size_t i = 0; i < c->n_groups && r >= 0; i++)
                r = registry_put_group(m->registry, &c->groups[i], &g, &new);
        return r;
}

static int take_rules(Manager *m, StoreContents *c) {
        Rule *rule;
        bool new;
        int r = 0;

        registry_defer(m->registry);
        for (size_t i = 0; i < c->n_rules && r >= 0; i++)
                r = registry_put_rule(m->registry, &c->rules[i], &rule, &new);
        if (r >= 0)
                r = registry_rebuild(m->registry);
        return r;
}

static int take_claims(Manager *m, StoreContents *c) {
        Claim *claim;
        bool new;
        int r = 0;

        for (size_t i = 0; i < c->n_claims && r >= 0; i++)
                r = claim_table_put(m->claims, &c->claims[i], &claim, &new);
        return r;
}

/* Who takes them up needs more than is there yet. */
static void leave(Manager *m, StoreContents *c) {
        m->intents = STEAL(c->intents);
        m->n_intents = c->n_intents;
        m->left_runs = STEAL(c->runs);
        m->n_left_runs = c->n_runs;
        m->quarantine = STEAL(c->quarantine);
        m->n_quarantine = c->n_quarantine;
        c->n_intents = c->n_runs = c->n_quarantine = 0;
}

int order_book_open(Manager *m) {
        _cleanup_close_ int state = sysfs_open_dir(m->root, STATE_DIR);
        const RegistryConfig config = {&m->devices, on_touched, on_regrouped, m};
        StoreContents contents = {0};
        int r;

        if ((r = registry_new(&config, &m->registry)) < 0 ||
            (r = claim_table_new(&(ClaimTableConfig){&m->devices, m->registry, on_touched, on_claimed, m},
                                 &m->claims)) < 0 ||
            (r = store_open(m->event, state, &m->store, &contents)) < 0)
                return r;

        order_book_note_store(m);
        m->next_age = contents.next_age > 0 ? contents.next_age : 1;
        if ((r = take_groups(m, &contents)) >= 0 && (r = take_rules(m, &contents)) >= 0)
                r = take_claims(m, &contents);
        if (r >= 0)
                leave(m, &contents);
        store_contents_clear(&contents);
        return r;
}

static void free_intents(Manager *m) {
        for (size_t i = 0; i < m->n_intents; i++)
                intent_record_clear(&m->intents[i]);
        free(m->intents);
        m->intents = NULL;
        m->n_intents = 0;
}

static void free_left(Manager *m) {
        for (size_t i = 0; i < m->n_left_runs; i++)
                run_record_clear(&m->left_runs[i]);
        free(m->left_runs);
        m->left_runs = NULL;
        m->n_left_runs = 0;
}

void order_book_recover(Manager *m) {
        transactions_recover(m, m->intents, m->n_intents);
        free_intents(m);
}

void order_book_close(Manager *m) {
        for (size_t i = 0; i < m->devices.n && m->registry; i++)
                registry_forget_device(m->registry, m->devices.devices[i]);
        m->claims = claim_table_free(m->claims);
        m->registry = registry_free(m->registry);
        free_intents(m);
        free_left(m);
}
