/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"
#include "grant-ids.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        char first[GRANT_IDS_TEXT_SIZE], second[GRANT_IDS_TEXT_SIZE], word[ID_SELECTOR_SIZE];
        _cleanup_free_ char *text = fuzz_text(data, size);
        GrantIds g, back;
        IdSelector ids;

        /* One selector, one word: or it had two files. */
        if (id_selector_parse(text, &ids) >= 0)
                must(streq(id_selector_format(&ids, word), text));

        if (grant_ids_parse(text, &g) < 0)
                return 0;

        must(grant_ids_format(&g, first, sizeof first) > 0);
        must(grant_ids_parse(first, &back) == 0);
        must(id_selector_same(&g.ids, &back.ids));
        must(g.ids.has_subsystem || (g.ids.subsystem_vendor == 0 && g.ids.subsystem_device == 0));
        must(grant_ids_format(&back, second, sizeof second) > 0);
        must(streq(first, second));
        return 0;
}
