/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "diagnosis-words.h"
#include "fuzz.h"

/* What was changed once stays as it is. */
static void check_edit(const char *line, const DiagnosisChange *c, bool whole) {
        char once[6000], twice[6000], small[16];
        int r;

        r = diagnosis_line_edit(line, c, whole, once, sizeof once);
        if (r < 0) {
                must(once[0] == '\0');
                return;
        }
        must(strlen(once) <= strlen(line) + 2 * sizeof c->add);
        must(diagnosis_line_edit(once, c, whole, twice, sizeof twice) == 0);
        must(streq(once, twice));
        for (size_t i = 0; i < c->n_add; i++)
                must(diagnosis_line_has(once, c->add[i]));
        must(diagnosis_line_edit(line, c, whole, small, sizeof small) == -E2BIG ||
             strlen(small) < sizeof small);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *line = fuzz_text(data, size);
        DiagnosisChange add = {0}, remove = {0};
        const char *at = line, *word;
        size_t n, last = 0;

        while (diagnosis_next_word(&at, &word, &n)) {
                must(n > 0 && word >= line + last && word + n <= line + strlen(line));
                last = (size_t)(word - line) + n;
        }

        diagnosis_change_add(&add, "intel_iommu=on");
        check_edit(line, &add, true);
        check_edit(line, &add, false);

        diagnosis_change_remove_item(&remove, line, "pci", "nomsi");
        must(!diagnosis_line_has_item(line, "pci", "nomsi") || strstr(line, "nomsi"));
        check_edit(line, &remove, true);
        must(diagnosis_line_switch(line, "iommu") < 0 || strstr(line, "iommu"));
        return 0;
}
