/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Without libFuzzer: each file of a corpus as it is, at every truncation, and with each byte replaced. In TAP. */

#include "fuzz.h"
#include "sysfs.h"

#define INPUT_MAX 8192

static void run_damaged(const uint8_t *data, size_t size) {
        static const uint8_t replacements[] = {0, '\n', ' ', '=', '0', 'f', ':', 0x7f, 0x80, 0xff};
        uint8_t *copy;

        for (size_t n = 0; n <= size; n++) {
                copy = malloc(n > 0 ? n : 1);
                must(copy);
                memcpy(copy, data, n);
                (void)LLVMFuzzerTestOneInput(copy, n);
                free(copy);
        }
        copy = malloc(size > 0 ? size : 1);
        must(copy);
        memcpy(copy, data, size);
        for (size_t n = 0; n < size; n++) {
                for (size_t i = 0; i < ELEMENTSOF(replacements); i++) {
                        copy[n] = replacements[i];
                        (void)LLVMFuzzerTestOneInput(copy, size);
                }
                copy[n] = data[n];
        }
        free(copy);
}

typedef struct Corpus {
        int dir;
        unsigned n;
} Corpus;

static int run_file(const char *name, void *userdata) {
        static uint8_t data[INPUT_MAX];
        _cleanup_fclose_ FILE *f = NULL;
        Corpus *c = userdata;
        char path[512];
        size_t n;

        (void)snprintf(path, sizeof path, "/proc/self/fd/%d/%.255s", c->dir, name);
        f = fopen(path, "re");
        must(f);
        n = fread(data, 1, sizeof data, f);
        must(feof(f));
        run_damaged(data, n);
        printf("ok %u - %s\n", ++c->n, name);
        return 0;
}

int main(int argc, char *argv[]) {
        Corpus c = {0};

        must(argc == 2);
        c.dir = sysfs_open_dir(-1, argv[1]);
        must(c.dir >= 0);
        must(sysfs_each(c.dir, ".", run_file, &c) == 0);
        printf("1..%u\n", c.n);
        return c.n > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
