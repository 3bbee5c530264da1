/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define _GNU_SOURCE
#include "igbvf.h"

#include <string.h>
#include <time.h>

/* Registers of the VF, in bytes from the beginning of BAR 0. */
#define CTRL 0x0000
#define CTRL_RESET (1U << 26)
#define MAILBOX 0x0c40
#define MAILBOX_MEMORY 0x0800
#define RX_RING 0x2800
#define RX_BUFFERS 0x280c /* SRRCTL */
#define RX_CONTROL 0x2828
#define TX_RING 0x3800
#define TX_CONTROL 0x3828
#define RING_HIGH 0x4 /* from the beginning of a ring's registers */
#define RING_SIZE 0x8
#define RING_HEAD 0x10
#define RING_TAIL 0x18
#define QUEUE_ENABLE (1U << 25)
#define ONE_BUFFER_OF_2K (1U << 25 | 2)

/* The mailbox's flags. A read clears those of the PF. */
#define REQUEST 0x01U
#define ACKNOWLEDGE 0x02U
#define OURS 0x04U
#define PF_SENT 0x10U

#define VF_RESET 0x01U
#define VF_SET_MAC 0x02U
#define GRANTED 0x80000000U

#define DESCRIPTORS 64U
#define BUFFER 2048U
#define RX_AT                                                                                               \
        0x0000U /* in our memory: the two rings, and one buffer for what is sent, the rest for what comes */
#define TX_AT 0x1000U
#define TX_BUFFER 0x2000U
#define RX_BUFFER 0x3000U
#define RX_N ((IGBVF_MEMORY - RX_BUFFER) / BUFFER)

#define ADVANCED_FRAME 0x2b300000U /* data descriptor, checksum, report status, end of packet */
#define DONE 1U

typedef struct Descriptor {
        uint64_t address; /* written back to received ones: hash and the like */
        uint32_t command; /* written back: status */
        uint32_t status;  /* written back to sent ones: status; to received ones: size, and the VLAN above */
} Descriptor;

static volatile uint32_t *at(const IgbVf *vf, unsigned offset) {
        return vf->registers + offset / 4;
}

static volatile Descriptor *descriptor(const IgbVf *vf, unsigned ring, unsigned n) {
        return (volatile Descriptor *)(vf->memory + ring) + n % DESCRIPTORS;
}

static void pause_a_moment(void) {
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static bool wait_for_mailbox(const IgbVf *vf, uint32_t flag) {
        for (int i = 0; i < 3000; i++) {
                if (*at(vf, MAILBOX) & flag)
                        return true;
                pause_a_moment();
        }
        return false;
}

static bool take_mailbox(const IgbVf *vf) {
        for (int i = 0; i < 3000; i++) {
                *at(vf, MAILBOX) = OURS;
                if (*at(vf, MAILBOX) & OURS)
                        return true;
                pause_a_moment();
        }
        return false;
}

/* One message of three words to the PF's driver, and its answer in their place. */
static bool talk(const IgbVf *vf, uint32_t words[3]) {
        if (!take_mailbox(vf))
                return false;
        for (unsigned i = 0; i < 3; i++)
                *at(vf, MAILBOX_MEMORY + 4 * i) = words[i];
        *at(vf, MAILBOX) = REQUEST;
        if (!wait_for_mailbox(vf, PF_SENT) || !take_mailbox(vf))
                return false;
        for (unsigned i = 0; i < 3; i++)
                words[i] = *at(vf, MAILBOX_MEMORY + 4 * i);
        *at(vf, MAILBOX) = ACKNOWLEDGE;
        return true;
}

bool igbvf_reset(const IgbVf *vf, uint8_t ret_mac[6]) {
        uint32_t words[3] = {VF_RESET};

        /* The flags of a reset are not waited for: that the PF answers says more. */
        *at(vf, CTRL) |= CTRL_RESET;
        if (!talk(vf, words))
                return false;
        memset(ret_mac, 0, 6);
        if (words[0] & GRANTED)
                memcpy(ret_mac, words + 1, 6);
        return true;
}

IgbVfAnswer igbvf_set_mac(const IgbVf *vf, const uint8_t mac[6]) {
        uint32_t words[3] = {VF_SET_MAC};

        memcpy(words + 1, mac, 6);
        if (!talk(vf, words))
                return IGBVF_SILENT;
        return words[0] & GRANTED ? IGBVF_GRANTED : IGBVF_REFUSED;
}

static void set_ring(const IgbVf *vf, unsigned ring, unsigned where) {
        *at(vf, ring) = (uint32_t)(vf->bus + where);
        *at(vf, ring + RING_HIGH) = (uint32_t)((vf->bus + where) >> 32);
        *at(vf, ring + RING_SIZE) = DESCRIPTORS * sizeof(Descriptor);
        *at(vf, ring + RING_HEAD) = 0;
        *at(vf, ring + RING_TAIL) = 0;
}

static void offer_buffer(const IgbVf *vf, unsigned n) {
        volatile Descriptor *d = descriptor(vf, RX_AT, n);

        d->address = vf->bus + RX_BUFFER + n % RX_N * BUFFER;
        d->command = 0;
        d->status = 0;
        __sync_synchronize();
        *at(vf, RX_RING + RING_TAIL) = (n + 1) % DESCRIPTORS;
}

void igbvf_open(IgbVf *vf) {
        vf->sent = vf->received = 0;
        set_ring(vf, TX_RING, TX_AT);
        *at(vf, TX_CONTROL) = QUEUE_ENABLE;
        set_ring(vf, RX_RING, RX_AT);
        *at(vf, RX_BUFFERS) = ONE_BUFFER_OF_2K;
        *at(vf, RX_CONTROL) = QUEUE_ENABLE;
        for (unsigned i = 0; i < RX_N; i++)
                offer_buffer(vf, i);
}

bool igbvf_send(IgbVf *vf, const void *frame, size_t size) {
        volatile Descriptor *d = descriptor(vf, TX_AT, vf->sent++);

        if (size > BUFFER)
                return false;
        memcpy(vf->memory + TX_BUFFER, frame, size);
        d->address = vf->bus + TX_BUFFER;
        d->command = ADVANCED_FRAME | (uint32_t)size;
        d->status = (uint32_t)size << 14;
        __sync_synchronize();
        *at(vf, TX_RING + RING_TAIL) = vf->sent % DESCRIPTORS;
        for (int i = 0; i < 3000; i++) {
                if (d->status & DONE)
                        return true;
                pause_a_moment();
        }
        return false;
}

size_t igbvf_receive(IgbVf *vf, void *frame, size_t size) {
        volatile Descriptor *d = descriptor(vf, RX_AT, vf->received);
        size_t n;

        if (!(d->command & DONE))
                return 0;
        __sync_synchronize();
        n = d->status & 0xffff;
        n = n < size ? n : size;
        memcpy(frame, vf->memory + RX_BUFFER + vf->received % RX_N * BUFFER, n);
        offer_buffer(vf, RX_N + vf->received++);
        return n;
}
