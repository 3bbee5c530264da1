/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "fake-kernel.h"
#include "fake-sriov.h"
#include "host-network.h"
#include "host-sessions.h"
#include "pci-identity.h"
#include "sysfs-write.h"
#include "sysfs.h"
#include "vfio.h"

int __wrap_sysfs_write(int at, const char *path, const char *data);
int __wrap_host_network_each(network_use_t f, void *userdata);
int __wrap_host_network_route(const char *address, network_interface_t f, void *userdata);
int __wrap_host_sessions_each(host_session_t f, void *userdata);
int __wrap_vfio_in_use(int root, unsigned iommu_set);
int __wrap_node_check(int fd, int at, const char *number);

static char fake_root[PATH_MAX];

void fake_kernel_attach(const char *root) {
        (void)snprintf(fake_root, sizeof fake_root, "%s", root);
}

const char *fake_kernel_root(void) {
        return fake_root;
}

static const char *at_root(char buf[static PATH_MAX], const char *format, ...) _printf_(2, 3);
static const char *at_root(char buf[static PATH_MAX], const char *format, ...) {
        va_list ap;
        int n;

        n = snprintf(buf, PATH_MAX, "%s/", fake_root);
        va_start(ap, format);
        n += vsnprintf(buf + n, (size_t)(PATH_MAX - n), format, ap);
        va_end(ap);
        assert(n < PATH_MAX);
        return buf;
}

/* In one step, as a kernel does: no reader sees an attribute half written. */
static int replace_file(const char *path, const char *text) {
        _cleanup_close_ int fd = -1;
        char other[PATH_MAX + 8];

        (void)snprintf(other, sizeof other, "%s.new", path);
        fd = open(other, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (fd < 0 || write(fd, text, strlen(text)) < 0 || rename(other, path) < 0)
                return -errno;
        return 0;
}

static void append_line(const char *path, const char *line, int flags) {
        _cleanup_close_ int fd = -1;

        fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0644);
        if (fd >= 0)
                (void)!write(fd, line, strlen(line));
}

static _printf_(1, 2) void log_write(const char *format, ...) {
        char line[256], path[PATH_MAX];
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(line, sizeof line, format, ap);
        va_end(ap);
        append_line(at_root(path, "fake/log"), line, O_APPEND | O_CREAT);
}

void fake_kernel_uevent(const char *action, const char *address) {
        char line[64], path[PATH_MAX];

        (void)snprintf(line, sizeof line, "%s %s\n", action, address);
        append_line(at_root(path, "fake/uevents"), line, O_APPEND | O_NONBLOCK);
}

