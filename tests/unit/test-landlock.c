/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "fake-host.h"
#include "landlock.h"

/* Each of these is 0 or an errno, below the root of the fake host. */
typedef int (*try_t)(int root, const char *path);

static int done(int r) {
        return r < 0 ? errno : 0;
}

static int try_open(int root, const char *path, int flags) {
        _cleanup_close_ int fd = openat(root, path, flags | O_CLOEXEC, 0644);

        return done(fd);
}

static int try_read(int root, const char *path) {
        return try_open(root, path, O_RDONLY);
}

static int try_list(int root, const char *path) {
        return try_open(root, path, O_RDONLY | O_DIRECTORY);
}

static int try_write(int root, const char *path) {
        _cleanup_close_ int fd = openat(root, path, O_WRONLY | O_CLOEXEC);

        return fd < 0 ? errno : done((int)write(fd, "x", 1));
}

static int try_create(int root, const char *path) {
        return try_open(root, path, O_WRONLY | O_CREAT | O_EXCL);
}

static int try_remove(int root, const char *path) {
        return done(unlinkat(root, path, 0));
}

static int try_remove_directory(int root, const char *path) {
        return done(unlinkat(root, path, AT_REMOVEDIR));
}

static int try_mkdir(int root, const char *path) {
        return done(mkdirat(root, path, 0755));
}

static int try_symlink(int root, const char *path) {
        return done(symlinkat("/etc/passwd", root, path));
}

static int try_fifo(int root, const char *path) {
        return done(mkfifoat(root, path, 0600));
}

/* As our atomic writer does: a new file beside, then over the old one. */
static int try_replace(int root, const char *path) {
        char temporary[64];
        int e;

        (void)snprintf(temporary, sizeof temporary, "%s.tmp", path);
        e = try_create(root, temporary);
        return e != 0 ? e : done(renameat(root, temporary, root, path));
}

static int try_move_away(int root, const char *path) {
        return done(renameat(root, path, root, "outside/stolen")) != 0 ? EACCES : 0; /* EXDEV says no too */
}

static int try_execute(int root _unused_, const char *path) {
        pid_t pid = vfork();
        int status;

        if (pid == 0) {
                (void)execl(path, path, (char *)NULL);
                _exit(errno == EACCES ? 99 : 98);
        }
        if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
                return EIO;
        return WEXITSTATUS(status) == 99 ? EACCES : 0;
}

typedef struct Trial {
        try_t try;
        const char *path;
        int wanted;
} Trial;

static int setup(void **state) {
        FakeHost *h = fake_host_new();

        fake_host_write(h, "allowed-file", "old");
        fake_host_write(h, "beside", "old");
        fake_host_write(h, "dir/inside", "old");
        fake_host_write(h, "dir/below/deep", "old");
        fake_host_write(h, "outside/file", "old");
        fake_host_mkdir(h, "dir/empty");
        fake_host_link(h, "link-in", "dir/inside");
        fake_host_link(h, "dir/link-out", "../outside/file");
        *state = h;
        return 0;
}

static int teardown(void **state) {
        fake_host_free(*state);
        return 0;
}

static bool has_landlock(void) {
        _cleanup_close_ int ruleset = landlock_new();

        if (ruleset == -EOPNOTSUPP) {
                print_message("# skipped: this kernel has no Landlock, or it is switched off\n");
                return false;
        }
        assert_true(ruleset >= 0);
        return true;
}

/* 0, or the number of what failed; -1 - its number would not fit an exit status. */
static int confine(const FakeHost *h, bool allow) {
        _cleanup_close_ int ruleset = landlock_new();

        if (ruleset < 0)
                return 251;
        if (allow && (landlock_allow_file(ruleset, h->fd, "allowed-file") < 0 ||
                      landlock_allow_directory(ruleset, h->fd, "dir") < 0 ||
                      landlock_allow_file(ruleset, h->fd, "nowhere/to/be/seen") < 0 ||
                      landlock_allow_directory(ruleset, h->fd, "missing") < 0))
                return 252;
        return landlock_restrict(ruleset) < 0 ? 253 : 0;
}

/* Forks, since there is no way back; in a child of the child too, when `deeper`. */
static void run(const FakeHost *h, bool confined, bool allow, bool deeper, const Trial *trials, size_t n) {
        int status, e;
        pid_t pid;

        assert_true(n < 200);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                e = confined ? confine(h, allow) : 0;
                if (e == 0 && deeper && (pid = fork()) > 0)
                        _exit(waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status)
                                                                                   : 254);
                for (size_t i = 0; i < n && e == 0; i++)
                        if (trials[i].try(h->fd, trials[i].path) != trials[i].wanted)
                                e = (int)i + 1;
                _exit(e);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) > 200)
                fail_msg("the child could not be set up (%d)", WEXITSTATUS(status));
        if (WEXITSTATUS(status) > 0)
                fail_msg("number %d, %s, does not end as it should", WEXITSTATUS(status),
                         trials[WEXITSTATUS(status) - 1].path);
}

