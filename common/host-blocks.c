/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/stat.h>

#include "host-blocks.h"
#include "storage-text.h"
#include "sysfs.h"

#define UDEV_RECORD_MAX (64U * 1024U)
#define STACKING_MAX 12 /* dm on md on dm...: deeper than anybody builds */
#define CLASS_BLOCK "sys/class/block"

int blocks_path(int root, const char *name, char *ret, size_t size) {
        char path[sizeof CLASS_BLOCK + NAME_MAX + 1];
        int r;

        (void)snprintf(path, sizeof path, CLASS_BLOCK "/%.*s", NAME_MAX, name);
        r = sysfs_read_link(root, path, ret, size);
        return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

static int read_attribute(int root, const char *name, const char *attribute, char *ret, size_t size) {
        char path[PATH_MAX];

        (void)snprintf(path, sizeof path, CLASS_BLOCK "/%.*s/%s", NAME_MAX, name, attribute);
        return sysfs_read(root, path, ret, size);
}

/* An NVMe namespace with multipath hangs below a virtual subsystem; its links nvmeN lead to the controllers. */
static int add_nvme_path(const char *name, void *userdata) {
        char path[PATH_MAX], target[PATH_MAX];
        Blocks *b = userdata;

        if (!startswith(name, "nvme"))
                return 0;
        if (snprintf(path, sizeof path, "%s/%s", b->below, name) >= (int)sizeof path ||
            sysfs_read_link(b->root, path, target, sizeof target) < 0)
                return 0;
        return host_facts_add_with_remedy(b->facts, b->reason, target, b->what, b->remedy);
}

static int add_nvme_paths(Blocks *b, const char *target) {
        const char *virtual, *end;
        char path[PATH_MAX];

        virtual = strstr(target, "/virtual/nvme-subsystem/");
        if (!virtual)
                return 0;

        end = strchr(virtual + strlen("/virtual/nvme-subsystem/"), '/');
        (void)snprintf(path, sizeof path, "sys/devices%.*s", (int)(end ? end - virtual : 0), virtual);
        b->below = path;
        return sysfs_each(b->root, path, add_nvme_path, b);
}

static int follow(const char *name, void *userdata) {
        int r;

        r = blocks_add(userdata, name);
        return r < 0 ? r : 0;
}

/* What a partition stands on is known to the whole device only: md0p1 has no slaves, md0 has. */
static int follow_whole_device(Blocks *b, const char *name, const char *target) {
        char path[sizeof CLASS_BLOCK + NAME_MAX + 16], whole[NAME_MAX + 1];
        const char *end, *start;
        struct stat st;

        (void)snprintf(path, sizeof path, CLASS_BLOCK "/%.*s/partition", NAME_MAX, name);
        if (fstatat(b->root, path, &st, 0) < 0)
                return 0;

        end = strrchr(target, '/');
        start = end ? memrchr(target, '/', (size_t)(end - target)) : NULL;
        if (!start)
                return 0;

        (void)snprintf(whole, sizeof whole, "%.*s", (int)(end - start - 1), start + 1);
        return follow(whole, b);
}

/* A loop device over a block device, zram that writes back to one: "/dev/sdb1". Over a file it is that file's file
 * system that counts, and it is mounted. */
static int follow_backing(Blocks *b, const char *name, const char *attribute) {
        char device[PATH_MAX];

        if (read_attribute(b->root, name, attribute, device, sizeof device) < 0 ||
            !startswith(device, "/dev/"))
                return 0;
        return blocks_add_device(b, device);
}

/* A partition that kpartx has made, by itself or on multipath: no volume, as little as the kernel's partitions. */
static bool is_mapped_partition(int root, const char *name) {
        char uuid[256];

        return read_attribute(root, name, "dm/uuid", uuid, sizeof uuid) > 0 && startswith(uuid, "part");
}

static int follow_slaves(Blocks *b, const char *name) {
        char path[sizeof CLASS_BLOCK + NAME_MAX + 16];
        int r;

        if (b->one_level && !is_mapped_partition(b->root, name))
                return 0;

        (void)snprintf(path, sizeof path, CLASS_BLOCK "/%.*s/slaves", NAME_MAX, name);
        r = sysfs_each(b->root, path, follow, b);
        return r == -ENOENT ? 0 : r;
}

static int add_path(Blocks *b, const char *target) {
        const char *what = b->depth > 0 && b->what_below ? b->what_below : b->what;

        if (b->spare_root && host_facts_have(b->facts, CRITICAL_ROOT_FILESYSTEM, target))
                return 0;
        return host_facts_add_with_remedy(b->facts, b->reason, target, what, b->remedy);
}

int blocks_add(Blocks *b, const char *name) {
        char target[PATH_MAX];
        int r;

        assert(b);
        assert(name);

        if (b->depth == STACKING_MAX)
                return -ELOOP;

        r = blocks_path(b->root, name, target, sizeof target);
        if (r <= 0) /* gone since, or not a block device at all (a file, zram inside a container) */
                return r;

        if ((r = add_path(b, target)) < 0 || (r = add_nvme_paths(b, target)) < 0)
                return r;

        b->depth++;
        if ((r = follow_whole_device(b, name, target)) >= 0 &&
            (r = follow_backing(b, name, "loop/backing_file")) >= 0 &&
            (r = follow_backing(b, name, "backing_dev")) >= 0)
                r = follow_slaves(b, name);
        b->depth--;
        return r < 0 ? r : 1;
}

int blocks_add_number(Blocks *b, const char *number) {
        char path[64], name[NAME_MAX + 1];
        int r;

        assert(b);
        assert(number);

        (void)snprintf(path, sizeof path, "sys/dev/block/%.32s", number);
        r = sysfs_read_link_name(b->root, path, name, sizeof name);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        return blocks_add(b, name);
}

int blocks_add_device(Blocks *b, const char *device) {
        char name[NAME_MAX + 1];
        int r;

        r = blocks_find(b->root, device, name, sizeof name);
        return r <= 0 ? r : blocks_add(b, name);
}

static bool exists(int root, const char *name) {
        char target[PATH_MAX];

        return blocks_path(root, name, target, sizeof target) > 0;
}

typedef struct Search {
        int root;
        const char *link;
        bool any_case;
        char *ret;
        size_t size;
} Search;

static int take_name(const char *name, Search *s) {
        if (strlen(name) >= s->size)
                return -ENAMETOOLONG;
        strcpy(s->ret, name);
        return 1;
}

static int compare_mapper_name(const char *name, void *userdata) {
        Search *s = userdata;
        char text[256];

        if (!startswith(name, "dm-") || read_attribute(s->root, name, "dm/name", text, sizeof text) < 0 ||
            !streq(text, s->link + strlen("mapper/")))
                return 0;
        return take_name(name, s);
}

static int compare_links(const char *name, const char *record, void *userdata) {
        Search *s = userdata;

        return storage_text_udev_link(record, s->link, s->any_case) ? take_name(name, s) : 0;
}

int blocks_find(int root, const char *device, char *ret, size_t size) {
        char link[PATH_MAX], name[NAME_MAX + 1];
        Search s = {.root = root, .link = link, .ret = ret, .size = size};
        int r;

        assert(device);
        assert(ret);

        if (storage_text_device_link(device, link, sizeof link, &s.any_case) <= 0)
                return 0;

        /* /dev/cciss/c0d0 is called cciss!c0d0. */
        (void)snprintf(name, sizeof name, "%.*s", NAME_MAX, link);
        for (char *p = name; *p; p++)
                if (*p == '/')
                        *p = '!';
        if (exists(root, name))
                return take_name(name, &s);

        r = startswith(link, "mapper/") ? sysfs_each(root, CLASS_BLOCK, compare_mapper_name, &s) : 0;
        return r == 0 ? blocks_each_record(root, compare_links, &s) : r;
}

const char *blocks_node(int root, const char *name, char *buf, size_t size) {
        char text[256];
        size_t n;

        assert(name);
        assert(buf);

        if (read_attribute(root, name, "dm/name", text, sizeof text) > 0)
                (void)snprintf(buf, size, "/dev/mapper/%s", text);
        else
                (void)snprintf(buf, size, "/dev/%s", name);
        n = strlen(buf);
        for (size_t i = 0; i < n; i++)
                if (buf[i] == '!')
                        buf[i] = '/';
        return buf;
}

/* One member of a btrfs; the clause "and has a member on it" is for all but the one that was asked for. */
typedef struct Btrfs {
        Blocks *blocks;
        const char *name;
        int n;
} Btrfs;

static int add_btrfs_device(const char *name, void *userdata) {
        Btrfs *f = userdata;
        int r;

        f->blocks->depth = streq(name, f->name) ? 0 : 1;
        r = blocks_add(f->blocks, name);
        f->blocks->depth = 0;
        f->n += r > 0;
        return r < 0 ? r : 0;
}

static int take_btrfs(const char *uuid, void *userdata) {
        char path[2 * NAME_MAX + 64];
        Btrfs *f = userdata;
        struct stat st;
        int r;

        (void)snprintf(path, sizeof path, "sys/fs/btrfs/%s/devices/%s", uuid, f->name);
        if (fstatat(f->blocks->root, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return 0;
        *strrchr(path, '/') = '\0';
        r = sysfs_each(f->blocks->root, path, add_btrfs_device, f);
        return r < 0 && r != -ENOENT ? r : f->n;
}

int blocks_add_btrfs(Blocks *b, const char *name) {
        Btrfs f = {.blocks = b, .name = name};
        int r;

        assert(b);
        assert(name);

        r = sysfs_each(b->root, "sys/fs/btrfs", take_btrfs, &f);
        return r == -ENOENT ? 0 : r < 0 ? r : r > 0;
}

typedef struct Zfs {
        Blocks *blocks;
        const char *pool; /* NULL: any */
        int n;
} Zfs;

/* ZFS does not say which devices its pools are on, but udev has seen whom they belong to. */
static int take_zfs_member(const char *name, const char *record, void *userdata) {
        char text[256];
        Zfs *z = userdata;
        int r;

        if (storage_text_udev_property(record, "ID_FS_TYPE", text, sizeof text) < 0 ||
            !streq(text, "zfs_member"))
                return 0;
        if (z->pool && storage_text_udev_property(record, "ID_FS_LABEL", text, sizeof text) >= 0 &&
            !streq(text, z->pool))
                return 0;

        r = blocks_add(z->blocks, name);
        z->n += r > 0;
        return r < 0 ? r : 0;
}

int blocks_add_zfs(Blocks *b, const char *pool) {
        Zfs z = {.blocks = b, .pool = pool};
        int r;

        assert(b);
        assert(pool);

        r = blocks_each_record(b->root, take_zfs_member, &z);
        if (r < 0 || z.n > 0)
                return r;

        /* Imported under a new name, and udev still has the old one: it can be any. */
        z.pool = NULL;
        return blocks_each_record(b->root, take_zfs_member, &z);
}

typedef struct Records {
        int root;
        blocks_record_t f;
        void *userdata;
} Records;

static int take_record(const char *name, void *userdata) {
        _cleanup_free_ char *text = NULL;
        char path[64], number[32];
        Records *c = userdata;
        int r;

        if (read_attribute(c->root, name, "dev", number, sizeof number) <= 0)
                return 0; /* gone, or one path of several to an NVMe namespace */

        (void)snprintf(path, sizeof path, "run/udev/data/b%s", number);
        r = sysfs_read_full(c->root, path, UDEV_RECORD_MAX, &text);
        if (r < 0 && r != -ENOENT)
                return r;
        return c->f(name, strempty(text), c->userdata);
}

int blocks_each_record(int root, blocks_record_t f, void *userdata) {
        Records c = {root, f, userdata};

        assert(f);

        return sysfs_each(root, CLASS_BLOCK, take_record, &c);
}

int host_blocks_load(int root, HostFacts *facts) {
        int r;

        assert(facts);

        if ((r = host_swaps_load(root, facts)) < 0 || (r = host_mounts_load(root, facts)) < 0 ||
            (r = host_boot_load(root, facts)) < 0)
                return r;
        return host_volumes_load(root, facts);
}
