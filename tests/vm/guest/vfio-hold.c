/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vfio-hold: plays the VM. Takes a PCI device through VFIO the way a hypervisor does, and keeps it.
 *
 *   vfio-hold [--group-only | --cdev [--open-only]] ADDRESS
 *
 * (default)       /dev/vfio/N, a type 1 container, the device, its BAR 0 mapped
 * --group-only    opens /dev/vfio/N and no more: the least that makes the set "in use"
 * --cdev          /dev/vfio/devices/vfioX bound to an iommufd, the device, its BAR 0 mapped
 * --open-only     with --cdev: opens the node and no more
 *
 * Prints `ready` when it holds. Then each line on stdin is a question: `read OFFSET` answers with
 * `OFFSET: VALUE` (32 bits of BAR 0, both in hex). End of input, or a signal, lets go of everything.
 * Errors are one line on stderr with the errno's name in words, exit code 1.
 */

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "vfio-open.h"

static int open_group(const char *address) {
        char node[64];

        (void)vfio_set_of(address, node, sizeof(node));
        return vfio_open_node(node);
}

static void attach_cdev(int device) {
        int iommufd = vfio_open_node("/dev/iommu");

        vfio_attach_cdev(device, iommufd, vfio_make_address_space(iommufd));
}

static void answer_questions(const volatile uint32_t *bar, size_t size) {
        unsigned long offset;
        char line[128];

        while (fgets(line, sizeof(line), stdin)) {
                if (sscanf(line, "read %lx", &offset) != 1)
                        printf("?\n");
                else if (!bar || offset % 4 != 0 || offset >= size)
                        printf("%lx: out of range\n", offset);
                else
                        printf("%lx: %x\n", offset, bar[offset / 4]);
                (void)fflush(stdout);
        }
}

int main(int argc, char **argv) {
        bool group_only = false, cdev = false, open_only = false;
        const volatile uint32_t *bar = NULL;
        const char *address = NULL;
        size_t size = 0;
        int device = -1, group;

        for (int i = 1; i < argc; i++)
                if (strcmp(argv[i], "--group-only") == 0)
                        group_only = true;
                else if (strcmp(argv[i], "--cdev") == 0)
                        cdev = true;
                else if (strcmp(argv[i], "--open-only") == 0)
                        open_only = true;
                else
                        address = argv[i];
        if (!address) {
                fprintf(stderr, "vfio-hold: no address\n");
                return 2;
        }

        if (cdev) {
                device = vfio_open_cdev(address);
                if (!open_only)
                        attach_cdev(device);
        } else {
                group = open_group(address);
                if (!group_only) {
                        vfio_join_container(vfio_open_container(), group);
                        device = vfio_device_of_group(group, address);
                }
        }
        if (device >= 0 && !open_only)
                bar = vfio_map_bar0(device, &size);

        printf("ready\n");
        (void)fflush(stdout);
        answer_questions(bar, size);
        return 0;
}
