/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <pwd.h>

#include "boots.h"
#include "early.h"
#include "helper.h"
#include "log.h"
#include "names.h"
#include "sysfs.h"

int main(int argc, char *argv[]) {
        HelperConfig config = {.idle_usec = HELPER_IDLE_SECONDS * 1000000ULL, .sandbox = true};
        const struct passwd *user;
        int r;

        bool early = argc == 3 && streq(argv[1], "--early-bind"),
             all = argc == 2 && streq(argv[1], "--early-bind-all"),
             begin = argc == 2 && streq(argv[1], "--boot-begin");

        if (argc > 1 && !early && !all && !begin) {
                fprintf(stderr, "verge-passthrough-helper takes no arguments: systemd starts it when "
                                "verge-passthroughd calls it. See verge-passthrough-helper(8).\n");
                return EXIT_FAILURE;
        }

        config.root_fd = sysfs_open_dir(-1, "/");
        if (config.root_fd < 0) {
                log_error("Cannot open the root directory: %s", strerror(-config.root_fd));
                return EXIT_FAILURE;
        }

        if (begin)
                return boots_begin(config.root_fd) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        /* Whatever comes of it, the boot goes on. */
        if (early || all) {
                early_run(config.root_fd, early ? argv[2] : NULL);
                return EXIT_SUCCESS;
        }

        user = getpwnam(DAEMON_USER);
        if (!user || user->pw_uid == 0) {
                log_error("There is no unprivileged user " DAEMON_USER "; run systemd-sysusers.");
                return EXIT_FAILURE;
        }
        config.daemon_uid = user->pw_uid;

        r = helper_run(&config);
        if (r < 0)
                log_error("The helper failed: %s", strerror(-r));
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
