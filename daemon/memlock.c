/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "memlock.h"
#include "sysfs.h"
#include "text.h"

/* The kernel's text has some 1300 bytes; a line of it is never cut. */
#define LINE_SIZE 256

#define LABEL "Max locked memory "

/* The next word of *text, "" at the end of the line. False: it does not fit. */
static bool next_word(const char **text, char *ret, size_t size) {
        size_t n;

        *text += strspn(*text, " ");
        n = strcspn(*text, " ");
        if (n >= size)
                return false;

        memcpy(ret, *text, n);
        ret[n] = '\0';
        *text += n;
        return true;
}

static bool parse_limit(const char *word, uint64_t *ret) {
        unsigned long long v;

        if (streq(word, "unlimited")) {
                *ret = MEMLOCK_UNLIMITED;
                return true;
        }
        if (word[0] == '\0' || word[strspn(word, "0123456789")] != '\0')
                return false;

        errno = 0;
        v = strtoull(word, NULL, 10);
        if (errno != 0)
                return false;
        *ret = v;
        return true;
}

int memlock_parse(const char *limits, uint64_t *ret) {
        char line[LINE_SIZE], word[32];
        uint64_t soft, hard;
        const char *rest;
        int r;

        assert(limits);
        assert(ret);

        while ((r = text_next_line(&limits, line, sizeof line)) > 0)
                if (startswith(line, LABEL))
                        break;
        if (r <= 0)
                return -EBADMSG;

        rest = line + strlen(LABEL);
        if (!next_word(&rest, word, sizeof word) || !parse_limit(word, &soft) ||
            !next_word(&rest, word, sizeof word) || !parse_limit(word, &hard) || soft > hard ||
            !next_word(&rest, word, sizeof word) || !streq(word, "bytes"))
                return -EBADMSG;

        *ret = soft;
        return 0;
}

int memlock_read(int root, pid_t pid, uint64_t *ret) {
        char path[64], text[SYSFS_ATTRIBUTE_SIZE];
        int r;

        assert(ret);

        if (pid <= 0) /* as somebody from another PID namespace seems to be */
                return -ESRCH;

        (void)snprintf(path, sizeof path, "proc/%d/limits", (int)pid);
        r = sysfs_read(root, path, text, sizeof text);
        if (r == -ENOENT)
                return -ESRCH;
        if (r == -E2BIG)
                return -EBADMSG;
        return r < 0 ? r : memlock_parse(text, ret);
}
