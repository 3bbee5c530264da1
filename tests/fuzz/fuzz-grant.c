/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "critical.h"
#include "fuzz.h"
#include "grant-ids.h"
#include "grant.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        char first[GRANT_TEXT_SIZE], second[GRANT_TEXT_SIZE];
        _cleanup_free_ char *text = fuzz_text(data, size);
        IdSelector ids;
        Grant g, back;

        if (grant_parse(text, &g) < 0)
                return 0;

        /* What was understood can be written, and is understood the same way again. */
        must((g.consent & ~CRITICAL_OVERRIDABLE) == 0);
        must(iommu_set_contains(&g.set, &g.identity.address));
        must(!strchr(g.host_driver, '/'));
        must(!g.pending);
        must(!g.persistent[0]);
        must(!g.ids[0] || (id_selector_parse(g.ids, &ids) >= 0 && id_selector_matches(&ids, &g.identity)));
        must(grant_format(&g, first, sizeof first) > 0);
        must(grant_parse(first, &back) == 0);
        must(pci_identity_same(&g.identity, &back.identity));
        must(iommu_set_same_members(&g.set, &back.set));
        must(streq(g.ids, back.ids));
        must(grant_format(&back, second, sizeof second) > 0);
        must(streq(first, second));
        return 0;
}
