/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/stat.h>

#include "host-blocks.h"
#include "sysfs.h"

/* Volumes that are assembled, in use or not: what the kernel holds open to make another device of it. A signature on
 * a disk is none. A partition mapping of kpartx is none either, as little as a partition of the kernel: only what is
 * on it counts. An array that is not running yet holds its members all the same. */

#define STACKING_MAX 12

typedef struct Volume {
        char node[300];   /* "/dev/mapper/vg-root" */
        char kind[64];    /* "LVM" */
        char remedy[128]; /* "'vgchange -an vg' first"; "": what fits the reason */
        bool has_members; /* rather than that it is on something */
        bool is_told;     /* uevents tell that it comes and goes */
} Volume;

typedef struct Volumes {
        Blocks blocks;
        size_t n_watched; /* uses that were known before, and change with an event, those for the next boot excepted */
} Volumes;

static int read_text(int root, const char *name, const char *attribute, char *ret, size_t size) {
        char path[NAME_MAX + 64];

        (void)snprintf(path, sizeof path, "sys/class/block/%s/%s", name, attribute);
        return sysfs_read(root, path, ret, size);
}

/* dm writes "volume--group-logical--volume". */
static void volume_group(const char *name, char *ret, size_t size) {
        size_t n = 0;

        while (*name && n + 1 < size && (name[0] != '-' || name[1] == '-')) {
                name += *name == '-';
                ret[n++] = *name++;
        }
        ret[n] = '\0';
}

/* Whoever makes a mapping says in its uuid what it is. 0: it is no volume. */
static int describe_mapping(const char *uuid, const char *name, Volume *v) {
        static const struct {
                const char *prefix, *kind, *command;
        } kinds[] = {
                        {"CRYPT-VERITY-", "verity", "veritysetup close"},
                        {"CRYPT-INTEGRITY-", "integrity", "integritysetup close"},
                        {"CRYPT-LUKS", "LUKS", "cryptsetup close"},
                        {"CRYPT-", "encrypted", "cryptsetup close"},
                        {"mpath-", "multipath", "multipath -f"},
                        {"DMRAID-", "firmware RAID", "dmraid -an"},
                        {"", "device mapper", "dmsetup remove"},
        };
        char group[128];

        if (startswith(uuid, "part"))
                return 0;
        if (startswith(uuid, "LVM-")) {
                volume_group(name, group, sizeof group);
                (void)snprintf(v->kind, sizeof v->kind, "LVM");
                (void)snprintf(v->remedy, sizeof v->remedy, "'vgchange -an %.64s' first", group);
                return 1;
        }
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
                if (startswith(uuid, kinds[i].prefix)) {
                        (void)snprintf(v->kind, sizeof v->kind, "%s", kinds[i].kind);
                        (void)snprintf(v->remedy, sizeof v->remedy, "'%s %.64s' first", kinds[i].command,
                                       name);
                        return 1;
                }
        return 1;
}

static void describe_array(int root, const char *name, Volume *v) {
        char level[32], state[32];

        if (read_text(root, name, "md/level", level, sizeof level) <= 0)
                (void)snprintf(level, sizeof level, "array");
        if (read_text(root, name, "md/array_state", state, sizeof state) < 0 || !streq(state, "inactive"))
                state[0] = '\0';
        (void)snprintf(v->kind, sizeof v->kind, "%.24s%s", level, state[0] ? ", inactive" : "");
        (void)snprintf(v->remedy, sizeof v->remedy, "'mdadm --stop %.64s' first", v->node);
        v->has_members = true;
        v->is_told = true;
}

/* 1; 0: it is no volume. */
static int describe(int root, const char *name, Volume *ret) {
        char uuid[256], mapping[256];
        Volume v = {0};
        int r = 1;

        (void)blocks_node(root, name, v.node, sizeof v.node);
        if (read_text(root, name, "dm/name", mapping, sizeof mapping) > 0) {
                if (read_text(root, name, "dm/uuid", uuid, sizeof uuid) < 0)
                        uuid[0] = '\0';
                r = describe_mapping(uuid, mapping, &v);
                v.is_told = true;
        } else if (startswith(name, "md"))
                describe_array(root, name, &v);
        else if (startswith(name, "bcache")) {
                (void)snprintf(v.kind, sizeof v.kind, "bcache");
                (void)snprintf(v.remedy, sizeof v.remedy, "write 1 to /sys/block/%.32s/bcache/stop first",
                               name);
                v.has_members = true;
        } else
                (void)snprintf(v.kind, sizeof v.kind, "%s", startswith(name, "drbd") ? "DRBD" : "volume");

        *ret = v;
        return r;
}

typedef struct Top {
        int root;
        char name[NAME_MAX + 1];
        bool found;
} Top;

static int take_holder(const char *name, void *userdata) {
        Top *t = userdata;

        (void)snprintf(t->name, sizeof t->name, "%s", name);
        t->found = true;
        return 1;
}

/* The volume that has to go first, when others are on top of it. */
static bool find_top(int root, const char *name, Volume *ret) {
        Top t = {.root = root};
        char path[NAME_MAX + 64];
        Volume v;
        bool any = false;

        (void)snprintf(t.name, sizeof t.name, "%s", name);
        for (int depth = 0; depth < STACKING_MAX; depth++) {
                (void)snprintf(path, sizeof path, "sys/class/block/%s/holders", t.name);
                t.found = false;
                (void)sysfs_each(root, path, take_holder, &t);
                if (!t.found)
                        break;
                if (describe(root, t.name, &v) > 0) {
                        *ret = v;
                        any = true;
                }
        }
        return any;
}

