/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "array.h"
#include "host-facts.h"
#include "host-network.h"
#include "sysfs.h"

#define HOST_USES_MAX 8192U
#define UDEV_RECORD_MAX (64U * 1024U)
#define OVS_DATAPATH "ovs-system"
#define STACKING_MAX 12 /* dm on md on dm...: deeper than anybody builds */

typedef struct Loader {
        int root;
        HostFacts *facts;
        CriticalReason reason;
        const char *what;
        int depth;
        const char *below; /* directory whose entries are being followed */
} Loader;

HostFacts *host_facts_free(HostFacts *facts) {
        if (!facts)
                return NULL;

        for (size_t i = 0; i < facts->n_uses; i++) {
                free(facts->uses[i].path);
                free(facts->uses[i].what);
        }
        free(facts->uses);
        free(facts);
        return NULL;
}

static int add_use(HostFacts *facts, CriticalReason reason, const char *path, const char *what) {
        _cleanup_free_ char *p = NULL, *w = NULL;

        /* Bind mounts tell of the same device again and again. */
        for (size_t i = 0; i < facts->n_uses; i++)
                if (facts->uses[i].reason == reason && streq(facts->uses[i].path, path))
                        return 0;
        if (facts->n_uses == HOST_USES_MAX)
                return -E2BIG;

        if (array_grow(&facts->uses, facts->n_uses, sizeof *facts->uses) < 0)
                return -ENOMEM;

        p = strdup(path);
        w = strdup(what);
        if (!p || !w)
                return -ENOMEM;

        facts->uses[facts->n_uses++] = (HostUse){reason, STEAL(p), STEAL(w)};
        return 0;
}

/* An NVMe namespace with multipath hangs below a virtual subsystem; its links nvmeN lead to the controllers. */
static int add_nvme_path(const char *name, void *userdata) {
        char path[PATH_MAX], target[PATH_MAX];
        Loader *l = userdata;

        if (!startswith(name, "nvme"))
                return 0;
        if (snprintf(path, sizeof path, "%s/%s", l->below, name) >= (int)sizeof path ||
            sysfs_read_link(l->root, path, target, sizeof target) < 0)
                return 0;
        return add_use(l->facts, l->reason, target, l->what);
}

static int add_block(Loader *l, const char *directory);
static int add_block_by_name(Loader *l, const char *device);

static int follow_slave(const char *name, void *userdata) {
        char directory[PATH_MAX];
        Loader *l = userdata;
        int r;

        (void)snprintf(directory, sizeof directory, "sys/class/block/%s", name);
        r = add_block(l, directory);
        return r < 0 ? r : 0;
}

