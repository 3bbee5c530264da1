/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Whose memory does the screen use that the firmware left behind? Its drivers (efifb, simpledrm...) hang on a platform
 * device that knows no PCI device, but /proc/iomem shows their memory inside that of one. Everybody may read the
 * names and how they are nested; only the addresses need a capability, and they are not looked at.
 */

#include "pci-address.h"

/* user: the name of the region, "efifb". What it returns, if not 0, ends the search. */
typedef int (*host_iomem_screen_t)(const PciAddress *a, const char *user, void *userdata);

/* Calls f for each region of such a driver inside memory of a PCI device. Lines of another form are passed over: the
 * names are whatever drivers call themselves. */
int host_iomem_each_screen(const char *text, host_iomem_screen_t f, void *userdata);
