/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A virtual function of an Intel 82576, driven as its driver in a VM drives it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IGBVF_ID 0x10ca8086U
#define IGBVF_MEMORY 0x10000U /* what the card must be able to read and write */

typedef struct IgbVf {
        volatile uint32_t *registers; /* BAR 0 */
        uint8_t *memory;              /* IGBVF_MEMORY bytes, page aligned */
        uint64_t bus;                 /* where the card finds them */
        unsigned sent, received;
} IgbVf;

/* Asks the PF's driver for a reset. True: it has answered, and `ret_mac` is what it calls this VF (zero: it leaves the
 * address to us). False: it does not answer, as one does whose network device is down. */
bool igbvf_reset(const IgbVf *vf, uint8_t ret_mac[6]);

/* Asks the PF's driver for another address. */
typedef enum IgbVfAnswer {
        IGBVF_SILENT,
        IGBVF_REFUSED,
        IGBVF_GRANTED,
} IgbVfAnswer;
IgbVfAnswer igbvf_set_mac(const IgbVf *vf, const uint8_t mac[6]);

/* Makes the rings for one frame after the other. */
void igbvf_open(IgbVf *vf);

bool igbvf_send(IgbVf *vf, const void *frame, size_t size); /* true: the card has taken it */
size_t igbvf_receive(IgbVf *vf, void *frame, size_t size);  /* 0: there is none */
