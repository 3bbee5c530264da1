/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Which addresses this host uses itself behind one port of an SR-IOV network card. A virtual function with one of these
 * would get the frames that are the host's.
 */

#include "vf-link.h"

/* Looks at the interfaces of the physical function (its directory in sysfs), at those of its virtual ones, and at all
 * that stand on them (bonds, bridges, VLANs, macvlans), as far as this network namespace sees them. 1: this one has the
 * address. */
int vf_address_find_holder(int physical_fd, const uint8_t mac[static VF_MAC_LENGTH],
                           char ret_name[static VF_LINK_NAME_SIZE]);
