/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/rtnetlink.h>

#include "sysfs.h"
#include "vf-link-read.h"

#define INTERFACES_MAX 16U /* of one function are asked; who has more has them for its virtual functions */

static int ask(unsigned interface, VfLinkReader *reader) {
        const struct ifinfomsg body = {.ifi_index = (int)interface};
        const uint32_t wanted = RTEXT_FILTER_VF | RTEXT_FILTER_SKIP_STATS;
        NetlinkRequest q;
        int r;

        netlink_request_init(&q, RTM_GETLINK, 0, &body, sizeof body);
        netlink_request_add(&q, IFLA_EXT_MASK, &wanted, sizeof wanted);
        r = netlink_ask(NETLINK_ROUTE, &q, vf_link_read, reader);
        return r < 0 ? r : 0;
}

int vf_link_each(unsigned interface, vf_link_t f, void *userdata) {
        assert(f);

        return ask(interface, &(VfLinkReader){.f = f, .userdata = userdata});
}

typedef struct Wanted {
        unsigned vf;
        bool found, others;
        VfSettings now;
} Wanted;

static int take_wanted(unsigned vf, const VfSettings *now, void *userdata) {
        Wanted *w = userdata;

        if (vf == w->vf) {
                w->found = true;
                w->now = *now;
        } else
                w->others = true;
        return 0;
}

int vf_link_refresh(VfLink *link, unsigned vf) {
        Wanted w = {.vf = vf};
        VfLinkReader reader = {.f = take_wanted, .userdata = &w};
        int r;

        assert(link);

        r = ask(link->interface, &reader);
        if (r < 0 || !w.found)
                return r < 0 ? r : w.others ? -EBUSY : -ENODATA;
        link->up = reader.up;
        link->carrier = reader.carrier;
        link->now = w.now;
        return 0;
}

typedef struct Search {
        int physical_fd;
        unsigned above;
        VfLink best;
} Search;

/* The next in the order of their numbers. */
static int consider(const char *name, void *userdata) {
        char path[64];
        Search *s = userdata;
        uint64_t number;

        if (strlen(name) >= VF_LINK_NAME_SIZE)
                return 0;
        (void)snprintf(path, sizeof path, "net/%s/ifindex", name);
        if (sysfs_read_u64(s->physical_fd, path, 10, &number) < 0 || number <= s->above ||
            number > INT32_MAX || (s->best.interface > 0 && number > s->best.interface))
                return 0;

        s->best.interface = (unsigned)number;
        strcpy(s->best.name, name);
        return 0;
}

int vf_link_find(int physical_fd, unsigned vf, VfLink *ret) {
        Search s = {.physical_fd = physical_fd};
        int none = -ENODATA, r;

        assert(ret);

        for (unsigned i = 0; i < INTERFACES_MAX; i++) {
                s.above = s.best.interface;
                s.best = (VfLink){0};
                r = sysfs_each(physical_fd, "net", consider, &s);
                if (r < 0 && r != -ENOENT)
                        return r;
                if (s.best.interface == 0)
                        return i == 0 ? -ENODEV : none;

                r = vf_link_refresh(&s.best, vf);
                if (r == 0)
                        *ret = s.best;
                if (r == -EBUSY)
                        none = r;
                if (r != -EBUSY && r != -ENODATA && r != -ENODEV) /* gone just now */
                        return r;
        }
        return none;
}
