/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"
#include "store-devices.h"

/* There is one text for the same devices: what was taken comes back to the byte. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = fuzz_text(data, size), *again = NULL;
        _cleanup_free_ RunDevice *devices = NULL;
        size_t n = SIZE_MAX;
        int r;

        r = store_devices_parse(text, &devices, &n);
        if (r < 0) {
                must(r == -EBADMSG);
                must(!devices && n == SIZE_MAX);
                return 0;
        }

        must(n <= RUN_DEVICES_MAX);
        for (size_t i = 0; i < n; i++) {
                must(record_id_is_valid(devices[i].claim));
                must(devices[i].identity.address.device < 32 && devices[i].identity.address.function < 8);
        }
        must(store_devices_format(devices, n, &again) == 0);
        must(strlen(again) < STORE_DEVICES_SIZE);
        must(streq(again, text));
        return 0;
}
