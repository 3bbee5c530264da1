/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The helper on a fake host. Linked with the fake kernel in place of the real one. */

#include <fcntl.h>
#include <getopt.h>

#include "fake-kernel.h"
#include "helper.h"
#include "sysfs.h"

static void write_pid(const char *root) {
        char path[4096];
        FILE *f;

        (void)snprintf(path, sizeof path, "%s/fake/helper.pid", root);
        f = fopen(path, "we");
        if (f) {
                (void)fprintf(f, "%d\n", getpid());
                (void)fclose(f);
        }
}

int main(int argc, char *argv[]) {
        static const struct option options[] = {
                        {"root", required_argument, NULL, 'r'},
                        {"root-uid", required_argument, NULL, 'u'},
                        {"daemon-uid", required_argument, NULL, 'd'},
                        {"idle-ms", required_argument, NULL, 'i'},
                        {"log", required_argument, NULL, 'l'},
                        {0},
        };
        HelperConfig config = {.idle_usec = UINT64_MAX};
        int c, fd, r;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                switch (c) {
                case 'r':
                        config.root_fd = sysfs_open_dir(AT_FDCWD, optarg);
                        fake_kernel_attach(optarg);
                        write_pid(optarg);
                        break;
                case 'u':
                        config.root_uid = (uid_t)strtoul(optarg, NULL, 10);
                        break;
                case 'd':
                        config.daemon_uid = (uid_t)strtoul(optarg, NULL, 10);
                        break;
                case 'i':
                        config.idle_usec = strtoull(optarg, NULL, 10) * 1000;
                        break;
                case 'l':
                        fd = open(optarg, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
                        if (fd >= 0)
                                (void)dup2(fd, STDERR_FILENO);
                        break;
                default:
                        return EXIT_FAILURE;
                }

        r = config.root_fd <= 0 ? -EINVAL : helper_run(&config);
        if (r < 0)
                fprintf(stderr, "helper under test: %s\n", strerror(-r));
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
