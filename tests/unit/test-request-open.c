/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Open and Close on the fake kernel. What the worker gives ends up in `given`; each change of a file or of an access
 * control list can be the last thing that it does. */

#include <acl/libacl.h>
#include <sys/acl.h>

#include "access.h"
#include "confine.h"
#include "landlock.h"
#include "request-fixture.h"

#define USER 4242
#define OTHER 4343
#define RECORD ACCESS_DIR "/9"
#define NODE "dev/vfio/9"
#define CLOSED "u::rw-,g::---,o::---"
#define OPEN_TO_USER "u::rw-,u:4242:rw-,g::---,m::rw-,o::---"

int __wrap_worker_give(const int *fds, size_t n);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_unlinkat(int dir, const char *path, int flags);
int __wrap_acl_set_file(const char *path, acl_type_t type, acl_t acl);
int __real_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __real_unlinkat(int dir, const char *path, int flags);
int __real_acl_set_file(const char *path, acl_type_t type, acl_t acl);
int __real_node_check(int fd, int at, const char *number);

static int given[WORKER_GIFTS_MAX];
static size_t n_given;
static unsigned die_at, steps; /* 0: never */
static bool die_after;
static FakeHost *entered_at_list; /* somebody enters just before a list is changed */

static void step(bool after) {
        steps += !after;
        if (die_at == steps && die_after == after)
                (void)kill(getpid(), SIGKILL);
}

int __wrap_worker_give(const int *fds, size_t n) {
        step(false);
        for (n_given = 0; n_given < n; n_given++)
                given[n_given] = dup(fds[n_given]);
        step(true);
        return 0;
}

int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to) {
        int r;

        step(false);
        r = __real_renameat(from_dir, from, to_dir, to);
        step(true);
        return r;
}

int __wrap_unlinkat(int dir, const char *path, int flags) {
        int r;

        step(false);
        r = __real_unlinkat(dir, path, flags);
        step(true);
        return r;
}

int __wrap_acl_set_file(const char *path, acl_type_t type, acl_t acl) {
        int r;

        step(false);
        if (entered_at_list)
                fake_host_hold_vfio(entered_at_list, 9, true);
        r = __real_acl_set_file(path, type, acl);
        step(true);
        return r;
}

static void drop_given(void) {
        while (n_given > 0)
                (void)close(given[--n_given]);
}

static void bind_pair(FakeHost *h) {
        assert_success(move(h, MOVE_BIND, PAIR_NIC));
        fake_host_clear(h);
}

static void make_resettable(FakeHost *h, const char *address) {
        char path[128];

        (void)snprintf(path, sizeof path, "sys/bus/pci/devices/%s/reset_method", address);
        fake_host_write(h, path, "flr\n");
        (void)snprintf(path, sizeof path, "sys/bus/pci/devices/%s/reset", address);
        fake_host_write(h, path, "%s", "");
}

static int set_up(void **state, bool cdev, bool resettable) {
        FakeHost *h;

        (void)fixture_setup(state);
        h = *state;
        if (cdev)
                fake_host_add_cdev(h);
        if (resettable) {
                make_resettable(h, PAIR_NIC);
                make_resettable(h, PAIR_NVME);
        }
        assert_success(grant(h, 0, LIST(NIC)));
        assert_success(grant(h, 0, LIST(PAIR_NIC, PAIR_NVME)));
        assert_success(move(h, MOVE_BIND, NIC));
        bind_pair(h);
        return 0;
}

static int setup(void **state) {
        return set_up(state, false, true);
}

static int setup_cdev(void **state) {
        return set_up(state, true, true);
}

static int setup_no_reset(void **state) {
        return set_up(state, true, false);
}

static int teardown(void **state) {
        entered_at_list = NULL;
        die_at = steps = 0;
        drop_given();
        return fixture_teardown(state);
}

static Request request_for(uid_t uid, bool fds, const char *const *addresses) {
        Request q = {.uid = uid, .fds = fds, .verb = MOVE_RESET};

        request_devices(&q, addresses);
        return q;
}

static Failure open_by(FakeHost *h, uid_t uid, bool fds, const char *const *addresses) {
        Request q = request_for(uid, fds, addresses);

        return run_work(h, request_open, &q, NULL);
}

static Failure open_acl(FakeHost *h, uid_t uid) {
        return open_by(h, uid, false, LIST(PAIR_NIC, PAIR_NVME));
}

static Failure open_fds(FakeHost *h) {
        return open_by(h, USER, true, LIST(PAIR_NIC, PAIR_NVME));
}