static const char *last_part(const char *path) {
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

static int driver_of(const char *device_dir, char name[static PCI_DRIVER_SIZE]) {
        char path[PATH_MAX];

        (void)snprintf(path, sizeof path, "%.4000s/driver", device_dir);
        return sysfs_read_link_name(AT_FDCWD, path, name, PCI_DRIVER_SIZE);
}

static int set_of(const char *device_dir, char name[static 32]) {
        char path[PATH_MAX];

        (void)snprintf(path, sizeof path, "%.4000s/iommu_group", device_dir);
        return sysfs_read_link_name(AT_FDCWD, path, name, 32);
}

/* Does a VM own the set? The one who plays the VM has a lock on the file. */
static bool is_held(const char *set) {
        _cleanup_close_ int fd = -1;
        char path[PATH_MAX];

        fd = open(at_root(path, "fake/held/%s", set), O_RDONLY | O_CLOEXEC);
        return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0;
}

static void wait_for(const char *file) {
        _cleanup_close_ int fd = -1;
        char path[PATH_MAX];

        fd = open(at_root(path, "fake/%s", file), O_RDONLY | O_CLOEXEC);
        while (fd >= 0 && flock(fd, LOCK_SH) < 0 && errno == EINTR)
                ;
}

/* A kernel with VFIO's cdev: a node for each device on vfio-pci, which sysfs names. Numbers are not used again. */
static void add_device_node(const char *device_dir) {
        _cleanup_close_ int lock = -1;
        char path[PATH_MAX], text[32];
        uint64_t n = 0;

        /* Devices of two sets come at the same time, and must not get one number. */
        lock = open(at_root(path, "fake/lock/cdev"), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        while (lock >= 0 && flock(lock, LOCK_EX) < 0 && errno == EINTR)
                ;
        if (sysfs_read_u64(AT_FDCWD, at_root(path, "fake/cdev"), 10, &n) < 0)
                return;
        (void)snprintf(text, sizeof text, "%u\n", (unsigned)n + 1);
        (void)replace_file(path, text);

        (void)snprintf(path, sizeof path, "%.4000s/vfio-dev", device_dir);
        (void)mkdir(path, 0755);
        (void)snprintf(path, sizeof path, "%.4000s/vfio-dev/vfio%u", device_dir, (unsigned)n);
        (void)mkdir(path, 0755);
        (void)snprintf(path, sizeof path, "%.4000s/vfio-dev/vfio%u/dev", device_dir, (unsigned)n);
        (void)replace_file(path, "240:0\n");
        append_line(at_root(path, "dev/vfio/devices/vfio%u", (unsigned)n), "", O_CREAT);
}

/* Waits for all who hold the device: the honest have a lock on its node, for the others there is a file. */
static int remove_device_node(const char *name, void *userdata) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        const char *device_dir = userdata;
        _cleanup_close_ int fd = -1;
        char path[PATH_MAX], held[48];

        fd = open(at_root(path, "dev/vfio/devices/%s", name), O_RDWR | O_CLOEXEC);
        if (fd >= 0 && fcntl(fd, F_OFD_SETLK, &lock) < 0) {
                log_write("unbind %s = HANG\n", last_part(device_dir));
                while (fcntl(fd, F_OFD_SETLKW, &lock) < 0 && errno == EINTR)
                        ;
        }
        (void)snprintf(held, sizeof held, "held/%s", last_part(device_dir));
        if (is_held(last_part(device_dir))) {
                log_write("unbind %s = HANG\n", last_part(device_dir));
                wait_for(held);
        }
        (void)unlink(path);

        (void)snprintf(path, sizeof path, "%.3000s/vfio-dev/%.64s/dev", device_dir, name);
        (void)unlink(path);
        (void)snprintf(path, sizeof path, "%.3000s/vfio-dev/%.64s", device_dir, name);
        (void)rmdir(path);
        return 1;
}

static int count_entry(const char *name _unused_, void *userdata) {
        char path[PATH_MAX], driver[PCI_DRIVER_SIZE];
        struct {
                const char *set;
                unsigned n;
        } *c = userdata;

        at_root(path, "sys/kernel/iommu_groups/%s/devices/%s", c->set, name);
        c->n += driver_of(path, driver) > 0 && streq(driver, VFIO_DRIVER);
        return 0;
}

/* /dev/vfio/N is there while a member of the set is bound to vfio-pci. */
static void mind_vfio_node(const char *device_dir) {
        char path[PATH_MAX], set[32];
        struct {
                const char *set;
                unsigned n;
        } c = {set, 0};

        if (set_of(device_dir, set) < 0)
                return;
        (void)sysfs_each(AT_FDCWD, at_root(path, "sys/kernel/iommu_groups/%s/devices", set), count_entry,
                         &c);
        at_root(path, "dev/vfio/%s", set);
        if (c.n > 0)
                closep(&(int){open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600)});
        else
                (void)unlink(path);
}

/* What vfio_pci_core_register_device() and vfio_pci_is_denylisted() would say. */
static bool vfio_accepts(const char *device_dir) {
        char path[PATH_MAX], set[32];
        uint64_t class_code = 0;

        (void)snprintf(path, sizeof path, "%.4000s/class", device_dir);
        if (sysfs_read_u64(AT_FDCWD, path, 16, &class_code) < 0 || class_code >> 8 == 0x0604 ||
            class_code >> 8 == 0x0609)
                return false;
        (void)snprintf(path, sizeof path, "%.4000s/virtfn0", device_dir);
        return set_of(device_dir, set) > 0 && faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0;
}

