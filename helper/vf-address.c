/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "names.h"
#include "sysfs.h"
#include "vf-address.h"

#define LEVELS_MAX 8U /* as many as the kernel stacks */
#define UPPER "upper_"

typedef struct Search {
        int fd; /* the names are of this directory */
        const uint8_t *mac;
        unsigned level;
        char *name;
} Search;

static int look_above(const char *name, void *userdata);

/* An interface that goes meanwhile has no address any more. */
static int look_at(const Search *s, const char *path, const char *name) {
        _cleanup_close_ int fd = -1;
        uint8_t mac[VF_MAC_LENGTH];
        Search above = *s;
        char text[128];
        int r;

        fd = above.fd = sysfs_open_dir(s->fd, path);
        if (fd < 0)
                return 0;
        if (sysfs_read(fd, "address", text, sizeof text) >= 0 && vf_mac_parse(text, mac) >= 0 &&
            memcmp(mac, s->mac, sizeof mac) == 0) {
                (void)snprintf(s->name, VF_LINK_NAME_SIZE, "%s", name);
                return 1;
        }
        if (++above.level >= LEVELS_MAX)
                return 0;
        r = sysfs_each(fd, ".", look_above, &above);
        return r > 0;
}

static int look_above(const char *name, void *userdata) {
        return startswith(name, UPPER) ? look_at(userdata, name, name + strlen(UPPER)) : 0;
}

static int look(const char *name, void *userdata) {
        return look_at(userdata, name, name);
}

static int look_at_function(int physical_fd, const char *net, const uint8_t *mac, char *ret_name) {
        _cleanup_close_ int fd = sysfs_open_dir(physical_fd, net);
        Search s = {.fd = fd, .mac = mac, .name = ret_name};

        return fd >= 0 && sysfs_each(fd, ".", look, &s) > 0;
}

int vf_address_find_holder(int physical_fd, const uint8_t mac[static VF_MAC_LENGTH],
                           char ret_name[static VF_LINK_NAME_SIZE]) {
        char net[32] = "net";
        int r;

        assert(mac);
        assert(ret_name);

        r = look_at_function(physical_fd, net, mac, ret_name);
        for (unsigned i = 0; r == 0 && i < VFS_MAX; i++) {
                (void)snprintf(net, sizeof net, "virtfn%u/net", i);
                r = look_at_function(physical_fd, net, mac, ret_name);
        }
        return r;
}
