/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "fake-host.h"
#include "standard-devices.h"
#include "fake-kernel.h"
#include "fake-sriov.h"
#include "names.h"

#define CHECK(expression)                                                                                   \
        do {                                                                                                \
                if (!(expression))                                                                          \
                        fail_msg("fake host: %s: %s", #expression, strerror(errno));                        \
        } while (0)

static const char *full(FakeHost *h, const char *path) {
        static char buf[4][PATH_MAX];
        static unsigned i;
        char *p = buf[i++ % 4];

        CHECK(snprintf(p, PATH_MAX, "%s/%s", h->root, path) < PATH_MAX);
        return p;
}

static void make_parents(FakeHost *h, const char *path) {
        char buf[PATH_MAX];

        (void)snprintf(buf, sizeof buf, "%s", path);
        for (char *p = strchr(buf, '/'); p; p = strchr(p + 1, '/')) {
                *p = '\0';
                CHECK(mkdirat(h->fd, buf, 0755) == 0 || errno == EEXIST);
                *p = '/';
        }
}

void fake_host_mkdir(FakeHost *h, const char *path) {
        make_parents(h, path);
        CHECK(mkdirat(h->fd, path, 0755) == 0 || errno == EEXIST);
}

static void write_file(FakeHost *h, const char *path, int flags, const void *data, size_t size) {
        _cleanup_close_ int fd = -1;

        make_parents(h, path);
        fd = openat(h->fd, path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);
        CHECK(fd >= 0);
        CHECK(write(fd, data, size) == (ssize_t)size);
}

void fake_host_write_bytes(FakeHost *h, const char *path, const void *data, size_t size) {
        write_file(h, path, O_TRUNC, data, size);
}

void fake_host_write(FakeHost *h, const char *path, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;
        int n;

        va_start(ap, format);
        n = vasprintf(&text, format, ap);
        va_end(ap);
        CHECK(n >= 0);
        write_file(h, path, O_TRUNC, text, (size_t)n);
}

void fake_host_append(FakeHost *h, const char *path, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;
        int n;

        va_start(ap, format);
        n = vasprintf(&text, format, ap);
        va_end(ap);
        CHECK(n >= 0);
        write_file(h, path, O_APPEND, text, (size_t)n);
}

void fake_host_link(FakeHost *h, const char *path, const char *target) {
        make_parents(h, path);
        (void)unlinkat(h->fd, path, 0);
        CHECK(symlinkat(target, h->fd, path) == 0);
}

static int remove_one(const char *path, const struct stat *st _unused_, int type _unused_,
                      struct FTW *ftw _unused_) {
        return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

void fake_host_remove(FakeHost *h, const char *path) {
        if (fake_host_exists(h, path))
                CHECK(nftw(full(h, path), remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0);
}

bool fake_host_exists(FakeHost *h, const char *path) {
        struct stat st;

        return fstatat(h->fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

char *fake_host_read(FakeHost *h, const char *path) {
        _cleanup_close_ int fd = -1;
        struct stat st;
        char *text;
        ssize_t n;

        fd = openat(h->fd, path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return NULL;

        CHECK(fstat(fd, &st) == 0);
        text = malloc((size_t)st.st_size + 1);
        CHECK(text);
        n = read(fd, text, (size_t)st.st_size);
        CHECK(n >= 0);
        text[n] = '\0';
        return text;
}

/* What every host has. */
static void furnish(FakeHost *h) {
        static const char *const directories[] = {
                        "dev/vfio",
                        GRANTS_DIR,
                        PENDING_GRANTS_DIR,
                        MOVES_DIR,
                        LOCKS_DIR,
                        ACCESS_DIR,
                        "fake/held",
                        "fake/lock",
                        "fake/natural",
                        "sys/bus/pci/devices",
                        "sys/bus/pci/slots",
                        ("sys/bus/pci/drivers/" VFIO_DRIVER),
                        "sys/class/block",
                        "sys/class/net",
                        "sys/class/graphics",
                        "sys/class/tty",
                        "sys/class/iommu",
                        "sys/dev/block",
                        "sys/devices",
                        "sys/fs",
                        "sys/kernel/iommu_groups",
                        STATE_DIR,
        };

        for (size_t i = 0; i < ELEMENTSOF(directories); i++)
                fake_host_mkdir(h, directories[i]);

        fake_host_write(h, "fake/log", "%s", "");
        fake_host_write(h, "fake/hang", "%s", "");
        fake_host_write(h, "fake/network", "%s", "");
        fake_host_write(h, "sys/bus/pci/drivers_probe", "%s", "");
        fake_host_write(h, "dev/vfio/vfio", "%s", "");
        fake_host_write(h, "proc/cmdline", "root=/dev/vda1 quiet\n");
        fake_host_write(h, "proc/sys/kernel/random/boot_id", "01234567-89ab-cdef-0123-456789abcdef\n");
        fake_host_write(h, "proc/interrupts",
                        "           CPU0\n  0:         12   IO-APIC   2-edge      timer\n");
        fake_host_write(h, "proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
        fake_host_write(h, "proc/self/mountinfo",
                        "22 1 0:21 / /proc rw,relatime shared:5 - proc proc rw\n"
                        "23 1 0:22 / /sys rw,relatime - sysfs sysfs rw\n");
}

FakeHost *fake_host_new(void) {
        char template[PATH_MAX];
        const char *tmp;
        FakeHost *h;

        h = calloc(1, sizeof *h);
        CHECK(h);
        tmp = getenv("TMPDIR");
        (void)snprintf(template, sizeof template, "%s/verge-fake-XXXXXX", tmp ? tmp : "/tmp");
        CHECK(mkdtemp(template));
        h->root = realpath(template, NULL);
        CHECK(h->root);
        CHECK(chmod(h->root, 0755) == 0); /* the daemon under test is another user */
        h->fd = open(h->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        CHECK(h->fd >= 0);

        furnish(h);
        fake_kernel_attach(h->root);
        return h;
}

FakeHost *fake_host_free(FakeHost *h) {
        if (!h)
                return NULL;

        (void)nftw(h->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        close(h->fd);
        free(h->root);
        free(h);
        return NULL;
}

const char *fake_host_device_path(FakeHost *h, const char *address) {
        static char buf[PATH_MAX];
        char path[PATH_MAX];
        ssize_t n;

        (void)snprintf(path, sizeof path, "sys/bus/pci/devices/%s", address);
        n = readlinkat(h->fd, path, buf, sizeof buf - 1);
        CHECK(n > (ssize_t)strlen("../../../"));
        buf[n] = '\0';
        return buf + strlen("../../../");
}

static void write_ids(FakeHost *h, const char *dir, const FakeDevice *d) {
        uint8_t config[64] = {
                        [0] = (uint8_t)d->vendor,
                        [1] = (uint8_t)(d->vendor >> 8),
                        [2] = (uint8_t)d->device,
                        [3] = (uint8_t)(d->device >> 8),
                        [8] = d->revision,
                        [9] = (uint8_t)d->class_code,
                        [10] = (uint8_t)(d->class_code >> 8),
                        [11] = (uint8_t)(d->class_code >> 16),
                        [14] = d->class_code >> 8 == 0x0604 ? 1 : 0,
        };
        char path[PATH_MAX];

#define ATTRIBUTE(name, ...)                                                                                \
        (snprintf(path, sizeof path, "%s/" name, dir), fake_host_write(h, path, __VA_ARGS__))
        ATTRIBUTE("vendor", "0x%04x\n", d->vendor);
        ATTRIBUTE("device", "0x%04x\n", d->device);
        ATTRIBUTE("subsystem_vendor", "0x%04x\n", d->subsystem_vendor);
        ATTRIBUTE("subsystem_device", "0x%04x\n", d->subsystem_device);
        ATTRIBUTE("class", "0x%06x\n", d->class_code);
        ATTRIBUTE("revision", "0x%02x\n", d->revision);
        ATTRIBUTE("numa_node", "-1\n");
        ATTRIBUTE("driver_override", "(null)\n");
        ATTRIBUTE("modalias", "pci:v%08Xd%08Xsv%08Xsd%08Xbc%02Xsc%02Xi%02X\n", d->vendor, d->device,
                  d->subsystem_vendor, d->subsystem_device, d->class_code >> 16, d->class_code >> 8 & 0xff,
                  d->class_code & 0xff);
        ATTRIBUTE("uevent", "PCI_SLOT_NAME=%s\n", d->address);
        ATTRIBUTE("reset_method", "%s\n", strempty(d->reset_methods));
        if (d->reset_methods)
                ATTRIBUTE("reset", "%s", "");
        if (d->class_code >> 16 == 0x03)
                ATTRIBUTE("boot_vga", "%d\n", d->boot_vga);
#undef ATTRIBUTE
        (void)snprintf(path, sizeof path, "%s/config", dir);
        fake_host_write_bytes(h, path, config, sizeof config);
        if (d->vpd) {
                (void)snprintf(path, sizeof path, "%s/vpd", dir);
                fake_host_write_bytes(h, path, d->vpd, d->vpd_size);
        }
}

/* "../" as often as the path is deep: from a link in this directory up to sys/. */
static const char *up(const char *path) {
        static char buf[256];
        size_t n = 0;

        for (buf[0] = '\0'; path; path = strchr(path, '/') ? strchr(path, '/') + 1 : NULL)
                n += (size_t)snprintf(buf + n, sizeof buf - n, "../");
        return buf;
}

static void join_iommu_set(FakeHost *h, const char *path, const FakeDevice *d) {
        char link[PATH_MAX], target[PATH_MAX];

        (void)snprintf(link, sizeof link, "sys/%s/iommu_group", path);
        (void)snprintf(target, sizeof target, "%skernel/iommu_groups/%u", up(path), d->iommu_set);
        fake_host_link(h, link, target);
        (void)snprintf(link, sizeof link, "sys/kernel/iommu_groups/%u/devices/%s", d->iommu_set, d->address);
        (void)snprintf(target, sizeof target, "../../../../%s", path);
        fake_host_link(h, link, target);
        (void)snprintf(link, sizeof link, "sys/kernel/iommu_groups/%u/type", d->iommu_set);
        fake_host_write(h, link, "DMA\n");
        (void)snprintf(link, sizeof link, "sys/kernel/iommu_groups/%u/reserved_regions", d->iommu_set);
        fake_host_write(h, link, "%s", d->reserved ?: "0x00000000fee00000 0x00000000feefffff msi\n");
}

static void link_to_physfn(FakeHost *h, const char *path, const FakeDevice *d) {
        char link[PATH_MAX], target[PATH_MAX], pf[PATH_MAX];
        unsigned n = 0;

        (void)snprintf(pf, sizeof pf, "%s", fake_host_device_path(h, d->physfn));
        (void)snprintf(link, sizeof link, "sys/%s/physfn", path);
        (void)snprintf(target, sizeof target, "../%s", d->physfn);
        fake_host_link(h, link, target);
        do
                (void)snprintf(link, sizeof link, "sys/%s/virtfn%u", pf, n++);
        while (fake_host_exists(h, link));
        (void)snprintf(target, sizeof target, "../%s", d->address);
        fake_host_link(h, link, target);
        (void)snprintf(link, sizeof link, "sys/%s/sriov_numvfs", pf);
        fake_host_write(h, link, "%u\n", n);
        (void)snprintf(link, sizeof link, "sys/%s/sriov_totalvfs", pf);
        if (!fake_host_exists(h, link))
                fake_host_write(h, link, "8\n");
}

void fake_host_add_device(FakeHost *h, const FakeDevice *d) {
        char path[PATH_MAX], dir[PATH_MAX], link[PATH_MAX], target[PATH_MAX];

        if (d->below)
                (void)snprintf(path, sizeof path, "%s/%s", fake_host_device_path(h, d->below), d->address);
        else
                (void)snprintf(path, sizeof path, "devices/pci%.*s/%s", (int)(strlen(d->address) - 5),
                               d->address, d->address);
        (void)snprintf(dir, sizeof dir, "sys/%s", path);
        fake_host_mkdir(h, dir);
        write_ids(h, dir, d);
        (void)snprintf(link, sizeof link, "%s/subsystem", dir);
        (void)snprintf(target, sizeof target, "%sbus/pci", up(path));
        fake_host_link(h, link, target);
        if (d->iommu_set > 0)
                join_iommu_set(h, path, d);
        if (d->physfn)
                link_to_physfn(h, path, d);
        if (d->total_vfs > 0)
                fake_sriov_add(h, dir, d);
        if (d->slot) {
                (void)snprintf(link, sizeof link, "sys/bus/pci/slots/%s/address", d->slot);
                fake_host_write(h, link, "%.*s\n", (int)(strlen(d->address) - 2), d->address);
        }

        /* Last what makes it visible: a reader that comes at any time sees a whole device. */
        (void)snprintf(link, sizeof link, "sys/bus/pci/devices/%s", d->address);
        (void)snprintf(target, sizeof target, "../../../%s", path);
        fake_host_link(h, link, target);
        fake_kernel_uevent("add", d->address);
        if (d->driver) {
                (void)snprintf(link, sizeof link, "sys/bus/pci/drivers/%s", d->driver);
                fake_host_mkdir(h, link);
                (void)snprintf(link, sizeof link, "fake/natural/%s", d->address);
                fake_host_write(h, link, "%s", d->driver);
                CHECK(fake_kernel_bind(full(h, dir), d->driver) == 0);
        }
}

void fake_host_remove_device(FakeHost *h, const char *address) {
        fake_kernel_remove(address);
}

const char *fake_host_driver(FakeHost *h, const char *address) {
        static char target[PATH_MAX];
        char path[PATH_MAX], *name;
        ssize_t n;

        (void)snprintf(path, sizeof path, "sys/bus/pci/devices/%s/driver", address);
        n = readlinkat(h->fd, path, target, sizeof target - 1);
        if (n < 0)
                return "";
        target[n] = '\0';
        name = strrchr(target, '/');
        return name ? name + 1 : target;
}

const char *fake_host_override(FakeHost *h, const char *address) {
        static char text[256];
        char path[PATH_MAX];
        char *got;

        (void)snprintf(path, sizeof path, "sys/bus/pci/devices/%s/driver_override", address);
        got = fake_host_read(h, path);
        CHECK(got);
        (void)snprintf(text, sizeof text, "%.*s", (int)strcspn(got, "\n"), got);
        free(got);
        return text;
}

static const char *last_part(const char *path) {
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

void fake_host_add_block(FakeHost *h, const char *path, const char *number) {
        char file[PATH_MAX], target[PATH_MAX];

        (void)snprintf(file, sizeof file, "sys/%s/dev", path);
        fake_host_write(h, file, "%s\n", number);

        /* Below another block device it is one of its partitions. */
        (void)snprintf(file, sizeof file, "sys/%.*s/dev", (int)(last_part(path) - path - 1), path);
        if (fake_host_exists(h, file)) {
                (void)snprintf(file, sizeof file, "sys/%s/partition", path);
                fake_host_write(h, file, "1\n");
        }
        (void)snprintf(target, sizeof target, "../../%s", path);
        (void)snprintf(file, sizeof file, "sys/class/block/%s", last_part(path));
        fake_host_link(h, file, target);
        (void)snprintf(file, sizeof file, "sys/dev/block/%s", number);
        fake_host_link(h, file, target);
}

void fake_host_add_slave(FakeHost *h, const char *upper, const char *lower) {
        char path[PATH_MAX], target[PATH_MAX];

        (void)snprintf(path, sizeof path, "sys/class/block/%s/slaves/%s", upper, lower);
        (void)snprintf(target, sizeof target, "../../../../../class/block/%s", lower);
        fake_host_link(h, path, target);
}

void fake_host_mount(FakeHost *h, const char *number, const char *where, const char *type,
                     const char *source) {
        static unsigned id = 30;

        fake_host_append(h, "proc/self/mountinfo", "%u 1 %s / %s rw,relatime shared:1 - %s %s rw\n", id++,
                         number, where, type, source);
}

void fake_host_swap(FakeHost *h, const char *device) {
        fake_host_append(h, "proc/swaps", "%s                             %s\t8388604\t0\t-2\n", device,
                         startswith(device, "/dev/") ? "partition" : "file");
}

void fake_host_add_net(FakeHost *h, const char *path) {
        char file[PATH_MAX], target[PATH_MAX];

        (void)snprintf(file, sizeof file, "sys/%s", path);
        fake_host_mkdir(h, file);
        (void)snprintf(file, sizeof file, "sys/class/net/%s", last_part(path));
        (void)snprintf(target, sizeof target, "../../%s", path);
        fake_host_link(h, file, target);
}

void fake_host_add_lower(FakeHost *h, const char *upper, const char *lower) {
        char path[PATH_MAX], target[PATH_MAX];

        (void)snprintf(path, sizeof path, "sys/class/net/%s/lower_%s", upper, lower);
        (void)snprintf(target, sizeof target, "../%s", lower);
        fake_host_link(h, path, target);
        (void)snprintf(path, sizeof path, "sys/class/net/%s/upper_%s", lower, upper);
        (void)snprintf(target, sizeof target, "../%s", upper);
        fake_host_link(h, path, target);
}

void fake_host_add_port(FakeHost *h, const char *upper, const char *lower) {
        char path[PATH_MAX], target[PATH_MAX];

        fake_host_add_lower(h, upper, lower);
        (void)snprintf(path, sizeof path, "sys/class/net/%s/master", lower);
        (void)snprintf(target, sizeof target, "../%s", upper);
        fake_host_link(h, path, target);
}

void fake_host_add_session(FakeHost *h, unsigned uid, const char *peer) {
        fake_host_append(h, "fake/sessions", "%u %s\n", uid, peer);
}

void fake_host_add_route(FakeHost *h, const char *address, const char *interface) {
        fake_host_append(h, "fake/routes", "%s %s\n", address, interface);
}

void fake_host_add_network_address(FakeHost *h, const char *interface, const char *text) {
        fake_host_append(h, "fake/network", "address %s %s\n", interface, text);
}

void fake_host_add_default_route(FakeHost *h, const char *interface, const char *family) {
        fake_host_append(h, "fake/network", "default-route %s %s\n", interface, family);
}

/* Locks of open files: they end with the test, whatever becomes of it, and whoever waits is woken. */
static void take_lock(FakeHost *h, const char *path, bool take) {
        static struct {
                char path[PATH_MAX];
                int fd;
        } held[8];
        const char *file = full(h, path);
        size_t i;

        for (i = 0; i < ELEMENTSOF(held) && !streq(held[i].path, file); i++)
                ;
        if (!take) {
                if (i == ELEMENTSOF(held))
                        return;
                CHECK(flock(held[i].fd, LOCK_UN) == 0);
                close(held[i].fd);
                held[i].path[0] = '\0';
                return;
        }

        if (i < ELEMENTSOF(held)) /* has it already */
                return;
        for (i = 0; i < ELEMENTSOF(held) && held[i].path[0]; i++)
                ;
        CHECK(i < ELEMENTSOF(held));
        held[i].fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        CHECK(held[i].fd >= 0);
        CHECK(flock(held[i].fd, LOCK_EX) == 0);
        (void)snprintf(held[i].path, sizeof held[i].path, "%s", file);
}

void fake_host_hold_vfio(FakeHost *h, unsigned set, bool hold) {
        char path[64];

        (void)snprintf(path, sizeof path, "fake/held/%u", set);
        take_lock(h, path, hold);
}

void fake_host_add_cdev(FakeHost *h) {
        fake_host_write(h, "fake/cdev", "0\n");
        fake_host_mkdir(h, "dev/vfio/devices");
        fake_host_write(h, "dev/iommu", "%s", "");
}

void fake_host_hold_device(FakeHost *h, const char *address, bool hold) {
        char path[64];

        (void)snprintf(path, sizeof path, "fake/held/%s", address);
        take_lock(h, path, hold);
}

void fake_host_hold_uevents(FakeHost *h, bool hold) {
        _cleanup_free_ char *lines = NULL;

        if (hold) {
                CHECK(renameat(h->fd, "fake/uevents", h->fd, "fake/uevents.pipe") == 0);
                fake_host_write(h, "fake/uevents", "%s", "");
                return;
        }
        lines = fake_host_read(h, "fake/uevents");
        CHECK(renameat(h->fd, "fake/uevents.pipe", h->fd, "fake/uevents") == 0);
        if (lines[0])
                write_file(h, "fake/uevents", O_NONBLOCK, lines, strlen(lines));
}

void fake_host_hold_network(FakeHost *h, bool hold) {
        int fd;

        take_lock(h, "fake/network", hold);
        if (hold) {
                CHECK(mkfifo(full(h, "fake/asked"), 0600) == 0);
                CHECK(chmod(full(h, "fake/asked"), 0666) == 0);
                return;
        }
        fd = open(full(h, "fake/asked"), O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* who waits may go on */
        fake_host_remove(h, "fake/asked");
        closep(&fd);
}

void fake_host_wait_for_network(FakeHost *h) {
        close(open(full(h, "fake/asked"), O_RDONLY | O_CLOEXEC));
}

void fake_host_fail(FakeHost *h, const char *rule) {
        if (strstr(rule, " hang"))
                take_lock(h, "fake/hang", true);
        fake_host_append(h, "fake/fail", "%s\n", rule);
}

void fake_host_let_go(FakeHost *h) {
        take_lock(h, "fake/hang", false);
}

void fake_host_clear(FakeHost *h) {
        fake_host_remove(h, "fake/fail");
        fake_host_write(h, "fake/log", "%s", "");
        fake_host_let_go(h);
}

char *fake_host_log(FakeHost *h) {
        return fake_host_read(h, "fake/log");
}

void fake_host_add_standard_devices(FakeHost *h) {
        fake_host_add_device(h, &(FakeDevice){.address = NIC,
                                              .vendor = 0x8086,
                                              .device = 0x10d3,
                                              .class_code = 0x020000,
                                              .driver = "e1000e",
                                              .iommu_set = 7,
                                              .reset_methods = "flr bus",
                                              .slot = "1"});
        fake_host_add_device(h, &(FakeDevice){.address = BRIDGE,
                                              .vendor = 0x1b36,
                                              .device = 0x000e,
                                              .class_code = 0x060400,
                                              .iommu_set = 9});
        fake_host_add_device(h, &(FakeDevice){.address = PAIR_NIC,
                                              .vendor = 0x8086,
                                              .device = 0x10d3,
                                              .class_code = 0x020000,
                                              .driver = "e1000e",
                                              .iommu_set = 9,
                                              .below = BRIDGE});
        fake_host_add_device(h, &(FakeDevice){.address = PAIR_NVME,
                                              .vendor = 0x1b36,
                                              .device = 0x0010,
                                              .class_code = 0x010802,
                                              .driver = "nvme",
                                              .iommu_set = 9,
                                              .below = BRIDGE});
}
