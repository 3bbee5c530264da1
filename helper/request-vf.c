/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/rtnetlink.h>
#include <time.h>

#include "request-move.h"
#include "request.h"
#include "sysfs.h"
#include "vf-address.h"
#include "vf-link.h"
#include "vf-message.h"

#define LINK_WAIT_MS 5000U /* a port whose functions were made just now has no link for a second or two */
#define CARE_SIZE 512U

/* One virtual function, the physical one that it is of, and the network interface of that. */
typedef struct Function {
        Target *t;
        Member *m, physical;
        char driver[PCI_DRIVER_SIZE]; /* of the physical one */
        unsigned number;              /* as the physical one counts */
        VfLink link;
        VfSettings goal; /* all that is to hold at the end, by whole messages */
        VfMessage at;    /* what failed */
        char why[VF_WHY_SIZE];
} Function;

static int open_physical(Function *fn) {
        char name[64];
        int r;

        r = sysfs_read_link_name(fn->m->fd, "physfn", name, sizeof name);
        if (r < 0 || pci_address_parse(name, &fn->physical.identity.address) < 0)
                return worker_fail(fn->t->result, FAILURE_INVALID_ARGUMENT,
                                   "Device %s is not a virtual function, which alone has such settings; "
                                   "name one of those below its physical function.",
                                   fn->m->address);

        (void)snprintf(fn->physical.address, sizeof fn->physical.address, "%.12s", name);
        fn->physical.fd = sysfs_open_device(fn->t->root, &fn->physical.identity.address);
        r = fn->physical.fd < 0 ? fn->physical.fd
                                : pci_identity_read(fn->physical.fd, &fn->physical.identity.address,
                                                    &fn->physical.identity);
        if (r < 0)
                return worker_fail(fn->t->result, FAILURE_NO_SUCH_DEVICE,
                                   "The physical function %s of device %s cannot be read (%s); is it just "
                                   "going?",
                                   fn->physical.address, fn->m->address, strerror(-r));
        return 0;
}

/* What the host uses itself stays as it is. */
static int check_unused(Function *fn) {
        if (fn->m->driver[0] && !member_on_vfio(fn->m))
                return worker_fail(fn->t->result, FAILURE_NOT_BOUND,
                                   "Device %s is used by the host (driver %s), so its settings are left "
                                   "alone; Bind it first.",
                                   fn->m->address, fn->m->driver);
        return move_check_in_use(fn->t);
}

static int find_number(Function *fn) {
        char link[16], name[64];

        for (fn->number = 0; fn->number < VFS_MAX; fn->number++) {
                (void)snprintf(link, sizeof link, "virtfn%u", fn->number);
                if (sysfs_read_link_name(fn->physical.fd, link, name, sizeof name) >= 0 &&
                    streq(name, fn->m->address))
                        return 0;
        }
        return worker_fail(fn->t->result, FAILURE_NO_SUCH_DEVICE,
                           "The physical function %s does not know of device %s; is it just going?",
                           fn->physical.address, fn->m->address);
}

static int find_link(Function *fn) {
        int r;

        if (sysfs_read_link_name(fn->physical.fd, "driver", fn->driver, sizeof fn->driver) < 0)
                strcpy(fn->driver, "none");
        r = vf_link_find(fn->physical.fd, fn->number, &fn->link);
        if (r >= 0)
                return 0;
        if (r == -ENODEV)
                return worker_fail(fn->t->result, FAILURE_DRIVER,
                                   "The physical function %s has no network interface (its driver: %s), so "
                                   "nothing can be set for device %s; load its driver, or take the "
                                   "interface back from the network namespace where it is.",
                                   fn->physical.address, fn->driver, fn->m->address);
        if (r == -EBUSY)
                return worker_fail(fn->t->result, FAILURE_BUSY,
                                   "The driver %s of %s tells of its other virtual functions, and not of "
                                   "device %s just now, as while that is reset; try again in a moment.",
                                   fn->driver, fn->physical.address, fn->m->address);
        return worker_fail(fn->t->result, FAILURE_DRIVER,
                           "The network interfaces of %s (driver %s) tell nothing about device %s (%s), so "
                           "nothing can be set for it; use it in a group of type \"pci\".",
                           fn->physical.address, fn->driver, fn->m->address,
                           r == -ENODATA ? "it cannot do that" : strerror(-r));
}