/* Else the refusals below might come from anywhere. */
static const Trial unconfined[] = {
                {try_read, "outside/file", 0},
                {try_list, "outside", 0},
                {try_write, "beside", 0},
                {try_write, "dir/link-out", 0},
                {try_create, "outside/new", 0},
                {try_remove, "outside/new", 0},
                {try_replace, "outside/file", 0},
                {try_mkdir, "outside/new", 0},
                {try_remove_directory, "outside/new", 0},
                {try_symlink, "dir/link", 0},
                {try_fifo, "dir/fifo", 0},
                {try_execute, "/bin/true", 0},
};

static const Trial allowed[] = {
                {try_write, "allowed-file", 0},
                {try_write, "dir/inside", 0},
                {try_write, "dir/below/deep", 0},
                {try_write, "link-in", 0}, /* the file counts, not the way to it */
                {try_create, "dir/new", 0},
                {try_remove, "dir/new", 0},
                {try_replace, "dir/inside", 0},
                {try_replace, "dir/brand-new", 0},
                {try_create, "dir/below/new", 0},
};

static const Trial refused[] = {
                {try_write, "beside", EACCES},
                {try_write, "outside/file", EACCES},
                {try_write, "dir/link-out", EACCES},
                {try_write, "dir/../beside", EACCES},
                {try_create, "new", EACCES},
                {try_create, "outside/new", EACCES},
                {try_remove, "beside", EACCES},
                {try_remove, "allowed-file", EACCES}, /* to write it is not to remove it */
                {try_replace, "allowed-file", EACCES},
                {try_replace, "outside/file", EACCES},
                {try_move_away, "dir/inside", EACCES},
                {try_remove_directory, "dir/empty", EACCES},
                {try_mkdir, "dir/new-directory", EACCES},
                {try_symlink, "dir/new-link", EACCES},
                {try_fifo, "dir/new-fifo", EACCES},
                {try_execute, "/bin/true", EACCES},
};

static const Trial readable[] = {
                {try_read, "allowed-file", 0}, {try_read, "beside", 0},
                {try_read, "outside/file", 0}, {try_read, "dir/link-out", 0},
                {try_list, "outside", 0},      {try_list, ".", 0},
                {try_read, "/etc/passwd", 0},  {try_read, "/proc/self/status", 0},
};

static const Trial nothing_allowed[] = {
                {try_read, "beside", 0},           {try_write, "allowed-file", EACCES},
                {try_write, "dir/inside", EACCES}, {try_create, "dir/new", EACCES},
                {try_create, "new", EACCES},       {try_remove, "dir/inside", EACCES},
};

static void test_allowed(void **state) {
        FakeHost *h = *state;

        if (!has_landlock())
                skip();
        run(h, true, true, false, allowed, ELEMENTSOF(allowed));
        assert_true(fake_host_exists(h, "dir/brand-new"));
}

static void test_refused(void **state) {
        FakeHost *h = *state;
        char *text;

        if (!has_landlock())
                skip();
        run(h, true, true, false, refused, ELEMENTSOF(refused));
        run(h, true, true, true, refused, ELEMENTSOF(refused)); /* what it forks can do no more */

        text = fake_host_read(h, "outside/file");
        assert_string_equal(text, "old");
        free(text);
        text = fake_host_read(h, "beside");
        assert_string_equal(text, "old");
        free(text);
        assert_false(fake_host_exists(h, "new"));

        run(h, false, false, false, unconfined, ELEMENTSOF(unconfined));
}

static void test_reading_stays(void **state) {
        if (!has_landlock())
                skip();
        run(*state, true, true, false, readable, ELEMENTSOF(readable));
        run(*state, true, false, false, readable, ELEMENTSOF(readable));
}

static void test_without_rules_nothing_is_written(void **state) {
        if (!has_landlock())
                skip();
        run(*state, true, false, false, nothing_allowed, ELEMENTSOF(nothing_allowed));
}

/* A second ruleset only takes away: a worker cannot give itself more. */
static void test_no_way_back(void **state) {
        FakeHost *h = *state;
        int status;
        pid_t pid;

        if (!has_landlock())
                skip();
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                if (confine(h, false) != 0 || confine(h, true) != 0)
                        _exit(1);
                _exit(try_write(h->fd, "allowed-file") == EACCES ? 0 : 2);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
}

/* What cannot be allowed is told: a worker that believes itself confined must be so. */
static void test_errors_are_told(void **state) {
        FakeHost *h = *state;
        _cleanup_close_ int ruleset = -1;

        if (!has_landlock())
                skip();
        ruleset = landlock_new();
        assert_int_equal(landlock_allow_file(ruleset, h->fd, "beside/below"), -ENOTDIR);
        assert_int_equal(landlock_allow_directory(ruleset, h->fd, "beside"), -EINVAL);
        assert_int_equal(landlock_allow_file(-1, h->fd, "beside"), -EBADF);
        assert_int_equal(landlock_restrict(-1), -EBADF);
        assert_int_equal(try_write(h->fd, "beside"), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(test_allowed, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_reading_stays, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_without_rules_nothing_is_written, setup,
                                                        teardown),
                        cmocka_unit_test_setup_teardown(test_no_way_back, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_errors_are_told, setup, teardown),
        };

        return cmocka_run_group_tests_name("landlock", tests, NULL, NULL);
}
