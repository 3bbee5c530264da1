/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <limits.h>

#include "host-facts.h"
#include "sysfs.h"

/* KEY_ESC..KEY_D: who has all of these is a keyboard, says udev's input_id too, and not a mouse or remote control
 * with a few keys. In whatever words the kernel prints the bits, these are in the last eight digits. */
#define KEYBOARD_KEYS 0xfffffffeU

typedef struct Services {
        int root;
        HostFacts *facts;
        HostProviders keyboards, radios;
        bool by_radio;     /* there is a keyboard that comes in over Bluetooth */
        char keyboard[64]; /* name of one */
        const char *class_name, *what;
} Services;

/* input.c, input_bits_to_string(): words of hex, the lowest last, "1000000000007 ff9f207ac14057ff ... fffffffe" */
bool host_keys_are_keyboard(const char *bits) {
        const char *word = strrchr(bits, ' ');
        size_t n;

        word = word ? word + 1 : bits;
        n = strlen(word);
        return n >= 8 && strspn(word, "0123456789abcdef") == n &&
               (strtoul(word + n - 8, NULL, 16) & KEYBOARD_KEYS) == KEYBOARD_KEYS;
}

static bool is_entry(const char *name, const char *prefix) {
        return startswith(name, prefix) && isdigit((unsigned char)name[strlen(prefix)]);
}

static int take_input(const char *name, void *userdata) {
        char path[PATH_MAX], target[PATH_MAX], bits[SYSFS_ATTRIBUTE_SIZE];
        Services *l = userdata;
        bool by_radio;
        int r;

        (void)snprintf(path, sizeof path, "sys/class/input/%s", name);
        if (!is_entry(name, "input") || sysfs_read_link(l->root, path, target, sizeof target) < 0)
                return 0;

        /* Made by a program (uinput): who types on it? But Bluetooth's are made by its daemon, "0005:046D:B342.0007" */
        by_radio = strstr(target, "/virtual/misc/uhid/0005:");
        if (strstr(target, "/virtual/") && !by_radio)
                return 0;

        (void)snprintf(path, sizeof path, "sys/class/input/%.64s/capabilities/key", name);
        r = sysfs_read(l->root, path, bits, sizeof bits);
        if (r < 0 || !host_keys_are_keyboard(bits))
                return r == -ENOENT || r == -ENODEV ? 0 : r < 0 ? r : 0;

        (void)snprintf(path, sizeof path, "sys/class/input/%.64s/name", name);
        if (!l->keyboard[0] && sysfs_read(l->root, path, bits, sizeof bits) > 0)
                (void)snprintf(l->keyboard, sizeof l->keyboard, "%.48s", bits);
        l->by_radio |= by_radio;
        return by_radio ? 0 : host_providers_add(&l->keyboards, target);
}

/* "hci0", and "hci0:256" below it for a connection. */
static int take_radio(const char *name, void *userdata) {
        char path[PATH_MAX], target[PATH_MAX];
        Services *l = userdata;

        (void)snprintf(path, sizeof path, "sys/class/bluetooth/%s", name);
        if (!is_entry(name, "hci") || sysfs_read_link(l->root, path, target, sizeof target) < 0)
                return 0;
        return host_providers_add(&l->radios, target);
}

/* Sysfs does not say over which adapter a keyboard comes in; where there is only one it is clear. */
static int add_radio(Services *l) {
        int r;

        r = sysfs_each(l->root, "sys/class/bluetooth", take_radio, l);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        if (l->radios.n == 0)
                l->keyboards.elsewhere |= l->radios.elsewhere;
        else if (l->radios.n == 1 && !l->radios.elsewhere)
                return host_providers_add(&l->keyboards, l->radios.paths[0]);
        return 0;
}

static int add_keyboards(Services *l) {
        char what[128];
        int r;

        r = sysfs_each(l->root, "sys/class/input", take_input, l);
        if (r >= 0 && l->by_radio)
                r = add_radio(l);
        if (r >= 0) {
                (void)snprintf(what, sizeof what, "every keyboard of the host is on it%s%s%.48s",
                               l->keyboards.n > 1 ? " or on what would leave with it" : "",
                               l->keyboard[0] ? ", " : "", l->keyboard);
                r = host_providers_add_use(&l->keyboards, l->root, l->facts, CRITICAL_INPUT, what);
        }
        host_providers_done(&l->keyboards);
        host_providers_done(&l->radios);
        return r == -ENOENT ? 0 : r;
}

