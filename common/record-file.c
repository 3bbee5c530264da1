/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/stat.h>

#include "record-file.h"
#include "sysfs.h"
#include "text.h"

int record_parse(const char *text, const char *const *keys, size_t n_keys, uint32_t optional,
                 record_value_t take, void *userdata) {
        char line[SYSFS_ATTRIBUTE_SIZE], *value;
        uint32_t seen = 0;
        size_t key;
        int r;

        assert(text);
        assert(keys);
        assert(n_keys < 32);
        assert(take);

        while ((r = text_next_line(&text, line, sizeof line)) > 0) {
                if (line[0] == '\0' || line[0] == '#')
                        continue;

                value = strchr(line, '=');
                if (!value)
                        return -EBADMSG;
                *value++ = '\0';

                for (key = 0; key < n_keys && !streq(keys[key], line); key++)
                        ;
                if (key == n_keys || seen & 1U << key || take(key, value, userdata) < 0)
                        return -EBADMSG;
                seen |= 1U << key;
        }
        return r < 0 || (seen | optional) != (1U << n_keys) - 1 ? -EBADMSG : 0;
}

int record_read(int root, const char *path, uid_t root_uid, char *buf, size_t size) {
        struct stat st;
        int r;

        assert(path);
        assert(buf);

        if (fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || st.st_uid != root_uid || st.st_mode & 022)
                return -EPERM;

        r = sysfs_read(root, path, buf, size);
        return r < 0 && r != -ENOENT ? -EBADMSG : r;
}

int record_parse_decimal(const char *s, uint64_t max, uint64_t *ret) {
        char *end;

        if (s[0] < '0' || s[0] > '9' || (s[0] == '0' && s[1]))
                return -EBADMSG;

        errno = 0;
        *ret = strtoull(s, &end, 10);
        return errno != 0 || *end != '\0' || *ret > max ? -EBADMSG : 0;
}

int record_parse_hex(const char *s, size_t digits, uint64_t *ret) {
        if (strlen(s) != digits || strspn(s, "0123456789abcdef") != digits)
                return -EBADMSG;

        *ret = strtoull(s, NULL, 16);
        return 0;
}
