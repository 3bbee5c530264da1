/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frames.h"

#include <stdio.h>
#include <string.h>

#define OURS 0x88b5
#define TAG 0x8100
#define ADDRESSES 12
#define SHORTEST 60

static void put16(uint8_t *at, unsigned value) {
        at[0] = (uint8_t)(value >> 8);
        at[1] = (uint8_t)value;
}

static unsigned get16(const uint8_t *at) {
        return (unsigned)at[0] << 8 | at[1];
}

bool mac_from_words(const char *words, uint8_t mac[6]) {
        unsigned b[6];

        if (sscanf(words, "%2x:%2x:%2x:%2x:%2x:%2x", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]) != 6)
                return false;
        for (int i = 0; i < 6; i++)
                mac[i] = (uint8_t)b[i];
        return true;
}

size_t frame_from_words(const char *words, uint8_t frame[FRAME_MAX]) {
        char source[18], destination[18];
        unsigned vlan = 0, qos = 0;
        size_t at = ADDRESSES, n;
        int used = 0;

        if (sscanf(words, "%17s %17s %n", source, destination, &used) != 2 || used == 0 ||
            !mac_from_words(destination, frame) || !mac_from_words(source, frame + 6))
                return 0;
        words += used;
        if (strncmp(words, "vlan ", 5) == 0) {
                used = 0;
                if (sscanf(words, "vlan %u/%u %n", &vlan, &qos, &used) != 2 || used == 0 || vlan > 4095 ||
                    qos > 7)
                        return 0;
                put16(frame + at, TAG);
                put16(frame + at + 2, qos << 13 | vlan);
                at += 4;
                words += used;
        }
        put16(frame + at, OURS);
        n = strcspn(words, "\n");
        n = n < 1000 ? n : 1000;
        memset(frame + at + 2, 0, SHORTEST);
        memcpy(frame + at + 2, words, n);
        n += at + 3;
        /* A card may take the tag out, and what is left must be a frame still. */
        return n > SHORTEST + 4 ? n : SHORTEST + 4;
}

static void say_mac(const uint8_t *mac) {
        printf("%02x:%02x:%02x:%02x:%02x:%02x ", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

static void say_tag(int tag) {
        if (tag >= 0)
                printf("vlan %d/%d ", tag & 0xfff, tag >> 13);
}

bool frame_say(const char *before, const uint8_t *frame, size_t size, int tag) {
        bool tagged = size >= SHORTEST && get16(frame + ADDRESSES) == TAG;
        size_t at = ADDRESSES + (tagged ? 4U : 0U);

        if (size < SHORTEST || get16(frame + at) != OURS)
                return false;
        printf("%s", before);
        say_mac(frame + 6);
        say_mac(frame);
        say_tag(tag);
        if (tagged)
                say_tag((int)get16(frame + ADDRESSES + 2));
        at += 2;
        printf("%.*s\n", (int)strnlen((const char *)frame + at, size - at), (const char *)frame + at);
        (void)fflush(stdout);
        return true;
}