int fake_kernel_bind(const char *device_dir, const char *driver) {
        char path[PATH_MAX], target[PATH_MAX], set[32];
        const char *address = last_part(device_dir);

        if (faccessat(AT_FDCWD, at_root(path, "sys/bus/pci/drivers/%s", driver), F_OK, 0) < 0)
                return -ENODEV;
        if (streq(driver, VFIO_DRIVER) ? !vfio_accepts(device_dir)
                                       : set_of(device_dir, set) > 0 && is_held(set))
                return -EINVAL;

        at_root(path, "sys/bus/pci/drivers/%s/%s", driver, address);
        (void)snprintf(target, sizeof target, "../../../../%s",
                       device_dir + strlen(fake_root) + strlen("/sys/"));
        if (symlink(target, path) < 0 && errno != EEXIST)
                return -errno;

        /* The way up: one level for each directory between the device and sys. */
        size_t n = 0;
        for (const char *p = device_dir + strlen(fake_root) + strlen("/sys"); *p; p++)
                if (*p == '/')
                        n += (size_t)snprintf(target + n, sizeof target - n, "../");
        (void)snprintf(target + n, sizeof target - n, "bus/pci/drivers/%s", driver);
        (void)snprintf(path, sizeof path, "%.4000s/driver", device_dir);
        if (symlink(target, path) < 0)
                return -errno;

        mind_vfio_node(device_dir);
        if (streq(driver, VFIO_DRIVER))
                add_device_node(device_dir);
        fake_kernel_uevent("bind", address);
        return 0;
}

