/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * start-vm: StartVm over D-Bus, and then the VM's program with what came of it.
 *
 *   start-vm [--stay] VM [KEY TYPE VALUE]... -- PROGRAM WORD...
 *
 * KEY TYPE VALUE are options of StartVm; TYPE is s, u, i, t or b. Prints `device ADDRESS CLAIM SET NODE` for each
 * device and `started`. Then it becomes the program, which inherits the iommufd at 3 and the devices from 4 on, where
 * there are such, and the lifeline, whose number is in $LIFELINE. The word `@addresses` becomes all addresses,
 * `@arguments` what the claims' QemuArguments say, `@count` how many devices there are. With --stay the program is a
 * child, and the connection to the bus stays open until it ends.
 *
 * A refusal is one line on stderr, `NAME: SENTENCE`, exit code 1.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#define BUS_NAME "org.verge.Passthrough"
#define BUS_PATH "/org/verge/Passthrough"
#define DEVICES_MAX 64
#define WORDS_MAX 1024
#define FIRST_NUMBER 3
#define ABOVE_ALL 256 /* descriptors wait there for their places */

static struct {
        const char *address, *claim;
        int fd;
} devices[DEVICES_MAX];
static int n_devices, iommufd = -1, lifeline = -1;

static _Noreturn void die(const char *what, int r) {
        fprintf(stderr, "start-vm: %s: %s\n", what, strerror(-r));
        exit(1);
}

static void must(const char *what, int r) {
        if (r < 0)
                die(what, r);
}

static sd_bus_message *call(sd_bus *bus, sd_bus_message *m) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply;

        if (sd_bus_call(bus, m, 300 * 1000000ULL, &error, &reply) < 0) {
                fprintf(stderr, "%s: %s\n", error.name, error.message);
                exit(1);
        }
        return reply;
}

static void append_option(sd_bus_message *m, char **words) {
        const char *text = words[2];

        must("option", sd_bus_message_open_container(m, 'e', "sv"));
        must("option", sd_bus_message_append(m, "s", words[0]));
        switch (words[1][0]) {
        case 's':
                must("option", sd_bus_message_append(m, "v", "s", text));
                break;
        case 'u':
                must("option", sd_bus_message_append(m, "v", "u", (unsigned)strtoul(text, NULL, 0)));
                break;
        case 'i':
                must("option", sd_bus_message_append(m, "v", "i", atoi(text)));
                break;
        case 't':
                must("option", sd_bus_message_append(m, "v", "t", strtoull(text, NULL, 0)));
                break;
        case 'b':
                must("option", sd_bus_message_append(m, "v", "b", strcmp(text, "true") == 0));
                break;
        default:
                die(words[1], -EINVAL);
        }
        must("option", sd_bus_message_close_container(m));
}

static int kept(int fd) {
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, ABOVE_ALL);

        must("keep a descriptor", copy < 0 ? -errno : 0);
        return copy;
}

static void read_devices(sd_bus_message *reply) {
        const char *address, *object, *claim, *node;
        uint32_t set;
        int r;

        must("reply", sd_bus_message_enter_container(reply, 'a', "(soous)"));
        while ((r = sd_bus_message_read(reply, "(soous)", &address, &object, &claim, &set, &node)) > 0) {
                if (n_devices == DEVICES_MAX)
                        die("devices", -E2BIG);
                printf("device %s %s %u %s\n", address, claim, set, node);
                devices[n_devices].address = address;
                devices[n_devices].claim = claim;
                devices[n_devices++].fd = -1;
        }
        must("reply", r);
        must("reply", sd_bus_message_exit_container(reply));
}

static void read_descriptors(sd_bus_message *reply) {
        const char *key;
        int fd, r;

        must("reply", sd_bus_message_enter_container(reply, 'a', "{sh}"));
        while ((r = sd_bus_message_read(reply, "{sh}", &key, &fd)) > 0) {
                if (strcmp(key, "lifeline") == 0)
                        lifeline = kept(fd);
                else if (strcmp(key, "iommufd") == 0)
                        iommufd = kept(fd);
                for (int i = 0; i < n_devices; i++)
                        if (strcmp(key, devices[i].address) == 0)
                                devices[i].fd = kept(fd);
        }
        must("reply", r);
}