static Failure close_set(FakeHost *h, const char *address) {
        Request q = request_for(0, false, LIST(address));

        return run_work(h, request_close, &q, NULL);
}

static const char *acl_text(FakeHost *h, const char *node) {
        static char text[256];
        char path[4096], *s;
        acl_t acl;

        (void)snprintf(path, sizeof path, "%s/%s", h->root, node);
        acl = acl_get_file(path, ACL_TYPE_ACCESS);
        assert_non_null(acl);
        s = acl_to_any_text(acl, NULL, ',', TEXT_ABBREVIATE | TEXT_NUMERIC_IDS);
        assert_non_null(s);
        (void)snprintf(text, sizeof text, "%s", s);
        (void)acl_free(s);
        (void)acl_free(acl);
        return text;
}

static void set_acl(FakeHost *h, const char *text) {
        acl_t acl = acl_from_text(text);
        char path[4096];

        assert_non_null(acl);
        (void)snprintf(path, sizeof path, "%s/" NODE, h->root);
        assert_int_equal(__real_acl_set_file(path, ACL_TYPE_ACCESS, acl), 0);
        (void)acl_free(acl);
}

static bool has_lists;

static int look_for_lists(void **state _unused_) {
        acl_t acl = acl_from_text("u::rw-,u:1:rw-,g::---,m::rw-,o::---");
        FakeHost *h = fake_host_new();
        char path[4096];

        fake_host_write(h, "file", "%s", "");
        (void)snprintf(path, sizeof path, "%s/file", h->root);
        has_lists = __real_acl_set_file(path, ACL_TYPE_ACCESS, acl) == 0 || errno != EOPNOTSUPP;
        (void)acl_free(acl);
        fake_host_free(h);
        return 0;
}

/* A file system without access control lists has nothing to test here. */
#define NEEDS_LISTS()                                                                                       \
        do {                                                                                                \
                if (!has_lists) {                                                                           \
                        print_message("# skipped: no access control lists on this file system\n");          \
                        return;                                                                             \
                }                                                                                           \
        } while (0)

#define assert_acl(h, expected) assert_string_equal(acl_text(h, NODE), expected)

static void expect_record(FakeHost *h, uid_t uid, bool fds) {
        _cleanup_free_ char *text = fake_host_read(h, RECORD);
        struct stat st;
        Access a;

        assert_non_null(text);
        assert_int_equal(access_parse(text, &a), 0);
        assert_int_equal(a.uid, uid);
        assert_int_equal(a.fds, fds);
        assert_int_equal(fstatat(h->fd, RECORD, &st, 0), 0);
        assert_int_equal(st.st_mode & 0777, 0644);
}

static void expect_closed(FakeHost *h) {
        assert_false(fake_host_exists(h, RECORD));
        assert_no_journal(h);
        assert_pair_in_pool(h);
}

static void test_acl_story(void **state) {
        FakeHost *h = *state;

        NEEDS_LISTS();
        assert_success(open_acl(h, USER));
        assert_log(h, "reset " PAIR_NIC "\nreset " PAIR_NVME "\n");
        assert_acl(h, OPEN_TO_USER);
        expect_record(h, USER, false);
        assert_no_journal(h);
        assert_int_equal(n_given, 0);

        fake_host_clear(h);
        assert_success(close_set(h, PAIR_NVME));
        assert_log(h, "reset " PAIR_NIC "\nreset " PAIR_NVME "\n");
        assert_acl(h, CLOSED);
        expect_closed(h);
}

static void test_fds_story(void **state) {
        FakeHost *h = *state;

        assert_success(open_by(h, USER, true, LIST(PAIR_NVME)));
        assert_int_equal(n_given, 2);
        expect_record(h, USER, true);
        assert_acl(h, CLOSED);
        drop_given();

        fake_host_clear(h);
        assert_success(close_set(h, PAIR_NIC));
        assert_log(h, "unbind " PAIR_NIC "\nprobe " PAIR_NIC "\nunbind " PAIR_NVME "\nprobe " PAIR_NVME "\n"
                      "reset " PAIR_NIC "\nreset " PAIR_NVME "\n");
        expect_closed(h);
}

