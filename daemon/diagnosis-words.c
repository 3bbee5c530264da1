/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>

#include "diagnosis-words.h"

static bool list_has(const char list[][DIAGNOSIS_WORD_SIZE], size_t n, const char *word, size_t length) {
        for (size_t i = 0; i < n; i++)
                if (strlen(list[i]) == length && memcmp(list[i], word, length) == 0)
                        return true;
        return false;
}

static void list_put(char list[][DIAGNOSIS_WORD_SIZE], size_t *n, const char *word, size_t length) {
        if (length == 0 || length >= DIAGNOSIS_WORD_SIZE || *n == DIAGNOSIS_WORDS_MAX ||
            list_has((const char(*)[DIAGNOSIS_WORD_SIZE])list, *n, word, length))
                return;

        memcpy(list[*n], word, length);
        list[(*n)++][length] = '\0';
}

void diagnosis_change_add(DiagnosisChange *c, const char *word) {
        assert(c);
        assert(word);

        list_put(c->add, &c->n_add, word, strlen(word));
}

void diagnosis_change_remove(DiagnosisChange *c, const char *word, size_t length) {
        assert(c);
        assert(word);

        list_put(c->remove, &c->n_remove, word, length);
}

/* As next_arg() of the kernel: a quote begins or ends a part in which spaces are none. */
bool diagnosis_next_word(const char **at, const char **ret, size_t *ret_length) {
        const char *p = *at;
        bool quoted = false;

        while (isspace((unsigned char)*p))
                p++;
        *ret = p;
        for (; *p && (quoted || !isspace((unsigned char)*p)); p++)
                quoted ^= *p == '"';

        *ret_length = (size_t)(p - *ret);
        if (*ret_length == 0 || (*ret_length == 2 && startswith(*ret, "--"))) {
                *at = *ret;
                return false;
        }
        *at = p;
        return true;
}

static bool same_name(const char *a, const char *b, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (a[i] != b[i] && !(strchr("-_", a[i]) && a[i] && strchr("-_", b[i]) && b[i]))
                        return false;
        return true;
}

bool diagnosis_line_has(const char *line, const char *word) {
        const char *found;
        size_t n;

        assert(line);
        assert(word);

        while (diagnosis_next_word(&line, &found, &n))
                if (n == strlen(word) && same_name(found, word, n))
                        return true;
        return false;
}

/* Behind the "=", or NULL when it is another's. */
static const char *value_of(const char *word, size_t length, const char *key) {
        size_t n = strlen(key);

        return length > n && word[n] == '=' && same_name(word, key, n) ? word + n + 1 : NULL;
}

static const char *find_item(const char *value, const char *end, const char *item) {
        size_t n;

        for (const char *p = value; p < end; p += n + 1) {
                for (n = 0; p + n < end && p[n] != ','; n++)
                        ;
                if (n == strlen(item) && same_name(p, item, n))
                        return p;
        }
        return NULL;
}

bool diagnosis_next_item(const char **at, const char *key, const char *item, const char **ret,
                         size_t *ret_length) {
        const char *value;

        assert(at && *at);

        while (diagnosis_next_word(at, ret, ret_length)) {
                value = value_of(*ret, *ret_length, key);
                if (value && find_item(value, *ret + *ret_length, item))
                        return true;
        }
        return false;
}

int diagnosis_line_switch(const char *line, const char *key) {
        const char *word, *value, *on, *off;
        int r = -1;
        size_t n;

        assert(line);
        assert(key);

        while (diagnosis_next_word(&line, &word, &n)) {
                value = value_of(word, n, key);
                on = value ? find_item(value, word + n, "on") : NULL;
                off = value ? find_item(value, word + n, "off") : NULL;
                if (on || off)
                        r = on && (!off || on > off);
        }
        return r;
}

void diagnosis_change_remove_item(DiagnosisChange *c, const char *line, const char *key, const char *item) {
        char rest[DIAGNOSIS_WORD_SIZE];
        const char *word, *value, *at, *end;
        size_t n, length = strlen(item);

        assert(c);

        while (diagnosis_next_item(&line, key, item, &word, &n)) {
                diagnosis_change_remove(c, word, n);
                end = word + n;
                value = value_of(word, n, key);
                at = find_item(value, end, item);
                if (n >= sizeof rest || (at == value && at + length == end))
                        continue;
                /* With the comma behind it, or the one before when it is the last. */
                if (at + length == end)
                        at--;
                (void)snprintf(rest, sizeof rest, "%.*s%.*s", (int)(at - word), word,
                               (int)(end - (at + length + 1)), at + length + 1);
                if (!find_item(rest + (value - word), rest + strlen(rest), item))
                        diagnosis_change_add(c, rest);
        }
}

