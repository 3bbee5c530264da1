/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The store: what is confirmed is there, what failed has had no effect. What a damaged file does is in
 * test-store-damage.c. */

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "store-fixture.h"

/* --- a disk that fails: SQLite's own calls, for files whose name ends so --- */

static struct {
        const char *write, *sync, *truncate; /* NULL: works */
        int error;
        unsigned good_syncs; /* so many more work before they fail */
} fault;

static bool is_hit(int fd, const char *suffix) {
        char link[64], path[PATH_MAX];
        ssize_t n;

        if (!suffix)
                return false;
        (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        n = readlink(link, path, sizeof path - 1);
        assert_true(n > 0);
        path[n] = '\0';
        if ((size_t)n < strlen(suffix) || !streq(path + n - strlen(suffix), suffix))
                return false;
        errno = fault.error;
        return true;
}

static ssize_t failing_pwrite64(int fd, const void *data, size_t n, off64_t offset) {
        return is_hit(fd, fault.write) ? -1 : pwrite64(fd, data, n, offset);
}

static int failing_ftruncate(int fd, off_t length) {
        return is_hit(fd, fault.truncate) ? -1 : ftruncate(fd, length);
}

/* The one that libsqlite3 calls: the program's own comes before libc's. */
__attribute__((visibility("default"))) int fdatasync(int fd) {
        if (is_hit(fd, fault.sync) && fault.good_syncs-- == 0) {
                fault.good_syncs = 0;
                errno = fault.error;
                return -1;
        }
        return (int)syscall(SYS_fdatasync, fd);
}

static void install_faults(void) {
        sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

        assert_int_equal(vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr)failing_pwrite64), 0);
        assert_int_equal(vfs->xSetSystemCall(vfs, "ftruncate", (sqlite3_syscall_ptr)failing_ftruncate), 0);
}

static int teardown_faults(void **state) {
        memset(&fault, 0, sizeof fault);
        return bench_teardown(state);
}

/* --- helpers --- */

static void expect(const Bench *b, const char *description) {
        _cleanup_free_ char *found = bench_describe(&b->contents);

        assert_string_equal(found, description);
}

static int put_rule(Bench *b, unsigned group, uint64_t age, const char *name) {
        StoreChange *c = bench_change();

        bench_put_rule(c, group, age, name);
        return bench_commit(b, c);
}

static int put_group(Bench *b, unsigned number, const char *name) {
        StoreChange *c = bench_change();

        bench_put_group(c, number, name);
        return bench_commit(b, c);
}

/* --- cases --- */

