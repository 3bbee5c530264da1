/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The file that `export` and `import` are told: all groups and rules as the service's JSON document. */

#include <fcntl.h>
#include <sys/stat.h>

#include "commands.h"
#include "names.h"
#include "text.h"

#define DOCUMENT_SIZE_MAX (16U * 1024 * 1024) /* the service takes no more */

static ExitCode complain_file(const char *doing, const char *path, int error) {
        return complain(EXIT_FAILED, "'%s' cannot be %s: %s.", path, doing, strerror(error));
}

/* --- export --- */

static int write_text(FILE *f, const char *text) {
        return fputs(text, f) < 0 || fflush(f) != 0 ? -errno : 0;
}

/* Rights as a new file has them, or as the old one had. */
static int keep_mode(int fd, const struct stat *old) {
        mode_t mask = umask(0);

        (void)umask(mask);
        return fchmod(fd, old ? old->st_mode & 0777 : 0666 & ~mask) < 0 ? -errno : 0;
}

/* A file of another name beside it takes its place once it is whole and on the disk. */
static int replace_file(const char *path, const struct stat *old, const char *text) {
        _cleanup_free_ char *temporary = NULL;
        _cleanup_fclose_ FILE *f = NULL;
        _cleanup_close_ int fd = -1;
        int r;

        if (asprintf(&temporary, "%s.XXXXXX", path) < 0) {
                temporary = NULL;
                return -ENOMEM;
        }
        fd = mkostemp(temporary, 0);
        if (fd < 0)
                return -errno;
        r = keep_mode(fd, old);
        f = r < 0 ? NULL : fdopen(fd, "w");
        if (r >= 0 && !f)
                r = -errno;
        if (f)
                (void)STEAL_FD(fd);
        if (r >= 0)
                r = write_text(f, text);
        if (r >= 0 && (fsync(fileno(f)) < 0 || rename(temporary, path) < 0))
                r = -errno;
        if (r < 0)
                (void)unlink(temporary);
        return r;
}

/* What is no file, a pipe or a terminal, is written to and not replaced. */
static int write_into(const char *path, const char *text) {
        _cleanup_fclose_ FILE *f = fopen(path, "we");

        return f ? write_text(f, text) : -errno;
}