/* What a partition stands on is known to the whole device only: md0p1 has no slaves, md0 has. */
static int follow_whole_device(Loader *l, const char *directory, const char *target) {
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
static int follow_backing(Loader *l, const char *directory, const char *attribute) {
        char path[PATH_MAX], device[PATH_MAX];

        if (snprintf(path, sizeof path, "%s/%s", directory, attribute) >= (int)sizeof path ||
            sysfs_read(l->root, path, device, sizeof device) < 0 || !startswith(device, "/dev/"))
                return 0;
        return add_block_by_name(l, device);
}

/* Adds a block device, given by its sysfs directory or link, and all that it stands on. 1: it is one; 0: it is not. */
static int add_block(Loader *l, const char *directory) {
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

        r = add_use(l->facts, l->reason, target, l->what);
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

static int add_block_by_name(Loader *l, const char *device) {
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
static int add_mounted_anywhere(Loader *l) {
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
        Loader *l = userdata;
        int r;

        (void)snprintf(path, sizeof path, "sys/fs/btrfs/%s/devices", uuid);
        r = sysfs_each(l->root, path, add_named_block, l);
        return r == -ENOENT || r == -ENOTDIR ? 0 : r;
}

/* ZFS does not say which devices its pools are on, but udev has seen whom it belongs to: "E:ID_FS_TYPE=zfs_member". */
static int add_zfs_member(const char *name, void *userdata) {
        _cleanup_free_ char *text = NULL;
        char path[PATH_MAX], number[32];
        Loader *l = userdata;
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
static int take_mount_without_device(Loader *l, Mount *m) {
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

static int take_mount(Loader *l, char *line) {
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
static int take_swap(Loader *l, char *line) {
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
static int each_line(Loader *l, const char *path, int (*take)(Loader *l, char *line)) {
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

static int add_interface(Loader *l, const char *interface);

static int follow_lower(const char *name, void *userdata) {
        return startswith(name, "lower_") ? add_interface(userdata, name + strlen("lower_")) : 0;
}

/* Adds an interface and what it stands on: lower_* links lead from bridge, bond and VLAN down to the ports. */
static int add_interface(Loader *l, const char *interface) {
        char path[PATH_MAX], target[PATH_MAX];
        int r;

        if (l->depth == STACKING_MAX)
                return -ELOOP;

        (void)snprintf(path, sizeof path, "sys/class/net/%s", interface);
        r = sysfs_read_link(l->root, path, target, sizeof target);
        if (r == -ENOENT) /* gone since */
                return 0;
        if (r < 0)
                return r;

        r = add_use(l->facts, l->reason, target, l->what);
        if (r < 0)
                return r;

        l->depth++;
        r = sysfs_each(l->root, path, follow_lower, l);
        /* A port inside Open vSwitch: sysfs links the switch's datapath, not its ports, to the cards. */
        if (r >= 0 && strstr(target, "/virtual/") && !streq(interface, OVS_DATAPATH))
                r = add_interface(l, OVS_DATAPATH);
        l->depth--;
        return r == -ENOENT ? 0 : r;
}

static int take_network_use(const char *interface, NetworkUse use, const char *text, void *userdata) {
        Loader *l = userdata;
        char what[384];

        if (use == NETWORK_ADDRESS) {
                l->reason = CRITICAL_ADDRESS;
                (void)snprintf(what, sizeof what, "network interface %s has the host's address %s",
                               interface, text);
        } else {
                l->reason = CRITICAL_DEFAULT_ROUTE;
                (void)snprintf(what, sizeof what, "network interface %s carries the %s default route",
                               interface, text);
        }
        l->what = what;
        return add_interface(l, interface);
}

static int take_framebuffer(const char *name, void *userdata) {
        char path[PATH_MAX], target[PATH_MAX], what[128];
        Loader *l = userdata;

        (void)snprintf(path, sizeof path, "sys/class/graphics/%s", name);
        /* The console starts on the first one; that other cards have one too says nothing. */
        if (!streq(name, "fb0") || sysfs_read_link(l->root, path, target, sizeof target) < 0)
                return 0;

        (void)snprintf(what, sizeof what, "framebuffer %.32s shows the host's screen on it", name);
        return add_use(l->facts, CRITICAL_CONSOLE, target, what);
}

static int load_consoles(Loader *l) {
        char active[SYSFS_ATTRIBUTE_SIZE], path[PATH_MAX], target[PATH_MAX], what[128], *save = NULL;
        int r;

        r = sysfs_each(l->root, "sys/class/graphics", take_framebuffer, l);
        if (r < 0 && r != -ENOENT)
                return r;

        r = sysfs_read(l->root, "sys/class/tty/console/active", active, sizeof active);
        if (r < 0)
                return r == -ENOENT ? 0 : r;

        for (char *tty = strtok_r(active, " ", &save); tty; tty = strtok_r(NULL, " ", &save)) {
                (void)snprintf(path, sizeof path, "sys/class/tty/%.64s", tty);
                if (sysfs_read_link(l->root, path, target, sizeof target) < 0)
                        continue;
                (void)snprintf(what, sizeof what, "the console %.32s is on it", tty);
                r = add_use(l->facts, CRITICAL_CONSOLE, target, what);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Documentation/driver-api/vfio.rst: the module parameters that let VFIO do without interrupt remapping. */
static bool allows_unsafe_interrupts(int root, const char *module) {
        char path[128], text[16];

        (void)snprintf(path, sizeof path, "sys/module/%s/parameters/allow_unsafe_interrupts", module);
        return sysfs_read(root, path, text, sizeof text) >= 0 && (text[0] == 'Y' || text[0] == '1');
}

bool host_facts_are_unwatched(const HostFacts *facts) {
        return facts->unwatched;
}

int host_facts_load(int root, HostFacts **ret) {
        _cleanup_(host_facts_freep) HostFacts *facts = NULL;
        Loader l = {.root = root};
        int r;

        assert(ret);

        facts = l.facts = calloc(1, sizeof *facts);
        if (!facts)
                return -ENOMEM;

        if ((r = each_line(&l, "proc/self/mountinfo", take_mount)) < 0 ||
            (r = each_line(&l, "proc/swaps", take_swap)) < 0)
                return r;

        if ((r = add_mounted_anywhere(&l)) < 0)
                return r;
        l.what = "it belongs to a mounted btrfs file system";
        r = sysfs_each(root, "sys/fs/btrfs", add_btrfs, &l);
        if (r < 0 && r != -ENOENT)
                return r;

        if ((r = host_network_each(take_network_use, &l)) < 0 || (r = load_consoles(&l)) < 0)
                return r;

        facts->unsafe_interrupts = allows_unsafe_interrupts(root, "vfio_iommu_type1") ||
                                   allows_unsafe_interrupts(root, "iommufd");

        *ret = STEAL(facts);
        return 0;
}
