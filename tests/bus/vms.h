/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What tests of running VMs have in common. */

#include "orders.h"

#define SPARE "0000:03:00.0" /* alone in its IOMMU set, as NIC and CARD are */
#define NIC_SET 7
#define CARD_SET 8
#define PAIR_SET 9
#define SPARE_SET 10

#define EVERY_VM_DEVICE_MAX 8

/* What a start answered. The descriptors are ours until vm_let_go(). */
typedef struct Answer {
        size_t n, n_fds;
        struct {
                char address[16], claim[128], node[32];
                uint32_t set;
        } devices[EVERY_VM_DEVICE_MAX];
        struct {
                char address[16];
                int fd;
        } fds[EVERY_VM_DEVICE_MAX];
        int lifeline, iommufd; /* -1: none */
} Answer;

/* Must be a success. Frees it. */
Answer vm_take_answer(sd_bus_message *reply);
bool vm_has(const Answer *a, const char *address);
/* Closes all that was handed out: the VM ends. */
void vm_let_go(Answer *a);

#define START(b, from, vm, ...) bench_call_manager(b, from, "StartVm", "sa{sv}", vm, __VA_ARGS__)
#define STOP(b, from, vm, ...) bench_call_manager(b, from, "StopVm", "sa{sv}", vm, __VA_ARGS__)
/* Without waiting for it. */
#define START_LATER(b, from, vm, ...)                                                                       \
        bench_start(b, from, BUS_NAME, BUS_PATH, BUS_INTERFACE_MANAGER, "StartVm", true, "sa{sv}", vm,      \
                    __VA_ARGS__)

/* The daemon runs, and SPARE is there. */
int vms_setup(void **state);
void vms_add_spare(Bench *b);

/* By MakePassthrough as an administrator, who must be allowed to. binding NULL: on-claim. */
Path vms_make_group(Bench *b, const char *addresses, const char *siblings, const char *binding);

/* At the host, with its own driver, with nobody's access; or in the pool. */
void vms_until_home(Bench *b, const char *address);
void vms_until_pooled(Bench *b, const char *address);

/* Nobody was let in to this IOMMU set. */
void vms_expect_shut(Bench *b, unsigned set);
/* That user has an entry in the access control list of the set's node. */
bool vms_may_open(Bench *b, unsigned set, uid_t uid);