/* In the order of the request, then the iommufd: each is what it is taken for. */
static void test_what_is_given(void **state) {
        static const char *const members[] = {PAIR_NIC, PAIR_NVME};
        struct stat st, node;
        FakeHost *h = *state;
        char path[128];

        assert_success(open_fds(h));
        assert_int_equal(n_given, 3);
        for (unsigned i = 0; i < 2; i++) {
                /* set 7 took the first number */
                (void)snprintf(path, sizeof path, "sys/bus/pci/devices/%s/vfio-dev/vfio%u", members[i],
                               i + 1);
                assert_true(fake_host_exists(h, path));
                (void)snprintf(path, sizeof path, "dev/vfio/devices/vfio%u", i + 1);
                assert_int_equal(fstatat(h->fd, path, &node, 0), 0);
                assert_int_equal(fstat(given[i], &st), 0);
                assert_int_equal(st.st_ino, node.st_ino);
                assert_int_equal(fcntl(given[i], F_GETFL) & O_ACCMODE, O_RDWR);
        }
        assert_int_equal(fstatat(h->fd, "dev/iommu", &node, 0), 0);
        assert_int_equal(fstat(given[2], &st), 0);
        assert_int_equal(st.st_ino, node.st_ino);
}

static void test_root_needs_no_entry(void **state) {
        FakeHost *h = *state;

        assert_success(open_acl(h, geteuid()));
        assert_acl(h, CLOSED);
        expect_record(h, geteuid(), false);
        assert_success(close_set(h, PAIR_NIC));
        expect_closed(h);
}

/* Whatever else stands in the list keeps exactly the rights that it has. */
static void test_nothing_becomes_wider(void **state) {
        static const struct {
                const char *before, *open, *after;
        } table[] = {
                        {CLOSED, OPEN_TO_USER, CLOSED},
                        {"u::rw-,g::r--,o::---", "u::rw-,u:4242:rw-,g::r--,m::rw-,o::---",
                         "u::rw-,g::r--,o::---"},
                        {"u::rw-,u:7:r--,g::---,m::r--,o::---",
                         "u::rw-,u:7:r--,u:4242:rw-,g::---,m::rw-,o::---",
                         "u::rw-,u:7:r--,g::---,m::r--,o::---"},
                        /* what a mask took stays taken */
                        {"u::rw-,u:7:rw-,g::rw-,g:8:rwx,m::r--,o::---",
                         "u::rw-,u:7:r--,u:4242:rw-,g::r--,g:8:r--,m::rw-,o::---",
                         "u::rw-,u:7:r--,g::r--,g:8:r--,m::r--,o::---"},
                        {"u::rw-,g::rw-,m::---,o::---", "u::rw-,u:4242:rw-,g::---,m::rw-,o::---", CLOSED},
                        {"u::rw-,u:4242:r--,g::---,m::r--,o::---", OPEN_TO_USER, CLOSED},
        };
        FakeHost *h = *state;

        NEEDS_LISTS();
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                set_acl(h, table[i].before);
                assert_success(open_acl(h, USER));
                assert_acl(h, table[i].open);
                assert_success(close_set(h, PAIR_NIC));
                assert_acl(h, table[i].after);
        }
}

static void test_open_again(void **state) {
        FakeHost *h = *state;

        NEEDS_LISTS();
        for (int i = 0; i < 2; i++) {
                assert_success(open_acl(h, USER));
                assert_acl(h, OPEN_TO_USER);
                expect_record(h, USER, false);
        }
        for (int i = 0; i < 2; i++) {
                assert_success(close_set(h, PAIR_NIC));
                assert_acl(h, CLOSED);
                expect_closed(h);
        }
}

static void refused(FakeHost *h, Failure f, FailureKind kind, const char *text) {
        assert_failure(f, kind, text);
        assert_log(h, "");
        assert_no_journal(h);
        assert_int_equal(n_given, 0);
}

static void test_one_after_the_other(void **state) {
        FakeHost *h = *state;

        NEEDS_LISTS();
        assert_success(open_acl(h, USER));
        fake_host_clear(h);
        refused(h, open_acl(h, OTHER), FAILURE_CLAIMED, "user 4242");
        refused(h, open_fds(h), FAILURE_CLAIMED, "Close it first");
        assert_acl(h, OPEN_TO_USER);
        expect_record(h, USER, false);

        assert_success(close_set(h, PAIR_NIC));
        assert_success(open_fds(h));
        drop_given();
        fake_host_clear(h);
        refused(h, open_acl(h, USER), FAILURE_CLAIMED, "by descriptors");
        assert_success(close_set(h, PAIR_NIC));
        assert_success(open_acl(h, OTHER));
        assert_acl(h, "u::rw-,u:4343:rw-,g::---,m::rw-,o::---");
}

