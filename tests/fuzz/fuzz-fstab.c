/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>

#include "fuzz.h"
#include "storage-text.h"

/* All entries, in a buffer that many lines do not fit in; and what they name. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *copy = fuzz_text(data, size);
        _cleanup_fclose_ FILE *f = NULL;
        char buf[64], link[PATH_MAX], what[32];
        size_t n = 0;
        bool any_case;
        FstabEntry e;
        int r;

        f = size > 0 ? fmemopen(copy, size, "r") : NULL;
        while (f && storage_text_fstab(f, buf, sizeof buf, &e) > 0) {
                must(++n <= size);
                must(strlen(e.spec) + strlen(e.where) < sizeof buf);
                must(!e.wanted || e.where[0] == '/');
                r = storage_text_device_link(e.spec, link, sizeof link, &any_case);
                must(r == 0 || (r == 1 && strlen(link) < sizeof link));
                (void)storage_text_is_boot_place(e.where);
        }

        /* The same text as a mount unit. */
        r = storage_text_unit_what(copy, what, sizeof what);
        must(r == -ENOENT || r == -E2BIG || (r == 0 && what[0] && !strchr(what, '\n')));
        return 0;
}
