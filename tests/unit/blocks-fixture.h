/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A host with two NVMe, two disks on a SATA controller and one on USB, of which it uses nothing; and what storage looks
 * like on real hosts: device mapper, md, udev's records, mount tables of other processes. */

#include "critical-fixture.h"

#define NVME0 "0000:00:04.0"
#define NVME1 "0000:00:05.0"
#define SATA "0000:00:1f.2"
#define USB "0000:00:14.0"

static inline void add(FakeHost *h, const char *address, uint32_t class_code) {
        static unsigned set = 20;

        fake_host_add_device(
                        h, &(FakeDevice){.address = address, .class_code = class_code, .iommu_set = set++});
}

static inline int setup(void **state) {
        static const struct {
                const char *path, *number;
        } blocks[] = {
                        {"devices/pci0000:00/" NVME0 "/nvme/nvme0/nvme0n1", "259:0"},
                        {"devices/pci0000:00/" NVME0 "/nvme/nvme0/nvme0n1/nvme0n1p1", "259:1"},
                        {"devices/pci0000:00/" NVME0 "/nvme/nvme0/nvme0n1/nvme0n1p2", "259:2"},
                        {"devices/pci0000:00/" NVME0 "/nvme/nvme0/nvme0n1/nvme0n1p3", "259:3"},
                        {"devices/pci0000:00/" NVME1 "/nvme/nvme1/nvme1n1", "259:4"},
                        {"devices/pci0000:00/" NVME1 "/nvme/nvme1/nvme1n1/nvme1n1p1", "259:5"},
                        {"devices/pci0000:00/" NVME1 "/nvme/nvme1/nvme1n1/nvme1n1p2", "259:6"},
                        {"devices/pci0000:00/" NVME1 "/nvme/nvme1/nvme1n1/nvme1n1p3", "259:7"},
                        {"devices/pci0000:00/" SATA "/ata1/host0/target0:0:0/0:0:0:0/block/sda", "8:0"},
                        {"devices/pci0000:00/" SATA "/ata1/host0/target0:0:0/0:0:0:0/block/sda/sda1", "8:1"},
                        {"devices/pci0000:00/" SATA "/ata2/host1/target1:0:0/1:0:0:0/block/sdb", "8:16"},
                        {"devices/pci0000:00/" USB "/usb1/1-1/1-1:1.0/host6/target6:0:0/6:0:0:0/block/sdc",
                         "8:32"},
        };
        FakeHost *h;

        *state = h = fake_host_new();
        add(h, NVME0, 0x010802);
        add(h, NVME1, 0x010802);
        add(h, SATA, 0x010601);
        add(h, USB, 0x0c0330);
        for (size_t i = 0; i < ELEMENTSOF(blocks); i++)
                fake_host_add_block(h, blocks[i].path, blocks[i].number);
        return 0;
}

static inline int teardown(void **state) {
        fake_host_free(*state);
        return 0;
}

/* All that the host has, in the order NVME0, NVME1, SATA, USB. */
static inline void expect_all(FakeHost *h, uint32_t nvme0, uint32_t nvme1, uint32_t sata, uint32_t usb) {
        expect(h, NVME0, nvme0);
        expect(h, NVME1, nvme1);
        expect(h, SATA, sata);
        expect(h, USB, usb);
}

static inline int load(FakeHost *h, bool *ret_unwatched) {
        _cleanup_(host_facts_freep) HostFacts *facts = NULL;
        int r;

        r = host_facts_load(h->fd, &facts);
        if (r >= 0 && ret_unwatched)
                *ret_unwatched = host_facts_are_unwatched(facts);
        return r;
}

/* Both directions, as the kernel does. lower: names separated by blanks. */
static inline void stack(FakeHost *h, const char *upper, const char *lower) {
        char copy[256], path[256], *save = NULL;

        (void)snprintf(copy, sizeof copy, "%s", lower);
        for (char *s = strtok_r(copy, " ", &save); s; s = strtok_r(NULL, " ", &save)) {
                fake_host_add_slave(h, upper, s);
                (void)snprintf(path, sizeof path, "sys/class/block/%s/holders/%s", s, upper);
                fake_host_link(h, path, "../../../x");
        }
}

