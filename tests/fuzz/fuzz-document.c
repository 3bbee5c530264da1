/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "document.h"
#include "fuzz.h"

/* What was refused says why; what was taken comes back the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = fuzz_text(data, size), *first = NULL, *second = NULL;
        Failure f = {0};
        Document d, back;
        int r;

        r = document_parse(text, &d, &f);
        if (r < 0) {
                must(r == -EREMOTEIO);
                must(f.kind != FAILURE_NONE && f.sentence[0]);
                return 0;
        }

        must(f.kind == FAILURE_NONE);
        must(document_format(&d, &first) == 0);
        must(document_parse(first, &back, &f) == 0);
        must(back.n_groups == d.n_groups);
        must(document_format(&back, &second) == 0);
        must(streq(first, second));
        document_clear(&back);
        document_clear(&d);
        return 0;
}
