/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>

#include "array.h"
#include "host-blocks.h"
#include "storage-text.h"
#include "sysfs.h"

/* What the next boot needs though it may not be in use now. What is mounted on /boot is told by host-mounts.c. That a
 * disk has an EFI system partition is no reason: those of guests have one, too. Nor is swap that fstab has: a boot
 * waits for it, and goes on. */

#define ENTRIES_MAX 4096U
#define FSTAB_LINE_SIZE 4096
#define UNIT_MAX (16U * 1024U)

/* https://systemd.io/BOOT_LOADER_INTERFACE: the partition that the boot loader was started from. */
#define LOADER_PARTITION "sys/firmware/efi/efivars/LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"

typedef struct Wanted {
        char *link; /* its name below /dev, one of them */
        bool any_case;
        char *what;
        const char *remedy;
        bool in_use; /* a device with this name is mounted: others with it are copies */
} Wanted;

typedef struct Candidate {
        size_t wanted;
        char *name;
        bool in_use;
} Candidate;

typedef struct Boot {
        int root;
        HostFacts *facts;
        Wanted *wanted;
        size_t n_wanted;
        Candidate *candidates;
        size_t n_candidates;
} Boot;

static void clear_boot(Boot *b) {
        for (size_t i = 0; i < b->n_wanted; i++) {
                free(b->wanted[i].link);
                free(b->wanted[i].what);
        }
        for (size_t i = 0; i < b->n_candidates; i++)
                free(b->candidates[i].name);
        free(b->wanted);
        free(b->candidates);
}

static int want(Boot *b, const char *spec, const char *what, const char *remedy) {
        _cleanup_free_ char *l = NULL, *w = NULL;
        char link[PATH_MAX];
        bool any_case;

        if (storage_text_device_link(spec, link, sizeof link, &any_case) <= 0)
                return 0;
        if (b->n_wanted == ENTRIES_MAX)
                return -E2BIG;
        if (array_grow(&b->wanted, b->n_wanted, sizeof *b->wanted) < 0)
                return -ENOMEM;

        l = strdup(link);
        w = strdup(what);
        if (!l || !w)
                return -ENOMEM;
        b->wanted[b->n_wanted++] = (Wanted){STEAL(l), any_case, STEAL(w), remedy, false};
        return 0;
}

static int want_fstab_entry(Boot *b, const FstabEntry *e) {
        const bool boots = streq(e->where, "/") || storage_text_is_boot_place(e->where);
        char what[BLOCK_WHAT_SIZE];

        if (!boots && !e->wanted)
                return 0;
        (void)snprintf(what, sizeof what, "/etc/fstab has %.64s on it for %.56s", e->spec, e->where);
        return want(b, e->spec, what,
                    boots ? NULL : "add 'nofail' to its line there first, or the next boot fails");
}

static int read_fstab(Boot *b) {
        _cleanup_fclose_ FILE *f = NULL;
        _cleanup_close_ int fd = -1;
        char line[FSTAB_LINE_SIZE];
        FstabEntry entry;
        int r;

        fd = openat(b->root, "etc/fstab", O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0) /* some hosts have none, and some keep it from the daemon; the helper reads it */
                return errno == ENOENT || errno == EACCES || errno == EPERM ? 0 : -errno;
        f = fdopen(fd, "r");
        if (!f)
                return -errno;
        (void)STEAL_FD(fd);

        while (storage_text_fstab(f, line, sizeof line, &entry) > 0) {
                r = want_fstab_entry(b, &entry);
                if (r < 0)
                        return r;
        }
        return ferror(f) ? -EIO : 0;
}

/* Mount units that are not from fstab: the administrator's, and what systemd-gpt-auto-generator(8) has found on the
 * disk that this boot came from and puts below an automount. */