static size_t append_arguments(sd_bus *bus, char **words, size_t n) {
        for (int i = 0; i < n_devices; i++) {
                sd_bus_message *m, *reply;
                char **arguments;
                int j;

                for (j = 0; j < i && strcmp(devices[j].claim, devices[i].claim) != 0; j++)
                        ;
                if (j < i)
                        continue; /* this claim's are there */
                must("QemuArguments", sd_bus_message_new_method_call(bus, &m, BUS_NAME, devices[i].claim,
                                                                     BUS_NAME ".Claim", "QemuArguments"));
                reply = call(bus, m);
                must("QemuArguments", sd_bus_message_read_strv(reply, &arguments));
                for (; arguments && *arguments && n < WORDS_MAX; arguments++)
                        words[n++] = *arguments;
        }
        return n;
}

static char **make_words(sd_bus *bus, char **from) {
        static char *words[WORDS_MAX + DEVICES_MAX + 1], count[16];
        size_t n = 0;

        (void)snprintf(count, sizeof(count), "%d", n_devices);
        for (; *from && n < WORDS_MAX; from++)
                if (strcmp(*from, "@addresses") == 0)
                        for (int i = 0; i < n_devices; i++)
                                words[n++] = (char *)devices[i].address;
                else if (strcmp(*from, "@arguments") == 0)
                        n = append_arguments(bus, words, n);
                else
                        words[n++] = strcmp(*from, "@count") == 0 ? count : *from;
        return words;
}

static void put(int fd, int number) {
        if (fd >= 0 && dup2(fd, number) < 0) /* the copy is inherited */
                die("descriptor", -errno);
}

static void place_descriptors(void) {
        char number[16];
        int next = FIRST_NUMBER;

        if (iommufd >= 0) {
                put(iommufd, next++);
                for (int i = 0; i < n_devices; i++)
                        put(devices[i].fd, next++);
        }
        put(lifeline, next);
        (void)snprintf(number, sizeof(number), "%d", next);
        if (lifeline >= 0)
                (void)setenv("LIFELINE", number, 1);
}

static _Noreturn void become(char **words) {
        place_descriptors();
        (void)execvp(words[0], words);
        die(words[0], -errno);
}

/* The reply holds descriptors as well. */
static void let_go(sd_bus_message *reply) {
        (void)sd_bus_message_unref(reply);
        (void)close(lifeline);
        (void)close(iommufd);
        for (int i = 0; i < n_devices; i++)
                (void)close(devices[i].fd);
}

static int stay_with(char **words, sd_bus_message *reply) {
        int status = 0;
        pid_t pid = fork();

        must("fork", pid < 0 ? -errno : 0);
        if (pid == 0)
                become(words);
        let_go(reply);
        (void)waitpid(pid, &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv) {
        int stay = argc > 1 && strcmp(argv[1], "--stay") == 0;
        sd_bus_message *m, *reply;
        char **words = argv + 1 + stay;
        sd_bus *bus;

        if (argc < 4 + stay) {
                fprintf(stderr, "start-vm: see the head of start-vm.c\n");
                return 2;
        }
        must("system bus", sd_bus_open_system(&bus));
        must("call",
             sd_bus_message_new_method_call(bus, &m, BUS_NAME, BUS_PATH, BUS_NAME ".Manager", "StartVm"));
        must("call", sd_bus_message_append(m, "s", *words++));
        must("call", sd_bus_message_open_container(m, 'a', "{sv}"));
        for (; *words && strcmp(*words, "--") != 0; words += 3)
                if (!words[1] || !words[2])
                        die(*words, -EINVAL);
                else
                        append_option(m, words);
        must("call", sd_bus_message_close_container(m));
        if (!*words || !words[1])
                die("no program", -EINVAL);

        reply = call(bus, m);
        read_devices(reply);
        read_descriptors(reply);
        words = make_words(bus, words + 1);
        printf("started\n");
        (void)fflush(stdout);
        if (stay)
                return stay_with(words, reply);
        become(words);
}
