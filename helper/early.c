/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

#include <systemd/sd-journal.h>

#include "boots.h"
#include "early.h"
#include "grant-store.h"
#include "log.h"
#include "steps.h"
#include "sysfs-write.h"
#include "sysfs.h"
#include "trail.h"

#define PATIENCE_SECONDS 10 /* udev waits for us, and with it what depends on this one device */

/* The same device as was granted, in a set no wider: siblings may come later. The serial number of an NVMe is known to
 * its driver alone; there ids and slot have to do. */
static int check_identity(Target *t, Member *m) {
        if (!target_is_granted_device(t, m))
                return worker_fail(t->result, FAILURE_IDENTITY_CHANGED,
                                   "Device %s is not what was granted and stays with the host; look at what "
                                   "is in the machine.",
                                   m->address);

        if (t->movers.number == UINT_MAX)
                return worker_fail(t->result, FAILURE_CRITICAL,
                                   "No IOMMU stands in front of device %s, so it stays with the host.",
                                   m->address);
        for (size_t i = 0; i < t->movers.n_members; i++)
                if (!iommu_set_contains(&m->grant.set, &t->movers.members[i]))
                        return worker_fail(t->result, FAILURE_IDENTITY_CHANGED,
                                           "Other devices than were granted share the IOMMU set of device "
                                           "%s, so it stays with the host; Grant it again.",
                                           m->address);
        return 0;
}

/* Not if vfio-pci is yet to be loaded: then it finds the override. A driver that won the race keeps the device. */
static int give(Target *t, Member *m) {
        char line[PCI_ADDRESS_SIZE + 1];
        bool loaded;
        int r;

        (void)snprintf(line, sizeof line, "%s\n", m->address);
        loaded = faccessat(t->root, "sys/bus/pci/drivers/" VFIO_DRIVER, F_OK, 0) == 0;

        if ((r = target_prove(t, m)) < 0)
                return r;
        r = sysfs_write(m->fd, "driver_override", VFIO_DRIVER "\n");
        if (r >= 0) {
                /* Only now: the disk takes its time, in which another device may have the host driver loaded. On a
                 * root file system that is still read-only it is left to --boot-begin. */
                (void)boots_record(t->root);
                if (loaded)
                        r = sysfs_write(t->root, "sys/bus/pci/drivers_probe", line);
                if (r >= 0 && (r = target_refresh_driver(t, m)) >= 0 &&
                    (member_on_vfio(m) || (!loaded && !m->driver[0])))
                        return 1;
                /* Nobody else would offer it to the host driver again, if that is loaded already. */
                (void)sysfs_write(m->fd, "driver_override", "\n");
                (void)sysfs_write(t->root, "sys/bus/pci/drivers_probe", line);
        }
        return worker_fail(t->result, FAILURE_DRIVER,
                           "Device %s was not taken by vfio-pci (%s) and stays with the host; see 'dmesg'.",
                           m->address, r < 0 ? strerror(-r) : "it refused");
}

/* 1: it is to be bound; 0: it is not. */
static int read_order(int root, const PciAddress *a, Grant *ret, Failure *f) {
        char address[PCI_ADDRESS_SIZE];
        int r;

        r = grant_read_from(root, false, a, geteuid(), ret);
        if (r < 0 && r != -ENOENT)
                return failure_set(f, FAILURE_NOT_GRANTED,
                                   "The grant of device %s is damaged or not root's alone; the device stays "
                                   "with the host.",
                                   pci_address_format(a, address));
        return r >= 0 && !ret->covers_vfs && ret->persistent[0] && grant_ids_stand(root, ret, geteuid());
}

static int check_boots(Target *t, const Member *m) {
        if (!boots_guard(t->root))
                return 0;
        return worker_fail(t->result, FAILURE_NOT_AUTHORIZED,
                           "Device %s stays with the host. " BOOTS_GUARD_SENTENCE, m->address);
}