static void test_refusals(void **state) {
        FakeHost *h = *state;

        refused(h, open_by(h, USER, false, LIST(NIC, PAIR_NIC)), FAILURE_INVALID_ARGUMENT, PAIR_NIC);
        refused(h, open_by(h, USER, false, LIST(BRIDGE)), FAILURE_CRITICAL, BRIDGE);
        refused(h, open_by(h, USER, false, LIST("0000:66:00.0")), FAILURE_NO_SUCH_DEVICE, "0000:66:00.0");
        refused(h, close_set(h, "0000:66:00.0"), FAILURE_NO_SUCH_DEVICE, "0000:66:00.0");

        fake_host_write(h, "proc/cmdline", "quiet " KERNEL_OPTION_OFF "\n");
        refused(h, open_acl(h, USER), FAILURE_NOT_AUTHORIZED, KERNEL_OPTION_OFF);
        fake_host_write(h, "proc/cmdline", "quiet\n");

        fake_host_hold_vfio(h, 9, true);
        refused(h, open_acl(h, USER), FAILURE_IN_USE, "/dev/vfio/9");
        refused(h, open_fds(h), FAILURE_IN_USE, "/dev/vfio/9");
        fake_host_hold_vfio(h, 9, false);

        fake_host_remove(h, GRANT_OF(PAIR_NVME));
        refused(h, open_by(h, USER, false, LIST(PAIR_NIC)), FAILURE_NOT_GRANTED, PAIR_NVME);
        assert_success(grant(h, 0, LIST(PAIR_NIC, PAIR_NVME)));

        fake_kernel_unbind_address(PAIR_NVME);
        fake_host_clear(h);
        refused(h, open_by(h, USER, false, LIST(PAIR_NIC)), FAILURE_NOT_BOUND, PAIR_NVME);
        assert_success(move(h, MOVE_RELEASE, PAIR_NIC));
        fake_host_clear(h);
        refused(h, open_acl(h, USER), FAILURE_NOT_BOUND, PAIR_NIC);
        fake_host_write(h, "sys/bus/pci/devices/" PAIR_NVME "/device", "0xdead\n");
        refused(h, open_acl(h, USER), FAILURE_IDENTITY_CHANGED, PAIR_NVME);
        assert_false(fake_host_exists(h, RECORD));
}

static void test_a_kernel_without_cdev(void **state) {
        FakeHost *h = *state;

        refused(h, open_fds(h), FAILURE_DRIVER, "use access \"acl\"");
        assert_false(fake_host_exists(h, RECORD));
}

static void test_a_kernel_without_iommufd(void **state) {
        FakeHost *h = *state;

        fake_host_remove(h, "dev/iommu");
        refused(h, open_fds(h), FAILURE_DRIVER, "/dev/iommu");
        fake_host_link(h, "dev/iommu", "null");
        refused(h, open_fds(h), FAILURE_DRIVER, "/dev/iommu");
}

static void test_a_node_is_no_link(void **state) {
        FakeHost *h = *state;

        fake_host_link(h, "dev/vfio/devices/vfio1", "vfio2");
        refused(h, open_fds(h), FAILURE_DRIVER, PAIR_NIC);
        fake_host_link(h, NODE, "7");
        assert_failure(open_acl(h, USER), FAILURE_DRIVER, "/dev/vfio/9");
        assert_string_equal(acl_text(h, "dev/vfio/7"), CLOSED);
}

static void test_too_many_descriptors(void **state) {
        Request q = {.uid = USER, .fds = true, .n_devices = WORKER_GIFTS_MAX};
        FakeHost *h = *state;

        assert_int_equal(pci_address_parse(PAIR_NIC, &q.devices[0]), 0);
        refused(h, run_work(h, request_open, &q, NULL), FAILURE_LIMITS_EXCEEDED, "15 devices");
}

static void test_a_node_must_be_what_sysfs_says(void **state) {
        FakeHost *h = *state;
        int fd = open("/dev/null", O_PATH | O_CLOEXEC);

        fake_host_write(h, "null", "1:3\n");
        fake_host_write(h, "other", "1:5\n");
        assert_int_equal(__real_node_check(fd, h->fd, "null"), 0);
        assert_int_equal(__real_node_check(fd, h->fd, "other"), -ENXIO);
        assert_int_equal(__real_node_check(fd, h->fd, "missing"), -ENOENT);
        (void)close(fd);

        fd = openat(h->fd, "null", O_PATH | O_CLOEXEC);
        fake_host_write(h, "zero", "0:0\n");
        assert_int_equal(__real_node_check(fd, h->fd, "zero"), -ENXIO);
        (void)close(fd);
}

