/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>

#include "host-blocks.h"
#include "storage-text.h"

/* By whatever name of it swapon(8) was given: "/mnt/dev/sda2", too. */
static int add_swap(Blocks *b, const char *device) {
        const char *name = strrchr(device, '/');
        int r;

        r = blocks_add_device(b, device);
        if (r == 0 && name)
                r = blocks_add(b, name + 1);
        return r == 0 ? -ENODEV : r; /* swap on a device that we cannot find: on which one is it? */
}

int host_swaps_load(int root, HostFacts *facts) {
        Blocks b = {.root = root, .facts = facts, .reason = CRITICAL_SWAP};
        _cleanup_free_ char *line = NULL;
        _cleanup_fclose_ FILE *f = NULL;
        _cleanup_close_ int fd = -1;
        char what[BLOCK_WHAT_SIZE], *device;
        size_t size = 0;
        int r;

        assert(facts);

        fd = openat(root, "proc/swaps", O_RDONLY | O_CLOEXEC);
        f = fd < 0 ? NULL : fdopen(fd, "r");
        if (!f)
                return -errno;
        (void)STEAL_FD(fd);

        b.what = what;
        for (errno = 0; getline(&line, &size, f) >= 0; errno = 0) {
                line[strcspn(line, "\n")] = '\0';
                if (storage_text_swap(line, &device) <= 0)
                        continue;
                (void)snprintf(what, sizeof what, "the host swaps to %.100s", device);
                r = add_swap(&b, device);
                if (r < 0)
                        return r;
        }
        return -errno;
}
