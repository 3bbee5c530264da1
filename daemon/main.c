/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <sys/utsname.h>

#include "daemon.h"
#include "log.h"

static const char help[] = "verge-passthroughd: gives PCI devices to virtual machines, over D-Bus "
                           "(org.verge.Passthrough).\n"
                           "\n"
                           "It is started by systemd (verge-passthroughd.service) and needs no privilege.\n"
                           "\n"
                           "  --debug    log what is going on in detail\n"
                           "  --help     show this text\n"
                           "  --version  show the version\n";

/* Returns 0 to go on, 1 when all is done, or -EINVAL. */
static int parse_options(int argc, char *argv[]) {
        static const struct option options[] = {
                        {"debug", no_argument, NULL, 'd'},
                        {"help", no_argument, NULL, 'h'},
                        {"version", no_argument, NULL, 'v'},
                        {0},
        };
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                switch (c) {
                case 'd':
                        log_set_max_level(LOG_DEBUG);
                        break;
                case 'h':
                        (void)fputs(help, stdout);
                        return 1;
                case 'v':
                        (void)puts("verge-passthroughd " PROJECT_VERSION);
                        return 1;
                default:
                        return -EINVAL;
                }

        if (optind < argc) {
                (void)fprintf(stderr, "%s: \"%s\" is not an option; see --help.\n", argv[0], argv[optind]);
                return -EINVAL;
        }
        return 0;
}

int main(int argc, char *argv[]) {
        _cleanup_close_ int root = -1;
        struct utsname names;
        int r;

        r = parse_options(argc, argv);
        if (r != 0)
                return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;

        /* One heap for both threads: a second one would double what we keep resident. */
        (void)mallopt(M_ARENA_MAX, 1);

        root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (root < 0 || uname(&names) < 0) {
                log_error("Cannot look at the host: %s.", strerror(errno));
                return EXIT_FAILURE;
        }

        r = daemon_run(&(DaemonConfig){.root_fd = root,
                                       .uevent_fd = -1,
                                       .node_name = names.nodename,
                                       .healthy_usec = DAEMON_HEALTHY_USEC});
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
