/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A fake host for the work of the helper's verbs: a NIC alone in its IOMMU set, and a NIC and an NVMe that share one
 * behind a bridge. The work runs in the test itself, or in a process of its own where it is to die.
 */

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "critical.h"
#include "standard-devices.h"
#include "fake-kernel.h"
#include "request.h"

#define GRANT_OF(address) GRANTS_DIR "/" address GRANT_SUFFIX
#define PENDING_OF(address) PENDING_GRANTS_DIR "/" address GRANT_SUFFIX
#define MARK_OF(address) GRANTS_DIR "/" address GRANT_MARK_SUFFIX
#define BOOT "0123456789abcdef0123456789abcdef" /* of a fake host */

/* A directory where a file is to be written for an instant: then it cannot be. */
#define IN_THE_WAY(address) GRANTS_DIR "/." address GRANT_SUFFIX
#define IN_THE_WAY_OF_MARK(address) GRANTS_DIR "/." address GRANT_MARK_SUFFIX

static inline int fixture_setup(void **state) {
        FakeHost *h;

        *state = h = fake_host_new();
        fake_host_add_standard_devices(h);
        return 0;
}

static inline int fixture_teardown(void **state) {
        fake_host_free(*state);
        return 0;
}

/* Addresses end with NULL. */
static inline void request_devices(Request *q, const char *const *addresses) {
        for (; *addresses; addresses++)
                assert_int_equal(pci_address_parse(*addresses, &q->devices[q->n_devices++]), 0);
}

static inline Failure run_work(FakeHost *h, worker_work_t work, const Request *q, WorkerResult *ret) {
        WorkerResult result = {.deadline = UINT64_MAX};

        work(h->fd, q, &result);
        if (ret)
                *ret = result;
        return result.failure;
}

static inline Failure grant(FakeHost *h, uint32_t consent, const char *const *addresses) {
        Request q = {.consent = consent, .uid = 1000};

        request_devices(&q, addresses);
        return run_work(h, request_grant, &q, NULL);
}

static inline Failure take_back(FakeHost *h, const char *const *addresses) {
        Request q = {0};

        request_devices(&q, addresses);
        return run_work(h, request_revoke, &q, NULL);
}

static inline Failure move(FakeHost *h, MoveVerb verb, const char *address) {
        Request q = {.verb = verb};

        request_devices(&q, (const char *const[]){address, NULL});
        return run_work(h, request_move, &q, NULL);
}

static inline Failure bind_persistent(FakeHost *h, const char *address) {
        Request q = {.verb = MOVE_BIND, .persistent = true};

        request_devices(&q, (const char *const[]){address, NULL});
        return run_work(h, request_move, &q, NULL);
}

static inline Failure run_on(FakeHost *h, worker_work_t work, const char *const *addresses) {
        Request q = {.uid = 1000};

        request_devices(&q, addresses);
        return run_work(h, work, &q, NULL);
}

static inline Failure recover(FakeHost *h, const char *address) {
        Request q = {.verb = MOVE_RELEASE};

        request_devices(&q, (const char *const[]){address, NULL});
        return run_work(h, request_recover, &q, NULL);
}

static inline Failure grant_pending(FakeHost *h, const char *const *addresses) {
        Request q = {.uid = 1001, .pending = true};

        request_devices(&q, addresses);
        return run_work(h, request_grant, &q, NULL);
}

static inline Failure run_on_ids(FakeHost *h, worker_work_t work, const char *const *ids) {
        Request q = {.uid = 1002};

        for (; *ids; ids++)
                assert_int_equal(id_selector_parse(*ids, &q.ids[q.n_ids++]), 0);
        return run_work(h, work, &q, NULL);
}

/* The grant that counts. */
static inline Grant read_grant(FakeHost *h, const char *address) {
        PciAddress a;
        Grant g;

        assert_int_equal(pci_address_parse(address, &a), 0);
        if (grant_read(h->fd, &a, geteuid(), &g) < 0)
                fail_msg("%s has no grant", address);
        return g;
}

static inline bool is_kept(FakeHost *h, const char *address) {
        PciAddress a;
        Grant g;

        assert_int_equal(pci_address_parse(address, &a), 0);
        return grant_read_from(h->fd, false, &a, geteuid(), &g) >= 0;
}

static inline bool is_pending(FakeHost *h, const char *address) {
        PciAddress a;
        Grant g;

        assert_int_equal(pci_address_parse(address, &a), 0);
        return grant_read_from(h->fd, true, &a, geteuid(), &g) >= 0;
}

static inline void expect_mark(FakeHost *h, const char *address, const char *boot) {
        assert_string_equal(read_grant(h, address).persistent, boot);
}

/* As after a boot in which the host driver was faster. */
static inline void mark_by_hand(FakeHost *h, const char *address) {
        char path[128];

        (void)snprintf(path, sizeof path, MARK_OF("%s"), address);
        fake_host_write(h, path, BOOT "\n");
        expect_mark(h, address, BOOT);
}

/* In a child, which an injection may kill. True when it came to its end. */
static inline bool move_in_child(FakeHost *h, MoveVerb verb, const char *address) {
        int status;
        pid_t pid;

        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                (void)move(h, verb, address);
                _exit(EXIT_SUCCESS);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (WIFSIGNALED(status))
                assert_int_equal(WTERMSIG(status), SIGKILL);
        return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

/* A failure of this kind, with a sentence that says something of the text. */
#define assert_failure(failure, expected, text)                                                             \
        do {                                                                                                \
                Failure _f = (failure);                                                                     \
                if (_f.kind != (expected))                                                                  \
                        fail_msg("kind %s instead of %s: %s", strempty(failure_kind_to_string(_f.kind)),    \
                                 strempty(failure_kind_to_string(expected)), _f.sentence);                  \
                if (!strstr(_f.sentence, text))                                                             \
                        fail_msg("'%s' does not speak of '%s'", _f.sentence, text);                         \
        } while (0)

#define assert_success(failure) assert_failure(failure, FAILURE_NONE, "")

#define assert_log(h, expected)                                                                             \
        do {                                                                                                \
                _cleanup_free_ char *_log = fake_host_log(h);                                               \
                assert_string_equal(_log, expected);                                                        \
        } while (0)

#define assert_at(h, address, driver, override)                                                             \
        do {                                                                                                \
                assert_string_equal(fake_host_driver(h, address), driver);                                  \
                assert_string_equal(fake_host_override(h, address), override);                              \
        } while (0)

#define assert_pair_home(h)                                                                                 \
        do {                                                                                                \
                assert_at(h, PAIR_NIC, "e1000e", "(null)");                                                 \
                assert_at(h, PAIR_NVME, "nvme", "(null)");                                                  \
        } while (0)

#define assert_pair_in_pool(h)                                                                              \
        do {                                                                                                \
                assert_at(h, PAIR_NIC, "vfio-pci", "vfio-pci");                                             \
                assert_at(h, PAIR_NVME, "vfio-pci", "vfio-pci");                                            \
        } while (0)

#define assert_no_journal(h)                                                                                \
        do {                                                                                                \
                assert_false(fake_host_exists(h, MOVES_DIR "/7"));                                          \
                assert_false(fake_host_exists(h, MOVES_DIR "/9"));                                          \
        } while (0)
