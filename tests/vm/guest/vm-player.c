/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vm-player: plays a VM that was started with a claim, for all that needs no guest in it.
 *
 *   vm-player ADDRESS...    by the nodes /dev/vfio/N, which the player's user must be allowed to open
 *   vm-player --fds N       by N descriptors from 4 on, and an iommufd at 3, as QEMU is given them
 *
 * Takes the devices, looks at each and prints one line: `seen 8086:10d3 52:54:00:00:00:01, 1234:11e8 010000ed`. Then it
 * holds them, and the lifeline whose number stands in $LIFELINE, until it is killed. A line on stdin makes it do what
 * a broken VM does, and is answered: `drop lifeline`, `drop devices`.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vfio-open.h"

#define DEVICES_MAX 64
#define IOMMUFD 3
#define FIRST_DEVICE 4

static int open_fds[2 * DEVICES_MAX + 2], n_open;

static int keep(int fd) {
        return open_fds[n_open++] = fd;
}

static void say_mac(const volatile uint32_t *card) {
        uint32_t low = card[0x5400 / 4], high = card[0x5404 / 4];

        printf(" %02x:%02x:%02x:%02x:%02x:%02x", low & 0xff, low >> 8 & 0xff, low >> 16 & 0xff, low >> 24,
               high & 0xff, high >> 8 & 0xff);
}

/* What tells one device from another of its kind, where that is easily had. */
static void look_at(int device, int index) {
        uint32_t id = vfio_read_config(device, 0, 4);
        const volatile uint32_t *bar;
        size_t size;

        printf("%s %04x:%04x", index > 0 ? "," : "seen", id & 0xffff, id >> 16);
        bar = vfio_map_bar0(device, &size);
        if (id == 0x10d38086U || id == 0x100e8086U)
                say_mac(bar);
        else if (id == 0x11e81234U)
                printf(" %08x", bar[0]);
        /* Mapped memory would hold a device as well as a descriptor does. */
        if (bar)
                (void)munmap((void *)bar, size);
}

static int group_of(const char *address, int container) {
        static struct { int set, fd; } groups[DEVICES_MAX];
        static int n_groups;
        char node[64];
        int set = vfio_set_of(address, node, sizeof(node));

        for (int i = 0; i < n_groups; i++)
                if (groups[i].set == set)
                        return groups[i].fd;
        groups[n_groups].set = set;
        groups[n_groups].fd = keep(vfio_open_node(node));
        vfio_join_container(container, groups[n_groups].fd);
        return groups[n_groups++].fd;
}

static void take_by_nodes(char **addresses, int n) {
        int container = keep(vfio_open_container());

        for (int i = 0; i < n; i++)
                look_at(keep(vfio_device_of_group(group_of(addresses[i], container), addresses[i])), i);
}

static void take_by_descriptors(int n) {
        uint32_t address_space = vfio_make_address_space(keep(IOMMUFD));

        for (int i = 0; i < n; i++) {
                vfio_attach_cdev(FIRST_DEVICE + i, IOMMUFD, address_space);
                look_at(keep(FIRST_DEVICE + i), i);
        }
}

static void say(const char *text) {
        printf("%s\n", text);
        (void)fflush(stdout);
}

static void serve(int lifeline) {
        char line[128];

        while (fgets(line, sizeof(line), stdin))
                if (strcmp(line, "drop lifeline\n") == 0) {
                        (void)close(lifeline);
                        say("dropped lifeline");
                } else if (strcmp(line, "drop devices\n") == 0) {
                        while (n_open > 0)
                                (void)close(open_fds[--n_open]);
                        say("dropped devices");
                } else
                        say("?");
        for (;;)
                (void)pause();
}

int main(int argc, char **argv) {
        const char *lifeline = getenv("LIFELINE");
        int n = argc - 1;

        if (argc == 3 && strcmp(argv[1], "--fds") == 0)
                n = atoi(argv[2]);
        if (n < 1 || n > DEVICES_MAX) {
                fprintf(stderr, "vm-player: 1 to %d devices\n", DEVICES_MAX);
                return 2;
        }
        if (argc == 3 && strcmp(argv[1], "--fds") == 0)
                take_by_descriptors(n);
        else
                take_by_nodes(argv + 1, n);
        say("");
        serve(lifeline ? atoi(lifeline) : -1);
        return 0;
}
