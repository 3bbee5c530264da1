/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * on-wire: a station at a network interface, for frames of the lab (frames.h) and no others.
 *
 *   on-wire INTERFACE
 *
 * Says `ready`, then `got WORDS` of each frame that comes in, in their order; to whomever it is addressed. A line of
 * such words on stdin is sent, and answered by `sent`. Ends at the end of input.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frames.h"

static _Noreturn void die(const char *what) {
        fprintf(stderr, "on-wire: %s: %s\n", what, strerror(errno));
        exit(1);
}

static void say(const char *text) {
        printf("%s\n", text);
        (void)fflush(stdout);
}

static int station(const char *interface) {
        struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                      .sll_protocol = htons(ETH_P_ALL),
                                      .sll_ifindex = (int)if_nametoindex(interface)};
        struct packet_mreq all = {.mr_ifindex = address.sll_ifindex, .mr_type = PACKET_MR_PROMISC};
        int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), one = 1;

        if (address.sll_ifindex == 0)
                die(interface);
        if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &one, sizeof(one)) < 0 ||
            setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)) < 0 ||
            bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                die("open a packet socket");
        return fd;
}

/* The tag that the card or the kernel took out of the frame. */
static int tag_of(struct msghdr *message) {
        for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
                struct tpacket_auxdata data;

                if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA)
                        continue;
                memcpy(&data, CMSG_DATA(c), sizeof(data));
                return data.tp_status & TP_STATUS_VLAN_VALID ? data.tp_vlan_tci : -1;
        }
        return -1;
}

static void receive(int fd) {
        uint8_t frame[FRAME_MAX];
        char control[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
        struct sockaddr_ll from;
        struct iovec data = {frame, sizeof(frame)};
        struct msghdr message = {.msg_name = &from,
                                 .msg_namelen = sizeof(from),
                                 .msg_iov = &data,
                                 .msg_iovlen = 1,
                                 .msg_control = control,
                                 .msg_controllen = sizeof(control)};
        ssize_t n = recvmsg(fd, &message, 0);

        if (n < 0)
                die("receive");
        if (from.sll_pkttype != PACKET_OUTGOING)
                (void)frame_say("got ", frame, (size_t)n, tag_of(&message));
}

static void transmit(int fd, const char *words) {
        uint8_t frame[FRAME_MAX];
        size_t n = frame_from_words(words, frame);

        if (n == 0)
                say("?");
        else if (send(fd, frame, n, 0) != (ssize_t)n)
                die("send");
        else
                say("sent");
}

int main(int argc, char **argv) {
        struct pollfd fds[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.events = POLLIN}};
        char line[1200];

        if (argc != 2) {
                fprintf(stderr, "on-wire: one interface\n");
                return 2;
        }
        fds[1].fd = station(argv[1]);
        setvbuf(stdin, NULL, _IONBF, 0);
        say("ready");
        while (poll(fds, 2, -1) > 0) {
                if (fds[1].revents)
                        receive(fds[1].fd);
                if (fds[0].revents) {
                        if (!fgets(line, sizeof(line), stdin))
                                return 0;
                        transmit(fds[1].fd, line);
                }
        }
        die("poll");
}
