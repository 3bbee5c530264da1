/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <fcntl.h>

#include "array.h"
#include "host-blocks.h"
#include "storage-text.h"
#include "sysfs.h"

/* Users may make mount namespaces of their own, and mounts in them. Beyond the first number a namespace is read for
 * each of its processes, beyond the second a device looked at for each of its mounts; beyond the third nobody knows
 * what is mounted. */
#define NAMESPACES_MAX 4096U
#define SEEN_MAX 4096U
#define LINES_MAX 4000000U

/* A device with a file system, or a pool of ZFS, of which all has been told that there is to tell. */
typedef struct Seen {
        uint64_t device;
        bool root;
} Seen;

typedef struct Mounts {
        Blocks blocks;
        Seen *seen;
        size_t n_seen;
        char **namespaces; /* the first line of each that was read: ids of mounts are unique in all of them */
        size_t n_namespaces, n_lines;
        const char *process; /* whose table is being read; NULL: this process's */
        bool host;           /* it is that of the host, or this process's copy of it */
} Mounts;

static void clear_mounts(Mounts *m) {
        for (size_t i = 0; i < m->n_namespaces; i++)
                free(m->namespaces[i]);
        free(m->namespaces);
        free(m->seen);
}

static Seen *find_seen(const Mounts *m, uint64_t device) {
        for (size_t i = 0; i < m->n_seen; i++)
                if (m->seen[i].device == device)
                        return &m->seen[i];
        return NULL;
}

static int add_seen(Mounts *m, uint64_t device, bool root) {
        if (m->n_seen == SEEN_MAX) /* then it is looked at again */
                return 0;
        if (array_grow(&m->seen, m->n_seen, sizeof *m->seen) < 0)
                return -ENOMEM;
        m->seen[m->n_seen++] = (Seen){device, root};
        return 0;
}

static const char *describe_process(const Mounts *m, char *buf, size_t size) {
        char path[64], name[32] = "";

        buf[0] = '\0';
        if (!m->process || m->host)
                return buf;
        (void)snprintf(path, sizeof path, "proc/%s/comm", m->process);
        (void)sysfs_read(m->blocks.root, path, name, sizeof name);
        (void)snprintf(buf, size, " in the mount namespace of process %s (%.15s)", m->process, name);
        return buf;
}

static int add_named(const char *name, void *userdata) {
        int r;

        r = blocks_add(userdata, name);
        return r < 0 ? r : 0;
}

static int add_every_btrfs(const char *uuid, void *userdata) {
        char path[NAME_MAX + 64];
        Blocks *b = userdata;
        int r;

        (void)snprintf(path, sizeof path, "sys/fs/btrfs/%s/devices", uuid);
        r = sysfs_each(b->root, path, add_named, b);
        return r == -ENOENT || r == -ENOTDIR ? 0 : r;
}

/* mountinfo names one device of a btrfs, under a number of its own. */
static int take_btrfs(Blocks *b, const char *source) {
        char name[NAME_MAX + 1];
        int r;

        r = blocks_find(b->root, source, name, sizeof name);
        if (r <= 0) {
                /* "/dev/root", or a device that it has given up since. Others are caught by its list, see below; of the
                 * root file system more must be known than that it is mounted. */
                if (r == 0 && b->reason == CRITICAL_ROOT_FILESYSTEM)
                        r = sysfs_each(b->root, "sys/fs/btrfs", add_every_btrfs, b);
                return r == -ENOENT ? 0 : r;
        }

        r = blocks_add_btrfs(b, name);
        return r == 0 ? blocks_add(b, name) : r;
}

