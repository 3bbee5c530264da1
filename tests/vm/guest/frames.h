/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Frames of the lab: an EtherType for experiments, and a line of text. In words
 *
 *   SOURCE DESTINATION [vlan N/QOS]... TEXT
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_MAX 1514

bool mac_from_words(const char *words, uint8_t mac[6]);

/* From such words, with one tag at most; 0: they are none. */
size_t frame_from_words(const char *words, uint8_t frame[FRAME_MAX]);

/* Prints the words. `tag` is one that was taken out of the frame on its way, or < 0. False: it is not of the lab. */
bool frame_say(const char *before, const uint8_t *frame, size_t size, int tag);