/* The port would give the function what is for the host. */
static int check_address(Function *fn, const VfSettings *wanted) {
        char name[VF_LINK_NAME_SIZE], text[VF_MAC_TEXT_SIZE];

        if (!vf_settings_has(wanted, VF_MAC) || !vf_mac_is_unicast(wanted->mac) ||
            vf_address_find_holder(fn->physical.fd, wanted->mac, name) == 0)
                return 0;
        return worker_fail(
                        fn->t->result, FAILURE_CONFLICT,
                        "Device %s cannot have the address %s: it is that of the interface %s of this host, "
                        "at the same port (%s), whose frames the device would get. Nothing was changed; "
                        "give "
                        "the claim another one in \"mac-addresses\".",
                        fn->m->address, vf_mac_format(wanted->mac, text), name, fn->physical.address);
}

static VfSettings only(const VfSettings *v, uint32_t mask) {
        VfSettings part = *v;

        part.given &= mask;
        return part;
}

/* Whole messages: what is not asked for stays as it is. But without a VLAN the two others mean nothing. */
static int make_goal(Function *fn, VfSettings wanted) {
        char owner[64];

        for (int s = 0; s < VF_SETTING_MAX; s++)
                if (vf_setting_is_switch((VfSetting)s) && wanted.values[s] == VF_SWITCH_DEFAULT)
                        wanted.given &= ~(1U << s);

        for (int m = 0; m < VF_MESSAGE_MAX; m++) {
                uint32_t mask = vf_message_settings((VfMessage)m);
                VfSettings asked = only(&wanted, mask), part = only(&fn->link.now, mask);

                if (asked.given == 0)
                        continue;
                if (vf_settings_has(&asked, VF_VLAN) && asked.values[VF_VLAN] == 0)
                        part.given = 0;
                vf_settings_merge(&part, &asked);
                vf_settings_complete(&part, mask);
                vf_settings_merge(&fn->goal, &part);
        }

        (void)snprintf(owner, sizeof owner, "virtual function %s", fn->m->address);
        return vf_settings_check(&fn->goal, owner, &fn->t->result->failure);
}

/* Of what both know. */
static uint32_t differing(const VfSettings *a, const VfSettings *b) {
        uint32_t differ = 0;

        for (int s = 0; s < VF_SETTING_MAX; s++) {
                VfSettings x = only(a, 1U << s), y = only(b, 1U << s);

                if (x.given & y.given && !vf_settings_same(&x, &y))
                        differ |= 1U << s;
        }
        return differ;
}

static bool takes_address_away(const VfSettings *v) {
        return vf_settings_has(v, VF_MAC) && !vf_mac_is_unicast(v->mac);
}

/* Not every driver can take an address away again; then it stays until the next one is set. And what a driver does
 * not know at all is off. */
static bool is_as_good(const VfSettings *part, VfMessage m, int r) {
        if (m == VF_MESSAGE_MAC && takes_address_away(part))
                return r == -EINVAL || r == -EADDRNOTAVAIL || r == -EOPNOTSUPP;
        if (m == VF_MESSAGE_TRUST || m == VF_MESSAGE_QUERY_RSS)
                return r == -EOPNOTSUPP &&
                       part->values[m == VF_MESSAGE_TRUST ? VF_TRUST : VF_QUERY_RSS] == VF_SWITCH_OFF;
        return false;
}

static unsigned now_ms(void) {
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (unsigned)t.tv_sec * 1000 + (unsigned)(t.tv_nsec / 1000000);
}

