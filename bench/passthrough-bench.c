/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The stop-watch of bench/run, for the inside of the test VM. Each subcommand does one thing N times and prints one
 * line of milliseconds per step; bench/run makes medians and ratios of them.
 *
 *   sysfs ADDRESS N                bind and release by the bare sysfs writes: the physical limit
 *   dbus ADDRESS N [COMMAND...]    bind and release over org.verge.Passthrough; COMMAND runs untimed before each call
 *   command ADDRESS N BIND RELEASE two shell-free commands, "@" stands for the address, words split at blanks
 *   start N VM                     StartVm, until it answers; StopVm, until all is back
 *   sysfs-start N ADDRESS...       bare sysfs writes for one device after the other: bind, reset; and reset, release
 *   sysfs-vfs ADDRESS COUNT N      bare sysfs writes: COUNT virtual functions, each to vfio-pci; and none again
 *   vfs ADDRESS COUNT N            MakePassthrough of the physical function for a new group; ReturnToHost
 *   list N                         GetManagedObjects
 *   run N COMMAND...               one command
 */

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>

#include "bus-util.h"
#include "names.h"

extern char **environ;

#define WORDS_MAX 64

static double now_ms(void) {
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void die(const char *what, int r) {
        fprintf(stderr, "%s: %s\n", what, strerror(-r));
        exit(EXIT_FAILURE);
}

static void put(const char *path, const char *data) {
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

        if (fd < 0 || write(fd, data, strlen(data)) < 0)
                die(path, -errno);
}

static void must_have_driver(const char *address, const char *driver) {
        char path[128], target[256] = "";
        const char *name;

        (void)snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/driver", address);
        if (readlink(path, target, sizeof target - 1) < 0)
                die(path, -errno);
        name = strrchr(target, '/');
        if ((name && streq(name + 1, VFIO_DRIVER)) != streq(driver, VFIO_DRIVER))
                die(path, -ENODEV);
}

static void bare(const char *address, bool bind) {
        char override[128], unbind[128];

        (void)snprintf(override, sizeof override, "/sys/bus/pci/devices/%s/driver_override", address);
        (void)snprintf(unbind, sizeof unbind, "/sys/bus/pci/devices/%s/driver/unbind", address);

        put(override, bind ? VFIO_DRIVER "\n" : "\n");
        put(unbind, address);
        put("/sys/bus/pci/drivers_probe", address);
        must_have_driver(address, bind ? VFIO_DRIVER : "host");
}

static void bare_reset(const char *address) {
        char path[128];

        (void)snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/reset", address);
        put(path, "1");
}

static void run_command(char *const *argv) {
        posix_spawn_file_actions_t actions;
        int r, status;
        pid_t pid;

        (void)posix_spawn_file_actions_init(&actions);
        (void)posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
        r = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
        if (r != 0)
                die(argv[0], -r);
        (void)posix_spawn_file_actions_destroy(&actions);
        if (waitpid(pid, &status, 0) < 0 || status != 0) {
                fprintf(stderr, "%s failed with status %d\n", argv[0], status);
                exit(EXIT_FAILURE);
        }
}

/* What udev and systemd do about the last step is not part of the next one. */
static void settle(void) {
        static char *const command[] = {(char *)"udevadm", (char *)"settle", NULL};

        run_command(command);
}

/* "virsh nodedev-detach @" -> words; "@" is replaced by the text of `at`. */
static void split(char *command, char *at, char **words) {
        char *save = NULL;
        size_t n = 0;

        for (char *w = strtok_r(command, " ", &save); w && n < WORDS_MAX - 1; w = strtok_r(NULL, " ", &save))
                words[n++] = streq(w, "@") ? at : w;
        words[n] = NULL;
}

static void call_device(sd_bus *bus, const char *path, const char *method) {
        _cleanup_bus_error_ sd_bus_error error = BUS_ERROR_INIT;
        int r;

        r = sd_bus_call_method(bus, BUS_NAME, path, BUS_INTERFACE_DEVICE, method, &error, NULL, NULL);
        if (r < 0) {
                fprintf(stderr, "%s: %s\n", method, error.message ? error.message : strerror(-r));
                exit(EXIT_FAILURE);
        }
}

static sd_bus *connect_bus(void) {
        sd_bus *bus;
        int r;

        r = sd_bus_open_system(&bus);
        if (r < 0)
                die("system bus", r);
        (void)sd_bus_set_method_call_timeout(bus, 300ULL * 1000 * 1000);
        return bus;
}

static void bench_sysfs(const char *address, int n) {
        double a, b, c, d;

        for (int i = 0; i < n; i++) {
                settle();
                a = now_ms();
                bare(address, true);
                b = now_ms();
                settle();
                c = now_ms();
                bare(address, false);
                d = now_ms();
                printf("bind %.3f release %.3f\n", b - a, d - c);
        }
}

static void bench_dbus(const char *address, int n, char **before) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = connect_bus();
        _cleanup_free_ char *path = NULL;
        double a, b, c, d;
        int r;

        r = sd_bus_path_encode(BUS_PATH_DEVICES, address, &path);
        if (r < 0)
                die("path", r);

        for (int i = 0; i < n; i++) {
                if (before[0])
                        run_command(before);
                settle();
                a = now_ms();
                call_device(bus, path, "Bind");
                b = now_ms();
                if (before[0])
                        run_command(before);
                settle();
                c = now_ms();
                call_device(bus, path, "Release");
                d = now_ms();
                must_have_driver(address, "host");
                printf("bind %.3f release %.3f\n", b - a, d - c);
        }
}