/* At the start a device that cannot be reset is no reason to refuse: its last user's Close would have said so. */
static void test_no_reset(void **state) {
        FakeHost *h = *state;

        NEEDS_LISTS();
        assert_success(open_acl(h, USER));
        assert_log(h, "");
        assert_failure(close_set(h, PAIR_NVME), FAILURE_NO_RESET, PAIR_NIC);
        assert_acl(h, CLOSED);
        expect_closed(h);

        /* And it is said again: somebody may not have heard it. */
        assert_failure(close_set(h, PAIR_NVME), FAILURE_NO_RESET, PAIR_NIC);

        make_resettable(h, PAIR_NIC);
        assert_success(open_fds(h));
        drop_given();
        fake_host_clear(h);
        assert_failure(close_set(h, PAIR_NIC), FAILURE_NO_RESET, PAIR_NVME);
        assert_log(h, "unbind " PAIR_NIC "\nprobe " PAIR_NIC "\nunbind " PAIR_NVME "\nprobe " PAIR_NVME
                      "\nreset " PAIR_NIC "\n");
        expect_closed(h);
}

static void test_failed_reset(void **state) {
        FakeHost *h = *state;

        NEEDS_LISTS();
        fake_host_fail(h, "reset " PAIR_NIC " ENOTTY");
        assert_failure(open_acl(h, USER), FAILURE_RESET, PAIR_NIC);
        assert_acl(h, CLOSED);
        expect_closed(h);

        fake_host_clear(h);
        assert_success(open_acl(h, USER));
        fake_host_clear(h);
        fake_host_fail(h, "reset " PAIR_NIC " ENOTTY");
        assert_failure(close_set(h, PAIR_NVME), FAILURE_RESET, PAIR_NIC);
        assert_log(h, "reset " PAIR_NIC " = ENOTTY\nreset " PAIR_NVME "\n");
        assert_acl(h, CLOSED);
        expect_closed(h);
}

static void test_close_while_held(void **state) {
        FakeHost *h = *state;

        NEEDS_LISTS();
        assert_success(open_acl(h, USER));
        fake_host_clear(h);
        fake_host_hold_vfio(h, 9, true);
        refused(h, close_set(h, PAIR_NIC), FAILURE_IN_USE, "/dev/vfio/9");
        assert_acl(h, OPEN_TO_USER);
        expect_record(h, USER, false);
        fake_host_hold_vfio(h, 9, false);
        assert_success(close_set(h, PAIR_NIC));
        expect_closed(h);
}

/* He comes between the look and the end of his entry: then he has it, but nobody comes after him. */
static void test_entered_at_the_last_moment(void **state) {
        FakeHost *h = *state;

        NEEDS_LISTS();
        assert_success(open_acl(h, USER));
        fake_host_clear(h);
        entered_at_list = h;
        refused(h, close_set(h, PAIR_NIC), FAILURE_IN_USE, "/dev/vfio/9");
        entered_at_list = NULL;
        assert_acl(h, CLOSED);
        expect_record(h, USER, false);
        fake_host_hold_vfio(h, 9, false);
        assert_success(close_set(h, PAIR_NIC));
        expect_closed(h);
}

/* An honest holder is seen at once, whichever copy he has and whatever is asked; nothing waits for him. */
static void test_descriptors_are_seen(void **state) {
        FakeHost *h = *state;
        int copy;

        assert_success(open_fds(h));
        copy = dup(given[1]);
        drop_given();
        fake_host_clear(h);
        refused(h, close_set(h, PAIR_NIC), FAILURE_IN_USE, PAIR_NVME);
        refused(h, open_fds(h), FAILURE_IN_USE, PAIR_NVME);
        refused(h, move(h, MOVE_RELEASE, PAIR_NIC), FAILURE_IN_USE, PAIR_NVME);
        expect_record(h, USER, true);
        (void)close(copy);
        assert_success(close_set(h, PAIR_NIC));
        expect_closed(h);
}

static void test_close_at_home(void **state) {
        FakeHost *h = *state;

        NEEDS_LISTS();
        assert_success(open_acl(h, USER));
        assert_success(move(h, MOVE_RELEASE, PAIR_NIC));
        assert_false(fake_host_exists(h, RECORD));
        fake_host_clear(h);
        assert_success(close_set(h, PAIR_NIC));
        assert_log(h, "");
        assert_pair_home(h);

        /* A record that was left speaks of a node that is not there any more. */
        fake_host_write(h, RECORD, "format=1\nuid=4343\naccess=acl\nnode=1\n");
        assert_success(close_set(h, PAIR_NIC));
        assert_false(fake_host_exists(h, RECORD));
        assert_no_journal(h);
}

