/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <limits.h>
#include <mntent.h>
#include <strings.h>

#include "storage-text.h"

#define EFI_ATTRIBUTES_SIZE 4
#define DELETED " (deleted)"

static int octal_digit(char c) {
        return c >= '0' && c <= '7' ? c - '0' : -1;
}

/* The kernel writes blanks and backslashes as "\040". */
static void unescape(char *s) {
        char *to = s;

        for (; *s; to++) {
                int a = s[0] == '\\' ? octal_digit(s[1]) : -1;
                int b = a >= 0 && a <= 3 ? octal_digit(s[2]) : -1;
                int c = b >= 0 ? octal_digit(s[3]) : -1;

                int value = c >= 0 ? a << 6 | b << 3 | c : 0;

                *to = value > 0 ? (char)value : *s;
                s += value > 0 ? 4 : 1;
        }
        *to = '\0';
}

/* proc_pid_mountinfo(5): "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue" */
int storage_text_mount(char *line, MountLine *ret) {
        char *save = NULL, *field;
        MountLine m = {0};
        int i = 0;

        assert(line);
        assert(ret);

        for (field = strtok_r(line, " ", &save); field; field = strtok_r(NULL, " ", &save), i++) {
                if (i == 2)
                        m.number = field;
                if (i == 4)
                        m.where = field;
                if (i >= 6 && streq(field, "-")) {
                        m.type = strtok_r(NULL, " ", &save);
                        m.source = strtok_r(NULL, " ", &save);
                        break;
                }
        }
        if (!m.number || !m.where || !m.type || !m.source)
                return -EBADMSG;

        unescape(m.where);
        unescape(m.source);
        *ret = m;
        return 0;
}

/* proc_swaps(5): a head line, then "/dev/dm-1   partition   8388604  0  -2" */
int storage_text_swap(char *line, char **ret_device) {
        char *save = NULL, *device, *type, *end;

        assert(line);
        assert(ret_device);

        device = strtok_r(line, " \t", &save);
        type = strtok_r(NULL, " \t", &save);
        if (!device || !type || !streq(type, "partition"))
                return 0;

        unescape(device);
        end = strlen(device) > strlen(DELETED) ? device + strlen(device) - strlen(DELETED) : NULL;
        if (end && streq(end, DELETED)) /* its node in /dev; the kernel swaps on */
                *end = '\0';
        *ret_device = device;
        return 1;
}

bool storage_text_is_boot_place(const char *where) {
        assert(where);

        return streq(where, "/boot") || startswith(where, "/boot/") || streq(where, "/efi") ||
               startswith(where, "/efi/");
}

int storage_text_number(const char *text, uint64_t *ret) {
        unsigned long major, minor;
        char *end;

        assert(text);
        assert(ret);

        errno = 0;
        major = isdigit((unsigned char)text[0]) ? strtoul(text, &end, 10) : ULONG_MAX;
        if (major > UINT32_MAX || errno != 0 || *end != ':' || !isdigit((unsigned char)end[1]))
                return -EBADMSG;
        minor = strtoul(end + 1, &end, 10);
        if (minor > UINT32_MAX || errno != 0 || *end != '\0')
                return -EBADMSG;

        *ret = (uint64_t)major << 32 | minor;
        return 0;
}

static int hex_digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        return isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10 : -1;
}

/* One character of a link's name; udev writes what is not for file names as "\x20". */
static int next_character(const char **text) {
        const char *s = *text;
        int high = s[0] == '\\' && s[1] == 'x' ? hex_digit(s[2]) : -1;
        int low = high >= 0 ? hex_digit(s[3]) : -1;

        *text += low >= 0 ? 4 : 1;
        return low >= 0 ? high << 4 | low : (unsigned char)s[0];
}

/* A link to the end of the line. Who writes it himself may use the same escapes. */
static bool is_link(const char *line, const char *link, bool any_case) {
        while (*line && *line != '\n' && *link) {
                int a = next_character(&line), b = next_character(&link);

                if (a != b && !(any_case && tolower(a) == tolower(b)))
                        return false;
        }
        return !*link && (!*line || *line == '\n');
}

bool storage_text_udev_link(const char *record, const char *link, bool any_case) {
        assert(record);
        assert(link);

        for (const char *line = record; line; line = strchr(line, '\n')) {
                line += *line == '\n';
                if (startswith(line, "S:") && is_link(line + 2, link, any_case))
                        return true;
        }
        return false;
}