static void bench_command(char *address, int n, char *bind, char *release) {
        char *bind_words[WORDS_MAX], *release_words[WORDS_MAX];
        double a, b, c, d;

        split(bind, address, bind_words);
        split(release, address, release_words);
        for (int i = 0; i < n; i++) {
                settle();
                a = now_ms();
                run_command(bind_words);
                b = now_ms();
                settle();
                c = now_ms();
                run_command(release_words);
                d = now_ms();
                printf("bind %.3f release %.3f\n", b - a, d - c);
        }
}

static void bench_sysfs_start(int n, char **addresses) {
        double a, b, c, d;

        for (int i = 0; i < n; i++) {
                settle();
                a = now_ms();
                for (char **address = addresses; *address; address++) {
                        bare(*address, true);
                        bare_reset(*address);
                }
                b = now_ms();
                settle();
                c = now_ms();
                for (char **address = addresses; *address; address++) {
                        bare_reset(*address);
                        bare(*address, false);
                }
                d = now_ms();
                printf("start %.3f stop %.3f\n", b - a, d - c);
        }
}

static void put_vfs(const char *address, int count) {
        char path[128], number[16];

        (void)snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/sriov_numvfs", address);
        (void)snprintf(number, sizeof number, "%d", count);
        put(path, number);
}

static void bare_vfs(const char *address, int count) {
        char path[192], target[256], override[320], *function;
        ssize_t n;

        (void)snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/sriov_drivers_autoprobe", address);
        put(path, "0");
        put_vfs(address, count);
        for (int i = 0; i < count; i++) {
                (void)snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/virtfn%d", address, i);
                n = readlink(path, target, sizeof target - 1);
                if (n < 0)
                        die(path, -errno);
                target[n] = '\0';
                function = strrchr(target, '/') + 1;
                (void)snprintf(override, sizeof override, "/sys/bus/pci/devices/%.64s/driver_override",
                               function);
                put(override, VFIO_DRIVER "\n");
                put("/sys/bus/pci/drivers_probe", function);
                must_have_driver(function, VFIO_DRIVER);
        }
}

static void bench_sysfs_vfs(const char *address, int count, int n) {
        double a, b, c, d;

        for (int i = 0; i < n; i++) {
                settle();
                a = now_ms();
                bare_vfs(address, count);
                b = now_ms();
                settle();
                c = now_ms();
                put_vfs(address, 0);
                d = now_ms();
                printf("make %.3f return %.3f\n", b - a, d - c);
        }
}

