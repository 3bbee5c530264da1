/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "diagnosis-words.h"
#include "fuzz.h"

/* What was read is read again from what is written. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = fuzz_text(data, size);
        char value[512], line[2048], back[512], small[8];
        int r;

        r = diagnosis_shell_value(text, "GRUB", value, sizeof value);
        must(r == 1 || r == 0 || r == -EBADMSG || r == -E2BIG);
        must(r == 1 || value[0] == '\0');
        if (r == 1) {
                must(strstr(text, "GRUB=") && !strchr(value, '\n'));
                must(diagnosis_shell_assign("GRUB", value, line, sizeof line) == 0);
                must(diagnosis_shell_value(line, "GRUB", back, sizeof back) == 1);
                must(streq(value, back));
        }
        r = diagnosis_shell_value(text, "GRUB", small, sizeof small);
        must(r != 1 || streq(small, value));
        return 0;
}