/* Some drivers know how fast the port is, and take a rate, only while it has a link. True: it has come. */
static bool wait_for_link(Function *fn) {
        const bool had_one = fn->link.carrier;
        const unsigned begun = now_ms();
        _cleanup_close_ int fd = netlink_listen(NETLINK_ROUTE, RTNLGRP_LINK); /* before the look */
        unsigned waited;

        if (fd < 0 || vf_link_refresh(&fn->link, fn->number) < 0 || !fn->link.up)
                return false;
        worker_doing(fn->t->result, "waiting for the link of %s", fn->link.name);
        while (!fn->link.carrier) {
                waited = now_ms() - begun;
                if (waited >= LINK_WAIT_MS || worker_past_deadline(fn->t->result) ||
                    netlink_wait(fd, LINK_WAIT_MS - waited) <= 0 ||
                    vf_link_refresh(&fn->link, fn->number) < 0)
                        return false;
        }
        return !had_one;
}

static int send_message(Function *fn, VfMessage m, const VfSettings *v) {
        char line[VF_LINE_SIZE];
        VfSettings part = only(v, vf_message_settings(m));
        int r;

        if ((r = target_prove(fn->t, fn->m)) < 0)
                return r;
        worker_doing(fn->t->result, "setting %.120s for %s", vf_settings_format(&part, line),
                     fn->m->address);
        r = vf_message_send(m, fn->link.interface, fn->number, &part, fn->why);
        if (r == -EINVAL && m == VF_MESSAGE_RATE && wait_for_link(fn))
                r = vf_message_send(m, fn->link.interface, fn->number, &part, fn->why);
        return r < 0 && is_as_good(&part, m, r) ? 0 : r;
}

/* Back to what was; ret_care says how it stands now. */
static void undo(Function *fn, const VfSettings *before, uint32_t written, char ret_care[static CARE_SIZE]) {
        char lost[VF_LINE_SIZE], why[VF_WHY_SIZE];
        VfSettings left = {0};

        strcpy(why, fn->why); /* of the failure that is told */
        for (int m = VF_MESSAGE_MAX - 1; m >= 0; m--) {
                uint32_t mask = vf_message_settings((VfMessage)m);
                VfSettings part = only(before, mask);

                if (written & 1U << m && (part.given != mask || send_message(fn, (VfMessage)m, &part) < 0)) {
                        part = only(&fn->goal, mask);
                        vf_settings_merge(&left, &part);
                }
        }
        strcpy(fn->why, why);

        if (left.given)
                (void)snprintf(ret_care, CARE_SIZE,
                               "What was set before could not be put back and stays: %s.",
                               vf_settings_format(&left, lost));
        else
                strcpy(ret_care, written ? "All is set as it was before." : "Nothing was changed.");
}

static const char *advise(const Function *fn, int r) {
        if (r == -EPERM)
                return "Does a drop-in of verge-passthrough-helper.service take CAP_NET_ADMIN from its "
                       "CapabilityBoundingSet=?";
        if (r == -EBUSY || r == -EAGAIN)
                return "Try again in a moment.";
        if (r == -EPROTONOSUPPORT)
                return "It has no such VLAN protocol: set \"vlan-protocol\" to '802.1Q' in the group.";
        if (r == -EOPNOTSUPP)
                return "It cannot do that: leave it at its default in the group.";
        if (r == -EINVAL && fn->at == VF_MESSAGE_RATE && !fn->link.carrier)
                return "The port has no link, and some drivers take a rate only with one: plug in its "
                       "cable, "
                       "and bring it up with 'ip link set dev' and its name.";
        if (r == -EINVAL && fn->at == VF_MESSAGE_RATE)
                return "Perhaps the rate is above the speed of the link, or it cannot promise a lower "
                       "limit: "
                       "set a lower \"max-rate\", and \"min-rate\" to 0, in the group.";
        return "See 'dmesg', and set another value in the group.";
}