static int write_file(const char *path, const char *text) {
        _cleanup_free_ char *whole = NULL;
        _cleanup_close_ int fd = -1;
        struct stat old, found;

        /* The kernel goes first: it follows no link that a stranger has put into /tmp, as realpath() would, and it
         * knows the way of those that lead to a pipe, as /dev/stdout does. */
        fd = open(path, O_PATH | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT ? replace_file(path, NULL, text) : -errno;
        if (fstat(fd, &old) < 0)
                return -errno;
        if (!S_ISREG(old.st_mode))
                return write_into(path, text);
        whole = realpath(path, NULL); /* a link stays one */
        if (!whole || stat(whole, &found) < 0)
                return -errno;
        return found.st_dev == old.st_dev && found.st_ino == old.st_ino ? replace_file(whole, &old, text)
                                                                        : -ESTALE;
}

static ExitCode call_export(Cli *cli, sd_bus_message **ret) {
        ExitCode code = cli_connect(cli);

        return code == EXIT_DONE ? client_ask_object(&cli->client, BUS_PATH, BUS_INTERFACE_MANAGER, "Export",
                                                     ret)
                                 : code;
}

ExitCode command_export(Cli *cli) {
        const char *path = cli->options.n_words > 0 ? cli->options.words[0] : "-", *text;
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        ExitCode code;
        int r;

        code = call_export(cli, &reply);
        if (code != EXIT_DONE)
                return code;
        r = sd_bus_message_read(reply, "s", &text);
        if (r < 0)
                return client_complain_answer(r);
        r = streq(path, "-") ? write_text(stdout, text) : write_file(path, text);
        if (r < 0)
                return complain_file("written", path, -r);
        if (!streq(path, "-"))
                (void)printf("All groups and rules are in '%s'; 'passthroughctl import FILE' takes them "
                             "back.\n",
                             path);
        return EXIT_DONE;
}

/* --- import --- */

/* As much as the service takes, and a byte more that tells that there is more. */
static int read_text(FILE *f, char **ret, size_t *ret_n) {
        _cleanup_free_ char *text = NULL;
        size_t n = 0, size = 0;

        while (n <= DOCUMENT_SIZE_MAX && !feof(f)) {
                if (n + 1 >= size) {
                        char *longer = realloc(text, size = size ? 2 * size : 65536);

                        if (!longer)
                                return -ENOMEM;
                        text = longer;
                }
                n += fread(text + n, 1, size - n - 1, f);
                if (ferror(f))
                        return errno > 0 ? -errno : -EIO;
        }
        text[n] = '\0';
        *ret = STEAL(text);
        *ret_n = n;
        return 0;
}

static int read_file(const char *path, char **ret, size_t *ret_n) {
        _cleanup_fclose_ FILE *f = fopen(path, "re");

        return f ? read_text(f, ret, ret_n) : -errno;
}

/* What the service would say of it, or the bus, which throws out who sends text that is none. */
static ExitCode check_text(const char *path, const char *text, size_t n) {
        size_t line = 1, length;
        const char *s;

        if (n > DOCUMENT_SIZE_MAX)
                return complain(EXIT_USAGE,
                                "'%s' has more than %u MiB, and the service takes no more; split it.", path,
                                DOCUMENT_SIZE_MAX / (1024 * 1024));
        for (s = text; *s && (length = text_utf8_length(s)) > 0; s += length)
                line += *s == '\n';
        if (s < text + n)
                return complain(EXIT_USAGE, "'%s' is no document: line %zu is not UTF-8.", path, line);
        return EXIT_DONE;
}

static const char *name_of(const char *path) {
        return streq(path, "-") ? "standard input" : path;
}

static ExitCode read_document(const char *path, char **ret) {
        size_t n = 0;
        int r;

        r = streq(path, "-") ? read_text(stdin, ret, &n) : read_file(path, ret, &n);
        return r < 0 ? complain_file("read", name_of(path), -r) : check_text(name_of(path), *ret, n);
}

static ExitCode call_import(Cli *cli, const char *text, sd_bus_message **ret, Failure *f) {
        _cleanup_bus_message_ sd_bus_message *call = NULL;
        bool prune = option_given(&cli->options, OPTION_PRUNE);
        ExitCode code;
        int r;

        code = cli_connect(cli);
        if (code == EXIT_DONE)
                code = client_new_call(&cli->client, BUS_PATH, BUS_INTERFACE_MANAGER, "Import", &call);
        if (code != EXIT_DONE)
                return code;
        r = sd_bus_message_append(call, "sa{sv}", text, 1, "prune", "b", prune);
        return r < 0 ? client_complain_message(r)
                     : client_try(&cli->client, call, "Importing groups and rules", 0, ret, f);
}

ExitCode command_import(Cli *cli) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        const char *path = cli->options.words[0];
        _cleanup_free_ char *text = NULL;
        Failure f = {};
        uint32_t n;
        ExitCode code;
        int r;

        code = read_document(path, &text);
        if (code == EXIT_DONE)
                code = call_import(cli, text, &reply, &f);
        if (f.kind == FAILURE_INVALID_ARGUMENT)
                return complain(exit_code_from_failure(f.kind), "%s: %s", name_of(path), f.sentence);
        if (f.kind != FAILURE_NONE)
                return complain_failure(&f);
        if (code != EXIT_DONE)
                return code;
        r = sd_bus_message_read(reply, "u", &n);
        if (r < 0)
                return client_complain_answer(r);
        if (n == 0)
                (void)printf("Nothing was changed: all is as the document says.\n");
        else
                (void)printf("%u group%s made, changed or removed; the rest was as the document says. "
                             "'passthroughctl group list' shows what needs approval.\n",
                             n, n == 1 ? " or rule was" : "s and rules were");
        return EXIT_DONE;
}
