/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * All of the software in the VM inside the VM: a firmware that looks at its PCI devices and says on the serial port
 * what it sees. A Linux there takes two minutes to boot, emulated by an emulated machine; this takes a moment.
 *
 *   NESTED 8086:10d3 52:54:00:00:00:01 DMA   the card's own MAC address from its registers; then it was made to read a
 *                                            descriptor in our memory and to write into it that the packet is sent
 *   NESTED 8086:10ca 02:00:00:00:00:01 DMA   a VF of an igb: the MAC address that the host's driver tells it; then it
 *                                            was made to send a frame of the lab (frames.h), "nested", to everybody
 *   NESTED 1234:11e8 010000ed                edu: its identification
 *   NESTED 1b36:0010                         any other device on bus 0
 *   NESTED done
 *
 * Then it halts. There is no writable memory but what is named here: stack below 28 KiB, DMA at 128 KiB.
 */

#include <stdint.h>

#define STACK_TOP "0x7000"
#define RING 0x20000U
#define PACKET 0x21000U
#define MEMORY_WINDOW 0xe0000000U
#define WINDOW_SIZE 0x01000000U

/* From real mode at the reset vector to 32 bits, flat, without interrupts. */
__asm__(".section .reset, \"ax\"\n"
        ".code16\n"
        "        jmp begin16\n"
        ".section .text.begin, \"ax\"\n"
        "begin16:\n"
        "        cli\n"
        "        lgdtl %cs:(table_pointer - begin16)\n"
        "        movl %cr0, %eax\n"
        "        orb $1, %al\n"
        "        movl %eax, %cr0\n"
        "        ljmpl $8, $begin32\n"
        ".code32\n"
        "begin32:\n"
        "        movw $16, %ax\n"
        "        movw %ax, %ds\n"
        "        movw %ax, %es\n"
        "        movw %ax, %ss\n"
        "        movl $" STACK_TOP ", %esp\n"
        "        call look\n"
        "1:      hlt\n"
        "        jmp 1b\n"
        ".balign 8\n"
        "table:  .quad 0, 0x00cf9a000000ffff, 0x00cf92000000ffff\n"
        "table_pointer:\n"
        "        .word 23\n"
        "        .long table\n");

