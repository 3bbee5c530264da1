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
 *
 * A virtual function of an igb it drives as a guest's driver would: the address in `seen 8086:10ca 02:00:00:00:00:01`
 * is the one that the host's driver tells it (zero: none was set; `silent`: the host's driver does not answer). Then
 * it says `got INDEX WORDS` of each frame of the lab (frames.h) that comes in, and `send INDEX WORDS` sends one, which
 * is answered by `sent INDEX`; `mac INDEX ADDRESS` asks the host's driver for another address, which it has
 * `granted INDEX` or `refused INDEX`. INDEX counts the devices from 0.
 */

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "frames.h"
#include "igbvf.h"
#include "vfio-open.h"

#define DEVICES_MAX 64
#define IOMMUFD 3
#define FIRST_DEVICE 4

/* Whom the devices share memory with. */
static int container = -1;
static uint32_t address_space;

static struct {
        IgbVf vf;
        size_t bar_size; /* 0: this device is none */
        bool open;
} vfs[DEVICES_MAX];
static int open_fds[2 * DEVICES_MAX + 2], n_open;

static int keep(int fd) {
        return open_fds[n_open++] = fd;
}

static void say_mac(const volatile uint32_t *card) {
        uint32_t low = card[0x5400 / 4], high = card[0x5404 / 4];

        printf(" %02x:%02x:%02x:%02x:%02x:%02x", low & 0xff, low >> 8 & 0xff, low >> 16 & 0xff, low >> 24,
               high & 0xff, high >> 8 & 0xff);
}

/* Each VF finds its memory at an address of its own: they share one address space. */
static void drive_vf(int device, int index, volatile uint32_t *bar, size_t size) {
        uint64_t bus = (uint64_t)(index + 1) * IGBVF_MEMORY;
        IgbVf *vf = &vfs[index].vf;
        uint8_t mac[6];

        *vf = (IgbVf){.registers = bar, .bus = bus};
        vfs[index].bar_size = size;
        if (container >= 0)
                vf->memory = vfio_share_by_container(container, IGBVF_MEMORY, bus);
        else
                vf->memory = vfio_share_by_iommufd(IOMMUFD, address_space, IGBVF_MEMORY, bus);
        vfio_make_bus_master(device);
        if (!igbvf_reset(vf, mac)) {
                printf(" silent");
                return;
        }
        printf(" %02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
        igbvf_open(vf);
        vfs[index].open = true;
}

/* What tells one device from another of its kind, where that is easily had. */
static void look_at(int device, int index) {
        uint32_t id = vfio_read_config(device, 0, 4);
        volatile uint32_t *bar;
        size_t size;

        printf("%s %04x:%04x", index > 0 ? "," : "seen", id & 0xffff, id >> 16);
        bar = vfio_map_bar0(device, &size);
        if (id == IGBVF_ID) {
                drive_vf(device, index, bar, size);
                return;
        }
        if (id == 0x10d38086U || id == 0x100e8086U)
                say_mac(bar);
        else if (id == 0x11e81234U)
                printf(" %08x", bar[0]);
        if (bar)
                (void)munmap((void *)bar, size);
}

static int group_of(const char *address) {
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
        container = keep(vfio_open_container());
        for (int i = 0; i < n; i++)
                look_at(keep(vfio_device_of_group(group_of(addresses[i]), addresses[i])), i);
}

static void take_by_descriptors(int n) {
        address_space = vfio_make_address_space(keep(IOMMUFD));
        for (int i = 0; i < n; i++) {
                vfio_attach_cdev(FIRST_DEVICE + i, IOMMUFD, address_space);
                look_at(keep(FIRST_DEVICE + i), i);
        }
}

static void say(const char *text) {
        printf("%s\n", text);
        (void)fflush(stdout);
}

static void say_of(const char *what, int index) {
        printf("%s %d\n", what, index);
        (void)fflush(stdout);
}

/* The VF whose number stands first in these words, or NULL. */
static IgbVf *vf_of(const char **words, int *ret_index) {
        int used = 0;

        if (sscanf(*words, "%d %n", ret_index, &used) != 1 || *ret_index < 0 || *ret_index >= DEVICES_MAX ||
            !vfs[*ret_index].open)
                return NULL;
        *words += used;
        return &vfs[*ret_index].vf;
}

static void send_frame(const char *words) {
        uint8_t frame[FRAME_MAX];
        int index;
        IgbVf *vf = vf_of(&words, &index);
        size_t n = vf ? frame_from_words(words, frame) : 0;

        if (n == 0)
                say("?");
        else
                say_of(igbvf_send(vf, frame, n) ? "sent" : "stuck", index);
}

static void take_mac(const char *words) {
        static const char *const answers[] = {"silent", "refused", "granted"};
        uint8_t mac[6];
        int index;
        IgbVf *vf = vf_of(&words, &index);

        if (!vf || !mac_from_words(words, mac))
                say("?");
        else
                say_of(answers[igbvf_set_mac(vf, mac)], index);
}

/* True: there are VFs, so somebody has to look again. */
static bool look_for_frames(void) {
        uint8_t frame[FRAME_MAX];
        bool any = false;
        char before[32];
        size_t n;

        for (int i = 0; i < DEVICES_MAX; i++) {
                if (!vfs[i].open)
                        continue;
                any = true;
                (void)snprintf(before, sizeof(before), "got %d ", i);
                while ((n = igbvf_receive(&vfs[i].vf, frame, sizeof(frame))) > 0)
                        (void)frame_say(before, frame, n, -1);
        }
        return any;
}

/* Mapped memory holds a device as well as a descriptor does. */
static void drop_devices(void) {
        for (int i = 0; i < DEVICES_MAX; i++)
                if (vfs[i].bar_size > 0)
                        (void)munmap((void *)vfs[i].vf.registers, vfs[i].bar_size);
        memset(vfs, 0, sizeof(vfs));
        while (n_open > 0)
                (void)close(open_fds[--n_open]);
        say("dropped devices");
}

static void obey(const char *line, int lifeline) {
        if (strcmp(line, "drop lifeline\n") == 0) {
                (void)close(lifeline);
                say("dropped lifeline");
        } else if (strcmp(line, "drop devices\n") == 0)
                drop_devices();
        else if (strncmp(line, "send ", 5) == 0)
                send_frame(line + 5);
        else if (strncmp(line, "mac ", 4) == 0)
                take_mac(line + 4);
        else
                say("?");
}

static void serve(int lifeline) {
        struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
        char line[1200];

        setvbuf(stdin, NULL, _IONBF, 0);
        for (;;) {
                /* The card tells of what came in by an interrupt, which nobody here is bound to: look for it. */
                if (poll(&input, 1, look_for_frames() ? 10 : -1) <= 0)
                        continue;
                if (fgets(line, sizeof(line), stdin))
                        obey(line, lifeline);
                else
                        input.fd = -1;
        }
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
