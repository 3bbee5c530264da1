/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"
#include "grant-confirm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        char first[GRANT_CONFIRM_TEXT_SIZE], second[GRANT_CONFIRM_TEXT_SIZE];
        _cleanup_free_ char *text = fuzz_text(data, size);
        GrantConfirm c, back;

        if (grant_confirm_parse(text, &c) < 0)
                return 0;

        must(c.until > 0);
        must(grant_confirm_format(&c, first, sizeof first) > 0);
        must(grant_confirm_parse(first, &back) == 0);
        must(back.until == c.until && back.at_host == c.at_host);
        must(grant_confirm_format(&back, second, sizeof second) > 0);
        must(streq(first, second));
        return 0;
}
