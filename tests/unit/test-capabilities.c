/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who has CAP_NET_ADMIN: processes that are started as the unit starts the helper, and their workers. */

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "capabilities.h"
#include "confine.h"
#include "suite.h"
#include "sysfs.h"

#define NET_ADMIN (1U << CAP_NET_ADMIN)

static void write_sets(int out, const char *who) {
        _cleanup_free_ char *status = NULL;
        char line[512] = "";

        if (sysfs_read_full(AT_FDCWD, "/proc/self/status", 65536, &status) >= 0)
                for (const char *at = strstr(status, "CapInh"); at && startswith(at, "Cap");
                     at = strchr(at, '\n') + 1)
                        if (startswith(at, "CapPrm") || startswith(at, "CapEff"))
                                (void)snprintf(line + strlen(line), sizeof line - strlen(line), " %.4s%llx",
                                               at + 3, strtoull(at + 7, NULL, 16));
        (void)dprintf(out, "%s:%s\n", who, line);
}

static int report;

static void work(int root _unused_, const void *request, WorkerResult *result _unused_) {
        write_sets(report, ((const Request *)request)->net_admin ? "SetVf" : "other");
}

/* The bounding set first: that takes a capability. */
static void become_unit(uint64_t keep) {
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct data[2] = {{.permitted = (uint32_t)keep, .effective = (uint32_t)keep}};

        for (unsigned long c = 0; c < 64; c++)
                if (!(keep & 1ULL << c) && prctl(PR_CAPBSET_DROP, c, 0, 0, 0) < 0 && errno != EINVAL)
                        _exit(2);
        if (syscall(SYS_capset, &header, data) < 0)
                _exit(2);
}

static void run_worker(bool net_admin) {
        Request q = {.net_admin = net_admin, .confine = true, .work = work};
        WorkerResult result = {0};

        if (fork() == 0) {
                confine_and_work(AT_FDCWD, &q, &result);
                _exit(0);
        }
        (void)wait(NULL);
}

static const char *run_helper(uint64_t keep) {
        static char said[1024];
        int fds[2], r, root;
        size_t used = 0;
        ssize_t n;
        pid_t pid;

        assert_int_equal(pipe(fds), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                report = fds[1];
                root = sysfs_open_dir(AT_FDCWD, "/");
                become_unit(keep);
                r = capabilities_settle(root);
                if (r < 0) {
                        (void)dprintf(report, "%s\n", strerrorname_np(-r));
                        _exit(0);
                }
                write_sets(report, "main");
                run_worker(true);
                run_worker(false);
                _exit(0);
        }
        (void)close(fds[1]);
        while ((n = read(fds[0], said + used, sizeof said - 1 - used)) > 0)
                used += (size_t)n;
        said[used] = '\0';
        (void)close(fds[0]);
        assert_int_equal(waitpid(pid, &r, 0), pid);
        assert_int_equal(r, 0);
        return said;
}

static void test_who_has_the_capability(void **state _unused_) {
        assert_string_equal(run_helper(NET_ADMIN), "main: Prm:1000 Eff:0\n"
                                                   "SetVf: Prm:1000 Eff:1000\n"
                                                   "other: Prm:0 Eff:0\n");
        assert_string_equal(run_helper(0), "main: Prm:0 Eff:0\nSetVf: Prm:0 Eff:0\nother: Prm:0 Eff:0\n");
        assert_string_equal(run_helper(NET_ADMIN | 1U << CAP_CHOWN), "EPERM\n");
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_who_has_the_capability),
        };

        return suite_run("capabilities", "drops capabilities from the bounding set", tests);
}
