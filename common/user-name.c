/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <pwd.h>

#include "text.h"
#include "user-name.h"

#define LINE_SIZE 4096 /* of the file; who stands behind a longer one has no name */

const char *user_name(int root, uid_t uid, char buf[static USER_NAME_SIZE]) {
        _cleanup_fclose_ FILE *f = NULL;
        _cleanup_close_ int fd = -1;
        struct passwd entry, *found;
        char line[LINE_SIZE];

        (void)snprintf(buf, USER_NAME_SIZE, "uid %u", (unsigned)uid);

        fd = openat(root, "etc/passwd", O_RDONLY | O_CLOEXEC | O_NOCTTY);
        f = fd < 0 ? NULL : fdopen(fd, "r");
        if (!f)
                return buf;
        (void)STEAL_FD(fd);

        while (fgetpwent_r(f, &entry, line, sizeof line, &found) == 0)
                if (found->pw_uid == uid && strlen(found->pw_name) < USER_NAME_SIZE) {
                        (void)snprintf(buf, USER_NAME_SIZE, "%s", found->pw_name);
                        text_make_printable(buf);
                        break;
                }
        return buf;
}
