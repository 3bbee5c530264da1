/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>

#include "host-facts.h"
#include "names.h"
#include "sysfs.h"

#define PCI_CLASS_NETWORK 0x02

/* What a driver makes of a card, and a container may have taken: the directory below the device stays, and is empty for
 * all that look from another network namespace than the one that has it. */
static const struct {
        const char *directory, *what;
} movable[] = {
                {"net", "its network interface"},
                {"ieee80211", "its wireless interface"},
                {"infiniband", "its RDMA device"},
};

/* What interfaces hang on: PCI functions, or what their drivers put between. */
static const char *const buses[] = {"pci", "virtio", "usb", "auxiliary"};

typedef struct Cards {
        int root;
        HostFacts *facts;
        const char *bus;
} Cards;

static int copy_name(const char *name, void *userdata) {
        (void)snprintf(userdata, NAME_MAX + 1, "%s", name);
        return 1;
}

/* 1: the first entry; 0: the directory is empty; -ENOENT: there is none. */
static int first_entry(int device, const char *directory, char name[static NAME_MAX + 1]) {
        return sysfs_each(device, directory, copy_name, name);
}

/* A host driver has it: of a device without one, or with a VM's, nothing can be in use. */
static bool is_driven(int device) {
        char driver[PCI_DRIVER_SIZE];

        return sysfs_read_link_name(device, "driver", driver, sizeof driver) > 0 &&
               !streq(driver, VFIO_DRIVER);
}

static int check_namespaces(const Cards *c, int device, const char *target) {
        char name[NAME_MAX + 1], what[128];
        int r;

        for (size_t i = 0; i < ELEMENTSOF(movable); i++) {
                r = first_entry(device, movable[i].directory, name);
                if (r < 0 && r != -ENOENT)
                        return r;
                if (r != 0 || !is_driven(device))
                        continue;

                (void)snprintf(what, sizeof what, "%s is in another network namespace", movable[i].what);
                r = host_facts_add(c->facts, CRITICAL_ADDRESS, target, what);
                if (r < 0)
                        return r;
                /* Interfaces tell of their return, RDMA devices do not. */
                c->facts->unwatched |= streq(movable[i].directory, "infiniband");
        }
        return 0;
}

/* drivers/base/power/sysfs.c, wakeup_show(): takes no lock. */
static int check_wakeup(const Cards *c, int device, const char *target) {
        char interface[NAME_MAX + 1], what[128], text[16];
        uint64_t class_code;
        int r;

        r = first_entry(device, "net", interface);
        if (r <= 0)
                return r == -ENOENT ? 0 : r;
        if (sysfs_read_u64(device, "class", 16, &class_code) < 0 || class_code >> 16 != PCI_CLASS_NETWORK ||
            sysfs_read(device, "power/wakeup", text, sizeof text) < 0 || !streq(text, "enabled"))
                return 0;

        (void)snprintf(what, sizeof what, "the host can be woken up through network interface %.15s",
                       interface);
        return host_facts_add(c->facts, CRITICAL_WAKE_PATH, target, what);
}

static int take_device(const char *name, void *userdata) {
        char path[PATH_MAX], target[PATH_MAX];
        _cleanup_close_ int device = -1;
        const Cards *c = userdata;
        int r;

        (void)snprintf(path, sizeof path, "sys/bus/%s/devices/%s", c->bus, name);
        if (sysfs_read_link(c->root, path, target, sizeof target) < 0)
                return 0;
        device = sysfs_open_dir(c->root, path);
        if (device < 0) /* gone since */
                return device == -ENOENT || device == -ENOTDIR || device == -ENODEV ? 0 : device;

        r = check_namespaces(c, device, target);
        return r < 0 || !streq(c->bus, "pci") ? r : check_wakeup(c, device, target);
}

int host_cards_load(int root, HostFacts *facts) {
        Cards c = {.root = root, .facts = facts};
        char path[64];
        int r;

        assert(facts);

        for (size_t i = 0; i < ELEMENTSOF(buses); i++) {
                c.bus = buses[i];
                (void)snprintf(path, sizeof path, "sys/bus/%s/devices", c.bus);
                r = sysfs_each(root, path, take_device, &c);
                if (r < 0 && r != -ENOENT)
                        return r;
        }
        return 0;
}