/* Not a part of what is measured: root's consent, and the group of the round before. */
static void grant_vfs(const char *address) {
        char *words[] = {(char *)"busctl",    (char *)"call",     (char *)HELPER_NAME, (char *)HELPER_PATH,
                         (char *)HELPER_NAME, (char *)"GrantVfs", (char *)"asbs",      (char *)"1",
                         (char *)address,     (char *)"false",    (char *)"",          NULL};

        run_command(words);
}

static int append_vfs_options(sd_bus_message *m, uint32_t count) {
        int r;

        if ((r = sd_bus_message_open_container(m, 'a', "{sv}")) < 0 ||
            (r = sd_bus_message_append(m, "{sv}{sv}", "type", "s", "sriov-nic", "binding", "s",
                                       "persistent")) < 0 ||
            (r = sd_bus_message_append(m, "{sv}", "sriov", "a{sv}", 1, "vfs", "u", count)) < 0)
                return r;
        return sd_bus_message_close_container(m);
}

static void call_with(sd_bus *bus, sd_bus_message *m, const char *what, sd_bus_message **ret) {
        _cleanup_bus_error_ sd_bus_error error = BUS_ERROR_INIT;

        if (sd_bus_call(bus, m, 0, &error, ret) < 0) {
                fprintf(stderr, "%s: %s\n", what, error.message ? error.message : "failed");
                exit(EXIT_FAILURE);
        }
}

static void make_vfs(sd_bus *bus, const char *device, int count, sd_bus_message **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        if ((r = sd_bus_message_new_method_call(bus, &m, BUS_NAME, BUS_PATH, BUS_INTERFACE_MANAGER,
                                                "MakePassthrough")) < 0 ||
            (r = sd_bus_message_append(m, "aos", 1, device, "bench")) < 0 ||
            (r = append_vfs_options(m, (uint32_t)count)) < 0)
                die("MakePassthrough", r);
        call_with(bus, m, "MakePassthrough", ret);
}

static void return_vfs(sd_bus *bus, const char *device) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        int r;

        if ((r = sd_bus_message_new_method_call(bus, &m, BUS_NAME, BUS_PATH, BUS_INTERFACE_MANAGER,
                                                "ReturnToHost")) < 0 ||
            (r = sd_bus_message_append(m, "ao", 1, device)) < 0)
                die("ReturnToHost", r);
        call_with(bus, m, "ReturnToHost", &reply);
}

/* Root takes consent back at the helper, and there the functions go: what is measured. The rule goes by the service. */
static void revoke_vfs(const char *address) {
        char *words[] = {(char *)"busctl",    (char *)"call",   (char *)HELPER_NAME, (char *)HELPER_PATH,
                         (char *)HELPER_NAME, (char *)"Revoke", (char *)"asbs",      (char *)"1",
                         (char *)address,     (char *)"true",   (char *)"",          NULL};

        run_command(words);
}

static void delete_group(sd_bus *bus, sd_bus_message *made) {
        _cleanup_bus_error_ sd_bus_error error = BUS_ERROR_INIT;
        const char *group;

        if (sd_bus_message_read(made, "o", &group) < 0 ||
            sd_bus_call_method(bus, BUS_NAME, group, BUS_INTERFACE_GROUP, "Delete", &error, NULL, NULL) <
                            0) {
                fprintf(stderr, "Delete: %s\n", error.message ? error.message : "failed");
                exit(EXIT_FAILURE);
        }
}

static void bench_vfs(const char *address, int count, int n) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = connect_bus();
        _cleanup_free_ char *device = NULL;
        double a, b, c, d;

        if (sd_bus_path_encode(BUS_PATH_DEVICES, address, &device) < 0)
                die("path", -ENOMEM);
        for (int i = 0; i < n; i++) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *made = NULL;

                grant_vfs(address);
                settle();
                a = now_ms();
                make_vfs(bus, device, count, &made);
                b = now_ms();
                settle();
                c = now_ms();
                revoke_vfs(address);
                d = now_ms();
                return_vfs(bus, device);
                delete_group(bus, made);
                printf("make %.3f return %.3f\n", b - a, d - c);
        }
}

