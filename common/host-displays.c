/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>

#include "host-facts.h"
#include "host-iomem.h"
#include "sysfs.h"

#define IOMEM_MAX (8U * 1024U * 1024U)

/*
 * Which virtual terminal is on which screen only an ioctl on a framebuffer would tell. But it is on fb0, where the
 * kernel puts it, or on what a graphical session has lit. Everything that is read here the kernel answers from memory:
 * no lock, no probing, no device that is woken up (drm_sysfs.c: status_show, enabled_show).
 */
typedef struct Displays {
        int root;
        HostFacts *facts;
        HostProviders adapters;
        bool by_firmware; /* there is a screen whose path names no PCI device */
} Displays;

static int take_framebuffer(const char *name, void *userdata) {
        char path[PATH_MAX], target[PATH_MAX], what[128];
        Displays *l = userdata;

        (void)snprintf(path, sizeof path, "sys/class/graphics/%s", name);
        /* The console starts on the first one; that other cards have one too says nothing. */
        if (!streq(name, "fb0") || sysfs_read_link(l->root, path, target, sizeof target) < 0)
                return 0;

        l->by_firmware |= !host_path_has_device(target);
        (void)snprintf(what, sizeof what, "framebuffer %.32s shows the host's screen on it", name);
        return host_facts_add(l->facts, CRITICAL_CONSOLE, target, what);
}

static bool attribute_is(int root, const char *directory, const char *name, const char *value) {
        char path[PATH_MAX], text[32];

        return snprintf(path, sizeof path, "%s/%s", directory, name) < (int)sizeof path &&
               sysfs_read(root, path, text, sizeof text) >= 0 && streq(text, value);
}

/* "card0" is a card, "card0-HDMI-A-1" one of its connectors. A screen that sleeps (DPMS) is still enabled. */
static int take_card(const char *name, void *userdata) {
        char path[PATH_MAX], target[PATH_MAX], what[128];
        const char *connector = strchr(name, '-');
        Displays *l = userdata;

        (void)snprintf(path, sizeof path, "sys/class/drm/%s", name);
        if (!startswith(name, "card") || sysfs_read_link(l->root, path, target, sizeof target) < 0)
                return 0;

        l->by_firmware |= !host_path_has_device(target);
        if (!connector && attribute_is(l->root, path, "boot_display", "1")) /* newer kernels */
                return host_facts_add(l->facts, CRITICAL_CONSOLE, target, "it showed how the host booted");
        if (!connector || !attribute_is(l->root, path, "status", "connected") ||
            !attribute_is(l->root, path, "enabled", "enabled"))
                return 0;

        (void)snprintf(what, sizeof what, "a screen is on at %.64s", connector + 1);
        return host_facts_add(l->facts, CRITICAL_CONSOLE, target, what);
}

static int take_iomem(const PciAddress *a, const char *user, void *userdata) {
        char address[PCI_ADDRESS_SIZE], what[128];
        Displays *l = userdata;

        (void)snprintf(what, sizeof what, "the firmware's screen (%.32s) is in its memory", user);
        return host_facts_add(l->facts, CRITICAL_CONSOLE, pci_address_format(a, address), what);
}

static int add_firmware_screens(Displays *l) {
        _cleanup_free_ char *text = NULL;
        int r;

        if (!l->by_firmware)
                return 0;
        r = sysfs_read_full(l->root, "proc/iomem", IOMEM_MAX, &text);
        return r < 0 ? r : host_iomem_each_screen(text, take_iomem, l);
}

/* Does the host itself use this adapter? One without a driver shows something only if the firmware set it up. */
static bool is_used_adapter(Displays *l, const char *directory) {
        char path[96], driver[PCI_DRIVER_SIZE];
        uint64_t boot_vga;

        (void)snprintf(path, sizeof path, "%.64s/driver", directory);
        if (sysfs_read_link_name(l->root, path, driver, sizeof driver) >= 0)
                return !streq(driver, "pci-stub") && !strstr(driver, "vfio");

        (void)snprintf(path, sizeof path, "%.64s/boot_vga", directory);
        return sysfs_read_u64(l->root, path, 10, &boot_vga) >= 0 && boot_vga == 1;
}

/* VGA-compatible (0300) and other display controllers (0380). 3D controllers (0302) have no connectors, and virtual
 * functions none of their own. */
static int take_adapter(const char *address, void *userdata) {
        char directory[64], path[96], target[PATH_MAX];
        Displays *l = userdata;
        uint64_t class_code;

        (void)snprintf(directory, sizeof directory, "sys/bus/pci/devices/%.32s", address);
        (void)snprintf(path, sizeof path, "%s/class", directory);
        if (sysfs_read_u64(l->root, path, 16, &class_code) < 0 ||
            (class_code >> 8 != 0x0300 && class_code >> 8 != 0x0380))
                return 0;

        (void)snprintf(path, sizeof path, "%s/physfn", directory);
        if (sysfs_read_link(l->root, path, target, sizeof target) >= 0 || !is_used_adapter(l, directory) ||
            sysfs_read_link(l->root, directory, target, sizeof target) < 0)
                return 0;
        return host_providers_add(&l->adapters, target);
}

static int add_last_adapter(Displays *l) {
        int r;

        r = sysfs_each(l->root, "sys/bus/pci/devices", take_adapter, l);
        if (r >= 0)
                r = host_providers_add_use(
                                &l->adapters, l->root, l->facts, CRITICAL_CONSOLE,
                                l->adapters.n == 1 ? "it is the only graphics adapter of the host"
                                                   : "no graphics adapter would be left to the host");
        host_providers_done(&l->adapters);
        return r == -ENOENT ? 0 : r;
}

/* This takes the lock of the consoles, as everything does that tells of them: a driver that hangs in one holds it. */
static int add_console_ttys(Displays *l) {
        char active[SYSFS_ATTRIBUTE_SIZE], path[PATH_MAX], target[PATH_MAX], what[128], *save = NULL;
        int r;

        r = sysfs_read(l->root, "sys/class/tty/console/active", active, sizeof active);
        if (r < 0)
                return r == -ENOENT ? 0 : r;

        for (char *tty = strtok_r(active, " ", &save); tty; tty = strtok_r(NULL, " ", &save)) {
                (void)snprintf(path, sizeof path, "sys/class/tty/%.64s", tty);
                if (sysfs_read_link(l->root, path, target, sizeof target) < 0)
                        continue;
                (void)snprintf(what, sizeof what, "the console %.32s is on it", tty);
                r = host_facts_add(l->facts, CRITICAL_CONSOLE, target, what);
                if (r < 0)
                        return r;
        }
        return 0;
}

int host_displays_load(int root, HostFacts *facts) {
        Displays l = {.root = root, .facts = facts};
        int r;

        assert(facts);

        if (((r = sysfs_each(root, "sys/class/graphics", take_framebuffer, &l)) < 0 && r != -ENOENT) ||
            ((r = sysfs_each(root, "sys/class/drm", take_card, &l)) < 0 && r != -ENOENT) ||
            (r = add_firmware_screens(&l)) < 0 || (r = add_console_ttys(&l)) < 0)
                return r;
        return add_last_adapter(&l);
}