static FailureKind kind_of(int r) {
        return r == -EPERM ? FAILURE_INTERNAL : r == -EBUSY || r == -EAGAIN ? FAILURE_BUSY : FAILURE_DRIVER;
}

static int fail_write(Function *fn, int r, const char *care) {
        VfSettings part = only(&fn->goal, vf_message_settings(fn->at));
        char line[VF_LINE_SIZE];

        return worker_fail(fn->t->result, kind_of(r),
                           "%s cannot be set for device %s, virtual function %u of %s (%s): its driver %s "
                           "says '%s%s%s'. %s %s",
                           vf_settings_format(&part, line), fn->m->address, fn->number, fn->physical.address,
                           fn->link.name, fn->driver, strerror(-r), fn->why[0] ? ": " : "", fn->why,
                           advise(fn, r), care);
}

static int write_differences(Function *fn, const VfSettings *before, uint32_t *written) {
        int r;

        for (int m = 0; m < VF_MESSAGE_MAX; m++) {
                uint32_t mask = vf_message_settings((VfMessage)m) & fn->goal.given;

                if (!(mask & ~before->given) && !(mask & differing(before, &fn->goal)))
                        continue;
                fn->at = (VfMessage)m;
                if ((r = send_message(fn, fn->at, &fn->goal)) < 0)
                        return r;
                *written |= 1U << m;
        }
        return 0;
}

/* What the kernel says of it afterwards is what counts. */
static int check_result(Function *fn, uint32_t *ret_wrong) {
        uint32_t left_over = takes_address_away(&fn->goal) ? 1U << VF_MAC : 0;
        int r;

        r = vf_link_refresh(&fn->link, fn->number);
        if (r >= 0)
                *ret_wrong = differing(&fn->link.now, &fn->goal) & ~left_over;
        return r;
}

static int apply(Function *fn) {
        char care[CARE_SIZE], is[VF_LINE_SIZE], goal[VF_LINE_SIZE];
        const VfSettings before = fn->link.now;
        uint32_t written = 0, wrong = 0;
        VfSettings part;
        int r;

        if (worker_past_deadline(fn->t->result))
                return worker_fail(fn->t->result, FAILURE_STUCK,
                                   "An earlier operation did not end in time; nothing was begun.");

        r = write_differences(fn, &before, &written);
        if (r < 0) {
                undo(fn, &before, written, care);
                return fail_write(fn, r, care);
        }
        if (written == 0)
                return 0;

        r = check_result(fn, &wrong);
        if (r >= 0 && wrong == 0)
                return 0;
        part = only(&fn->link.now, wrong);
        (void)vf_settings_format(&part, is);
        part = only(&fn->goal, wrong);
        (void)vf_settings_format(&part, goal);
        undo(fn, &before, written, care);
        return worker_fail(fn->t->result, FAILURE_DRIVER,
                           "%s was set for device %s, virtual function %u of %s (%s), but afterwards its "
                           "driver %s says %s. Set what it can do in the group. %s",
                           goal, fn->m->address, fn->number, fn->physical.address, fn->link.name, fn->driver,
                           r < 0 ? strerror(-r) : is, care);
}

void request_set_vf(int root, const void *request, WorkerResult *result) {
        _cleanup_(target_closep) Target *t = NULL;
        Function fn = {.physical.fd = -1};
        const Request *q = request;

        if (target_open(root, &q->devices[0], TARGET_CHANGE, result, &t) < 0)
                return;
        fn.t = t;
        fn.m = target_named(t);

        if (open_physical(&fn) >= 0 && target_check_pf(fn.t, &fn.physical) >= 0 && check_unused(&fn) >= 0 &&
            find_number(&fn) >= 0 && find_link(&fn) >= 0 && check_address(&fn, &q->settings) >= 0 &&
            make_goal(&fn, q->settings) >= 0)
                (void)apply(&fn);
        closep(&fn.physical.fd);
}