static sd_bus_message *call_manager(sd_bus *bus, const char *method, const char *vm, const char *option,
                                    const char *value) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_bus_error_ sd_bus_error error = BUS_ERROR_INIT;
        sd_bus_message *reply;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, BUS_NAME, BUS_PATH, BUS_INTERFACE_MANAGER, method);
        if (r >= 0)
                r = option ? sd_bus_message_append(m, "sa{sv}", vm, 1, option, "s", value)
                           : sd_bus_message_append(m, "sa{sv}", vm, 0);
        if (r >= 0)
                r = sd_bus_call(bus, m, 0, &error, &reply);
        if (r < 0) {
                fprintf(stderr, "%s: %s\n", method, error.message ? error.message : strerror(-r));
                exit(EXIT_FAILURE);
        }
        return reply;
}

static void bench_start(int n, const char *vm) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = connect_bus();
        double a, b, c, d;

        for (int i = 0; i < n; i++) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *started = NULL, *stopped = NULL;

                settle();
                a = now_ms();
                started = call_manager(bus, "StartVm", vm, "track", "manual");
                b = now_ms();
                settle();
                c = now_ms();
                stopped = call_manager(bus, "StopVm", vm, NULL, NULL); /* answers when all is back */
                d = now_ms();
                printf("start %.3f stop %.3f\n", b - a, d - c);
        }
}

static void bench_list(int n) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = connect_bus();
        double a;

        for (int i = 0; i < n; i++) {
                _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
                _cleanup_bus_error_ sd_bus_error error = BUS_ERROR_INIT;
                int r;

                a = now_ms();
                r = sd_bus_call_method(bus, BUS_NAME, BUS_PATH, "org.freedesktop.DBus.ObjectManager",
                                       "GetManagedObjects", &error, &reply, NULL);
                if (r < 0)
                        die("GetManagedObjects", r);
                printf("run %.3f\n", now_ms() - a);
        }
}

static void bench_run(int n, char **words) {
        double a;

        for (int i = 0; i < n; i++) {
                a = now_ms();
                run_command(words);
                printf("run %.3f\n", now_ms() - a);
        }
}

int main(int argc, char *argv[]) {
        if (argc >= 4 && streq(argv[1], "sysfs"))
                bench_sysfs(argv[2], atoi(argv[3]));
        else if (argc >= 4 && streq(argv[1], "dbus"))
                bench_dbus(argv[2], atoi(argv[3]), argv + 4);
        else if (argc == 6 && streq(argv[1], "command"))
                bench_command(argv[2], atoi(argv[3]), argv[4], argv[5]);
        else if (argc == 4 && streq(argv[1], "start"))
                bench_start(atoi(argv[2]), argv[3]);
        else if (argc >= 4 && streq(argv[1], "sysfs-start"))
                bench_sysfs_start(atoi(argv[2]), argv + 3);
        else if (argc == 5 && streq(argv[1], "sysfs-vfs"))
                bench_sysfs_vfs(argv[2], atoi(argv[3]), atoi(argv[4]));
        else if (argc == 5 && streq(argv[1], "vfs"))
                bench_vfs(argv[2], atoi(argv[3]), atoi(argv[4]));
        else if (argc == 3 && streq(argv[1], "list"))
                bench_list(atoi(argv[2]));
        else if (argc >= 4 && streq(argv[1], "run"))
                bench_run(atoi(argv[2]), argv + 3);
        else {
                fprintf(stderr, "usage: passthrough-bench "
                                "sysfs|dbus|command|start|sysfs-start|sysfs-vfs|vfs|list|run ... "
                                "(see its source)\n");
                return EXIT_FAILURE;
        }
        return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
