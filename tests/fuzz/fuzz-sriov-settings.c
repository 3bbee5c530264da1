/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "claim-record.h"
#include "fuzz.h"

/* There is one text for the same settings, and for the same addresses. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = fuzz_text(data, size);
        char line[SRIOV_LINE_SIZE], macs[CLAIM_MACS_SIZE];
        ClaimRecord c = {0};
        SriovSettings s;

        if (sriov_settings_parse(text, &s) == 0)
                must(streq(sriov_settings_format(&s, line), text));
        if (claim_macs_parse(text, &c) == 0)
                must(streq(claim_macs_format(&c, macs), text));
        claim_record_clear(&c);
        return 0;
}
