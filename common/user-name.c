/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <pwd.h>

#include "text.h"
#include "user-name.h"

const char *user_name(int root, uid_t uid, char buf[static USER_NAME_SIZE]) {
        _cleanup_fclose_ FILE *f = NULL;
        const struct passwd *entry;
        _cleanup_close_ int fd = -1;

        (void)snprintf(buf, USER_NAME_SIZE, "uid %u", (unsigned)uid);

        fd = openat(root, "etc/passwd", O_RDONLY | O_CLOEXEC | O_NOCTTY);
        f = fd < 0 ? NULL : fdopen(fd, "r");
        if (!f)
                return buf;
        (void)STEAL_FD(fd);

        while ((entry = fgetpwent(f)))
                if (entry->pw_uid == uid && strlen(entry->pw_name) < USER_NAME_SIZE) {
                        (void)snprintf(buf, USER_NAME_SIZE, "%s", entry->pw_name);
                        text_make_printable(buf);
                        break;
                }
        return buf;
}