/* The text so far, which never gets longer than there is room. */
typedef struct Text {
        char *buf;
        size_t size, n;
        bool full;
} Text;

static void put(Text *t, const char *what, size_t length) {
        t->full = t->full || length >= t->size - t->n;
        if (t->full)
                return;
        memcpy(t->buf + t->n, what, length);
        t->n += length;
        t->buf[t->n] = '\0';
}

static void put_word(Text *t, const char *word, size_t length) {
        if (t->n > 0)
                put(t, " ", 1);
        put(t, word, length);
}

static int finish(Text *t, int r) {
        if (t->full) {
                t->buf[0] = '\0';
                return -E2BIG;
        }
        return r;
}

int diagnosis_line_edit(const char *line, const DiagnosisChange *c, bool whole, char *ret, size_t size) {
        bool present[DIAGNOSIS_WORDS_MAX] = {false}, changed = false, quoted = false;
        Text t = {.buf = ret, .size = size};
        const char *word;
        size_t n;

        assert(line);
        assert(c);
        assert(size > 0);

        ret[0] = '\0';
        for (const char *p = line; *p; p++)
                quoted ^= *p == '"';
        if (quoted) /* what is put behind it would be a part of its last word */
                return -EBADMSG;

        while (diagnosis_next_word(&line, &word, &n)) {
                if (!whole && (startswith(word, "BOOT_IMAGE=") || startswith(word, "initrd=")))
                        continue;
                if (list_has(c->remove, c->n_remove, word, n)) {
                        changed = true;
                        continue;
                }
                for (size_t i = 0; i < c->n_add; i++)
                        present[i] = present[i] ||
                                     (strlen(c->add[i]) == n && memcmp(c->add[i], word, n) == 0);
                put_word(&t, word, n);
        }
        for (size_t i = 0; i < c->n_add; i++)
                if (!present[i]) {
                        put_word(&t, c->add[i], strlen(c->add[i]));
                        changed = true;
                }

        for (n = strlen(line); n > 0 && isspace((unsigned char)line[n - 1]); n--)
                ;
        if (n > 0) /* "--" and what is for init */
                put_word(&t, line, n);
        return finish(&t, changed);
}

/* The value that stands at p, up to its end. What a shell would expand, or goes over the line, is not for us. */
static int read_value(const char *p, Text *t) {
        char quote = '\0';

        for (; *p && *p != '\n'; p++) {
                if (*p == quote)
                        quote = '\0';
                else if (quote == '\'')
                        put(t, p, 1);
                else if (strchr("$`", *p))
                        return -EBADMSG;
                else if (*p == '\\') {
                        if (p[1] == '\0' || p[1] == '\n')
                                return -EBADMSG;
                        if (quote == '"' && !strchr("\"\\$`", p[1]))
                                put(t, p, 1);
                        put(t, ++p, 1);
                } else if (!quote && strchr("'\"", *p))
                        quote = *p;
                else if (!quote && strchr("()|&<>", *p))
                        return -EBADMSG;
                else if (!quote && (isspace((unsigned char)*p) || *p == ';'))
                        break;
                else
                        put(t, p, 1);
        }
        if (quote)
                return -EBADMSG;

        /* VAR=value command gives it to the command alone. */
        for (; *p == ' ' || *p == '\t' || *p == '\r'; p++)
                ;
        return *p == '\0' || *p == '\n' || *p == ';' || *p == '#' ? finish(t, 1) : -EBADMSG;
}

int diagnosis_shell_value(const char *text, const char *name, char *ret, size_t size) {
        const char *line, *end;
        int r = 0;

        assert(text);
        assert(name);
        assert(size > 0);

        ret[0] = '\0';
        for (line = text; *line; line = *end ? end + 1 : end) {
                Text t = {.buf = ret, .size = size};

                end = line + strcspn(line, "\n");
                line += strspn(line, " \t");
                if (startswith(line, "export "))
                        line += strspn(line + strlen("export"), " ") + strlen("export");
                if (!startswith(line, name))
                        continue;
                if (startswith(line + strlen(name), "+="))
                        r = -EBADMSG;
                else if (line[strlen(name)] == '=') {
                        ret[0] = '\0';
                        r = read_value(line + strlen(name) + 1, &t);
                }
        }
        if (r <= 0)
                ret[0] = '\0';
        return r;
}

