/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"
#include "storage-text.h"

/* A record of udev, with labels that whoever has formatted the disk has chosen; and the same as an EFI variable. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = fuzz_text(data, size);
        char value[16];
        int r;

        for (const char *line = text; line; line = strchr(line, '\n')) {
                _cleanup_free_ char *link = NULL;

                line += *line == '\n';
                if (!startswith(line, "S:"))
                        continue;
                link = strndup(line + 2, strcspn(line + 2, "\n"));
                must(link);
                must(storage_text_udev_link(text, link, false)); /* each link is found, as it is written */
                must(storage_text_udev_link(text, link, true));
        }

        r = storage_text_udev_property(text, "ID_FS_TYPE", value, sizeof value);
        must(r == -ENOENT || r == -E2BIG || (r == 0 && !strchr(value, '\n')));
        must(r != 0 || strstr(text, "E:ID_FS_TYPE="));

        r = storage_text_efi(data, size, value, sizeof value);
        must(r == -EBADMSG || (r == 0 && value[0] && strlen(value) < sizeof value));
        return 0;
}
