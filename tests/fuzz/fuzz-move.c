/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"
#include "move.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        char first[MOVE_TEXT_SIZE], second[MOVE_TEXT_SIZE];
        _cleanup_free_ char *text = fuzz_text(data, size);
        Move m, back;

        if (move_parse(text, &m) < 0)
                return 0;

        must(m.set.n_members > 0);
        must(move_verb_to_string(m.verb));
        must(move_format(&m, first, sizeof first) > 0);
        must(move_parse(first, &back) == 0);
        must(back.verb == m.verb);
        must(iommu_set_same_members(&m.set, &back.set));
        must(streq(m.stuck, back.stuck));
        must(move_format(&back, second, sizeof second) > 0);
        must(streq(first, second));
        return 0;
}
