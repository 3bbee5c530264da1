/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>

#include "fuzz.h"
#include "host-facts.h"

/* Bit by bit, from the last digit on: KEY_ESC (1) to KEY_D (31) are all there, in one word. */
static bool has_all(const char *text) {
        size_t n = strlen(text);

        if (n < 8)
                return false;
        for (size_t i = 0; i < 8; i++)
                if (text[n - 1 - i] != 'f' && !(i == 0 && text[n - 1] == 'e'))
                        return false;
        for (size_t i = n - 8; i > 0 && text[i - 1] != ' '; i--)
                if (!isxdigit((unsigned char)text[i - 1]) || isupper((unsigned char)text[i - 1]))
                        return false;
        return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = fuzz_text(data, size);

        if (size > 0 && text[size - 1] == '\n') /* sysfs_read() takes it away */
                text[size - 1] = '\0';
        must(host_keys_are_keyboard(text) == has_all(text));
        return 0;
}
