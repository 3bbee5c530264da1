/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "grant-ids.h"
#include "record-file.h"

enum {
        KEY_FORMAT,
        KEY_IDS,
        KEY_GRANTED_BY,
        KEY_GRANTED_AT,
        KEY_MAX,
};

static const char *const key_table[KEY_MAX] = {
                [KEY_FORMAT] = "format",
                [KEY_IDS] = "ids",
                [KEY_GRANTED_BY] = "granted-by",
                [KEY_GRANTED_AT] = "granted-at",
};

int id_selector_parse(const char *s, IdSelector *ret) {
        uint64_t v[4] = {0};
        char digits[5];
        size_t n;

        assert(ret);

        n = s ? strlen(s) : 0;
        if (n != strlen("10de:1eb8") && n != ID_SELECTOR_SIZE - 1)
                return -EINVAL;

        for (size_t i = 0; i * 5 < n; i++) {
                (void)snprintf(digits, sizeof digits, "%s", s + i * 5);
                if (record_parse_hex(digits, 4, &v[i]) < 0 || (s[i * 5 + 4] != ':' && i * 5 + 4 != n))
                        return -EINVAL;
        }

        *ret = (IdSelector){(uint16_t)v[0], (uint16_t)v[1], n == ID_SELECTOR_SIZE - 1, (uint16_t)v[2],
                            (uint16_t)v[3]};
        return 0;
}

const char *id_selector_format(const IdSelector *s, char buf[static ID_SELECTOR_SIZE]) {
        assert(s);

        if (s->has_subsystem)
                (void)snprintf(buf, ID_SELECTOR_SIZE, "%04x:%04x:%04x:%04x", s->vendor, s->device,
                               s->subsystem_vendor, s->subsystem_device);
        else
                (void)snprintf(buf, ID_SELECTOR_SIZE, "%04x:%04x", s->vendor, s->device);
        return buf;
}

bool id_selector_matches(const IdSelector *s, const PciIdentity *identity) {
        assert(s);
        assert(identity);

        return s->vendor == identity->vendor && s->device == identity->device &&
               (!s->has_subsystem || (s->subsystem_vendor == identity->subsystem_vendor &&
                                      s->subsystem_device == identity->subsystem_device));
}

bool id_selector_same(const IdSelector *a, const IdSelector *b) {
        assert(a);
        assert(b);

        return a->vendor == b->vendor && a->device == b->device && a->has_subsystem == b->has_subsystem &&
               a->subsystem_vendor == b->subsystem_vendor && a->subsystem_device == b->subsystem_device;
}

static int take_value(size_t key, const char *s, void *userdata) {
        GrantIds *g = userdata;
        uint64_t v = 0;
        int r;

        switch (key) {
        case KEY_FORMAT:
                return streq(s, "1") ? 0 : -EBADMSG;
        case KEY_IDS:
                return id_selector_parse(s, &g->ids);
        case KEY_GRANTED_BY:
                r = record_parse_decimal(s, UINT32_MAX - 1, &v);
                g->granted_by = (uid_t)v;
                return r;
        default:
                return record_parse_decimal(s, UINT64_MAX, &g->granted_at);
        }
}

int grant_ids_parse(const char *text, GrantIds *ret) {
        GrantIds g = {0};
        int r;

        assert(ret);

        r = record_parse(text, key_table, KEY_MAX, 0, take_value, &g);
        if (r >= 0)
                *ret = g;
        return r;
}

int grant_ids_format(const GrantIds *g, char *buf, size_t size) {
        char ids[ID_SELECTOR_SIZE];
        int n;

        assert(g);
        assert(buf);

        n = snprintf(buf, size,
                     "# Written by verge-passthrough-helper: an administrator's consent that every device\n"
                     "# with these ids may leave the host. Take it back with RevokeIds.\n"
                     "format=1\n"
                     "ids=%s\n"
                     "granted-by=%u\n"
                     "granted-at=%" PRIu64 "\n",
                     id_selector_format(&g->ids, ids), (unsigned)g->granted_by, g->granted_at);
        return (size_t)n >= size ? -ENOBUFS : n;
}

int grant_ids_read(int root, const IdSelector *ids, uid_t root_uid, GrantIds *ret) {
        char path[sizeof GRANTS_DIR + ID_SELECTOR_SIZE + sizeof GRANT_IDS_SUFFIX], word[ID_SELECTOR_SIZE];
        char text[GRANT_IDS_TEXT_SIZE];
        GrantIds g;
        int r;

        assert(ids);
        assert(ret);

        (void)snprintf(path, sizeof path, GRANTS_DIR "/%s" GRANT_IDS_SUFFIX, id_selector_format(ids, word));
        r = record_read(root, path, root_uid, text, sizeof text);
        if (r < 0)
                return r;
        if (grant_ids_parse(text, &g) < 0 || !id_selector_same(&g.ids, ids))
                return -EBADMSG;

        *ret = g;
        return 0;
}

int grant_ids_find(int root, const PciIdentity *identity, uid_t root_uid, GrantIds *ret) {
        IdSelector ids;
        int narrow, wide;

        assert(identity);

        ids = (IdSelector){
                        .vendor = identity->vendor,
                        .device = identity->device,
                        .has_subsystem = true,
                        .subsystem_vendor = identity->subsystem_vendor,
                        .subsystem_device = identity->subsystem_device,
        };
        narrow = grant_ids_read(root, &ids, root_uid, ret);
        if (narrow >= 0)
                return narrow;

        ids = (IdSelector){.vendor = identity->vendor, .device = identity->device};
        wide = grant_ids_read(root, &ids, root_uid, ret);
        return wide == -ENOENT ? narrow : wide;
}

bool grant_ids_stand(int root, const Grant *g, uid_t root_uid) {
        IdSelector ids;
        GrantIds by;

        assert(g);

        return !g->ids[0] ||
               (id_selector_parse(g->ids, &ids) >= 0 && grant_ids_read(root, &ids, root_uid, &by) >= 0);
}
