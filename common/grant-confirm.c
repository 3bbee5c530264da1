/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <time.h>

#include "grant-confirm.h"
#include "record-file.h"

enum {
        KEY_FORMAT,
        KEY_CONFIRM_UNTIL,
        KEY_WAS,
        KEY_MAX,
};

static const char *const key_table[KEY_MAX] = {
                [KEY_FORMAT] = "format",
                [KEY_CONFIRM_UNTIL] = "confirm-until",
                [KEY_WAS] = "was",
};

static int take_value(size_t key, const char *s, void *userdata) {
        GrantConfirm *c = userdata;

        switch (key) {
        case KEY_FORMAT:
                return streq(s, "1") ? 0 : -EBADMSG;
        case KEY_CONFIRM_UNTIL:
                return record_parse_decimal(s, UINT64_MAX, &c->until) < 0 || c->until == 0 ? -EBADMSG : 0;
        case KEY_WAS:
                c->at_host = streq(s, "host");
                return c->at_host || streq(s, VFIO_DRIVER) ? 0 : -EBADMSG;
        default:
                return -EBADMSG;
        }
}

int grant_confirm_parse(const char *text, GrantConfirm *ret) {
        GrantConfirm c = {0};
        int r;

        assert(ret);

        r = record_parse(text, key_table, KEY_MAX, 0, take_value, &c);
        if (r >= 0)
                *ret = c;
        return r;
}

int grant_confirm_format(const GrantConfirm *c, char *buf, size_t size) {
        int n;

        assert(c);
        assert(buf);

        n = snprintf(buf, size,
                     "# Written by verge-passthrough-helper: unless somebody calls Confirm until then\n"
                     "# (microseconds of CLOCK_BOOTTIME), this device goes back to where it was.\n"
                     "format=1\n"
                     "confirm-until=%" PRIu64 "\n"
                     "was=%s\n",
                     c->until, c->at_host ? "host" : VFIO_DRIVER);
        return (size_t)n >= size ? -ENOBUFS : n;
}

const char *grant_confirm_path(const PciAddress *a, char buf[static GRANT_CONFIRM_PATH_SIZE]) {
        char address[PCI_ADDRESS_SIZE];

        (void)snprintf(buf, GRANT_CONFIRM_PATH_SIZE, PENDING_GRANTS_DIR "/%s" GRANT_CONFIRM_SUFFIX,
                       pci_address_format(a, address));
        return buf;
}

int grant_confirm_read(int root, const PciAddress *a, uid_t root_uid, GrantConfirm *ret) {
        char path[GRANT_CONFIRM_PATH_SIZE], text[GRANT_CONFIRM_TEXT_SIZE];
        int r;

        assert(a);
        assert(ret);

        r = record_read(root, grant_confirm_path(a, path), root_uid, text, sizeof text);
        return r < 0 ? r : grant_confirm_parse(text, ret);
}

bool grant_confirm_find(int root, const PciAddress *a, uid_t root_uid, GrantConfirm *ret) {
        int r;

        r = grant_confirm_read(root, a, root_uid, ret);
        if (r < 0 && r != -ENOENT)
                *ret = (GrantConfirm){.at_host = true};
        return r != -ENOENT;
}

uint64_t grant_confirm_now(void) {
        struct timespec t;

        (void)clock_gettime(CLOCK_BOOTTIME, &t);
        return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}