static int take_watchdog_device(const char *name, void *userdata) {
        Services *l = userdata;
        PciAddress a;

        if (pci_address_parse(name, &a) < 0) /* the attributes of the driver */
                return 0;
        return host_facts_add(l->facts, CRITICAL_WATCHDOG_OR_BMC, name, l->what);
}

/* Some drivers (i6300esb) do not say which device their watchdog is on, but call it as they call themselves. */
static int add_watchdog_by_driver(Services *l, const char *watchdog) {
        char path[PATH_MAX], identity[64];
        int r;

        (void)snprintf(path, sizeof path, "sys/class/watchdog/%s/identity", watchdog);
        if (sysfs_read(l->root, path, identity, sizeof identity) <= 0 || identity[0] == '.' ||
            strchr(identity, '/'))
                return 0;

        (void)snprintf(path, sizeof path, "sys/bus/pci/drivers/%s", identity);
        r = sysfs_each(l->root, path, take_watchdog_device, l);
        return r == -ENOENT ? 0 : r;
}

/* `state` and `identity` are answered without the lock of a driver that may hang, not so `status` (watchdog_dev.c). A
 * kernel without CONFIG_WATCHDOG_SYSFS has none of them: then it may be armed, and one that nobody feeds any more
 * resets the host. */
static int take_watchdog(const char *name, void *userdata) {
        char path[PATH_MAX], target[PATH_MAX], state[32], what[128];
        Services *l = userdata;
        size_t known;
        int r;

        if (!is_entry(name, "watchdog"))
                return 0;
        (void)snprintf(path, sizeof path, "sys/class/watchdog/%s/state", name);
        r = sysfs_read(l->root, path, state, sizeof state);
        if (r >= 0 && streq(state, "inactive"))
                return 0;

        (void)snprintf(what, sizeof what,
                       r >= 0 ? "%.32s on it is armed"
                              : "%.32s on it may be armed, this kernel does not tell",
                       name);
        (void)snprintf(path, sizeof path, "sys/class/watchdog/%s", name);
        if (sysfs_read_link(l->root, path, target, sizeof target) < 0)
                return 0; /* gone since */

        known = l->facts->n_uses;
        l->what = what;
        if (host_path_has_device(target))
                r = host_facts_add(l->facts, CRITICAL_WATCHDOG_OR_BMC, target, what);
        else
                r = add_watchdog_by_driver(l, name);
        l->facts->unwatched |= l->facts->n_uses > known; /* nothing tells when it is stopped */
        return r;
}

static int take_chip(const char *name, void *userdata) {
        char path[PATH_MAX], target[PATH_MAX], what[128];
        Services *l = userdata;

        (void)snprintf(path, sizeof path, "sys/class/%s/%s", l->class_name, name);
        if (!is_entry(name, l->class_name) || sysfs_read_link(l->root, path, target, sizeof target) < 0)
                return 0;

        (void)snprintf(what, sizeof what, "%s %.32s is on it", l->what, name);
        return host_facts_add(l->facts, CRITICAL_WATCHDOG_OR_BMC, target, what);
}

static int add_chips(Services *l, const char *class_name, const char *what) {
        char path[64];
        int r;

        l->class_name = class_name;
        l->what = what;
        (void)snprintf(path, sizeof path, "sys/class/%s", class_name);
        r = sysfs_each(l->root, path, take_chip, l);
        return r == -ENOENT ? 0 : r;
}

int host_services_load(int root, HostFacts *facts) {
        Services l = {.root = root, .facts = facts};
        int r;

        assert(facts);

        r = add_keyboards(&l);
        if (r < 0)
                return r;
        r = sysfs_each(root, "sys/class/watchdog", take_watchdog, &l);
        if ((r < 0 && r != -ENOENT) ||
            (r = add_chips(&l, "ipmi", "the way to the management controller,")) < 0)
                return r;
        return add_chips(&l, "tpm", "the host's security chip (TPM)");
}