/* Unplugged and plugged in again: whoever had the old one has nothing of the new one. */
static void test_a_record_of_another_node(void **state) {
        FakeHost *h = *state;

        NEEDS_LISTS();
        fake_host_write(h, RECORD, "format=1\nuid=4343\naccess=fds\nnode=1\n");
        assert_success(open_acl(h, USER));
        assert_acl(h, OPEN_TO_USER);
        expect_record(h, USER, false);
}

static void test_a_damaged_record(void **state) {
        static const char *const bad[] = {
                        "",
                        "format=2\nuid=1\naccess=acl\nnode=1\n",
                        "format=1\nuid=-1\naccess=acl\nnode=1\n",
                        "format=1\nuid=4294967295\naccess=acl\nnode=1\n",
                        "format=1\nuid=1\naccess=all\nnode=1\n",
                        "format=1\nuid=1\naccess=acl\n",
                        "format=1\nuid=1\naccess=acl\nnode=1\nuid=2\n",
                        "format=1\nuid=1\naccess=acl\nnode=1\nmore=1\n",
        };
        FakeHost *h = *state;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                fake_host_write(h, RECORD, "%s", bad[i]);
                refused(h, open_acl(h, USER), FAILURE_INTERNAL, RECORD);
                refused(h, close_set(h, PAIR_NIC), FAILURE_INTERNAL, RECORD);
        }
        fake_host_write(h, RECORD, "format=1\nuid=1\naccess=acl\nnode=1\n");
        assert_int_equal(fchmodat(h->fd, RECORD, 0666, 0), 0);
        refused(h, close_set(h, PAIR_NIC), FAILURE_INTERNAL, "not root's alone");
}

static void test_no_place_for_the_record(void **state) {
        FakeHost *h = *state;

        fake_host_remove(h, ACCESS_DIR);
        assert_failure(open_acl(h, USER), FAILURE_INTERNAL, "systemd-tmpfiles");
        assert_acl(h, CLOSED);
        assert_no_journal(h);
}

static void test_close_needs_consent_to_reset(void **state) {
        FakeHost *h = *state;

        NEEDS_LISTS();
        assert_success(open_acl(h, USER));
        fake_host_remove(h, GRANT_OF(PAIR_NIC));
        fake_host_remove(h, GRANT_OF(PAIR_NVME));
        fake_host_clear(h);
        refused(h, close_set(h, PAIR_NIC), FAILURE_NOT_GRANTED, "no valid grant");
        assert_acl(h, CLOSED); /* that needs none */
        expect_record(h, USER, false);
        assert_success(grant(h, 0, LIST(PAIR_NIC, PAIR_NVME)));
        assert_success(close_set(h, PAIR_NIC));
        expect_closed(h);
}

static void test_too_late(void **state) {
        WorkerResult result = {.deadline = 1};
        Request q = request_for(USER, false, LIST(PAIR_NIC));
        FakeHost *h = *state;

        request_open(h->fd, &q, &result);
        refused(h, result.failure, FAILURE_STUCK, "nothing was begun");
        assert_acl(h, CLOSED);
        assert_false(fake_host_exists(h, RECORD));
}

/* In a child that is killed before, or after, its nth change of files and lists, or its nth write to sysfs. */
static bool killed(FakeHost *h, worker_work_t work, const Request *q, unsigned nth, bool after,
                   bool in_sysfs) {
        char rule[32];
        int status;
        pid_t pid;

        fake_host_clear(h);
        if (in_sysfs) {
                (void)snprintf(rule, sizeof rule, "* * %s %u", after ? "kill-after" : "kill", nth);
                fake_host_fail(h, rule);
        }
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                steps = 0;
                die_at = in_sysfs ? 0 : nth;
                die_after = after;
                (void)run_work(h, work, q, NULL);
                _exit(EXIT_SUCCESS);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        fake_host_clear(h);
        assert_true(WIFEXITED(status) || WTERMSIG(status) == SIGKILL);
        return WIFSIGNALED(status);
}

typedef enum Healing { HEAL_CLOSE, HEAL_RECOVER, HEAL_AGAIN, HEAL_MAX } Healing;

/* Nobody has access that is not written down; and whatever comes next, nothing is left. */
static void heal(FakeHost *h, Healing how, bool opening, bool fds) {
        if (strstr(acl_text(h, NODE), "4242"))
                expect_record(h, USER, false);

        if (how == HEAL_RECOVER) {
                assert_success(recover(h, PAIR_NIC));
                assert_success(move(h, MOVE_RELEASE, PAIR_NIC));
                assert_pair_home(h);
                assert_false(fake_host_exists(h, RECORD));
                bind_pair(h);
                return;
        }
        if (how == HEAL_AGAIN && opening)
                assert_success(open_by(h, USER, fds, LIST(PAIR_NIC, PAIR_NVME)));
        drop_given();
        assert_success(close_set(h, PAIR_NVME));
        assert_acl(h, CLOSED);
        expect_closed(h);
}

