/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The helper on a fake host. Linked with the fake kernel in place of the real one. */

#include <fcntl.h>
#include <getopt.h>

#include "boots.h"
#include "early.h"
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

/* As the unit and udev run it: 0; 1, and then what it says is on standard error. */
static int run_at_boot(int root, const char *address) {
        Failure f = {0};
        int r;

        r = address ? early_bind(root, address, 10, &f) : boots_begin(root);
        if (f.kind != FAILURE_NONE)
                fprintf(stderr, "%s\n", f.sentence);
        return r < 0;
}

int main(int argc, char *argv[]) {
        static const struct option options[] = {
                        {"root", required_argument, NULL, 'r'},
                        {"root-uid", required_argument, NULL, 'u'},
                        {"daemon-uid", required_argument, NULL, 'd'},
                        {"idle-ms", required_argument, NULL, 'i'},
                        {"log", required_argument, NULL, 'l'},
                        {"early-bind", required_argument, NULL, 'e'},
                        {"boot-begin", no_argument, NULL, 'b'},
                        {0},
        };
        HelperConfig config = {.idle_usec = UINT64_MAX};
        const char *early = NULL, *root = NULL;
        bool begin = false;
        int c, fd, r;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                switch (c) {
                case 'r':
                        config.root_fd = sysfs_open_dir(AT_FDCWD, optarg);
                        fake_kernel_attach(optarg);
                        root = optarg;
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
                case 'e':
                        early = optarg;
                        break;
                case 'b':
                        begin = true;
                        break;
                default:
                        return EXIT_FAILURE;
                }

        if (config.root_fd > 0 && (early || begin))
                return run_at_boot(config.root_fd, early);
        if (root)
                write_pid(root);
        r = config.root_fd <= 0 ? -EINVAL : helper_run(&config);
        if (r < 0)
                fprintf(stderr, "helper under test: %s\n", strerror(-r));
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