static int read_units(Boot *b) {
        static const char *const units[][2] = {
                        {"etc/systemd/system/boot.mount", "/boot"},
                        {"etc/systemd/system/boot-efi.mount", "/boot/efi"},
                        {"etc/systemd/system/efi.mount", "/efi"},
                        {"run/systemd/generator.late/boot.mount", "/boot"},
                        {"run/systemd/generator.late/efi.mount", "/efi"},
        };
        char spec[512], what[BLOCK_WHAT_SIZE];
        int r;

        for (size_t i = 0; i < ELEMENTSOF(units); i++) {
                _cleanup_free_ char *text = NULL;

                /* Whatever is in the way of reading it is in systemd's way, too. */
                if (sysfs_read_full(b->root, units[i][0], UNIT_MAX, &text) < 0 ||
                    storage_text_unit_what(text, spec, sizeof spec) < 0)
                        continue;
                (void)snprintf(what, sizeof what, "/%s has %.64s on it for %s", units[i][0], spec,
                               units[i][1]);
                r = want(b, spec, what, NULL);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int read_loader(Boot *b) {
        char uuid[64], spec[sizeof "PARTUUID=" + sizeof uuid], what[BLOCK_WHAT_SIZE];
        _cleanup_close_ int fd = -1;
        uint8_t data[256];
        ssize_t n;

        fd = openat(b->root, LOADER_PARTITION, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        n = fd < 0 ? -1 : read(fd, data, sizeof data);
        if (n < 0 || storage_text_efi(data, (size_t)n, uuid, sizeof uuid) < 0)
                return 0; /* no EFI, or a boot loader that does not tell */

        (void)snprintf(spec, sizeof spec, "PARTUUID=%s", uuid);
        (void)snprintf(what, sizeof what, "the boot loader was started from partition %s of it", uuid);
        return want(b, spec, what, NULL);
}

static bool is_in_use(const Boot *b, const char *name) {
        char path[PATH_MAX];

        return blocks_path(b->root, name, path, sizeof path) > 0 &&
               (host_facts_have(b->facts, CRITICAL_ROOT_FILESYSTEM, path) ||
                host_facts_have(b->facts, CRITICAL_MOUNTED, path));
}

static int add_candidate(Boot *b, size_t wanted, const char *name) {
        Candidate *c;

        if (array_grow(&b->candidates, b->n_candidates, sizeof *b->candidates) < 0)
                return -ENOMEM;
        c = &b->candidates[b->n_candidates];
        *c = (Candidate){wanted, strdup(name), is_in_use(b, name)};
        if (!c->name)
                return -ENOMEM;
        b->n_candidates++;
        b->wanted[wanted].in_use |= c->in_use;
        return 0;
}

static int take_device(const char *name, const char *record, void *userdata) {
        char node[PATH_MAX];
        Boot *b = userdata;
        int r;

        (void)blocks_node(b->root, name, node, sizeof node);
        for (size_t i = 0; i < b->n_wanted; i++) {
                const Wanted *w = &b->wanted[i];

                if (!streq(w->link, name) && !streq(w->link, node + strlen("/dev/")) &&
                    !storage_text_udev_link(record, w->link, w->any_case))
                        continue;
                r = add_candidate(b, i, name);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int add_candidates(Boot *b) {
        Blocks blocks = {.root = b->root,
                         .facts = b->facts,
                         .reason = CRITICAL_BOOT_DISK,
                         .spare_root = true};
        int r;

        for (size_t i = 0; i < b->n_candidates; i++) {
                const Candidate *c = &b->candidates[i];
                const Wanted *w = &b->wanted[c->wanted];

                if (w->in_use && !c->in_use) /* a guest's disk that began as a copy of the host's */
                        continue;
                blocks.what = w->what;
                blocks.remedy = w->remedy;
                r = blocks_add(&blocks, c->name);
                if (r < 0)
                        return r;
        }
        return 0;
}

int host_boot_load(int root, HostFacts *facts) {
        _cleanup_(clear_boot) Boot b = {.root = root, .facts = facts};
        int r;

        assert(facts);

        if ((r = read_fstab(&b)) < 0 || (r = read_units(&b)) < 0 || (r = read_loader(&b)) < 0)
                return r;
        if (b.n_wanted == 0)
                return 0;

        r = blocks_each_record(root, take_device, &b);
        return r < 0 ? r : add_candidates(&b);
}