static int add_member(const char *name, void *userdata) {
        Volumes *v = userdata;
        int r;

        r = blocks_add(&v->blocks, name);
        return r < 0 ? r : 0;
}

/* No volume goes while something on it is mounted or swapped to, and of that there is an event. */
static bool is_watched(const Volumes *v, const char *path) {
        const HostFacts *facts = v->blocks.facts;

        for (size_t i = 0; i < v->n_watched; i++)
                if (facts->uses[i].reason != CRITICAL_BOOT_DISK && streq(facts->uses[i].path, path))
                        return true;
        return strstr(path, "/virtual/");
}

/* The uses from here on are of a volume that goes without an event of its own. */
static void mark_untold(const Volumes *v, size_t first) {
        HostFacts *facts = v->blocks.facts;

        for (size_t i = first; i < facts->n_uses && !facts->unwatched; i++)
                facts->unwatched = !is_watched(v, facts->uses[i].path);
}

static int take_volume(const char *name, Volumes *v) {
        char path[NAME_MAX + 64], what[BLOCK_WHAT_SIZE], above[160] = "";
        size_t known = v->blocks.facts->n_uses;
        Volume volume, top;
        int r;

        r = describe(v->blocks.root, name, &volume);
        if (r <= 0)
                return r;

        if (find_top(v->blocks.root, name, &top)) {
                (void)snprintf(above, sizeof above, ", below %.64s (%s)", top.node, top.kind);
                memcpy(volume.remedy, top.remedy, sizeof volume.remedy);
        }
        (void)snprintf(what, sizeof what, "%.80s (%s) %s it%s", volume.node, volume.kind,
                       volume.has_members ? "has a member on" : "is on", above);
        v->blocks.what = what;
        v->blocks.remedy = volume.remedy[0] ? volume.remedy : NULL;

        (void)snprintf(path, sizeof path, "sys/class/block/%s/slaves", name);
        r = sysfs_each(v->blocks.root, path, add_member, v);
        if (!volume.is_told)
                mark_untold(v, known);
        return r == -ENOENT ? 0 : r;
}

static bool has(int root, const char *name, const char *entry) {
        char path[NAME_MAX + 64];
        struct stat st;

        (void)snprintf(path, sizeof path, "sys/class/block/%s/%s", name, entry);
        return fstatat(root, path, &st, 0) == 0;
}

/* Registered with bcache, and nothing attached to it yet: no other device tells of it. */
static int take_bcache(const char *name, Volumes *v) {
        char what[BLOCK_WHAT_SIZE], remedy[128];
        size_t known = v->blocks.facts->n_uses;
        int r;

        (void)snprintf(what, sizeof what, "/dev/%.32s is registered with bcache", name);
        (void)snprintf(remedy, sizeof remedy, "write 1 to /sys/class/block/%.32s/bcache/stop first", name);
        v->blocks.what = what;
        v->blocks.remedy = has(v->blocks.root, name, "bcache/stop") ? remedy : NULL;
        r = add_member(name, v);
        mark_untold(v, known);
        return r;
}

static int stop_at_first(const char *name _unused_, void *userdata _unused_) {
        return 1;
}

static int take_block(const char *name, void *userdata) {
        char path[NAME_MAX + 64];
        Volumes *v = userdata;
        int r;

        (void)snprintf(path, sizeof path, "sys/class/block/%s/slaves", name);
        if (sysfs_each(v->blocks.root, path, stop_at_first, NULL) > 0) {
                r = take_volume(name, v);
                if (r < 0)
                        return r;
        }
        return !startswith(name, "bcache") && has(v->blocks.root, name, "bcache") ? take_bcache(name, v) : 0;
}

/* The directory of each pool that is imported, mounted or not; beside them are files. */
static int take_pool(const char *pool, void *userdata) {
        char path[NAME_MAX + 64], what[BLOCK_WHAT_SIZE], remedy[128];
        Volumes *v = userdata;
        size_t known = v->blocks.facts->n_uses;
        struct stat st;
        int r;

        (void)snprintf(path, sizeof path, "proc/spl/kstat/zfs/%s", pool);
        if (fstatat(v->blocks.root, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
                return 0;

        (void)snprintf(what, sizeof what, "the imported ZFS pool %.100s has a member on it", pool);
        (void)snprintf(remedy, sizeof remedy, "'zpool export %.80s' first", pool);
        v->blocks.what = what;
        v->blocks.remedy = remedy;
        r = blocks_add_zfs(&v->blocks, pool);
        mark_untold(v, known);
        return r < 0 ? r : 0;
}

int host_volumes_load(int root, HostFacts *facts) {
        Volumes v = {
                        .blocks = {.root = root,
                                   .facts = facts,
                                   .reason = CRITICAL_VOLUME_MEMBER,
                                   .one_level = true},
        };
        int r;

        assert(facts);

        v.n_watched = facts->n_uses;
        r = sysfs_each(root, "sys/class/block", take_block, &v);
        if (r < 0)
                return r;

        v.blocks.one_level = false; /* ZFS on LUKS */
        r = sysfs_each(root, "proc/spl/kstat/zfs", take_pool, &v);
        return r == -ENOENT ? 0 : r;
}