/* The numbers of IOMMU sets are given one by one. */
static int set_functions(const char *device_dir, unsigned n) {
        FakeHost h = {.root = fake_root, .fd = open(fake_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
        _cleanup_close_ int lock = -1;
        char path[PATH_MAX];
        int r;

        if (n > 0) {
                lock = open(at_root(path, "fake/sriov-lock"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
                if (lock < 0 || flock(lock, LOCK_EX) < 0)
                        return -errno;
        }
        r = h.fd < 0 ? -errno : fake_sriov_set_number(&h, device_dir, n);
        closep(&h.fd);
        return r;
}

static void remove_functions(const char *device_dir) {
        FakeHost h = {.root = fake_root, .fd = open(fake_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};

        if (h.fd >= 0)
                fake_sriov_remove_functions(&h, device_dir);
        closep(&h.fd);
}

static int set_autoprobe(const char *device_dir, const char *data) {
        FakeHost h = {.root = fake_root, .fd = open(fake_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
        int r;

        r = h.fd < 0 ? -errno : fake_sriov_set_autoprobe(&h, device_dir, data);
        closep(&h.fd);
        return r;
}

int fake_kernel_unbind(const char *device_dir) {
        char path[PATH_MAX], driver[PCI_DRIVER_SIZE], set[32], held[48], dir[PATH_MAX];
        const char *address = last_part(device_dir);

        if (driver_of(device_dir, driver) < 0)
                return -ENODEV;

        /* First the links, as the kernel does it: who asks for functions meanwhile is told that there is no driver. */
        (void)unlink(at_root(path, "sys/bus/pci/drivers/%s/%s", driver, address));
        (void)snprintf(path, sizeof path, "%.4000s/driver", device_dir);
        if (unlink(path) < 0)
                return -errno;
        remove_functions(device_dir); /* they do not outlive it */

        /* The link is gone at once; vfio then waits for the one who has the group open. */
        if (streq(driver, VFIO_DRIVER) && set_of(device_dir, set) > 0 && is_held(set)) {
                (void)snprintf(held, sizeof held, "held/%s", set);
                log_write("unbind %s = HANG\n", address);
                wait_for(held);
        }
        if (streq(driver, VFIO_DRIVER)) {
                (void)snprintf(dir, sizeof dir, "%s", device_dir);
                (void)snprintf(path, sizeof path, "%.4000s/vfio-dev", device_dir);
                (void)sysfs_each(AT_FDCWD, path, remove_device_node, dir);
        }

        mind_vfio_node(device_dir);
        fake_kernel_uevent("unbind", address);
        return 0;
}

void fake_kernel_unbind_address(const char *address) {
        char link[PATH_MAX], device_dir[PATH_MAX];

        if (realpath(at_root(link, "sys/bus/pci/devices/%s", address), device_dir))
                (void)fake_kernel_unbind(device_dir);
}

static int remove_one(const char *path, const struct stat *st _unused_, int type _unused_,
                      struct FTW *ftw _unused_) {
        return remove(path) < 0 ? -1 : 0;
}

void fake_kernel_remove(const char *address) {
        char link[PATH_MAX], device_dir[PATH_MAX], path[PATH_MAX], set[32];

        if (!realpath(at_root(link, "sys/bus/pci/devices/%s", address), device_dir))
                return;

        (void)fake_kernel_unbind(device_dir);
        if (set_of(device_dir, set) > 0)
                (void)unlink(at_root(path, "sys/kernel/iommu_groups/%s/devices/%s", set, address));
        (void)unlink(link);
        (void)nftw(device_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        fake_kernel_uevent("remove", address);
}

/* Another card in the same place: same address, other ids. */
static void swap_device(const char *address) {
        char path[PATH_MAX];

        (void)replace_file(at_root(path, "sys/bus/pci/devices/%s/device", address), "0xdead\n");
}

typedef struct Request {
        const char *what;
        char address[PCI_ADDRESS_SIZE];
        char device_dir[PATH_MAX]; /* "" when there is no such device */
        const char *data;
} Request;

static int do_override(const Request *q) {
        char path[PATH_MAX], text[256];

        if (q->data[0] == '\0') /* write(2) of nothing does not reach the attribute */
                return 0;
        (void)snprintf(path, sizeof path, "%.4000s/driver_override", q->device_dir);
        (void)snprintf(text, sizeof text, "%.*s", (int)strcspn(q->data, "\n"), q->data);
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%s\n", text[0] ? "" : "(null)");
        return replace_file(path, text);
}

static int do_probe(const Request *q) {
        char path[PATH_MAX], driver[PCI_DRIVER_SIZE];

        if (driver_of(q->device_dir, driver) > 0)
                return 0;

        (void)snprintf(path, sizeof path, "%.4000s/driver_override", q->device_dir);
        if (sysfs_read(AT_FDCWD, path, driver, sizeof driver) < 0)
                return -EINVAL;
        if (streq(driver, "(null)") &&
            (!fake_sriov_may_probe(q->device_dir) ||
             sysfs_read(AT_FDCWD, at_root(path, "fake/natural/%s", q->address), driver, sizeof driver) < 0))
                return 0; /* no driver knows it, or may be asked */

        /* Success whatever the driver says: only the link tells. */
        (void)fake_kernel_bind(q->device_dir, driver);
        return 0;
}

static int do_reset(const Request *q) {
        char path[PATH_MAX];

        (void)snprintf(path, sizeof path, "%.4000s/reset", q->device_dir);
        if (access(path, F_OK) < 0)
                return -ENOENT;
        return streq(q->data, "1\n") || streq(q->data, "1") ? 0 : -EINVAL;
}

static int act(const Request *q) {
        if (!q->device_dir[0] || access(q->device_dir, F_OK) < 0)
                return -ENODEV;
        if (streq(q->what, "override") || streq(q->what, "clear"))
                return do_override(q);
        if (streq(q->what, "unbind"))
                return fake_kernel_unbind(q->device_dir);
        if (streq(q->what, "probe"))
                return do_probe(q);
        if (streq(q->what, "reset"))
                return do_reset(q);
        if (streq(q->what, "numvfs"))
                return set_functions(q->device_dir, (unsigned)strtoul(q->data, NULL, 10));
        if (streq(q->what, "autoprobe"))
                return set_autoprobe(q->device_dir, q->data);
        return -EACCES;
}

static bool line_matches(const char *line, const char *what, const char *address) {
        char w[32], a[32];

        return sscanf(line, "%31s %31s", w, a) == 2 && (streq(what, "*") || streq(what, w)) &&
               (streq(address, "*") || streq(address, a)) && !strstr(line, "= HANG");
}

/* How many writes this rule would have matched before. */
static unsigned count_log(const char *what, const char *address) {
        _cleanup_free_ char *log = NULL;
        char path[PATH_MAX], *save = NULL;
        unsigned n = 0;

        if (sysfs_read_full(AT_FDCWD, at_root(path, "fake/log"), 1U << 20, &log) < 0)
                return 0;
        for (char *line = strtok_r(log, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
                n += line_matches(line, what, address);
        return n;
}

/* The action that <root>/fake/fail has for this write, or "". */
static void find_rule(const Request *q, char action[static 64]) {
        _cleanup_free_ char *rules = NULL;
        char path[PATH_MAX], *save = NULL, what[32], address[32], now[64], name[64];
        unsigned nth;

        action[0] = '\0';
        if (sysfs_read_full(AT_FDCWD, at_root(path, "fake/fail"), 1U << 16, &rules) < 0)
                return;

        (void)snprintf(now, sizeof now, "%s %s", q->what, q->address);
        for (char *line = strtok_r(rules, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
                nth = 0;
                if (sscanf(line, "%31s %31s %63s %u", what, address, name, &nth) < 3 ||
                    !line_matches(now, what, address))
                        continue;
                if (nth == 0 || count_log(what, address) + 1 == nth) {
                        strcpy(action, name);
                        return;
                }
        }
}

static int error_of(const char *name) {
        for (int e = 1; e < 134; e++)
                if (strerrorname_np(e) && streq(strerrorname_np(e), name))
                        return e;
        return 0;
}

static void die(const char *action, const Request *q) {
        char path[PATH_MAX];
        uint64_t pid;

        log_write("%s %s = KILL\n", q->what, q->address);
        if (startswith(action, "crash") &&
            sysfs_read_u64(AT_FDCWD, at_root(path, "fake/helper.pid"), 10, &pid) >= 0)
                (void)kill((pid_t)pid, SIGKILL);
        (void)kill(getpid(), SIGKILL);
}

static int serve(const Request *q) {
        char action[64];
        int r;

        find_rule(q, action);
        if (streq(action, "kill") || streq(action, "crash"))
                die(action, q);
        if (streq(action, "hang")) {
                log_write("%s %s = HANG\n", q->what, q->address);
                wait_for("hang");
        }

        if (error_of(action) > 0)
                r = -error_of(action);
        else
                r = streq(action, "nothing") ? 0 : act(q);

        if (streq(action, "kill-after") || streq(action, "crash-after"))
                die(action, q);

        if (r < 0)
                log_write("%s %s = %s\n", q->what, q->address, strempty(strerrorname_np(-r)));
        else if (streq(q->what, "override") || streq(q->what, "numvfs") || streq(q->what, "autoprobe"))
                log_write("%s %s %.*s\n", q->what, q->address, (int)strcspn(q->data, "\n"), q->data);
        else
                log_write("%s %s\n", q->what, q->address);

        if (startswith(action, "swap:"))
                swap_device(action + strlen("swap:"));
        if (startswith(action, "remove:"))
                fake_kernel_remove(action + strlen("remove:"));
        if (startswith(action, "unbind:"))
                fake_kernel_unbind_address(action + strlen("unbind:"));
        return r;
}

/* One writer at a time for a device: the kernel's device lock. */
static int serve_locked(const Request *q) {
        _cleanup_close_ int lock = -1;
        char path[PATH_MAX];

        lock = open(at_root(path, "fake/lock/%s", q->address), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        while (lock >= 0 && flock(lock, LOCK_EX) < 0 && errno == EINTR)
                ;
        return serve(q);
}

/* drivers_probe and unbind name the device in what is written. */
static void find_named_device(Request *q) {
        char path[PATH_MAX];

        (void)snprintf(q->address, sizeof q->address, "%.*s", (int)strcspn(q->data, "\n"), q->data);
        if (!realpath(at_root(path, "sys/bus/pci/devices/%s", q->address), q->device_dir))
                q->device_dir[0] = '\0';
}

int __wrap_sysfs_write(int at, const char *path, const char *data) {
        Request q = {.what = "forbidden", .data = data};
        char link[64], directory[PATH_MAX], driver[PCI_DRIVER_SIZE];
        int r;

        (void)snprintf(link, sizeof link, "/proc/self/fd/%d", at);
        r = sysfs_read_link(AT_FDCWD, link, directory, sizeof directory);
        if (r < 0)
                return -EBADF;

        if (streq(directory, fake_root) && streq(path, "sys/bus/pci/drivers_probe")) {
                q.what = "probe";
                find_named_device(&q);
        } else if (streq(path, "driver/unbind")) {
                q.what = "unbind";
                if (driver_of(directory, driver) < 0)
                        return -ENOENT;
                find_named_device(&q);
                /* The kernel looks the name up on the bus and asks whether it has this driver. */
                char other[PCI_DRIVER_SIZE] = "";
                if (!q.device_dir[0] || driver_of(q.device_dir, other) < 0 || !streq(other, driver))
                        return -ENODEV;
        } else {
                if (streq(path, "driver_override"))
                        q.what = data[0] == '\n' ? "clear" : "override";
                else if (streq(path, "reset"))
                        q.what = "reset";
                else if (streq(path, "sriov_numvfs"))
                        q.what = "numvfs";
                else if (streq(path, "sriov_drivers_autoprobe"))
                        q.what = "autoprobe";
                (void)snprintf(q.address, sizeof q.address, "%.16s", last_part(directory));
                (void)snprintf(q.device_dir, sizeof q.device_dir, "%s", directory);
        }
        return serve_locked(&q);
}

/* Lines of <root>/fake/network: "address eth0 192.0.2.7", "default-route eth0 IPv4". */
int __wrap_host_network_each(network_use_t f, void *userdata) {
        _cleanup_free_ char *text = NULL;
        char path[PATH_MAX], *save = NULL, use[32], interface[32], what[64];
        int r;

        /* RTNL, while the test holds it; and whoever waits for the question learns of it. */
        closep(&(int){open(at_root(path, "fake/asked"), O_WRONLY | O_CLOEXEC)});
        wait_for("network");
        r = sysfs_read_full(AT_FDCWD, at_root(path, "fake/network"), 1U << 16, &text);
        if (r < 0)
                return -ENONET;

        for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
                if (sscanf(line, "%31s %31s %63s", use, interface, what) != 3)
                        return -EBADMSG;
                r = f(interface, streq(use, "address") ? NETWORK_ADDRESS : NETWORK_DEFAULT_ROUTE, what,
                      userdata);
                if (r != 0)
                        return r;
        }
        return 0;
}

/* Lines of <root>/fake/routes: "192.0.2.9 eth0", several for a route over several. */
int __wrap_host_network_route(const char *address, network_interface_t f, void *userdata) {
        _cleanup_free_ char *text = NULL;
        char path[PATH_MAX], *save = NULL, to[64], interface[32];
        struct in6_addr ignored;
        bool any = false;
        int r;

        if (inet_pton(AF_INET, address, &ignored) != 1 && inet_pton(AF_INET6, address, &ignored) != 1)
                return -EINVAL;
        if (sysfs_read_full(AT_FDCWD, at_root(path, "fake/routes"), 1U << 16, &text) < 0)
                return -ENETUNREACH;

        for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
                if (sscanf(line, "%63s %31s", to, interface) != 2)
                        return -EBADMSG;
                if (!streq(to, address))
                        continue;
                any = true;
                r = f(interface, userdata);
                if (r != 0)
                        return r;
        }
        return any ? 0 : -ENETUNREACH;
}

/* Lines of <root>/fake/sessions: "1000 192.0.2.9"; nobody is logged in when there is no such file. */
int __wrap_host_sessions_each(host_session_t f, void *userdata) {
        _cleanup_free_ char *text = NULL;
        char path[PATH_MAX], *save = NULL, peer[64];
        unsigned uid;
        int r, n;

        r = sysfs_read_full(AT_FDCWD, at_root(path, "fake/sessions"), 1U << 16, &text);
        if (r < 0)
                return r == -ENOENT ? 0 : r;

        for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
                n = sscanf(line, "%u %63s", &uid, peer);
                if (n < 1)
                        return -EBADMSG;
                r = f(uid, n == 2 ? peer : "", userdata);
                if (r != 0)
                        return r;
        }
        return 0;
}

int __wrap_vfio_in_use(int root _unused_, unsigned iommu_set) {
        char set[16];

        (void)snprintf(set, sizeof set, "%u", iommu_set);
        return is_held(set);
}

/* The nodes of the fake are files. */
int __wrap_node_check(int fd, int at _unused_, const char *number _unused_) {
        struct stat st;

        return fstat(fd, &st) < 0 ? -errno : S_ISREG(st.st_mode) ? 0 : -ENXIO;
}