static int take(int root, const PciAddress *a, WorkerResult *result) {
        _cleanup_(target_closep) Target *t = NULL;
        Member *m;
        int r;

        /* A worker of the helper may be at it, or we for a sibling; before the first helper there are no locks. */
        r = target_open(root, a, faccessat(root, LOCKS_DIR, F_OK, 0) < 0 ? TARGET_READ : TARGET_CHANGE,
                        result, &t);
        if (r < 0)
                return r;
        m = target_named(t);

        /* Once more: a Release may have taken it back while we waited. */
        if ((r = read_order(root, a, &m->grant, &result->failure)) <= 0 || (r = check_identity(t, m)) < 0)
                return r;
        /* udev replays the events of devices at boot: this one was taken before. */
        if (member_on_vfio(m))
                return 1;
        if (m->driver[0])
                return worker_fail(result, FAILURE_DRIVER,
                                   "Device %s has the driver %s already, so it stays with the host until it "
                                   "is bound.",
                                   m->address, m->driver);
        if ((r = steps_check_overrides(t)) < 0 || (r = check_boots(t, m)) < 0)
                return r;
        return give(t, m);
}

static void on_alarm(int sig _unused_) {
}

/* What comes of it stands in *result, too. */
static int bind_in_time(int root, const PciAddress *a, unsigned patience, WorkerResult *result) {
        struct sigaction interrupt = {.sa_handler = on_alarm}; /* ends the wait for a lock, not us */
        struct timespec now;

        (void)sigaction(SIGALRM, &interrupt, NULL);
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        result->deadline = ((uint64_t)now.tv_sec + patience) * 1000000;
        return take(root, a, result);
}

int early_bind(int root, const char *address, unsigned patience, Failure *f) {
        WorkerResult result = {0};
        PciAddress a;
        Grant g;
        int r;

        assert(f);

        if (pci_address_parse(address, &a) < 0)
                return failure_set(f, FAILURE_INVALID_ARGUMENT,
                                   "--early-bind takes a PCI address like 0000:3b:00.0 and nothing else.");
        if (sysfs_is_switched_off(root) || (r = read_order(root, &a, &g, f)) == 0)
                return 0;
        if (r < 0)
                return r;

        r = bind_in_time(root, &a, patience, &result);
        trail_early(root, &a, &result, r);
        if (r < 0)
                *f = result.failure;
        /* What stays with the host, the host may use: the next boot must not take it. Bind orders that anew. */
        if (f->kind == FAILURE_DRIVER || f->kind == FAILURE_IDENTITY_CHANGED || f->kind == FAILURE_CRITICAL)
                (void)grant_store_unmark(root, &(IommuSet){.n_members = 1, .members = {a}});
        return r;
}

/* No failure is one here: the device, its IOMMU or its driver may be yet to come, and so is its event. */
static int try_mark(const char *name, void *userdata) {
        const int *root = userdata;
        WorkerResult result = {0};
        PciAddress a;

        if (grant_file_is(name, GRANT_MARK_SUFFIX, &a))
                (void)bind_in_time(*root, &a, PATIENCE_SECONDS, &result);
        return 0;
}

void early_bind_all(int root) {
        if (!sysfs_is_switched_off(root))
                (void)sysfs_each(root, GRANTS_DIR, try_mark, &root);
}

/* The sandbox of the unit is not ours here: udev starts us as root with all that root may. */
static int drop_capabilities(void) {
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_capset, &header, none) < 0)
                return -errno;
        return 0;
}

void early_run(int root, const char *address) {
        Failure f = {0};
        int r;

        r = drop_capabilities();
        if (r < 0)
                (void)failure_set(&f, FAILURE_INTERNAL, "The capabilities cannot be given up: %s",
                                  strerror(-r));
        else if (!address)
                early_bind_all(root);
        else if (early_bind(root, address, PATIENCE_SECONDS, &f) > 0)
                (void)puts("VERGE_PASSTHROUGH=1");

        /* udev shows what its programs say to those who debug only: so to the journal itself, too. */
        if (f.kind != FAILURE_NONE) {
                log_warning("%s", f.sentence);
                (void)sd_journal_print(LOG_WARNING, "%s", f.sentence);
        }
}
