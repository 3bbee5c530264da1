/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"
#include "vf-settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = fuzz_text(data, size);
        char first[VF_LINE_SIZE], second[VF_LINE_SIZE];
        VfSettings v, back;

        if (vf_settings_parse(text, &v) < 0)
                return 0;

        must(vf_settings_parse(vf_settings_format(&v, first), &back) == 0);
        must(vf_settings_same(&v, &back));
        must(streq(first, vf_settings_format(&back, second)));
        return 0;
}
