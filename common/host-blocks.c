/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "host-facts.h"
#include "sysfs.h"

#define UDEV_RECORD_MAX (64U * 1024U)
#define STACKING_MAX 12 /* dm on md on dm...: deeper than anybody builds */

typedef struct Blocks {
        int root;
        HostFacts *facts;
        CriticalReason reason;
        const char *what;
        int depth;
        const char *below; /* directory whose entries are being followed */
} Blocks;

/* An NVMe namespace with multipath hangs below a virtual subsystem; its links nvmeN lead to the controllers. */
static int add_nvme_path(const char *name, void *userdata) {
        char path[PATH_MAX], target[PATH_MAX];
        Blocks *l = userdata;

        if (!startswith(name, "nvme"))
                return 0;
        if (snprintf(path, sizeof path, "%s/%s", l->below, name) >= (int)sizeof path ||
            sysfs_read_link(l->root, path, target, sizeof target) < 0)
                return 0;
        return host_facts_add(l->facts, l->reason, target, l->what);
}

static int add_block(Blocks *l, const char *directory);
static int add_block_by_name(Blocks *l, const char *device);

static int follow_slave(const char *name, void *userdata) {
        char directory[PATH_MAX];
        Blocks *l = userdata;
        int r;

        (void)snprintf(directory, sizeof directory, "sys/class/block/%s", name);
        r = add_block(l, directory);
        return r < 0 ? r : 0;
}

/* What a partition stands on is known to the whole device only: md0p1 has no slaves, md0 has. */
static int follow_whole_device(Blocks *l, const char *directory, const char *target) {
        char path[PATH_MAX], whole[NAME_MAX + 1];
        const char *end, *start;
        struct stat st;

        if (snprintf(path, sizeof path, "%s/partition", directory) >= (int)sizeof path ||
            fstatat(l->root, path, &st, 0) < 0)
                return 0;

        end = strrchr(target, '/');
        start = end ? memrchr(target, '/', (size_t)(end - target)) : NULL;
        if (!start)
                return 0;

        (void)snprintf(whole, sizeof whole, "%.*s", (int)(end - start - 1), start + 1);
        return follow_slave(whole, l);
}

/* A loop device over a block device, zram that writes back to one: "/dev/sdb1". Over a file it is that file's file
 * system that counts, and it is mounted. */
static int follow_backing(Blocks *l, const char *directory, const char *attribute) {
        char path[PATH_MAX], device[PATH_MAX];

        if (snprintf(path, sizeof path, "%s/%s", directory, attribute) >= (int)sizeof path ||
            sysfs_read(l->root, path, device, sizeof device) < 0 || !startswith(device, "/dev/"))
                return 0;
        return add_block_by_name(l, device);
}

/* Adds a block device, given by its sysfs directory or link, and all that it stands on. 1: it is one; 0: it is not. */
static int add_block(Blocks *l, const char *directory) {
        char target[PATH_MAX], path[PATH_MAX];
        const char *virtual, *end;
        int r;

        if (l->depth == STACKING_MAX)
                return -ELOOP;

        r = sysfs_read_link(l->root, directory, target, sizeof target);
        if (r == -ENOENT) /* gone since, or not a block device at all (a file, zram inside a container) */
                return 0;
        if (r < 0)
                return r;

        r = host_facts_add(l->facts, l->reason, target, l->what);
        if (r < 0)
                return r;

        virtual = strstr(target, "/virtual/nvme-subsystem/");
        if (virtual) {
                end = strchr(virtual + strlen("/virtual/nvme-subsystem/"), '/');
                (void)snprintf(path, sizeof path, "sys/devices%.*s", (int)(end ? end - virtual : 0),
                               virtual);
                l->below = path;
                r = sysfs_each(l->root, path, add_nvme_path, l);
                if (r < 0)
                        return r;
        }

        l->depth++;
        if ((r = follow_whole_device(l, directory, target)) >= 0 &&
            (r = follow_backing(l, directory, "loop/backing_file")) >= 0)
                r = follow_backing(l, directory, "backing_dev");
        if (r >= 0 && snprintf(path, sizeof path, "%s/slaves", directory) < (int)sizeof path)
                r = sysfs_each(l->root, path, follow_slave, l);
        l->depth--;
        return r < 0 && r != -ENOENT ? r : 1;
}

static int add_block_by_name(Blocks *l, const char *device) {
        char directory[PATH_MAX];
        const char *name;

        name = strrchr(device, '/');
        if (snprintf(directory, sizeof directory, "sys/class/block/%s", name ? name + 1 : device) >=
            (int)sizeof directory)
                return 0;
        return add_block(l, directory);
}

static int add_named_block(const char *name, void *userdata) {
        int r;

        r = add_block_by_name(userdata, name);
        return r < 0 ? r : 0;
}

/* Where the kernel itself lists what is mounted, in whatever mount namespace, by the names of block devices. */
static int add_mounted_anywhere(Blocks *l) {
        static const char *const lists[] = {"sys/fs/ext4", "sys/fs/xfs", "sys/fs/f2fs"};
        size_t known = l->facts->n_uses;
        int r;

        l->reason = CRITICAL_MOUNTED;
        l->what = "a file system on it is mounted";
        for (size_t i = 0; i < ELEMENTSOF(lists); i++) {
                r = sysfs_each(l->root, lists[i], add_named_block, l);
                if (r < 0 && r != -ENOENT)
                        return r;
        }
        /* What mountinfo has told of is not added again. */
        l->facts->unwatched = l->facts->n_uses > known;
        return 0;
}

