/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"
#include "storage-text.h"

/* Users can make lines of it, in namespaces of their own: each is taken or refused, and nothing grows. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = fuzz_text(data, size);
        uint64_t device;
        size_t length;
        MountLine m;
        int r;

        text[strcspn(text, "\n")] = '\0';
        length = strlen(text);
        r = storage_text_mount(text, &m);
        must(r == 0 || r == -EBADMSG);
        if (r < 0)
                return 0;

        must(m.number[0] && m.type[0] && m.where >= m.number && m.where < text + length);
        must(strlen(m.where) + strlen(m.source) + strlen(m.type) + strlen(m.number) < length);
        must(!strchr(m.type, ' '));
        r = storage_text_number(m.number, &device);
        must(r == 0 || r == -EBADMSG);
        (void)storage_text_is_boot_place(m.where);
        return 0;
}
