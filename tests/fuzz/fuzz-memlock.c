/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"
#include "memlock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = fuzz_text(data, size);
        uint64_t v = 1, back = 2;
        char line[128];

        if (memlock_parse(text, &v) < 0) {
                must(v == 1);
                return 0;
        }

        must(strstr(text, "Max locked memory "));
        (void)snprintf(line, sizeof line, "Max locked memory  %llu  unlimited  bytes\n",
                       (unsigned long long)v);
        must(memlock_parse(line, &back) == 0);
        must(v == back);
        return 0;
}
