/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <wchar.h>

#include "output.h"

#define PAGER_WORDS_MAX 16

static const char *const sequences[TINT_MAX] = {
                [TINT_NONE] = "\033[0m", [TINT_GOOD] = "\033[32m", [TINT_WARN] = "\033[33m",
                [TINT_BAD] = "\033[31m", [TINT_DIM] = "\033[2m",   [TINT_BOLD] = "\033[1m",
};

static bool colors_never, colors_always, ascii_only;
static pid_t pager;
static bool was_terminal; /* before the pager came between */
static size_t columns_then;

int output_setup(const char *color) {
        const char *term = getenv("TERM");

        /* What the service sends is UTF-8; a terminal of another kind gets it, too, but no ellipsis of ours. */
        if (!setlocale(LC_CTYPE, "") || !streq(nl_langinfo(CODESET), "UTF-8")) {
                ascii_only = true;
                (void)setlocale(LC_CTYPE, "C.UTF-8");
        }

        colors_never = !isempty(getenv("NO_COLOR")) || isempty(term) || streq(term, "dumb");
        if (!color || streq(color, "auto"))
                return 0;
        colors_always = streq(color, "always");
        colors_never = streq(color, "never");
        return colors_always || colors_never ? 0 : -EINVAL;
}

static bool is_terminal(FILE *stream) {
        return (stream == stdout && was_terminal) || isatty(fileno(stream));
}

const char *output_tint(FILE *stream, Tint tint) {
        assert(tint < TINT_MAX);

        if (colors_never || !(colors_always || is_terminal(stream)))
                return "";
        return sequences[tint];
}

size_t output_columns(void) {
        struct winsize size = {};
        const char *text = getenv("COLUMNS");
        char *end = NULL;
        unsigned long n;

        if (was_terminal)
                return columns_then;
        if (!isempty(text)) {
                n = strtoul(text, &end, 10);
                if (*end == '\0' && n >= 20 && n <= 10000)
                        return n;
        }
        if (!isatty(STDOUT_FILENO))
                return SIZE_MAX;
        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col < 20)
                return 80;
        return size.ws_col;
}

bool output_is_interactive(void) {
        return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

/* The words of the variable: no shell reads it. */
static size_t split_pager(char *text, char *words[static PAGER_WORDS_MAX + 1]) {
        size_t n = 0;

        for (char *save = NULL, *word = strtok_r(text, " \t", &save); word && n < PAGER_WORDS_MAX;
             word = strtok_r(NULL, " \t", &save))
                words[n++] = word;
        words[n] = NULL;
        return n;
}

static void run_pager(const int ends[static 2], char *words[]) {
        sigset_t none;

        (void)sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
        (void)dup2(ends[0], STDIN_FILENO);
        (void)close(ends[1]); /* else it would wait for itself, if nothing can be run */
        /* Without S: cut lines would keep it from leaving a short answer on the screen (F). */
        (void)setenv("LESS", "FRXMK", 0);
        (void)setenv("LESSCHARSET", "utf-8", 0);
        /* It may run as root by sudo, and must not become a way to a shell. */
        (void)setenv("LESSSECURE", "1", 1);
        (void)execvp(words[0], words);

        /* There is none: do its work. */
        for (char buffer[4096];;) {
                ssize_t n = read(STDIN_FILENO, buffer, sizeof buffer);

                if (n <= 0 || write(STDOUT_FILENO, buffer, (size_t)n) != n)
                        _exit(0);
        }
}

void output_open_pager(void) {
        _cleanup_free_ char *copy = NULL;
        char *words[PAGER_WORDS_MAX + 1];
        const char *text = getenv("PASSTHROUGHCTL_PAGER");
        int ends[2];

        if (pager > 0 || !isatty(STDOUT_FILENO))
                return;
        text = text ? text : getenv("PAGER");
        copy = strdup(text ? text : "less");
        if (!copy || split_pager(copy, words) == 0 || streq(words[0], "cat") || pipe2(ends, O_CLOEXEC) < 0)
                return;

        columns_then = output_columns();
        (void)fflush(stdout);
        pager = fork();
        if (pager == 0)
                run_pager(ends, words);
        (void)close(ends[0]);
        if (pager > 0) {
                was_terminal = true;
                (void)signal(SIGPIPE, SIG_IGN); /* the person may leave before the end */
                (void)dup2(ends[1], STDOUT_FILENO);
        }
        (void)close(ends[1]);
}

void output_close_pager(void) {
        if (pager <= 0)
                return;
        (void)fclose(stdout);
        while (waitpid(pager, NULL, 0) < 0 && errno == EINTR)
                ;
        pager = 0;
}

/* Marks that have what follows read the other way round (UAX 9): a name could pretend to be another column. */
static bool turns_text(wchar_t c) {
        return (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

/* The next character and its width; what is none, or would control the terminal, is a '?'. */
static size_t next_character(const char *text, mbstate_t *state, size_t *ret_width, bool *ret_printable) {
        wchar_t c;
        size_t n = mbrtowc(&c, text, MB_CUR_MAX, state);
        int width;

        if (n == 0 || n == (size_t)-1 || n == (size_t)-2) {
                *state = (mbstate_t){};
                n = 1;
                width = -1;
        } else
                width = turns_text(c) ? -1 : wcwidth(c);
        *ret_printable = width >= 0;
        *ret_width = width < 0 ? 1 : (size_t)width;
        return n;
}

size_t text_columns(const char *text) {
        mbstate_t state = {};
        size_t width, columns = 0;
        bool printable;

        for (; *text; columns += width)
                text += next_character(text, &state, &width, &printable);
        return columns;
}

size_t output_text(FILE *stream, const char *text, size_t columns) {
        const char *ellipsis = ascii_only ? "..." : "\342\200\246";
        size_t ellipsis_width = ascii_only ? 3 : 1, room, done = 0, width, n;
        bool cut = text_columns(text) > columns, printable;
        mbstate_t state = {};

        room = cut ? columns - (ellipsis_width < columns ? ellipsis_width : columns) : columns;
        for (; *text; text += n, done += width) {
                n = next_character(text, &state, &width, &printable);
                if (done + width > room)
                        break;
                if (printable)
                        (void)fwrite(text, 1, n, stream);
                else
                        (void)fputc('?', stream);
        }
        if (cut && ellipsis_width <= columns) {
                (void)fputs(ellipsis, stream);
                done += ellipsis_width;
        }
        return done;
}
