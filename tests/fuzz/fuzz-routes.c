/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/socket.h>

#include "../../common/host-connections.h"
#include "../../common/host-routes.h"
#include "fuzz.h"

typedef struct Seen {
        size_t n, n_default;
        uint64_t sum;
        int answer; /* what the reader is told */
} Seen;

static int take(const RouteHop *hop, void *userdata) {
        Seen *s = userdata;

        must(hop->interface == 0 || hop->nexthop == 0);
        s->n++;
        s->n_default += route_is_default(hop);
        s->sum = s->sum * 31 + hop->interface + hop->nexthop + hop->family + hop->type + hop->prefix;
        return s->answer;
}

static int take_connection(const InternetAddress *local, unsigned interface, void *userdata) {
        Seen *s = userdata;

        must(local->family == AF_INET || local->family == AF_INET6);
        s->n++;
        s->sum = s->sum * 31 + local->bytes[0] + local->bytes[15] + interface;
        return s->answer;
}

static int read_routes(const uint8_t *data, size_t size, Seen *s) {
        return netlink_read(data, size, route_read, &(RouteReader){take, s});
}

static int read_connections(const uint8_t *data, size_t size, Seen *s) {
        return netlink_read(data, size, connection_read, &(ConnectionReader){take_connection, s});
}

static void check(int (*read)(const uint8_t *data, size_t size, Seen *s), const uint8_t *data, size_t size) {
        Seen first = {0}, second = {0}, stopped = {.answer = -ECANCELED};
        int r;

        r = read(data, size, &first);
        must(r <= 1 && r > -4096);
        must(first.n <= size / 8); /* the shortest that names somebody has eight bytes */
        must(first.n_default <= first.n);

        must(read(data, size, &second) == r);
        must(first.n == second.n && first.sum == second.sum);

        /* Who says "stop" is asked no more, and gets his word back. */
        r = read(data, size, &stopped);
        must(stopped.n == (first.n > 0));
        must(stopped.n == 0 || r == -ECANCELED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        /* A copy that ends where the data end, so that a sanitizer sees whoever reads on. */
        uint8_t *copy = malloc(size > 0 ? size : 1);

        must(copy);
        if (size > 0)
                memcpy(copy, data, size);
        check(read_routes, copy, size);
        check(read_connections, copy, size);
        free(copy);
        return 0;
}
