/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <pwd.h>

#include "users.h"

const char *users_owner(const Object *claim, char buf[static USER_TEXT_SIZE]) {
        uint64_t uid = object_number(claim, "Owner");
        const struct passwd *entry = getpwuid((uid_t)uid);

        if (entry && strlen(entry->pw_name) < USER_TEXT_SIZE)
                (void)snprintf(buf, USER_TEXT_SIZE, "%s", entry->pw_name);
        else
                (void)snprintf(buf, USER_TEXT_SIZE, "%" PRIu64, uid);
        return buf;
}
