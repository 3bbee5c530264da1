/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/socket.h>

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Seen first = {0}, second = {0}, stopped = {.answer = -ECANCELED};
        /* A copy that ends where the data end, so that a sanitizer sees whoever reads on. */
        uint8_t *copy = malloc(size > 0 ? size : 1);
        int r;

        must(copy);
        if (size > 0)
                memcpy(copy, data, size);

        r = routes_read(copy, size, take, &first);
        must(r <= 1 && r > -4096);
        must(first.n <= size / 8); /* the shortest that names somebody has eight bytes */
        must(first.n_default <= first.n);

        must(routes_read(copy, size, take, &second) == r);
        must(first.n == second.n && first.sum == second.sum);

        /* Who says "stop" is asked no more, and gets his word back. */
        r = routes_read(copy, size, take, &stopped);
        must(stopped.n == (first.n > 0));
        must(stopped.n == 0 || r == -ECANCELED);

        free(copy);
        return 0;
}