static inline void add_dm(FakeHost *h, unsigned n, const char *name, const char *uuid, const char *lower) {
        char path[128], number[32], device[32];

        (void)snprintf(device, sizeof device, "dm-%u", n);
        (void)snprintf(path, sizeof path, "devices/virtual/block/%s", device);
        (void)snprintf(number, sizeof number, "253:%u", n);
        fake_host_add_block(h, path, number);
        (void)snprintf(path, sizeof path, "sys/devices/virtual/block/%s/dm/name", device);
        fake_host_write(h, path, "%s\n", name);
        (void)snprintf(path, sizeof path, "sys/devices/virtual/block/%s/dm/uuid", device);
        fake_host_write(h, path, "%s\n", uuid);
        stack(h, device, lower);
}

static inline void add_md(FakeHost *h, unsigned n, const char *level, const char *state, const char *lower) {
        char path[128], number[32], device[32];

        (void)snprintf(device, sizeof device, "md%u", n);
        (void)snprintf(path, sizeof path, "devices/virtual/block/%s", device);
        (void)snprintf(number, sizeof number, "9:%u", n);
        fake_host_add_block(h, path, number);
        (void)snprintf(path, sizeof path, "sys/devices/virtual/block/%s/md/level", device);
        fake_host_write(h, path, "%s\n", level);
        (void)snprintf(path, sizeof path, "sys/devices/virtual/block/%s/md/array_state", device);
        fake_host_write(h, path, "%s\n", state);
        stack(h, device, lower);
}

/* What systemd-udevd writes about a block device; more: lines "S:..." and "E:...". */
static inline void add_record(FakeHost *h, const char *number, const char *more) {
        char path[64];

        (void)snprintf(path, sizeof path, "run/udev/data/b%s", number);
        fake_host_write(h, path,
                        "S:disk/by-path/pci-0000\nI:1234567\nE:ID_PART_TABLE_TYPE=gpt\n%sG:systemd\n", more);
}

static inline void add_filesystem(FakeHost *h, const char *number, const char *type, const char *uuid) {
        char more[256];

        (void)snprintf(more, sizeof more, "S:disk/by-uuid/%s\nE:ID_FS_TYPE=%s\nE:ID_FS_UUID=%s\n", uuid,
                       type, uuid);
        add_record(h, number, more);
}

static inline void add_zfs(FakeHost *h, const char *number, const char *pool) {
        char more[256];

        (void)snprintf(more, sizeof more, "E:ID_FS_LABEL=%s\nE:ID_FS_TYPE=zfs_member\n", pool);
        add_record(h, number, more);
}

static inline void add_btrfs(FakeHost *h, const char *uuid, const char *names) {
        char copy[256], path[256], *save = NULL;

        (void)snprintf(copy, sizeof copy, "%s", names);
        for (char *s = strtok_r(copy, " ", &save); s; s = strtok_r(NULL, " ", &save)) {
                (void)snprintf(path, sizeof path, "sys/fs/btrfs/%s/devices/%s", uuid, s);
                fake_host_link(h, path, "../../../../x");
        }
        fake_host_write(h, "sys/fs/btrfs/features/raid56", "1\n");
}

/* A process with a mount table; lines as in mountinfo, each with its end. */
static inline void add_process(FakeHost *h, unsigned pid, const char *name, const char *lines) {
        char path[64];

        (void)snprintf(path, sizeof path, "proc/%u/comm", pid);
        fake_host_write(h, path, "%s\n", name);
        (void)snprintf(path, sizeof path, "proc/%u/mountinfo", pid);
        fake_host_write(h, path, "%s", lines);
}

/* As systemd-boot and GRUB's bli leave it. */
static inline void set_loader_partition(FakeHost *h, const char *uuid) {
        uint8_t data[4 + 2 * 64] = {6};
        size_t n = 4;

        for (const char *p = uuid; *p; p++, n += 2)
                data[n] = (uint8_t)*p;
        fake_host_write_bytes(h,
                              "sys/firmware/efi/efivars/"
                              "LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f",
                              data, n + 2);
}