static void out32(uint16_t port, uint32_t value) {
        __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static uint32_t in32(uint16_t port) {
        uint32_t value;

        __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
        return value;
}

static void say_char(char c) {
        __asm__ volatile("outb %0, %1" : : "a"(c), "Nd"((uint16_t)0x3f8));
}

static void say(const char *text) {
        for (; *text; text++)
                say_char(*text);
}

static void say_hex(uint32_t value, int digits) {
        while (digits-- > 0)
                say_char("0123456789abcdef"[value >> 4 * digits & 15]);
}

static uint32_t config_address(uint32_t device, uint32_t offset) {
        return 0x80000000U | device << 11 | offset;
}

static uint32_t config_read(uint32_t device, uint32_t offset) {
        out32(0xcf8, config_address(device, offset));
        return in32(0xcfc);
}

static void config_write(uint32_t device, uint32_t offset, uint32_t value) {
        out32(0xcf8, config_address(device, offset));
        out32(0xcfc, value);
}

/* Gives BAR 0 an address and lets the device decode it and be a bus master. */
static volatile uint32_t *map(uint32_t device) {
        uint32_t address = MEMORY_WINDOW + device * WINDOW_SIZE;

        if ((config_read(device, 0x10) & 6) == 4) /* 64 bits wide */
                config_write(device, 0x14, 0);
        config_write(device, 0x10, address);
        config_write(device, 0x04, 6);
        return (volatile uint32_t *)address;
}

static void say_mac(uint32_t low, uint32_t high) {
        for (int i = 0; i < 6; i++) {
                say_char(i > 0 ? ':' : ' ');
                say_hex((i < 4 ? low >> 8 * i : high >> 8 * (i - 4)) & 0xff, 2);
        }
}

/* One legacy transmit descriptor; the card sets its "done" bit by writing to our memory. */
static void say_dma(volatile uint32_t *card) {
        volatile uint32_t *descriptor = (volatile uint32_t *)RING;

        descriptor[0] = PACKET;
        descriptor[1] = 0;
        descriptor[2] = 0x0b000000U | 64; /* end of packet, checksum, report status; length */
        descriptor[3] = 0;
        card[0x0000 / 4] = card[0x0000 / 4] | 0x40; /* CTRL: link up */
        card[0x3800 / 4] = RING;                    /* TDBAL, TDBAH, TDLEN, TDH, TDT */
        card[0x3804 / 4] = 0;
        card[0x3808 / 4] = 128;
        card[0x3810 / 4] = 0;
        card[0x3818 / 4] = 0;
        card[0x0400 / 4] = card[0x0400 / 4] | 2; /* TCTL: enable */
        card[0x3818 / 4] = 1;
        for (uint32_t i = 0; i < 10000000 && !(descriptor[3] & 1); i++)
                __asm__ volatile("pause");
        say(descriptor[3] & 1 ? " DMA" : " no DMA");
}

static int wait_for(const volatile uint32_t *word, uint32_t bits) {
        for (uint32_t i = 0; i < 10000000; i++)
                if (*word & bits)
                        return 1;
        return 0;
}

/* As the VF's driver asks the host's for a reset (igbvf.c has it in words). */
static void ask_mac(volatile uint32_t *card, uint32_t ret_words[2]) {
        volatile uint32_t *mailbox = card + 0xc40 / 4, *words = card + 0x800 / 4;

        *mailbox = 4;
        words[0] = 1;
        *mailbox = 1;
        ret_words[0] = ret_words[1] = 0;
        if (wait_for(mailbox, 0x10) && words[0] & 0x80000000U) {
                ret_words[0] = words[1];
                ret_words[1] = words[2] & 0xffff;
        }
        *mailbox = 2;
}

static void put(uint32_t offset, uint32_t value) {
        *(volatile uint32_t *)(PACKET + offset) = value;
}

static void send_from_vf(volatile uint32_t *card, const uint32_t mac[2]) {
        volatile uint32_t *descriptor = (volatile uint32_t *)RING;

        for (uint32_t i = 0; i < 64; i += 4)
                put(i, 0);
        put(0, 0xffffffffU);
        put(4, mac[0] << 16 | 0xffff);
        put(8, mac[0] >> 16 | mac[1] << 16);
        put(12, 0x656eb588U); /* 88b5 "ne" */
        put(16, 0x64657473U); /* "sted" */
        descriptor[0] = PACKET;
        descriptor[1] = 0;
        descriptor[2] = 0x2b300000U | 64;
        descriptor[3] = 64 << 14;
        card[0x3800 / 4] = RING;
        card[0x3804 / 4] = 0;
        card[0x3808 / 4] = 128;
        card[0x3810 / 4] = 0;
        card[0x3818 / 4] = 0;
        card[0x3828 / 4] = 1U << 25;
        card[0x3818 / 4] = 1;
        say(wait_for(&descriptor[3], 1) ? " DMA" : " no DMA");
}

static void look_at_vf(volatile uint32_t *card) {
        uint32_t mac[2];

        ask_mac(card, mac);
        say_mac(mac[0], mac[1]);
        send_from_vf(card, mac);
}

static void look_at(uint32_t device, uint32_t id) {
        say("NESTED ");
        say_hex(id & 0xffff, 4);
        say(":");
        say_hex(id >> 16, 4);
        if (id == 0x10d38086U) {
                volatile uint32_t *card = map(device);

                say_mac(card[0x5400 / 4], card[0x5404 / 4]);
                say_dma(card);
        } else if (id == 0x10ca8086U) {
                look_at_vf(map(device));
        } else if (id == 0x11e81234U) {
                say(" ");
                say_hex(map(device)[0], 8);
        }
        say("\n");
}

/* Bus 0 but for the host bridge and the chipset's own functions. */
__attribute__((used)) static void look(void) {
        for (uint32_t device = 1; device < 31; device++) {
                uint32_t id = config_read(device, 0);

                if (id != 0xffffffffU)
                        look_at(device, id);
        }
        say("NESTED done\n");
}
