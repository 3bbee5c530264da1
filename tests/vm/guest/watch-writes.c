/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * watch-writes FILE...: says `ready`, and then which of these files is written to, each time, in the order in which the
 * kernel tells. What is written to the same file twice at once may be told once.
 */

#include <err.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

int main(int argc, char *argv[]) {
        alignas(struct inotify_event) char buffer[16 * 1024];
        int fd;

        fd = inotify_init1(IN_CLOEXEC);
        if (fd < 0)
                err(EXIT_FAILURE, "inotify");

        /* Descriptors count from 1; a file that is named twice keeps its first. */
        for (int i = 1; i < argc; i++)
                if (inotify_add_watch(fd, argv[i], IN_MODIFY) != i)
                        errx(EXIT_FAILURE, "%s: cannot be watched, or is watched already", argv[i]);

        (void)setvbuf(stdout, NULL, _IOLBF, 0);
        (void)puts("ready");

        for (;;) {
                ssize_t n = read(fd, buffer, sizeof buffer);

                if (n <= 0)
                        err(EXIT_FAILURE, "read");
                for (char *p = buffer; p < buffer + n;) {
                        const struct inotify_event *e = (const struct inotify_event *)p;

                        (void)puts(e->wd > 0 && e->wd < argc ? argv[e->wd] : "overflow");
                        p += sizeof *e + e->len;
                }
        }
}