int storage_text_udev_property(const char *record, const char *key, char *ret, size_t size) {
        const size_t length = strlen(key);

        assert(record);
        assert(ret);
        assert(size > 0);

        for (const char *line = record; line; line = strchr(line, '\n')) {
                line += *line == '\n';
                if (!startswith(line, "E:") || strncmp(line + 2, key, length) != 0 ||
                    line[2 + length] != '=')
                        continue;

                line += 2 + length + 1;
                if (strcspn(line, "\n") >= size)
                        return -E2BIG;
                (void)snprintf(ret, size, "%.*s", (int)strcspn(line, "\n"), line);
                return 0;
        }
        return -ENOENT;
}

int storage_text_device_link(const char *spec, char *ret, size_t size, bool *ret_any_case) {
        static const struct {
                const char *tag, *directory;
                bool any_case;
        } tags[] = {
                        {"UUID=", "disk/by-uuid/", true},
                        {"LABEL=", "disk/by-label/", false},
                        {"PARTUUID=", "disk/by-partuuid/", true},
                        {"PARTLABEL=", "disk/by-partlabel/", false},
                        {"ID=", "disk/by-id/", false},
                        {"/dev/", "", false},
        };
        int n;

        assert(spec);
        assert(ret);
        assert(ret_any_case);

        for (size_t i = 0; i < ELEMENTSOF(tags); i++) {
                const char *value = spec + strlen(tags[i].tag);

                if (!startswith(spec, tags[i].tag))
                        continue;
                value += *value == '"'; /* LABEL="my disk" */
                n = snprintf(ret, size, "%s%s", tags[i].directory, value);
                if (n < 0 || (size_t)n >= size || !*value)
                        return 0;
                if (ret[n - 1] == '"')
                        ret[n - 1] = '\0';
                *ret_any_case = tags[i].any_case || startswith(ret, "disk/by-uuid/") ||
                                startswith(ret, "disk/by-partuuid/");
                return 1;
        }
        return 0;
}

/* systemd.mount(5): local-fs.target needs what is neither "noauto" nor "nofail"; without that target there is only the
 * emergency shell. Swap is only waited for. */
static bool is_wanted(const struct mntent *m) {
        static const char *const spared[] = {"noauto", "nofail", "_netdev", "x-systemd.automount"};

        if (m->mnt_dir[0] != '/' || streq(m->mnt_type, "swap"))
                return false;
        for (size_t i = 0; i < ELEMENTSOF(spared); i++)
                if (hasmntopt(m, spared[i]))
                        return false;
        return true;
}

int storage_text_fstab(FILE *f, char *buf, size_t size, FstabEntry *ret) {
        struct mntent m;

        assert(f);
        assert(buf);
        assert(size > 0 && size <= INT_MAX);
        assert(ret);

        if (!getmntent_r(f, &m, buf, (int)size))
                return 0;

        *ret = (FstabEntry){m.mnt_fsname, m.mnt_dir, is_wanted(&m)};
        return 1;
}

int storage_text_unit_what(const char *text, char *ret, size_t size) {
        assert(text);
        assert(ret);
        assert(size > 0);

        for (const char *line = text; line; line = strchr(line, '\n')) {
                line += *line == '\n';
                if (!startswith(line, "What="))
                        continue;

                line += strlen("What=");
                line += strspn(line, " \t");
                if (strcspn(line, "\r\n") >= size)
                        return -E2BIG;
                (void)snprintf(ret, size, "%.*s", (int)strcspn(line, "\r\n"), line);
                return ret[0] ? 0 : -ENOENT;
        }
        return -ENOENT;
}

int storage_text_efi(const uint8_t *data, size_t n, char *ret, size_t size) {
        size_t length = 0;

        assert(data || n == 0);
        assert(ret);
        assert(size > 0);

        for (size_t i = EFI_ATTRIBUTES_SIZE; i + 1 < n; i += 2) {
                if (data[i] == 0 && data[i + 1] == 0)
                        break;
                if (data[i] < ' ' || data[i] > '~' || data[i + 1] != 0 || length + 1 >= size)
                        return -EBADMSG;
                ret[length++] = (char)data[i];
        }
        ret[length] = '\0';
        return length > 0 ? 0 : -EBADMSG;
}
