/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A fake host: a directory that looks like "/" to code that reads below a root fd. This builds the tree; what
 * makes it act like a kernel when it is written to is fake-kernel.h. Whatever cannot be built is the end of the
 * test: nothing here returns an error.
 *
 * The private state of the fake lies in <root>/fake, so that all processes of a test share it.
 */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "macro.h"

typedef struct FakeHost {
        char *root; /* absolute path */
        int fd;
} FakeHost;

typedef struct FakeDevice {
        const char *address;
        uint16_t vendor, device, subsystem_vendor, subsystem_device;
        uint32_t class_code;
        uint8_t revision;
        const char *driver; /* its natural driver: bound now, and found again by drivers_probe; NULL: none */
        unsigned iommu_set; /* 0: no IOMMU in front of it */
        const char *below;  /* address of the bridge it is behind */
        const char *physfn; /* it is a virtual function of this one */
        unsigned total_vfs; /* it is a physical function, and acts like one: so many it can have */
        uint16_t vf_device; /* their device id */
        const char *vf_driver;     /* and natural driver */
        bool vfs_share_set;        /* they are in its IOMMU set, as without ACS */
        const char *slot;          /* name of its physical slot */
        const char *reset_methods; /* NULL: cannot be reset */
        const char *reserved;      /* lines of its IOMMU set's reserved_regions */
        const void *vpd;
        size_t vpd_size;
        bool boot_vga;
} FakeDevice;

FakeHost *fake_host_new(void);
FakeHost *fake_host_free(FakeHost *h); /* removes the tree */
DEFINE_CLEANUP(FakeHost *, fake_host_free);

void fake_host_write(FakeHost *h, const char *path, const char *format, ...) _printf_(3, 4);
void fake_host_write_bytes(FakeHost *h, const char *path, const void *data, size_t size);
void fake_host_append(FakeHost *h, const char *path, const char *format, ...) _printf_(3, 4);
void fake_host_mkdir(FakeHost *h, const char *path); /* with all that is above it */
void fake_host_link(FakeHost *h, const char *path, const char *target);
void fake_host_remove(FakeHost *h, const char *path); /* file, link or whole directory; may be missing */
char *fake_host_read(FakeHost *h, const char *path);  /* NULL: there is none; free() it */
bool fake_host_exists(FakeHost *h, const char *path);

/* Also tells the uevent FIFO: a cold tree has no reader, so nobody hears of it. */
void fake_host_add_device(FakeHost *h, const FakeDevice *d);
void fake_host_remove_device(FakeHost *h, const char *address);

/* Path of a device below sys/, "devices/pci0000:00/0000:00:02.0". Valid until the next call. */
const char *fake_host_device_path(FakeHost *h, const char *address);

/* Name of the bound driver or "", in a static buffer; and the text of driver_override. */
const char *fake_host_driver(FakeHost *h, const char *address);
const char *fake_host_override(FakeHost *h, const char *address);

/* path: below sys/, ends with the name: "devices/virtual/block/dm-0". number: "253:0". */
void fake_host_add_block(FakeHost *h, const char *path, const char *number);
void fake_host_add_slave(FakeHost *h, const char *upper, const char *lower);
void fake_host_mount(FakeHost *h, const char *number, const char *where, const char *type,
                     const char *source);
void fake_host_swap(FakeHost *h, const char *device);

/* path: below sys/, "devices/pci0000:00/0000:00:02.0/net/eth0". */
void fake_host_add_net(FakeHost *h, const char *path);
void fake_host_add_lower(FakeHost *h, const char *upper, const char *lower);
void fake_host_add_network_address(FakeHost *h, const char *interface, const char *text);
void fake_host_add_default_route(FakeHost *h, const char *interface, const char *family);
/* As the kernel does for a bridge or bond and its port: links both ways, and "master". */
void fake_host_add_port(FakeHost *h, const char *upper, const char *lower);

/* A remote session as logind knows it (peer: "192.0.2.9", a name, ""), and the way to an address. */
void fake_host_add_session(FakeHost *h, unsigned uid, const char *peer);
void fake_host_add_route(FakeHost *h, const char *address, const char *interface);

/* As a VM does that has the VFIO group open. Letting go also wakes the unbind that waits for it. */
void fake_host_hold_vfio(FakeHost *h, unsigned set, bool hold);

/* From now on the kernel has VFIO's cdev and IOMMUFD: a device that is bound to vfio-pci gets a node. */
void fake_host_add_cdev(FakeHost *h);

/* As a process does that has the node of a device open and no lock on it: only the unbind feels it. */
void fake_host_hold_device(FakeHost *h, const char *address, bool hold);

/* As a driver does that hangs under RTNL: who asks for addresses or routes waits. */
void fake_host_hold_network(FakeHost *h, bool hold);
void fake_host_wait_for_network(FakeHost *h); /* returns when somebody has come to wait */

/* As a udev does that is behind: what happens is told when it lets go. */
void fake_host_hold_uevents(FakeHost *h, bool hold);

/* Injection; see fake-kernel.h for the rules. clear also forgets the log. */
void fake_host_fail(FakeHost *h, const char *rule);
void fake_host_clear(FakeHost *h);
void fake_host_let_go(FakeHost *h); /* ends one "hang" */
char *fake_host_log(FakeHost *h);   /* all writes in order, "" when none; free() it */
