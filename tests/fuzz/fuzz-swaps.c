/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"
#include "storage-text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = fuzz_text(data, size), *copy = NULL;
        char *device;

        text[strcspn(text, "\n")] = '\0';
        copy = strdup(text);
        must(copy);
        if (storage_text_swap(text, &device) <= 0)
                return 0;

        /* Only what the kernel calls a partition; the name is not longer than it was. */
        must(strstr(copy, "partition"));
        must(device >= text && strlen(device) <= strcspn(copy + (device - text), " \t"));
        return 0;
}
