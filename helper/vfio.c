/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "sysfs.h"
#include "text.h"
#include "vfio.h"

int vfio_in_use(int root, unsigned iommu_set) {
        _cleanup_close_ int fd = -1;
        char path[32];

        (void)snprintf(path, sizeof path, "dev/vfio/%u", iommu_set);
        fd = openat(root, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd >= 0)
                return 0;
        return errno == EBUSY ? 1 : -errno;
}

int vfio_check_node(int fd, int at, const char *number) {
        char is[32], expected[32];
        struct stat st;
        int r;

        r = sysfs_read(at, number, expected, sizeof expected);
        if (r < 0)
                return r;
        if (fstat(fd, &st) < 0)
                return -errno;

        (void)snprintf(is, sizeof is, "%u:%u", major(st.st_rdev), minor(st.st_rdev));
        return S_ISCHR(st.st_mode) && streq(is, expected) ? 0 : -ENXIO;
}

int vfio_lock_device(int fd) {
        return flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
}

typedef struct HolderSearch {
        int proc;
        const IommuSet *set;
        char *buf;
        size_t size, used;
        unsigned found;
} HolderSearch;

static bool names_member(const IommuSet *set, const char *command_line, size_t length) {
        char address[PCI_ADDRESS_SIZE];

        for (size_t i = 0; i < set->n_members; i++) {
                (void)pci_address_format(&set->members[i], address);
                if (memmem(command_line, length, address, strlen(address)))
                        return true;
        }
        return false;
}

static int match_process(const char *name, void *userdata) {
        char path[NAME_MAX + 16], command_line[16384], comm[32], shown[32];
        _cleanup_close_ int fd = -1;
        HolderSearch *s = userdata;
        ssize_t n;

        if (name[0] < '1' || name[0] > '9' || atoi(name) == getpid())
                return 0;

        (void)snprintf(path, sizeof path, "%s/cmdline", name);
        fd = openat(s->proc, path, O_RDONLY | O_CLOEXEC);
        n = fd < 0 ? -1 : read(fd, command_line, sizeof command_line);
        if (n <= 0 || !names_member(s->set, command_line, (size_t)n))
                return 0;

        (void)snprintf(path, sizeof path, "%s/comm", name);
        if (sysfs_read(s->proc, path, comm, sizeof comm) < 0)
                return 0;

        /* A process chooses its own name: keep it from writing our sentence. */
        text_sanitize(shown, sizeof shown, comm, strlen(comm));
        s->used += (size_t)snprintf(s->buf + s->used, s->size - s->used, "%s process %.10s (%s)",
                                    s->found++ > 0 ? "," : "probably held by", name, shown);
        return s->found == 4 || s->used >= s->size;
}

void vfio_describe_holder(int root, const IommuSet *set, char *buf, size_t size) {
        _cleanup_close_ int proc = -1;
        HolderSearch s = {.set = set, .buf = buf, .size = size};

        assert(set);
        assert(buf);

        proc = s.proc = sysfs_open_dir(root, "proc");
        if (proc >= 0)
                (void)sysfs_each(proc, ".", match_process, &s);
        if (s.found == 0)
                (void)snprintf(buf, size, "root finds the holder with 'fuser -v /dev/vfio/%u'", set->number);
}

bool vfio_is_switched_off(int root) {
        char line[8192], *save = NULL;

        if (sysfs_read(root, "proc/cmdline", line, sizeof line) < 0)
                return false;
        for (char *word = strtok_r(line, " ", &save); word; word = strtok_r(NULL, " ", &save))
                if (streq(word, KERNEL_OPTION_OFF))
                        return true;
        return false;
}