static int take_bcachefs(Blocks *b, const char *sources) {
        _cleanup_free_ char *copy = strdup(sources);
        char *save = NULL;
        int r;

        if (!copy)
                return -ENOMEM;
        for (char *s = strtok_r(copy, ":", &save); s; s = strtok_r(NULL, ":", &save)) {
                r = blocks_add_device(b, s);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Device number 0:N: no block device, or several. The source is a text that an unprivileged mount (FUSE) makes up, so
 * it counts only for file systems that root alone can mount. */
static bool has_devices(const MountLine *line) {
        return !startswith(line->number, "0:") || streq(line->type, "btrfs") ||
               streq(line->type, "bcachefs") || streq(line->type, "zfs");
}

static int add_devices(Blocks *b, const MountLine *line) {
        char pool[256];
        int r;

        if (!startswith(line->number, "0:"))
                r = blocks_add_number(b, line->number);
        else if (streq(line->type, "zfs")) {
                (void)snprintf(pool, sizeof pool, "%.*s", (int)strcspn(line->source, "/"), line->source);
                b->what = b->what_below;
                r = blocks_add_zfs(b, pool);
        } else
                r = streq(line->type, "btrfs") ? take_btrfs(b, line->source)
                                               : take_bcachefs(b, line->source);
        return r < 0 ? r : 0;
}

static int add_mount(Mounts *m, CriticalReason reason, const MountLine *line, const char *remark) {
        const bool members = startswith(line->number, "0:") || startswith(line->number, "9:") ||
                             startswith(line->source, "/dev/md");
        char what[BLOCK_WHAT_SIZE], below[BLOCK_WHAT_SIZE], process[64], remedy[64];

        (void)snprintf(what, sizeof what, "%.48s is mounted on %.56s%s%s", line->source, line->where, remark,
                       describe_process(m, process, sizeof process));
        (void)snprintf(below, sizeof below, "%.300s and %s it", what, members ? "has a member on" : "is on");
        m->blocks.reason = reason;
        m->blocks.what = what;
        m->blocks.what_below = below;
        /* No command that root would run in there: the programs that it finds are whoever's mounts it are. */
        (void)snprintf(remedy, sizeof remedy, "end process %.16s, or have it unmount it, first",
                       strempty(m->process));
        m->blocks.remedy = process[0] ? remedy : NULL;
        return add_devices(&m->blocks, line);
}

static int take_root(Mounts *m, const MountLine *line, uint64_t device) {
        int r;

        if (!streq(line->where, "/") || find_seen(m, device))
                return 0;
        r = add_mount(m, CRITICAL_ROOT_FILESYSTEM, line, "");
        return r < 0 ? r : add_seen(m, device, true);
}

static int take_other(Mounts *m, const MountLine *line, uint64_t device) {
        const Seen *seen = find_seen(m, device);
        int r;

        if (seen && seen->root)
                return 0;
        if (m->host && storage_text_is_boot_place(line->where)) {
                r = add_mount(m, CRITICAL_BOOT_DISK, line, ", which the next boot reads");
                if (r < 0)
                        return r;
        }
        if (seen)
                return 0;

        r = add_mount(m, CRITICAL_MOUNTED, line, "");
        return r < 0 ? r : add_seen(m, device, false);
}

/* What is told once: each dataset of ZFS has a number of its own, and all of a pool are on the same disks. */
static int identify(const MountLine *line, uint64_t *ret) {
        uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

        if (!streq(line->type, "zfs"))
                return storage_text_number(line->number, ret);
        for (const char *p = line->source; *p && *p != '/'; p++)
                hash = (hash ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
        *ret = hash | UINT64_C(1) << 63;
        return 0;
}

typedef int (*take_mount_t)(Mounts *m, const MountLine *line, uint64_t device);

/* Line by line: mounts of ordinary users (FUSE) can make the table as long as they like. */
static int read_table(Mounts *m, FILE *f, take_mount_t take) {
        _cleanup_free_ char *text = NULL;
        uint64_t device;
        MountLine line;
        size_t size = 0;
        int r;

        for (errno = 0; getline(&text, &size, f) >= 0; errno = 0) {
                if (++m->n_lines > LINES_MAX)
                        return -E2BIG;
                text[strcspn(text, "\n")] = '\0';
                if ((r = storage_text_mount(text, &line)) < 0 || (r = identify(&line, &device)) < 0)
                        return r;
                r = has_devices(&line) ? take(m, &line, device) : 0;
                if (r < 0)
                        return r;
        }
        return -errno;
}

static int read_file(Mounts *m, const char *path, take_mount_t take) {
        _cleanup_fclose_ FILE *f = NULL;
        _cleanup_close_ int fd = -1;

        fd = openat(m->blocks.root, path, O_RDONLY | O_CLOEXEC);
        f = fd < 0 ? NULL : fdopen(fd, "r");
        if (!f)
                return -errno;
        (void)STEAL_FD(fd);
        return read_table(m, f, take);
}

/* 1: a table with this first line has been read. */
static int know_namespace(Mounts *m, const char *first) {
        for (size_t i = 0; i < m->n_namespaces; i++)
                if (streq(m->namespaces[i], first))
                        return 1;
        if (m->n_namespaces == NAMESPACES_MAX)
                return 0;

        if (array_grow(&m->namespaces, m->n_namespaces, sizeof *m->namespaces) < 0)
                return -ENOMEM;
        m->namespaces[m->n_namespaces] = strdup(first);
        return m->namespaces[m->n_namespaces] ? (int)(m->n_namespaces++, 0) : -ENOMEM;
}

/* Opens a table, unless one of the same namespace, seen from the same root directory, was read. 1; 0: nothing to do;
 * -EINVAL: the process has no namespace any more. The kernel makes no more of the table than what is read of it. */
static int open_table(Mounts *m, const char *path, FILE **ret) {
        _cleanup_close_ int fd = -1;
        char first[256];
        ssize_t n;
        int r;

        fd = openat(m->blocks.root, path, O_RDONLY | O_CLOEXEC);
        n = fd < 0 ? -1 : read(fd, first, sizeof first - 1);
        if (n < 0) /* ended; or hidden from us (proc(5), hidepid=), and then the helper sees it */
                return errno == ENOENT || errno == ESRCH || errno == EACCES || errno == EPERM ? 0 : -errno;
        first[n] = '\0';
        first[strcspn(first, "\n")] = '\0';

        r = n == 0 ? 1 : know_namespace(m, first);
        if (r != 0)
                return r < 0 ? r : 0;
        if (lseek(fd, 0, SEEK_SET) < 0)
                return -errno;
        *ret = fdopen(fd, "r");
        if (!*ret)
                return -errno;
        (void)STEAL_FD(fd);
        return 1;
}

static int take_thread(const char *name, void *userdata) {
        _cleanup_fclose_ FILE *f = NULL;
        Mounts *m = userdata;
        char path[128];
        int r;

        if (!isdigit((unsigned char)name[0]))
                return 0;
        (void)snprintf(path, sizeof path, "proc/%.16s/task/%.16s/mountinfo", m->process, name);
        r = open_table(m, path, &f);
        return r <= 0 ? r == -EINVAL ? 0 : r : read_table(m, f, take_other);
}

static int take_process(const char *name, void *userdata) {
        _cleanup_fclose_ FILE *f = NULL;
        Mounts *m = userdata;
        char path[64];
        int r;

        if (!isdigit((unsigned char)name[0]))
                return 0;

        m->process = name;
        (void)snprintf(path, sizeof path, "proc/%.16s/mountinfo", name);
        r = open_table(m, path, &f);
        if (r > 0)
                return read_table(m, f, take_other);
        if (r != -EINVAL)
                return r;

        /* Its first thread has ended; others may live. */
        (void)snprintf(path, sizeof path, "proc/%.16s/task", name);
        r = sysfs_each(m->blocks.root, path, take_thread, m);
        return r == -ENOENT || r == -ESRCH || r == -EACCES || r == -EPERM || r == -EINVAL ? 0 : r;
}

/* The host's own mounts: as this process sees them, where whoever watches has an event; and what is on / for the first
 * process. */
static int take_host(Mounts *m) {
        _cleanup_fclose_ FILE *f = NULL;
        int r;

        m->host = true;
        if ((r = read_file(m, "proc/self/mountinfo", take_root)) < 0)
                return r;
        r = read_file(m, "proc/1/mountinfo", take_root);
        if (r < 0 && r != -ENOENT && r != -EACCES && r != -EPERM)
                return r;

        r = open_table(m, "proc/self/mountinfo", &f);
        return r <= 0 ? r : read_table(m, f, take_other);
}

static int take_processes(Mounts *m) {
        int r;

        m->host = true;
        r = take_process("1", m);
        m->host = false;
        return r < 0 ? r : sysfs_each(m->blocks.root, "proc", take_process, m);
}

/* Where the kernel itself lists what is mounted, in whatever mount namespace, by the names of block devices: also what
 * no process has, and what was unmounted lazily. */
static int take_lists(Blocks *b) {
        static const char *const lists[] = {"sys/fs/ext4", "sys/fs/xfs", "sys/fs/f2fs"};
        int r;

        b->reason = CRITICAL_MOUNTED;
        b->what = "a file system on it is mounted";
        b->what_below = NULL;
        b->remedy = NULL;
        b->spare_root = true;
        for (size_t i = 0; i < ELEMENTSOF(lists); i++) {
                r = sysfs_each(b->root, lists[i], add_named, b);
                if (r < 0 && r != -ENOENT)
                        return r;
        }

        b->what = "it belongs to a mounted btrfs file system";
        r = sysfs_each(b->root, "sys/fs/btrfs", add_every_btrfs, b);
        return r == -ENOENT ? 0 : r;
}

int host_mounts_load(int root, HostFacts *facts) {
        _cleanup_(clear_mounts) Mounts m = {.blocks = {.root = root, .facts = facts}};
        size_t watched;
        int r;

        assert(facts);

        r = take_host(&m);
        if (r < 0)
                return r;

        /* What these tell of already is not added again by what follows. */
        watched = facts->n_uses;
        if ((r = take_processes(&m)) < 0 || (r = take_lists(&m.blocks)) < 0)
                return r;
        facts->unwatched |= facts->n_uses > watched;
        return 0;
}