static void killed_at_each_step(FakeHost *h, bool opening, bool fds, unsigned at_least) {
        Request open = request_for(USER, fds, LIST(PAIR_NIC, PAIR_NVME));
        Request close = request_for(0, false, LIST(PAIR_NIC));
        unsigned n = 0, nth;

        for (unsigned way = 0; way < 4; way++)
                for (int how = 0; how < HEAL_MAX; how++)
                        for (nth = 1;; nth++, n++) {
                                if (!opening) {
                                        assert_success(open_by(h, USER, fds, LIST(PAIR_NIC, PAIR_NVME)));
                                        drop_given();
                                }
                                if (!killed(h, opening ? request_open : request_close,
                                            opening ? &open : &close, nth, way & 1, way & 2))
                                        break;
                                heal(h, (Healing)how, opening, fds);
                        }
        assert_success(close_set(h, PAIR_NIC));
        assert_true(n >= at_least);
}

static void test_open_is_killed(void **state) {
        NEEDS_LISTS();
        killed_at_each_step(*state, true, false, 6 * 8);
}

static void test_open_with_descriptors_is_killed(void **state) {
        killed_at_each_step(*state, true, true, 6 * 8);
}

static void test_close_is_killed(void **state) {
        NEEDS_LISTS();
        killed_at_each_step(*state, false, false, 6 * 7);
}

static void test_close_of_descriptors_is_killed(void **state) {
        killed_at_each_step(*state, false, true, 6 * 10);
}

/* The only device of its set: between unbind and probe there is no node that anybody could have, but a move to end. */
static void test_a_killed_close_of_one_device(void **state) {
        Request close = request_for(0, false, LIST(NIC));
        FakeHost *h = *state;

        for (unsigned nth = 1; nth <= 3; nth++) {
                assert_success(open_by(h, USER, true, LIST(NIC)));
                drop_given();
                assert_true(killed(h, request_close, &close, nth, false, true));
                assert_success(close_set(h, NIC));
                assert_false(fake_host_exists(h, ACCESS_DIR "/7"));
                assert_int_equal(fake_host_exists(h, MOVES_DIR "/7"), nth == 2);
                assert_success(recover(h, NIC));
                assert_at(h, NIC, nth == 2 ? "e1000e" : "vfio-pci", nth == 2 ? "(null)" : "vfio-pci");
                assert_no_journal(h);
                assert_success(move(h, MOVE_BIND, NIC));
        }
}

/* A member that went home by another's hand stays there; the rest is closed, and that the set is torn can be seen. */
static void test_close_of_a_torn_set(void **state) {
        FakeHost *h = *state;
        Move m;

        NEEDS_LISTS();
        for (unsigned fds = 0; fds < 2; fds++) {
                assert_success(open_by(h, USER, fds, LIST(PAIR_NIC, PAIR_NVME)));
                drop_given();
                fake_host_write(h, "sys/bus/pci/devices/" PAIR_NVME "/driver_override", "(null)\n");
                fake_kernel_unbind_address(PAIR_NVME);
                fake_host_clear(h);
                assert_success(close_set(h, PAIR_NIC));
                assert_log(h, fds ? "unbind " PAIR_NIC "\nprobe " PAIR_NIC "\nreset " PAIR_NIC "\n"
                                  : "reset " PAIR_NIC "\n");
                assert_acl(h, CLOSED);
                assert_false(fake_host_exists(h, RECORD));
                assert_int_equal(move_read(h->fd, "9", &m), 0);
                assert_success(recover(h, PAIR_NIC));
                assert_pair_home(h);
                bind_pair(h);
        }
}

/* Without its override the host driver would take what the cycle lets go. */
static void test_a_cycle_needs_overrides(void **state) {
        FakeHost *h = *state;

        assert_success(open_fds(h));
        drop_given();
        fake_host_write(h, "sys/bus/pci/devices/" PAIR_NVME "/driver_override", "(null)\n");
        fake_host_clear(h);
        assert_success(close_set(h, PAIR_NIC));
        assert_log(h,
                   "unbind " PAIR_NIC "\nprobe " PAIR_NIC "\noverride " PAIR_NVME " vfio-pci\n"
                   "unbind " PAIR_NVME "\nprobe " PAIR_NVME "\nreset " PAIR_NIC "\nreset " PAIR_NVME "\n");
        expect_closed(h);
}

