/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A store in a directory of its own, with records to put into it and the means to damage what it wrote. */

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "fake-host.h"
#include "store-internal.h"
#include "store.h"

#define DEADLINE_USEC (60ULL * 1000 * 1000)
#define STORE_WAL STORE_FILE "-wal"

typedef struct Bench {
        FakeHost *host; /* for its directory */
        int fd;
        sd_event *event;
        Store *store;
        StoreContents contents; /* as of the last opening */
        unsigned n_done;
        int results[256];
} Bench;

static inline Bench *bench_new(void) {
        Bench *b = calloc(1, sizeof *b);

        assert_non_null(b);
        b->host = fake_host_new();
        fake_host_mkdir(b->host, "state");
        b->fd = openat(b->host->fd, "state", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(b->fd >= 0);
        assert_true(sd_event_new(&b->event) >= 0);
        assert_true(sd_event_add_time_relative(b->event, NULL, CLOCK_MONOTONIC, DEADLINE_USEC, 0, NULL,
                                               (void *)(intptr_t)-ETIME) >= 0);
        return b;
}

/* In the child of a fork: an event loop is its process's own. */
static inline void bench_after_fork(Bench *b) {
        if (sd_event_new(&b->event) < 0)
                _exit(99);
}

static inline void bench_close(Bench *b) {
        b->store = store_free(b->store);
        store_contents_clear(&b->contents);
}

static inline void bench_free(Bench *b) {
        bench_close(b);
        sd_event_unref(b->event);
        closep(&b->fd);
        fake_host_free(b->host);
        free(b);
}

/* Whatever comes of it. */
static inline void bench_try(Bench *b) {
        bench_close(b);
        assert_int_equal(store_open(b->event, b->fd, &b->store, &b->contents), 0);
        assert_non_null(b->store);
        if (store_read_only(b->store)) {
                assert_int_equal(b->contents.n_groups, 0);
                assert_int_equal(b->contents.n_rules, 0);
                assert_int_equal(b->contents.n_intents, 0);
                assert_int_equal(b->contents.n_claims, 0);
                assert_int_equal(b->contents.n_runs, 0);
                assert_int_equal(b->contents.n_quarantine, 0);
                assert_non_null(strstr(store_read_only(b->store), b->host->root));
                assert_int_equal(store_read_only(b->store)[strlen(store_read_only(b->store)) - 1], '.');
        }
}

static inline void bench_open(Bench *b) {
        bench_try(b);
        if (store_read_only(b->store))
                fail_msg("%s", store_read_only(b->store));
}

static inline int bench_setup(void **state) {
        *state = bench_new();
        bench_open(*state);
        return 0;
}

static inline int bench_setup_closed(void **state) {
        *state = bench_new();
        return 0;
}

static inline int bench_teardown(void **state) {
        bench_free(*state);
        return 0;
}

static inline void bench_done(int r, void *userdata) {
        Bench *b = userdata;

        assert_true(b->n_done < ELEMENTSOF(b->results));
        b->results[b->n_done++] = r;
}

static inline void bench_wait(Bench *b, unsigned n) {
        while (b->n_done < n) {
                assert_true(sd_event_run(b->event, UINT64_MAX) >= 0);
                assert_true(sd_event_get_state(b->event) != SD_EVENT_FINISHED);
        }
}

/* Commits it and waits for what comes of it. */
static inline int bench_commit(Bench *b, StoreChange *c) {
        int r;

        b->n_done = 0;
        r = store_commit(b->store, c, bench_done, b);
        if (r < 0)
                return r;
        assert_int_equal(b->n_done, 0);
        bench_wait(b, 1);
        return b->results[0];
}

/* --- records: all texts borrowed or in the record itself --- */

static inline StoreChange *bench_change(void) {
        StoreChange *c;

        assert_int_equal(store_change_new(&c), 0);
        return c;
}

static inline const char *bench_id(char kind, unsigned number, char buf[RECORD_ID_SIZE]) {
        (void)snprintf(buf, RECORD_ID_SIZE, "%08x-0000-4000-8000-00000000000%c", number, kind);
        return buf;
}

#define BENCH_SRIOV 2U /* the number of a group of virtual functions */

static inline GroupRecord bench_group(unsigned number, const char *name) {
        GroupRecord g = {.name = (char *)(uintptr_t)name,
                         .type = GROUP_TYPE_PCI,
                         .description = (char *)(uintptr_t) "line one\nGr\303\266\303\237e",
                         .class = GROUP_CLASS_NETWORK,
                         .enabled = number % 2 == 0,
                         .binding = number % 2 == 0 ? GROUP_BINDING_PERSISTENT : GROUP_BINDING_ON_CLAIM,
                         .quota = number * 3,
                         .created = 1700000000000000 + number,
                         .modified = 1800000000000000 + number};

        if (number == BENCH_SRIOV) {
                g.type = GROUP_TYPE_SRIOV_NIC;
                assert_int_equal(sriov_settings_parse("vfs=7 overridable=trust,mac vlan=100 trust=off",
                                                      &g.sriov),
                                 0);
        }
        (void)bench_id('a', number, g.id);
        return g;
}

static inline RuleRecord bench_rule(unsigned group, uint64_t age, const char *name) {
        RuleRecord r = {.age = age,
                        .name = (char *)(uintptr_t)name,
                        .node = (char *)(uintptr_t)(age % 3 == 0 ? "node1" : ""),
                        .filter = (char *)(uintptr_t) "slot eq '03:00.0'",
                        .enabled = age % 2 == 0,
                        .auto_created = age % 3 == 0,
                        .created = 1700000000000000 + age,
                        .modified = 1800000000000000 + age};

        (void)bench_id('a', group, r.group);
        (void)bench_id('b', (unsigned)age, r.id);
        return r;
}

static inline IntentRecord bench_intent(unsigned number) {
        IntentRecord i = {.kind = INTENT_RETURN,
                          .data = (char *)(uintptr_t) "0000:01:00.0\n",
                          .created = 1700000000000000 + number};

        (void)bench_id('c', number, i.id);
        return i;
}

/* As many as it has devices; nothing is allocated. */
static inline void bench_set_macs(ClaimRecord *c) {
        static uint8_t macs[CLAIM_COUNT_MAX][VF_MAC_LENGTH];

        assert_true(c->count <= CLAIM_COUNT_MAX);
        for (unsigned i = 0; i < CLAIM_COUNT_MAX; i++)
                memcpy(macs[i], (uint8_t[]){0x02, 0xfe, 0, 0, 0, (uint8_t)(i + 1)}, VF_MAC_LENGTH);
        c->macs = macs;
        c->n_macs = c->count;
}

static inline ClaimRecord bench_claim(unsigned number, unsigned group, const char *vm, const char *name) {
        ClaimRecord c = {.owner = number % 2 == 0 ? 0 : 1000,
                         .vm = (char *)(uintptr_t)vm,
                         .name = (char *)(uintptr_t)name,
                         .description = (char *)(uintptr_t) "for\nGr\303\266\303\237e",
                         .count = 1 + number % 3,
                         .order = number * 10,
                         .optional = number % 2 == 0,
                         .enabled = number % 3 != 0,
                         .doomed = number % 3 == 0,
                         .created = 1700000000000000 + number,
                         .modified = 1800000000000000 + number};

        if (group == BENCH_SRIOV) {
                assert_int_equal(vf_settings_parse("trust=on", &c.settings), 0);
                bench_set_macs(&c);
        }
        (void)bench_id('a', group, c.group);
        (void)bench_id('d', number, c.id);
        return c;
}

static inline PciIdentity bench_identity(unsigned number) {
        return (PciIdentity){.address = {number / 2, (uint8_t)number, 31, 7},
                             .vendor = 0x8086,
                             .device = 0x1572,
                             .subsystem_vendor = 0x1028,
                             .subsystem_device = (uint16_t)number,
                             .class_code = 0x020000,
                             .revision = 0xff,
                             .serial = "68-05-ca ff",
                             .slot = "12-1"};
}

#define BENCH_BOOT "0123456789abcdef0123456789abcdef"

/* Its devices are of the claims number and number + 1, and the caller's. */
static inline RunRecord bench_run(unsigned number, RunDevice devices[static 2]) {
        RunRecord r = {.owner = 1000,
                       .vm = (char *)(uintptr_t) "web",
                       .uid = 1000 + number,
                       .starting = number % 2 == 0,
                       .track = RUN_TRACK_MACHINE,
                       .tracked = (char *)(uintptr_t) "qemu-1-web",
                       .access = RUN_ACCESS_FDS,
                       .boot_id = BENCH_BOOT,
                       .created = 1700000000000000 + number,
                       .devices = devices,
                       .n_devices = 2};

        (void)bench_id('e', number, r.id);
        for (unsigned i = 0; i < 2; i++) {
                devices[i] = (RunDevice){.identity = bench_identity(2 * number + i),
                                         .returning = i == 1,
                                         .settings = i == 1 ? 0xfedc : 0};
                (void)bench_id('d', number + i, devices[i].claim);
        }
        return r;
}

static inline QuarantineRecord bench_quarantine(unsigned number) {
        return (QuarantineRecord){.identity = bench_identity(number),
                                  .reason = (char *)(uintptr_t) "It could not be reset after VM web.",
                                  .boot_id = BENCH_BOOT,
                                  .created = 1700000000000000 + number};
}

static inline void bench_put_claim(StoreChange *c, unsigned number, const char *vm, const char *name) {
        ClaimRecord claim = bench_claim(number, 2, vm, name);

        assert_int_equal(store_change_put_claim(c, &claim), 0);
}

static inline void bench_put_run(StoreChange *c, unsigned number) {
        RunDevice devices[2];
        RunRecord run = bench_run(number, devices);

        assert_int_equal(store_change_put_run(c, &run), 0);
}

static inline void bench_put_quarantine(StoreChange *c, unsigned number) {
        QuarantineRecord q = bench_quarantine(number);

        assert_int_equal(store_change_put_quarantine(c, &q), 0);
}

static inline void bench_put_group(StoreChange *c, unsigned number, const char *name) {
        GroupRecord g = bench_group(number, name);

        assert_int_equal(store_change_put_group(c, &g), 0);
}

static inline void bench_put_rule(StoreChange *c, unsigned group, uint64_t age, const char *name) {
        RuleRecord r = bench_rule(group, age, name);

        assert_int_equal(store_change_put_rule(c, &r), 0);
}

static inline void bench_describe_device(FILE *f, const PciIdentity *i) {
        char address[PCI_ADDRESS_SIZE];

        fprintf(f, " [%s %04x:%04x %04x:%04x %06x %02x '%s' '%s'", pci_address_format(&i->address, address),
                i->vendor, i->device, i->subsystem_vendor, i->subsystem_device, i->class_code, i->revision,
                i->serial, i->slot);
}

static inline void bench_describe_claims(FILE *f, const StoreContents *c) {
        for (size_t i = 0; i < c->n_claims; i++) {
                const ClaimRecord *k = &c->claims[i];
                char settings[VF_LINE_SIZE], macs[CLAIM_MACS_SIZE];

                fprintf(f, "claim %s on %s of %u '%s' '%s' '%s' %u %u %d %d %d [%s] [%s] %ju %ju\n", k->id,
                        k->group, k->owner, k->vm, k->name, k->description, k->count, k->order, k->optional,
                        k->enabled, k->doomed, vf_settings_format(&k->settings, settings),
                        claim_macs_format(k, macs), (uintmax_t)k->created, (uintmax_t)k->modified);
        }
        for (size_t i = 0; i < c->n_runs; i++) {
                const RunRecord *r = &c->runs[i];

                fprintf(f, "run %s of %u '%s' for %u %d %s '%s' %s %s %ju", r->id, r->owner, r->vm, r->uid,
                        r->starting, run_track_to_string(r->track), r->tracked,
                        run_access_to_string(r->access), r->boot_id, (uintmax_t)r->created);
                for (size_t k = 0; k < r->n_devices; k++) {
                        bench_describe_device(f, &r->devices[k].identity);
                        fprintf(f, " %s %d %jx]", r->devices[k].claim, r->devices[k].returning,
                                (uintmax_t)r->devices[k].settings);
                }
                fprintf(f, "\n");
        }
        for (size_t i = 0; i < c->n_quarantine; i++) {
                fprintf(f, "quarantine");
                bench_describe_device(f, &c->quarantine[i].identity);
                fprintf(f, "] '%s' %s %ju\n", c->quarantine[i].reason, c->quarantine[i].boot_id,
                        (uintmax_t)c->quarantine[i].created);
        }
}

/* A text of everything in it, for comparing. */
static inline char *bench_describe(const StoreContents *c) {
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        assert_non_null(f);
        for (size_t i = 0; i < c->n_groups; i++) {
                const GroupRecord *g = &c->groups[i];
                char sriov[SRIOV_LINE_SIZE];

                fprintf(f, "group %s '%s' %s '%s' %s %d %s %u [%s] %ju %ju\n", g->id, g->name,
                        group_type_to_string(g->type), g->description, group_class_to_string(g->class),
                        g->enabled, group_binding_to_string(g->binding), g->quota,
                        sriov_settings_format(&g->sriov, sriov), (uintmax_t)g->created,
                        (uintmax_t)g->modified);
        }
        for (size_t i = 0; i < c->n_rules; i++) {
                const RuleRecord *r = &c->rules[i];

                fprintf(f, "rule %ju %s of %s '%s' '%s' \"%s\" %d %d %ju %ju\n", (uintmax_t)r->age, r->id,
                        r->group, r->name, r->node, r->filter, r->enabled, r->auto_created,
                        (uintmax_t)r->created, (uintmax_t)r->modified);
        }
        for (size_t i = 0; i < c->n_intents; i++)
                fprintf(f, "intent %s %s '%s' %ju\n", c->intents[i].id,
                        intent_kind_to_string(c->intents[i].kind), c->intents[i].data,
                        (uintmax_t)c->intents[i].created);
        bench_describe_claims(f, c);
        fprintf(f, "next %ju\n", (uintmax_t)c->next_age);
        assert_int_equal(fclose(f), 0);
        return text;
}

/* --- files --- */

typedef struct Blob {
        bool exists;
        size_t n;
        unsigned char *data;
} Blob;

static inline void blob_clear(Blob *blob) {
        free(blob->data);
        *blob = (Blob){0};
}
#define _cleanup_blob_ _cleanup_(blob_clear)

static inline Blob bench_read(const Bench *b, const char *name) {
        _cleanup_close_ int fd = openat(b->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        struct stat st;
        Blob blob = {0};

        if (fd < 0)
                return blob;
        assert_int_equal(fstat(fd, &st), 0);
        if (!S_ISREG(st.st_mode))
                return blob;
        blob = (Blob){.exists = true, .n = (size_t)st.st_size, .data = malloc((size_t)st.st_size + 1)};
        assert_non_null(blob.data);
        assert_int_equal(read(fd, blob.data, blob.n), blob.n);
        return blob;
}

static inline void bench_write(const Bench *b, const char *name, const void *data, size_t n) {
        _cleanup_close_ int fd = -1;

        (void)unlinkat(b->fd, name, 0);
        fd = openat(b->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, data, n), n);
}

static inline void bench_put_back(const Bench *b, const char *name, const Blob *blob) {
        if (blob->exists)
                bench_write(b, name, blob->data, blob->n);
        else
                (void)unlinkat(b->fd, name, 0);
}

static inline bool blob_equal(const Blob *x, const Blob *y) {
        return x->exists == y->exists && x->n == y->n && (x->n == 0 || memcmp(x->data, y->data, x->n) == 0);
}

/* All files that can be there. */
static const char *const bench_files[] = {STORE_FILE, STORE_WAL, STORE_FILE "-shm", STORE_FILE "-journal",
                                          STORE_FILE ".new"};

typedef struct Snapshot {
        Blob files[ELEMENTSOF(bench_files)];
} Snapshot;

static inline void snapshot_clear(Snapshot *s) {
        for (size_t i = 0; i < ELEMENTSOF(bench_files); i++)
                blob_clear(&s->files[i]);
}
#define _cleanup_snapshot_ _cleanup_(snapshot_clear)

static inline Snapshot bench_snapshot(const Bench *b) {
        Snapshot s = {0};

        for (size_t i = 0; i < ELEMENTSOF(bench_files); i++)
                s.files[i] = bench_read(b, bench_files[i]);
        return s;
}

static inline void bench_restore(const Bench *b, const Snapshot *s) {
        for (size_t i = 0; i < ELEMENTSOF(bench_files); i++)
                bench_put_back(b, bench_files[i], &s->files[i]);
}

static inline void bench_is_untouched(const Bench *b, const Snapshot *before, const char *what) {
        _cleanup_snapshot_ Snapshot now = bench_snapshot(b);

        for (size_t i = 0; i < ELEMENTSOF(bench_files); i++)
                if (!blob_equal(&before->files[i], &now.files[i]))
                        fail_msg("%s: %s was changed (%zu bytes before, %zu now)", what, bench_files[i],
                                 before->files[i].n, now.files[i].n);
}

/* Opens it, which must fail with a sentence that has `words` in it, now and again, and change nothing. */
static inline void bench_refuses(Bench *b, const char *words) {
        _cleanup_snapshot_ Snapshot before = {0};

        bench_close(b);
        before = bench_snapshot(b);
        for (int i = 0; i < 2; i++) {
                bench_try(b);
                if (!store_read_only(b->store))
                        fail_msg("opened, and should have said: %s", words);
                if (!strstr(store_read_only(b->store), words))
                        fail_msg("'%s' says nothing of '%s'", store_read_only(b->store), words);
                assert_int_equal(store_commit(b->store, bench_change(), bench_done, b), -EROFS);
                bench_close(b);
                bench_is_untouched(b, &before, words);
        }
}

/* As another program would, which knows nothing of checksums. */
static inline void bench_sql(const Bench *b, const char *sql) {
        char path[64], *error = NULL;
        sqlite3 *db = NULL;

        (void)snprintf(path, sizeof path, "/proc/self/fd/%d/" STORE_FILE, b->fd);
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK)
                fail_msg("%s: %s", sql, error);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* Three groups, some rules, an intent; a rule that was the youngest and is gone; and claims on the third group, two of
 * which a VM runs with, and two devices in quarantine. */
static inline void bench_fill(Bench *b) {
        static const char *const names[] = {"PCI NICs", "GPUs", "Gr\303\266\303\237e"};
        StoreChange *c = bench_change();
        IntentRecord intent = bench_intent(1);
        char name[32], id[RECORD_ID_SIZE];

        for (unsigned i = 0; i < ELEMENTSOF(names); i++)
                bench_put_group(c, i, names[i]);
        for (unsigned i = 1; i <= 30; i++) {
                (void)snprintf(name, sizeof name, "rule number %u", i);
                bench_put_rule(c, i % 3, i, name);
        }
        assert_int_equal(store_change_put_intent(c, &intent), 0);
        assert_int_equal(store_change_delete_rule(c, bench_id('b', 30, id)), 0);
        bench_put_claim(c, 1, "web", "network card");
        bench_put_claim(c, 2, "web", "graphics");
        bench_put_claim(c, 3, "data base", "network card");
        bench_put_run(c, 1);
        bench_put_quarantine(c, 5);
        bench_put_quarantine(c, 6);
        assert_int_equal(bench_commit(b, c), 0);
}