int diagnosis_shell_assign(const char *name, const char *value, char *ret, size_t size) {
        Text t = {.buf = ret, .size = size};

        assert(name);
        assert(value);
        assert(size > 0);

        ret[0] = '\0';
        put(&t, name, strlen(name));
        put(&t, "=\"", 2);
        for (; *value; value++) {
                if (strchr("\"\\$`", *value))
                        put(&t, "\\", 1);
                put(&t, value, 1);
        }
        put(&t, "\"", 1);
        return finish(&t, 0);
}

/* The next word of one line: at blanks only. */
static bool next_of_line(const char **at, const char **ret, size_t *ret_length) {
        *at += strspn(*at, " \t");
        *ret = *at;
        *ret_length = strcspn(*at, " \t\n");
        *at += *ret_length;
        return *ret_length > 0;
}

static bool is_word(const char *word, size_t length, const char *other) {
        return length == strlen(other) && same_name(word, other, length);
}

static bool is_nothing(const char *command, size_t length) {
        return is_word(command, length, "/bin/false") || is_word(command, length, "/bin/true") ||
               is_word(command, length, "/usr/bin/false") || is_word(command, length, "/usr/bin/true");
}

bool diagnosis_modprobe_blocks(const char *text, const char *module) {
        const char *verb, *name, *command;
        size_t n, n_name, n_command;

        assert(text);
        assert(module);

        for (const char *at = text; *at; at += strcspn(at, "\n"), at += *at == '\n') {
                if (!next_of_line(&at, &verb, &n) || !next_of_line(&at, &name, &n_name) ||
                    !is_word(name, n_name, module))
                        continue;
                if (is_word(verb, n, "blacklist"))
                        return true;
                if (is_word(verb, n, "install") && next_of_line(&at, &command, &n_command) &&
                    is_nothing(command, n_command))
                        return true;
        }
        return false;
}

bool diagnosis_modprobe_sets(const char *text, const char *module, const char *parameter) {
        const char *word, *value;
        size_t n;

        assert(text);
        assert(module);
        assert(parameter);

        for (const char *at = text; *at; at += strcspn(at, "\n"), at += *at == '\n') {
                if (!next_of_line(&at, &word, &n) || !is_word(word, n, "options") ||
                    !next_of_line(&at, &word, &n) || !is_word(word, n, module))
                        continue;
                while (next_of_line(&at, &word, &n)) {
                        value = value_of(word, n, parameter);
                        if (is_word(word, n, parameter) ||
                            (value && value < word + n && strchr("1yY", *value)))
                                return true;
                }
        }
        return false;
}

bool diagnosis_modules_have(const char *text, const char *module) {
        const char *end, *name;
        size_t n;

        assert(text);
        assert(module);

        for (const char *line = text; *line; line = end + strcspn(end, "\n"), line += *line == '\n') {
                end = line + strcspn(line, ":\n"); /* behind the colon stands what it needs */
                for (name = end; name > line && name[-1] != '/'; name--)
                        ;
                for (n = 0; name + n < end && name[n] != '.'; n++)
                        ;
                if (is_word(name, n, module) && startswith(name + n, ".ko"))
                        return true;
        }
        return false;
}

/* The value behind "KEY :" in the first line that has it; up to the end of the line. */
static const char *field_of(const char *text, const char *key) {
        for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
                const char *p = line + strlen(key);

                if (!startswith(line, key))
                        continue;
                p += strspn(p, " \t");
                if (*p == ':')
                        return p + 1 + strspn(p + 1, " \t");
        }
        return NULL;
}

DiagnosisCpu diagnosis_cpu_parse(const char *text, bool *ret_guest) {
        static const struct {
                const char *vendor;
                DiagnosisCpu cpu;
        } known[] = {
                        {"GenuineIntel", DIAGNOSIS_CPU_INTEL},
                        {"AuthenticAMD", DIAGNOSIS_CPU_AMD},
                        {"HygonGenuine", DIAGNOSIS_CPU_AMD},
        };
        const char *vendor, *flags, *word;
        size_t n;

        assert(text);
        assert(ret_guest);

        flags = field_of(text, "flags");
        *ret_guest = false;
        while (flags && next_of_line(&flags, &word, &n))
                *ret_guest = *ret_guest || is_word(word, n, "hypervisor");

        vendor = field_of(text, "vendor_id");
        for (size_t i = 0; vendor && i < ELEMENTSOF(known); i++)
                if (startswith(vendor, known[i].vendor))
                        return known[i].cpu;
        return field_of(text, "CPU implementer") ? DIAGNOSIS_CPU_ARM : DIAGNOSIS_CPU_OTHER;
}
