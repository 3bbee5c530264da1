/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "array.h"
#include "record-file.h"
#include "store-devices.h"
#include "text.h"

#define LINE_SIZE 256U
static_assert(RUN_DEVICES_MAX * LINE_SIZE <= STORE_DEVICES_SIZE, "the longest text fits");

enum {
        FIELD_CLAIM,
        FIELD_ADDRESS,
        FIELD_VENDOR,
        FIELD_DEVICE,
        FIELD_SUBSYSTEM_VENDOR,
        FIELD_SUBSYSTEM_DEVICE,
        FIELD_CLASS,
        FIELD_REVISION,
        FIELD_STATE,
        FIELD_SLOT,
        FIELD_SERIAL,
        FIELD_MAX,
};

static int take_id(const char *s, uint16_t *ret) {
        uint64_t v;
        int r;

        r = record_parse_hex(s, 4, &v);
        if (r >= 0)
                *ret = (uint16_t)v;
        return r;
}

static int take_text(const char *s, char *ret, size_t size) {
        text_sanitize(ret, size, s, strlen(s));
        return streq(ret, s) ? 0 : -EBADMSG;
}

static int take_state(char *s, RunDevice *d) {
        const char *word = strsep(&s, ":");

        d->returning = streq(word, "returning");
        if (!d->returning && !streq(word, "here"))
                return -EBADMSG;
        if (!s)
                return 0;
        return record_parse_hex(s, 16, &d->settings) < 0 || d->settings == 0 ? -EBADMSG : 0;
}

#define STATE_SIZE sizeof "returning:0123456789abcdef"
static const char *format_state(const RunDevice *d, char buf[static STATE_SIZE]) {
        const char *word = d->returning ? "returning" : "here";

        if (d->settings == 0)
                return word;
        (void)snprintf(buf, STATE_SIZE, "%s:%016" PRIx64, word, d->settings);
        return buf;
}

static int take_identity(char *const fields[static FIELD_MAX], PciIdentity *i) {
        uint64_t class_code, revision;

        if (pci_address_parse(fields[FIELD_ADDRESS], &i->address) < 0 ||
            take_id(fields[FIELD_VENDOR], &i->vendor) < 0 || take_id(fields[FIELD_DEVICE], &i->device) < 0 ||
            take_id(fields[FIELD_SUBSYSTEM_VENDOR], &i->subsystem_vendor) < 0 ||
            take_id(fields[FIELD_SUBSYSTEM_DEVICE], &i->subsystem_device) < 0 ||
            record_parse_hex(fields[FIELD_CLASS], 6, &class_code) < 0 ||
            record_parse_hex(fields[FIELD_REVISION], 2, &revision) < 0 ||
            take_text(fields[FIELD_SERIAL], i->serial, sizeof i->serial) < 0 ||
            take_text(fields[FIELD_SLOT], i->slot, sizeof i->slot) < 0)
                return -EBADMSG;

        i->class_code = (uint32_t)class_code;
        i->revision = (uint8_t)revision;
        return 0;
}

/* Cuts the line into its fields. */
static int parse_line(char *line, RunDevice *d) {
        char *fields[FIELD_MAX], *rest = line;

        *d = (RunDevice){0};
        for (size_t i = 0; i < FIELD_MAX; i++) {
                if (!rest)
                        return -EBADMSG;
                fields[i] = i == FIELD_SERIAL ? rest : strsep(&rest, i == FIELD_SLOT ? "/" : " ");
        }
        if (!record_id_is_valid(fields[FIELD_CLAIM]) || take_state(fields[FIELD_STATE], d) < 0)
                return -EBADMSG;

        memcpy(d->claim, fields[FIELD_CLAIM], sizeof d->claim);
        return take_identity(fields, &d->identity);
}

int store_devices_parse(const char *text, RunDevice **ret, size_t *ret_n) {
        _cleanup_free_ RunDevice *devices = NULL;
        char line[LINE_SIZE];
        size_t n = 0;
        int r;

        assert(text);
        assert(ret);
        assert(ret_n);

        if (text[0] && text[strlen(text) - 1] != '\n')
                return -EBADMSG;

        while ((r = text_next_line(&text, line, sizeof line)) > 0) {
                if (n == RUN_DEVICES_MAX)
                        return -EBADMSG;
                if (array_grow(&devices, n, sizeof *devices) < 0)
                        return -ENOMEM;
                if (parse_line(line, &devices[n++]) < 0)
                        return -EBADMSG;
        }
        if (r < 0)
                return -EBADMSG;

        *ret = STEAL(devices);
        *ret_n = n;
        return 0;
}

int store_devices_format(const RunDevice *devices, size_t n, char **ret) {
        size_t size = n * LINE_SIZE + 1, used = 0;
        char address[PCI_ADDRESS_SIZE], state[STATE_SIZE], *text;

        assert(devices || n == 0);
        assert(n <= RUN_DEVICES_MAX);
        assert(ret);

        text = malloc(size);
        if (!text)
                return -ENOMEM;

        text[0] = '\0';
        for (size_t k = 0; k < n; k++) {
                const PciIdentity *i = &devices[k].identity;

                used += (size_t)snprintf(text + used, size - used,
                                         "%s %s %04x %04x %04x %04x %06x %02x %s %s/%s\n", devices[k].claim,
                                         pci_address_format(&i->address, address), i->vendor, i->device,
                                         i->subsystem_vendor, i->subsystem_device, i->class_code,
                                         i->revision, format_state(&devices[k], state), i->slot, i->serial);
                assert(used < size);
        }
        *ret = text;
        return 0;
}
