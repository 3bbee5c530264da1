/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The daemon on a fake host, with a FIFO in place of udev. */

#include <fcntl.h>
#include <getopt.h>

#include "daemon-steps.h"
#include "daemon.h"
#include "fake-kernel.h"
#include "sysfs.h"

/* <root>/fake/healthy-ms: how long it has to be idle until its boot has gone well; without the file it never has. */
static uint64_t read_healthy(int root) {
        uint64_t ms;

        return sysfs_read_u64(root, "fake/healthy-ms", 10, &ms) < 0 ? UINT64_MAX : ms * 1000;
}

int main(int argc, char *argv[]) {
        static const struct option options[] = {
                        {"root", required_argument, NULL, 'r'},
                        {"root-uid", required_argument, NULL, 'u'},
                        {"uevents", required_argument, NULL, 'e'},
                        {0},
        };
        DaemonConfig config = {.uevent_fd = -1, .node_name = "test-node", .confirm_min = 1};
        int c, r;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                switch (c) {
                case 'r':
                        config.root_fd = sysfs_open_dir(AT_FDCWD, optarg);
                        fake_kernel_attach(optarg);
                        daemon_steps_attach(optarg);
                        break;
                case 'u':
                        config.root_uid = (uid_t)strtoul(optarg, NULL, 10);
                        break;
                case 'e':
                        /* For writing too, so that it never comes to an end. */
                        config.uevent_fd = open(optarg, O_RDWR | O_NONBLOCK | O_CLOEXEC);
                        break;
                default:
                        return EXIT_FAILURE;
                }

        config.healthy_usec = read_healthy(config.root_fd);
        r = config.root_fd <= 0 || config.uevent_fd < 0 ? -EINVAL : daemon_run(&config);
        if (r < 0)
                fprintf(stderr, "daemon under test: %s\n", strerror(-r));
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
