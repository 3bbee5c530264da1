/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the port of an SR-IOV network card says of its virtual functions: rtnetlink(7), RTM_GETLINK, which everybody may
 * ask. Can wait for a lock of the kernel that a hanging driver holds: not for a main loop.
 */

#include "vf-settings.h"

#define VF_LINK_NAME_SIZE 16U /* of a network interface */

typedef struct VfLink {
        unsigned interface;
        char name[VF_LINK_NAME_SIZE];
        bool up, carrier; /* its administrator wants it up; something is at the other end */
        VfSettings now;   /* what its driver does not tell of the function is not given */
} VfLink;

/* The interface of a physical function (its directory in sysfs) that knows of this virtual function; of several the one
 * with the lowest number. -ENODEV: it has none; -ENODATA: none tells of it; -EBUSY: of others alone, as the kernel does
 * while a driver cannot say (rtnl_fill_vfinfo() leaves one out: ice and i40e when they reset it); or what the kernel
 * answered. */
int vf_link_find(int physical_fd, unsigned vf, VfLink *ret);

/* Asks the same interface once more. -ENODATA: it does not tell of it any more; -EBUSY as above. */
int vf_link_refresh(VfLink *link, unsigned vf);

/* All functions of an interface. Non-zero ends it, and is the answer. */
typedef int (*vf_link_t)(unsigned vf, const VfSettings *now, void *userdata);
int vf_link_each(unsigned interface, vf_link_t f, void *userdata);
