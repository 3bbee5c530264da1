/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-json.h"
#include "text.h"

static int read_value(sd_bus_message *m, char type, const char *contents, json_t **ret);

static int read_next(sd_bus_message *m, json_t **ret) {
        const char *contents;
        char type;
        int r;

        r = sd_bus_message_peek_type(m, &type, &contents);
        if (r <= 0)
                return r;
        r = read_value(m, type, contents, ret);
        return r < 0 ? r : 1;
}

/* The service lets no control characters in but line breaks, and a terminal must not have to rely on that. */
static json_t *make_string(const char *text) {
        _cleanup_free_ char *copy = strdup(text);

        if (!copy)
                return NULL;
        for (char *line = copy, *end; line; line = end ? end + 1 : NULL) {
                end = strchr(line, '\n');
                if (end)
                        *end = '\0';
                text_make_utf8(line);
                if (end)
                        *end = '\n';
        }
        return json_string(copy);
}

static int read_basic(sd_bus_message *m, char type, json_t **ret) {
        union {
                uint8_t y;
                int16_t n;
                uint16_t q;
                int32_t i;
                uint32_t u;
                int64_t x;
                uint64_t t;
                double d;
                int b;
                const char *s;
        } v;
        int r;

        r = sd_bus_message_read_basic(m, type, &v);
        if (r < 0)
                return r;
        switch (type) {
        case SD_BUS_TYPE_BOOLEAN:
                *ret = json_boolean(v.b);
                break;
        case SD_BUS_TYPE_BYTE:
                *ret = json_integer(v.y);
                break;
        case SD_BUS_TYPE_INT16:
                *ret = json_integer(v.n);
                break;
        case SD_BUS_TYPE_UINT16:
                *ret = json_integer(v.q);
                break;
        case SD_BUS_TYPE_INT32:
        case SD_BUS_TYPE_UNIX_FD: /* its number here */
                *ret = json_integer(v.i);
                break;
        case SD_BUS_TYPE_UINT32:
                *ret = json_integer(v.u);
                break;
        case SD_BUS_TYPE_INT64:
                *ret = json_integer(v.x);
                break;
        case SD_BUS_TYPE_UINT64:
                *ret = json_integer((json_int_t)v.t);
                break;
        case SD_BUS_TYPE_DOUBLE:
                *ret = json_real(v.d);
                break;
        default:
                *ret = make_string(v.s);
        }
        return *ret ? 0 : -ENOMEM;
}

static int read_entry(sd_bus_message *m, json_t *object) {
        _cleanup_json_ json_t *value = NULL;
        const char *contents, *key;
        char type;
        int r;

        r = sd_bus_message_peek_type(m, &type, &contents);
        if (r <= 0)
                return r;
        r = sd_bus_message_enter_container(m, type, contents);
        if (r < 0)
                return r;
        r = sd_bus_message_read_basic(m, contents[0], &key);
        if (r < 0)
                return r;
        r = read_next(m, &value);
        if (r <= 0)
                return r < 0 ? r : -EBADMSG;
        if (json_object_set(object, key, value) < 0)
                return -ENOMEM;
        r = sd_bus_message_exit_container(m);
        return r < 0 ? r : 1;
}

static int read_items(sd_bus_message *m, json_t *list) {
        json_t *item = NULL;
        int r;

        while ((r = read_next(m, &item)) > 0)
                if (json_array_append_new(list, item) < 0)
                        return -ENOMEM;
        return r;
}

static int read_value(sd_bus_message *m, char type, const char *contents, json_t **ret) {
        bool dictionary = type == SD_BUS_TYPE_ARRAY && startswith(contents, "{");
        _cleanup_json_ json_t *value = NULL;
        int r;

        if (!strchr("arv", type)) /* r: a struct */
                return read_basic(m, type, ret);
        if (dictionary && !strchr("so", contents[1]))
                return -EBADMSG; /* JSON has no such keys; we send none */

        r = sd_bus_message_enter_container(m, type, contents);
        if (r < 0)
                return r;
        if (type == SD_BUS_TYPE_VARIANT) {
                r = read_next(m, &value);
                r = r == 0 ? -EBADMSG : r;
        } else {
                value = dictionary ? json_object() : json_array();
                if (!value)
                        return -ENOMEM;
                if (dictionary)
                        while ((r = read_entry(m, value)) > 0)
                                ;
                else
                        r = read_items(m, value);
        }
        if (r < 0)
                return r;
        r = sd_bus_message_exit_container(m);
        if (r < 0)
                return r;
        *ret = STEAL(value);
        return 0;
}

int bus_json_read(sd_bus_message *m, json_t **ret) {
        assert(m);
        assert(ret);

        return read_next(m, ret);
}