/* Each write of the cycle fails once: the record stays until somebody has proved that nobody holds a device. */
static void test_a_cycle_that_fails(void **state) {
        static const char *const what[] = {"unbind", "probe"};
        FakeHost *h = *state;
        char rule[64];

        for (size_t i = 0; i < ELEMENTSOF(what); i++) {
                assert_success(open_fds(h));
                drop_given();
                (void)snprintf(rule, sizeof rule, "%s " PAIR_NVME " EIO 1", what[i]);
                fake_host_clear(h);
                fake_host_fail(h, rule);
                assert_failure(close_set(h, PAIR_NIC), FAILURE_DRIVER, PAIR_NVME);
                expect_record(h, USER, true);
                assert_int_equal(fake_host_exists(h, MOVES_DIR "/9"), i == 1);
                fake_host_clear(h);
                assert_success(close_set(h, PAIR_NIC));
                expect_closed(h);
        }

        assert_success(open_fds(h));
        drop_given();
        fake_host_write(h, "sys/bus/pci/devices/" PAIR_NVME "/driver_override", "pci-stub\n");
        fake_host_clear(h);
        assert_failure(close_set(h, PAIR_NIC), FAILURE_DRIVER, "pci-stub");
        assert_log(h, "");
        expect_record(h, USER, true);
}

/* With all that a worker may not do: it can do this. */
static void confined(FakeHost *h, worker_work_t work, bool fds, FailureKind expected) {
        Request q = request_for(USER, fds, LIST(PAIR_NIC, PAIR_NVME));
        int status;
        pid_t pid;

        q.confine = true;
        q.writes = CONFINE_OPEN;
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                Failure f = run_work(h, work, &q, NULL);

                /* and no more */
                if (expected == FAILURE_NONE && openat(h->fd, "dev/iommu", O_RDWR | O_CLOEXEC) >= 0)
                        f.kind = FAILURE_INTERNAL;
                _exit((int)f.kind);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), expected);
}

static void test_confined(void **state) {
        _cleanup_close_ int ruleset = landlock_new();
        FakeHost *h = *state;

        NEEDS_LISTS();
        if (ruleset == -EOPNOTSUPP) {
                print_message("# skipped: this kernel has no Landlock, or it is switched off\n");
                return;
        }
        confined(h, request_open, false, FAILURE_NONE);
        assert_acl(h, OPEN_TO_USER);
        expect_record(h, USER, false);
        confined(h, request_close, false, FAILURE_NO_RESET);
        assert_acl(h, CLOSED);
        expect_closed(h);
        confined(h, request_open, true, FAILURE_NONE);
        expect_record(h, USER, true);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define CASE_CDEV(name) cmocka_unit_test_setup_teardown(name, setup_cdev, teardown)
#define CASE_NO_RESET(name) cmocka_unit_test_setup_teardown(name, setup_no_reset, teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_acl_story),
                        CASE_CDEV(test_fds_story),
                        CASE_CDEV(test_what_is_given),
                        CASE(test_root_needs_no_entry),
                        CASE(test_nothing_becomes_wider),
                        CASE(test_open_again),
                        CASE_CDEV(test_one_after_the_other),
                        CASE_CDEV(test_refusals),
                        CASE(test_a_kernel_without_cdev),
                        CASE_CDEV(test_a_kernel_without_iommufd),
                        CASE_CDEV(test_a_node_is_no_link),
                        CASE_CDEV(test_too_many_descriptors),
                        CASE(test_a_node_must_be_what_sysfs_says),
                        CASE_NO_RESET(test_no_reset),
                        CASE(test_failed_reset),
                        CASE(test_close_while_held),
                        CASE(test_entered_at_the_last_moment),
                        CASE_CDEV(test_descriptors_are_seen),
                        CASE(test_close_at_home),
                        CASE(test_a_record_of_another_node),
                        CASE(test_a_damaged_record),
                        CASE(test_no_place_for_the_record),
                        CASE(test_close_needs_consent_to_reset),
                        CASE(test_too_late),
                        CASE(test_open_is_killed),
                        CASE_CDEV(test_open_with_descriptors_is_killed),
                        CASE(test_close_is_killed),
                        CASE_CDEV(test_close_of_descriptors_is_killed),
                        CASE_CDEV(test_a_killed_close_of_one_device),
                        CASE_CDEV(test_close_of_a_torn_set),
                        CASE_CDEV(test_a_cycle_that_fails),
                        CASE_CDEV(test_a_cycle_needs_overrides),
                        CASE_NO_RESET(test_confined),
        };

        return cmocka_run_group_tests_name("request-open", tests, look_for_lists, NULL);
}