/* All devices of a mounted btrfs: mountinfo names one of them, under a number of its own. */
static int add_btrfs(const char *uuid, void *userdata) {
        char path[PATH_MAX];
        Blocks *l = userdata;
        int r;

        (void)snprintf(path, sizeof path, "sys/fs/btrfs/%s/devices", uuid);
        r = sysfs_each(l->root, path, add_named_block, l);
        return r == -ENOENT || r == -ENOTDIR ? 0 : r;
}

/* ZFS does not say which devices its pools are on, but udev has seen whom it belongs to: "E:ID_FS_TYPE=zfs_member". */
static int add_zfs_member(const char *name, void *userdata) {
        _cleanup_free_ char *text = NULL;
        char path[PATH_MAX], number[32];
        Blocks *l = userdata;
        int r;

        (void)snprintf(path, sizeof path, "sys/class/block/%s/dev", name);
        if (sysfs_read(l->root, path, number, sizeof number) < 0)
                return 0;
        (void)snprintf(path, sizeof path, "run/udev/data/b%s", number);
        r = sysfs_read_full(l->root, path, UDEV_RECORD_MAX, &text);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        return strstr(text, "\nE:ID_FS_TYPE=zfs_member\n") ? add_named_block(name, l) : 0;
}

/* The parts of a line of mountinfo that count. */
typedef struct Mount {
        char *number, *where, *type, *source;
} Mount;

/* proc_pid_mountinfo(5): "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue" */
static int parse_mount(char *line, Mount *ret) {
        char *save = NULL, *field;
        Mount m = {0};
        int i = 0;

        for (field = strtok_r(line, " ", &save); field; field = strtok_r(NULL, " ", &save), i++) {
                if (i == 2)
                        m.number = field;
                if (i == 4)
                        m.where = field;
                if (i >= 6 && streq(field, "-")) {
                        m.type = strtok_r(NULL, " ", &save);
                        m.source = strtok_r(NULL, " ", &save);
                        break;
                }
        }

        *ret = m;
        return m.number && m.where && m.type && m.source ? 0 : -EBADMSG;
}

/* Device number 0:N: no block device, or several. The source is a text that an unprivileged mount (FUSE) makes up, so
 * it counts only for file systems that root alone can mount. */
static int take_mount_without_device(Blocks *l, Mount *m) {
        char *save = NULL;
        int r;

        if (streq(m->type, "zfs"))
                return sysfs_each(l->root, "sys/class/block", add_zfs_member, l);
        if (!streq(m->type, "btrfs") && !streq(m->type, "bcachefs"))
                return 0;

        for (char *s = strtok_r(m->source, ":", &save); s; s = strtok_r(NULL, ":", &save)) {
                r = add_named_block(s, l);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int take_mount(Blocks *l, char *line) {
        char what[384], directory[64];
        Mount m;
        int r;

        r = parse_mount(line, &m);
        if (r < 0)
                return r;

        (void)snprintf(what, sizeof what, "%.128s is mounted on %.160s", m.source, m.where);
        l->reason = CRITICAL_MOUNTED;
        l->what = what;

        if (startswith(m.number, "0:"))
                return take_mount_without_device(l, &m);

        (void)snprintf(directory, sizeof directory, "sys/dev/block/%.32s", m.number);
        r = add_block(l, directory);
        return r < 0 ? r : 0;
}

/* proc_swaps(5): a head line, then "/dev/dm-1   partition   8388604  0  -2" */
static int take_swap(Blocks *l, char *line) {
        char *save = NULL, *device, *type, what[384];
        int r;

        device = strtok_r(line, " \t", &save);
        type = strtok_r(NULL, " \t", &save);
        if (!device || !type || !streq(type, "partition"))
                return 0; /* the head line, or a file: its file system is mounted */

        (void)snprintf(what, sizeof what, "the host swaps to %.256s", device);
        l->reason = CRITICAL_SWAP;
        l->what = what;
        r = add_block_by_name(l, device);
        return r == 0 ? -ENODEV : r; /* swap on a device that we cannot find: on which one is it? */
}

/* Line by line: mounts of ordinary users (FUSE) can make the table as long as they like. */
static int each_line(Blocks *l, const char *path, int (*take)(Blocks *l, char *line)) {
        _cleanup_free_ char *line = NULL;
        _cleanup_fclose_ FILE *f = NULL;
        _cleanup_close_ int fd = -1;
        size_t size = 0;
        int r;

        fd = openat(l->root, path, O_RDONLY | O_CLOEXEC);
        f = fd < 0 ? NULL : fdopen(fd, "r");
        if (!f)
                return -errno;
        (void)STEAL_FD(fd);

        for (errno = 0; getline(&line, &size, f) >= 0; errno = 0) {
                line[strcspn(line, "\n")] = '\0';
                r = take(l, line);
                if (r < 0)
                        return r;
        }
        return -errno;
}

int host_blocks_load(int root, HostFacts *facts) {
        Blocks l = {.root = root, .facts = facts};
        int r;

        assert(facts);

        if ((r = each_line(&l, "proc/self/mountinfo", take_mount)) < 0 ||
            (r = each_line(&l, "proc/swaps", take_swap)) < 0 || (r = add_mounted_anywhere(&l)) < 0)
                return r;

        l.what = "it belongs to a mounted btrfs file system";
        r = sysfs_each(root, "sys/fs/btrfs", add_btrfs, &l);
        return r == -ENOENT ? 0 : r;
}