static void test_a_new_one(void **state) {
        Bench *b = *state;
        struct stat st;

        assert_int_equal(b->contents.n_groups, 0);
        assert_int_equal(b->contents.n_rules, 0);
        assert_int_equal(b->contents.n_intents, 0);
        assert_int_equal(b->contents.next_age, 1);

        bench_close(b);
        assert_int_equal(fstatat(b->fd, STORE_FILE, &st, 0), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_true(st.st_size > 0);
        for (size_t i = 1; i < ELEMENTSOF(bench_files); i++)
                if (faccessat(b->fd, bench_files[i], F_OK, 0) == 0)
                        fail_msg("%s was left", bench_files[i]);

        bench_open(b);
        expect(b, "next 1\n");
}

static void test_a_half_made_one_is_made_again(void **state) {
        Bench *b = *state;

        bench_write(b, STORE_FILE ".new", "half", 4);
        bench_write(b, STORE_FILE ".new-wal", "half", 4);
        bench_open(b);
        assert_int_equal(put_group(b, 1, "one"), 0);
        assert_int_equal(faccessat(b->fd, STORE_FILE ".new", F_OK, 0), -1);
        assert_int_equal(faccessat(b->fd, STORE_FILE ".new-wal", F_OK, 0), -1);
}

/* Each was written by a call that was under way, or whose undoing failed: their number is no damage. */
static void test_many_intents(void **state) {
        StoreChange *c = bench_change();
        Bench *b = *state;
        IntentRecord i;

        for (unsigned n = 1; n <= 17; n++) {
                i = bench_intent(n);
                assert_int_equal(store_change_put_intent(c, &i), 0);
        }
        assert_int_equal(bench_commit(b, c), 0);
        bench_open(b);
        assert_int_equal(b->contents.n_intents, 17);
}

static void test_everything_comes_back(void **state) {
        _cleanup_free_ char *first = NULL;
        Bench *b = *state;

        bench_fill(b);
        bench_open(b);
        assert_int_equal(b->contents.n_groups, 3);
        assert_int_equal(b->contents.n_rules, 29);
        assert_int_equal(b->contents.n_intents, 1);
        for (size_t i = 0; i < 29; i++)
                assert_int_equal(b->contents.rules[i].age, i + 1);
        assert_string_equal(b->contents.groups[0].name, "GPUs");
        assert_string_equal(b->contents.groups[2].description, "line one\nGr\303\266\303\237e");
        assert_int_equal(b->contents.next_age, 31); /* though the thirtieth is gone */

        first = bench_describe(&b->contents);
        bench_open(b);
        expect(b, first);
}

static void test_put_replaces_and_keeps_the_rules(void **state) {
        IntentRecord intent = bench_intent(1);
        Bench *b = *state;
        StoreChange *c;
        RuleRecord r;

        bench_fill(b);
        c = bench_change();
        bench_put_group(c, 1, "Graphics");
        r = bench_rule(2, 1, "moved");
        assert_int_equal(store_change_put_rule(c, &r), 0);
        intent.kind = INTENT_MAKE;
        intent.data = (char *)(uintptr_t) "";
        assert_int_equal(store_change_put_intent(c, &intent), 0);
        assert_int_equal(bench_commit(b, c), 0);

        bench_open(b);
        assert_int_equal(b->contents.n_groups, 3);
        assert_int_equal(b->contents.n_rules, 29);
        assert_string_equal(b->contents.groups[0].name, "Graphics");
        assert_string_equal(b->contents.rules[0].name, "moved");
        assert_string_equal(b->contents.rules[0].group, b->contents.groups[1].id);
        assert_int_equal(b->contents.n_intents, 1);
        assert_int_equal(b->contents.intents[0].kind, INTENT_MAKE);
        assert_string_equal(b->contents.intents[0].data, "");
        assert_int_equal(b->contents.next_age, 31);
}

static void test_deleting(void **state) {
        char id[RECORD_ID_SIZE];
        Bench *b = *state;
        StoreChange *c;

        bench_fill(b);
        c = bench_change();
        assert_int_equal(store_change_delete_group(c, bench_id('a', 0, id)), 0);
        assert_int_equal(store_change_delete_rule(c, bench_id('b', 29, id)), 0);
        assert_int_equal(store_change_delete_intent(c, bench_id('c', 1, id)), 0);
        assert_int_equal(store_change_delete_rule(c, bench_id('b', 999, id)), 0); /* there is none */
        assert_int_equal(bench_commit(b, c), 0);

        bench_open(b);
        assert_int_equal(b->contents.n_groups, 2);
        assert_int_equal(b->contents.n_rules, 19); /* every third was of that group */
        assert_int_equal(b->contents.n_intents, 0);
        assert_int_equal(b->contents.next_age, 31);
        for (size_t i = 0; i < b->contents.n_rules; i++)
                assert_int_not_equal(b->contents.rules[i].age % 3, 0);
}

static void test_no_age_is_given_twice(void **state) {
        char id[RECORD_ID_SIZE];
        Bench *b = *state;
        StoreChange *c;

        assert_int_equal(put_group(b, 1, "one"), 0);
        assert_int_equal(put_rule(b, 1, 7, "seventh"), 0);
        c = bench_change();
        assert_int_equal(store_change_delete_group(c, bench_id('a', 1, id)), 0);
        assert_int_equal(bench_commit(b, c), 0);

        bench_open(b);
        expect(b, "next 8\n");
}

static void test_the_longest_and_the_shortest(void **state) {
        static char name[RECORD_NAME_MAX + 1], description[RECORD_DESCRIPTION_MAX + 1],
                        node[RECORD_NODE_MAX + 1], data[STORE_INTENT_MAX + 1];
        GroupRecord g = bench_group(1, name);
        RuleRecord r = bench_rule(1, INT64_MAX - 1, name);
        IntentRecord i = bench_intent(1);
        Bench *b = *state;
        StoreChange *c = bench_change();

        memset(name, 'n', sizeof name - 1);
        memset(description, 'd', sizeof description - 1);
        memset(node, 'o', sizeof node - 1);
        memset(data, 'i', sizeof data - 1);
        g.description = description;
        r.node = node;
        i.data = data;
        r.modified = g.created = INT64_MAX;
        r.created = g.modified = 0;
        assert_int_equal(store_change_put_group(c, &g), 0);
        assert_int_equal(store_change_put_rule(c, &r), 0);
        assert_int_equal(store_change_put_intent(c, &i), 0);
        assert_int_equal(bench_commit(b, c), 0);

        bench_open(b);
        assert_string_equal(b->contents.groups[0].name, name);
        assert_string_equal(b->contents.groups[0].description, description);
        assert_true(b->contents.groups[0].created == INT64_MAX);
        assert_true(b->contents.rules[0].age == INT64_MAX - 1);
        assert_string_equal(b->contents.rules[0].node, node);
        assert_string_equal(b->contents.intents[0].data, data);
        assert_true(b->contents.next_age == INT64_MAX);
}

static void add_wrong(StoreChange *c, unsigned i) {
        static char data[STORE_INTENT_MAX + 2];
        GroupRecord g = bench_group(9, "PCI NICs"); /* the name of another */
        RuleRecord r = bench_rule(1, 50, "fine");
        IntentRecord intent = bench_intent(2);

        memset(data, 'x', sizeof data - 1);
        intent.data = data;
        if (i == 1)
                (void)bench_id('a', 77, r.group); /* there is none */
        else if (i == 2)
                r.name = (char *)(uintptr_t) "rule number 4"; /* its group has one of that name */
        else if (i == 3)
                r.age = 5; /* another's */
        else if (i == 4)
                r.age = 0;
        else if (i == 5)
                r.age = UINT64_MAX;
        else if (i == 6)
                r.age = INT64_MAX; /* none could follow */
        else if (i == 7)
                r.filter = (char *)(uintptr_t) "";
        else if (i == 8)
                r.created = 1ULL << 63;

        if (i == 0)
                assert_int_equal(store_change_put_group(c, &g), 0);
        else if (i == 9)
                assert_int_equal(store_change_put_intent(c, &intent), 0);
        else
                assert_int_equal(store_change_put_rule(c, &r), 0);
}

static void test_what_contradicts_has_no_effect(void **state) {
        _cleanup_free_ char *before = NULL;
        char id[RECORD_ID_SIZE];
        Bench *b = *state;

        bench_fill(b);
        bench_open(b);
        before = bench_describe(&b->contents);
        for (unsigned i = 0; i < 10; i++) {
                StoreChange *c = bench_change();

                bench_put_group(c, 5, "before it");
                assert_int_equal(store_change_delete_rule(c, bench_id('b', 1, id)), 0);
                add_wrong(c, i);
                bench_put_group(c, 6, "after it");
                if (bench_commit(b, c) != -EINVAL)
                        fail_msg("wrong change %u: %d", i, b->results[0]);
                assert_null(store_read_only(b->store));
        }
        bench_open(b);
        expect(b, before);
        assert_int_equal(put_group(b, 7, "the next"), 0);
}

static void test_an_empty_change(void **state) {
        Bench *b = *state;

        assert_int_equal(bench_commit(b, bench_change()), 0);
        assert_int_equal(store_commit(b->store, bench_change(), NULL, NULL), 0);
        assert_int_equal(bench_commit(b, bench_change()), 0); /* done comes for this one only */
        assert_int_equal(b->n_done, 1);
}

typedef struct Turn {
        Bench *b;
        unsigned number;
        int r;
} Turn;

static void in_turn(int r, void *userdata) {
        Turn *t = userdata;

        assert_int_equal(t->number, t->b->n_done);
        assert_int_equal(r, t->r);
        t->b->n_done++;
}

static void test_in_order_and_so_many(void **state) {
        Turn turns[STORE_PENDING_MAX];
        char name[32];
        Bench *b = *state;
        StoreChange *c;

        for (unsigned i = 0; i < STORE_PENDING_MAX; i++) {
                c = bench_change();
                (void)snprintf(name, sizeof name, "%u", i / 2);
                bench_put_group(c, i, name);
                turns[i] = (Turn){b, i, i % 2 == 0 ? 0 : -EINVAL}; /* each name twice */
                assert_int_equal(store_commit(b->store, c, in_turn, &turns[i]), 0);
        }
        c = bench_change();
        bench_put_group(c, 100, "too much");
        assert_int_equal(store_commit(b->store, c, in_turn, NULL), -EBUSY);
        assert_int_equal(b->n_done, 0);

        bench_wait(b, STORE_PENDING_MAX);
        assert_int_equal(put_group(b, 101, "again"), 0);
        bench_open(b);
        assert_int_equal(b->contents.n_groups, STORE_PENDING_MAX / 2 + 1);
}

static void must_not_be_called(int r _unused_, void *userdata _unused_) {
        fail_msg("called after the end");
}

static void test_the_end_finishes_what_was_handed_in(void **state) {
        char name[32];
        Bench *b = *state;

        for (unsigned i = 0; i < STORE_PENDING_MAX; i++) {
                StoreChange *c = bench_change();

                (void)snprintf(name, sizeof name, "%u", i);
                bench_put_group(c, i, name);
                assert_int_equal(store_commit(b->store, c, must_not_be_called, NULL), 0);
        }
        bench_close(b);
        while (sd_event_run(b->event, 0) > 0)
                ;
        bench_open(b);
        assert_int_equal(b->contents.n_groups, STORE_PENDING_MAX);
}

static int count_deaf(const char *name) {
        _cleanup_free_ char *path = NULL;
        _cleanup_fclose_ FILE *f = NULL;
        unsigned long long mask = 0;
        char line[256];

        assert_true(asprintf(&path, "/proc/self/task/%s/status", name) > 0);
        f = fopen(path, "re");
        assert_non_null(f);
        while (fgets(line, sizeof line, f))
                (void)sscanf(line, "SigBlk: %llx", &mask);
        return (mask & 1ULL << (SIGTERM - 1)) && (mask & 1ULL << (SIGCHLD - 1));
}

static void test_signals_are_not_for_its_thread(void **state) {
        _cleanup_closedir_ DIR *d = opendir("/proc/self/task");
        unsigned n = 0, deaf = 0;
        struct dirent *entry;
        char self[32];

        assert_non_null(d);
        (void)snprintf(self, sizeof self, "%d", (int)getpid());
        assert_int_equal(count_deaf(self), 0);
        bench_fill(*state); /* so that it has begun: until then libc keeps every thread deaf */
        while ((entry = readdir(d)))
                if (entry->d_name[0] != '.') {
                        n++;
                        deaf += (unsigned)count_deaf(entry->d_name);
                }
        assert_true(n >= 2); /* a sanitizer may have one of its own */
        assert_true(deaf >= 1);
}

/* The disk is full, then it is not. */
static void test_a_full_disk(void **state) {
        _cleanup_free_ char *before = NULL;
        Bench *b = *state;

        bench_fill(b);
        bench_open(b);
        before = bench_describe(&b->contents);
        fault.write = "-wal";
        fault.error = ENOSPC;
        assert_int_equal(put_group(b, 8, "too much"), -ENOSPC);
        assert_int_equal(put_group(b, 8, "too much"), -ENOSPC);
        assert_null(store_read_only(b->store));

        fault.write = NULL;
        bench_open(b);
        expect(b, before);
        assert_int_equal(put_group(b, 8, "room again"), 0);
}

static void test_an_input_output_error(void **state) {
        _cleanup_free_ char *before = NULL;
        Bench *b = *state;

        bench_fill(b);
        bench_open(b);
        before = bench_describe(&b->contents);
        fault.error = EIO;
        fault.write = "-wal";
        assert_int_equal(put_group(b, 8, "one"), -EIO);
        fault.write = NULL;
        fault.sync = "-wal";
        assert_int_equal(put_group(b, 8, "two"), -EIO);
        fault.sync = NULL;
        fault.write = "-wal";
        fault.error = EDQUOT;
        assert_int_equal(put_group(b, 8, "three"), -EIO);
        fault.write = NULL;
        assert_null(store_read_only(b->store));

        bench_open(b);
        expect(b, before);
}

/* What was reported as failed must not come back, not even when the next thing is a crash. The first sync is of the
 * WAL's head, the second of the pages: the change itself stands in the file when that one fails. */
static void test_what_failed_does_not_come_back_after_a_crash(void **state) {
        _cleanup_free_ char *before = NULL;
        Bench *b = *state;

        bench_fill(b);
        bench_open(b);
        before = bench_describe(&b->contents);
        for (unsigned i = 0; i < 2; i++) {
                _cleanup_snapshot_ Snapshot crashed = {0};

                bench_open(b);
                fault.error = EIO;
                fault.sync = "-wal";
                fault.good_syncs = i;
                assert_int_equal(put_group(b, 8, "failed"), -EIO);
                fault.sync = NULL;
                crashed = bench_snapshot(b);

                bench_close(b);
                bench_restore(b, &crashed);
                bench_open(b);
                expect(b, before);
        }
}

/* And where that cannot be promised, nothing goes on. */
static void test_a_broken_disk_makes_it_read_only(void **state) {
        Bench *b = *state;
        StoreChange *c;

        bench_fill(b);
        fault.error = EIO;
        fault.sync = fault.truncate = "-wal";
        b->n_done = 0;
        for (unsigned i = 0; i < 3; i++) {
                c = bench_change();
                bench_put_group(c, 10 + i, "failed");
                assert_int_equal(store_commit(b->store, c, bench_done, b), 0);
        }
        bench_wait(b, 3);
        assert_int_equal(b->results[0], -EIO);
        assert_int_equal(b->results[1], -EROFS);
        assert_int_equal(b->results[2], -EROFS);
        assert_non_null(store_read_only(b->store));
        assert_non_null(strstr(store_read_only(b->store), "Input/output error"));
        assert_non_null(strstr(store_read_only(b->store), STORE_FILE));
        assert_int_equal(put_group(b, 8, "never"), -EROFS);

        memset(&fault, 0, sizeof fault);
        bench_open(b);
        assert_int_equal(b->contents.n_groups, 3);
        assert_int_equal(b->contents.n_rules, 29);
}

/* A crash after the commit and before the WAL is brought home: the WAL alone has it. */
static void test_a_wal_that_a_crash_left(void **state) {
        _cleanup_snapshot_ Snapshot crashed = {0};
        Bench *b = *state;

        bench_fill(b);
        fault.error = ENOSPC;
        fault.write = "/" STORE_FILE;
        assert_int_equal(put_group(b, 4, "four"), 0);
        assert_int_equal(put_rule(b, 4, 40, "of four"), 0);
        assert_int_equal(put_group(b, 5, "five"), 0);
        crashed = bench_snapshot(b);
        assert_true(crashed.files[1].n > 0);

        /* Also when the disk is still full: it is read all the same. */
        bench_close(b);
        bench_restore(b, &crashed);
        bench_open(b);
        assert_int_equal(b->contents.n_groups, 5);

        bench_close(b);
        fault.write = NULL;
        bench_restore(b, &crashed);
        bench_open(b);
        assert_int_equal(b->contents.n_groups, 5);
        assert_int_equal(b->contents.n_rules, 30);
        assert_int_equal(b->contents.next_age, 41);
        bench_close(b);
        assert_int_equal(faccessat(b->fd, STORE_WAL, F_OK, 0), -1);
        bench_open(b);
        assert_int_equal(b->contents.n_groups, 5);
}

/* What is confirmed stands in the file itself: a copy of that alone is a backup, and the WAL may be lost. */
static void test_the_file_alone_has_all_that_is_confirmed(void **state) {
        _cleanup_snapshot_ Snapshot copy = {0};
        Bench *b = *state;

        bench_fill(b);
        for (unsigned i = 4; i < 8; i++) {
                char name[2] = {(char)('0' + i)};

                assert_int_equal(put_group(b, i, name), 0);
                snapshot_clear(&copy);
                copy = bench_snapshot(b);
                assert_int_equal(copy.files[1].n, 0);
        }
        bench_close(b);
        blob_clear(&copy.files[1]);
        bench_restore(b, &copy);
        bench_open(b);
        assert_int_equal(b->contents.n_groups, 7);
}

/* --- another process --- */

static void report_number(int r, void *userdata) {
        unsigned *numbers = userdata; /* the pipe, and the number */

        if (r < 0 || write((int)numbers[0], &numbers[1], sizeof numbers[1]) != sizeof numbers[1])
                _exit(1);
        numbers[1]++;
}

/* Puts a group and a rule of it in each change, for ever, and reports each that is confirmed. */
static _Noreturn void commit_for_ever(Bench *b, int pipe_fd) {
        unsigned numbers[2] = {(unsigned)pipe_fd, 1};
        char name[32];

        bench_after_fork(b);
        bench_open(b);
        for (unsigned i = 1;; i++) {
                StoreChange *c = bench_change();
                int r;

                (void)snprintf(name, sizeof name, "%u", i);
                bench_put_group(c, i, name);
                bench_put_rule(c, i, i, name);
                r = store_commit(b->store, c, report_number, numbers);
                if (r == -EBUSY)
                        i--;
                else if (r < 0)
                        _exit(2);
                if (sd_event_run(b->event, r == -EBUSY ? UINT64_MAX : 0) < 0)
                        _exit(3);
        }
}

static void kill_after(Bench *b, unsigned n) {
        unsigned last = 0;
        int fds[2], status;
        pid_t pid;

        assert_int_equal(pipe(fds), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                (void)close(fds[0]);
                commit_for_ever(b, fds[1]);
        }
        (void)close(fds[1]);
        while (last < n)
                assert_int_equal(read(fds[0], &last, sizeof last), sizeof last);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        while (read(fds[0], &n, sizeof n) == sizeof n)
                last = n;
        (void)close(fds[0]);

        bench_open(b);
        assert_true(b->contents.n_groups >= last);
        assert_int_equal(b->contents.n_groups, b->contents.n_rules);
        for (size_t i = 0; i < b->contents.n_rules; i++)
                assert_int_equal(b->contents.rules[i].age, i + 1);
        assert_int_equal(b->contents.next_age, b->contents.n_rules + 1);
        bench_close(b);
        assert_int_equal(unlinkat(b->fd, STORE_FILE, 0), 0);
}

static void test_killed_in_the_middle(void **state) {
        static const unsigned after[] = {1, 2, 5, 17, 60, 100};

        for (size_t i = 0; i < ELEMENTSOF(after); i++)
                kill_after(*state, after[i]);
}

static void test_two_at_a_time(void **state) {
        StoreContents contents = {0};
        Store *second;
        Bench *b = *state;

        bench_fill(b);
        assert_int_equal(store_open(b->event, b->fd, &second, &contents), 0);
        assert_non_null(store_read_only(second));
        assert_non_null(strstr(store_read_only(second), "another program has it open"));
        assert_int_equal(contents.n_groups, 0);
        second = store_free(second);
        store_contents_clear(&contents);

        /* The first has kept its lock. */
        assert_int_equal(put_group(b, 8, "still mine"), 0);
        assert_int_equal(store_open(b->event, b->fd, &second, &contents), 0);
        assert_non_null(store_read_only(second));
        store_free(second);
        store_contents_clear(&contents);
}

static void test_a_foreign_lock(void **state) {
        int ready[2], status;
        Bench *b = *state;
        char byte = 0;
        pid_t pid;

        bench_fill(b);
        bench_close(b);
        assert_int_equal(pipe(ready), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                (void)close(ready[0]);
                bench_after_fork(b);
                bench_open(b);
                (void)!write(ready[1], &byte, 1);
                for (;;)
                        (void)pause();
        }
        (void)close(ready[1]);
        assert_int_equal(read(ready[0], &byte, 1), 1);
        (void)close(ready[0]);
        bench_try(b);
        assert_non_null(store_read_only(b->store));
        assert_non_null(strstr(store_read_only(b->store), "another program has it open"));

        /* Its lock ends with it, however that ends. */
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        bench_open(b);
        assert_int_equal(b->contents.n_groups, 3);
}

#define with(setup, name) cmocka_unit_test_setup_teardown(name, setup, teardown_faults)

int main(void) {
        const struct CMUnitTest tests[] = {
                        with(bench_setup, test_a_new_one),
                        with(bench_setup_closed, test_a_half_made_one_is_made_again),
                        with(bench_setup, test_many_intents),
                        with(bench_setup, test_everything_comes_back),
                        with(bench_setup, test_put_replaces_and_keeps_the_rules),
                        with(bench_setup, test_deleting),
                        with(bench_setup, test_no_age_is_given_twice),
                        with(bench_setup, test_the_longest_and_the_shortest),
                        with(bench_setup, test_what_contradicts_has_no_effect),
                        with(bench_setup, test_an_empty_change),
                        with(bench_setup, test_in_order_and_so_many),
                        with(bench_setup, test_the_end_finishes_what_was_handed_in),
                        with(bench_setup, test_signals_are_not_for_its_thread),
                        with(bench_setup, test_a_full_disk),
                        with(bench_setup, test_an_input_output_error),
                        with(bench_setup, test_what_failed_does_not_come_back_after_a_crash),
                        with(bench_setup, test_a_broken_disk_makes_it_read_only),
                        with(bench_setup, test_a_wal_that_a_crash_left),
                        with(bench_setup, test_the_file_alone_has_all_that_is_confirmed),
                        with(bench_setup_closed, test_killed_in_the_middle),
                        with(bench_setup, test_two_at_a_time),
                        with(bench_setup, test_a_foreign_lock),
        };

        install_faults();
        return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
