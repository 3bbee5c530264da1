/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../../common/vf-link-read.h"
#include "fuzz.h"
#include "vf-settings.h"

typedef struct Seen {
        size_t n;
        uint64_t sum;
        int answer; /* what the reader is told */
} Seen;

/* Whatever is told is of our range: its line can be read again. */
static int take(unsigned vf, const VfSettings *now, void *userdata) {
        char line[VF_LINE_SIZE];
        VfSettings again;
        Seen *s = userdata;

        must(vf_settings_parse(vf_settings_format(now, line), &again) == 0 && vf_settings_same(now, &again));
        s->n++;
        s->sum = s->sum * 31 + vf + now->given;
        return s->answer;
}

static int read_link(const uint8_t *data, size_t size, Seen *s) {
        return netlink_read(data, size, vf_link_read, &(VfLinkReader){.f = take, .userdata = s});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Seen first = {0}, second = {0}, stopped = {.answer = -ECANCELED};
        uint8_t *copy = malloc(size > 0 ? size : 1); /* a sanitizer sees whoever reads on */
        char why[16];
        int r;

        must(copy);
        if (size > 0)
                memcpy(copy, data, size);

        r = read_link(copy, size, &first);
        must(r <= 1 && r > -4096);
        must(first.n <= size / 12);
        must(read_link(copy, size, &second) == r && first.n == second.n && first.sum == second.sum);
        r = read_link(copy, size, &stopped);
        must(stopped.n == (first.n > 0) && (stopped.n == 0 || r == -ECANCELED));

        must(netlink_read_ack(copy, size, why, sizeof why) <= 0);
        must(strlen(why) < sizeof why);
        free(copy);
        return 0;
}
