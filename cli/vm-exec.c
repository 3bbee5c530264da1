/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>

#include "vm-exec.h"

void vm_exec_done(VmExec *e) {
        for (size_t i = 0; i < e->n_fds; i++)
                (void)close(e->fds[i]);
        free(e->fds);
        json_decref(e->devices);
        json_decref(e->arguments);
        *e = (VmExec){};
}

/* An item of each device, or each text of a list (column SIZE_MAX), with blanks between. */
static int set_joined(const char *variable, const json_t *list, size_t column) {
        char *text = NULL;
        json_t *item;
        size_t size, i;
        FILE *f = open_memstream(&text, &size);
        int r = -1;

        if (!f)
                return -ENOMEM;
        json_array_foreach(list, i, item) {
                const json_t *word = column == SIZE_MAX ? item : json_array_get(item, column);

                (void)fprintf(f, "%s%s", i > 0 ? " " : "", strempty(json_string_value(word)));
        }
        if (fclose(f) == 0)
                r = setenv(variable, text, 1);
        free(text);
        return r;
}

static int set_number(const char *variable, size_t number) {
        char text[24];

        (void)snprintf(text, sizeof text, "%zu", number);
        return setenv(variable, text, 1);
}

/* What an outer `vm start` has said of such things is not so here. */
static int set_fds(const VmExec *e) {
        char *text = NULL;
        size_t size;
        FILE *f;
        int r = -1;

        (void)unsetenv("PASSTHROUGH_IOMMUFD");
        (void)unsetenv("PASSTHROUGH_DEVICE_FDS");
        if (e->n_fds < 2)
                return 0;
        f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;
        for (size_t i = 1; i + 1 < e->n_fds; i++)
                (void)fprintf(f, "%s%zu", i > 1 ? " " : "", VM_FIRST_FD + i);
        if (fclose(f) == 0)
                r = setenv("PASSTHROUGH_DEVICE_FDS", text, 1);
        free(text);
        return r < 0 ? r : set_number("PASSTHROUGH_IOMMUFD", VM_FIRST_FD);
}

static int set_environment(const VmExec *e) {
        if (setenv("PASSTHROUGH_VM", e->vm, 1) < 0 || set_joined("PASSTHROUGH_DEVICES", e->devices, 0) < 0 ||
            set_joined("PASSTHROUGH_NODES", e->devices, 4) < 0 ||
            set_joined("PASSTHROUGH_QEMU_ARGUMENTS", e->arguments, SIZE_MAX) < 0 ||
            set_number("PASSTHROUGH_LIFELINE", VM_FIRST_FD + e->n_fds - 1) < 0)
                return -ENOMEM;
        return set_fds(e);
}

/* The words of the command with QEMU's arguments in place of each "{}", or behind all. */
static char **make_words(const VmExec *e) {
        size_t n = 0, n_arguments = json_array_size(e->arguments), j, holes = 0;
        char **words;
        json_t *item;

        for (int i = 1; i < e->n_words; i++)
                holes += streq(e->words[i], "{}");
        words = calloc((size_t)e->n_words + (holes + 1) * n_arguments + 1, sizeof *words);
        if (!words)
                return NULL;
        for (int i = 0; i < e->n_words; i++)
                if (i > 0 && streq(e->words[i], "{}"))
                        json_array_foreach(e->arguments, j, item) words[n++] =
                                        (char *)json_string_value(item);
                else
                        words[n++] = e->words[i];
        if (holes == 0)
                json_array_foreach(e->arguments, j, item) words[n++] = (char *)json_string_value(item);
        return words;
}

/* First out of each other's way. All else is closed by the exec: ours, and what we were started with. */
static int place_fds(const VmExec *e) {
        int end = VM_FIRST_FD + (int)e->n_fds;

        for (size_t i = 0; i < e->n_fds; i++) {
                int fd = fcntl(e->fds[i], F_DUPFD_CLOEXEC, end);

                if (fd < 0)
                        return -errno;
                (void)close(e->fds[i]);
                e->fds[i] = fd;
        }
        for (size_t i = 0; i < e->n_fds; i++)
                if (dup2(e->fds[i], VM_FIRST_FD + (int)i) < 0)
                        return -errno;
        return close_range((unsigned)end, UINT_MAX, CLOSE_RANGE_CLOEXEC) < 0 ? -errno : 0;
}

ExitCode vm_exec(VmExec *e) {
        _cleanup_free_ char **words = make_words(e);
        int r;

        if (!words || set_environment(e) < 0)
                return complain(EXIT_NO_DEVICES, "Out of memory.");
        (void)fflush(NULL);
        r = place_fds(e);
        if (r < 0)
                return complain(EXIT_NO_DEVICES, "The descriptors of VM %s cannot be passed on: %s.", e->vm,
                                strerror(-r));
        (void)sigprocmask(SIG_SETMASK, &e->signals, NULL);
        (void)execvp(words[0], words);
        r = errno;
        if (r == ENOENT)
                return complain(EXIT_NO_COMMAND,
                                "There is no command '%s', so VM %s was not started; its devices go back.",
                                words[0], e->vm);
        return complain(EXIT_CANNOT_RUN,
                        "'%s' cannot be run: %s. VM %s was not started; its devices go back.", words[0],
                        strerror(r), e->vm);
}
