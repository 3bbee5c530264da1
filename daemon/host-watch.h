/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Keeps the verdicts on what the host would lose (critical.h) up to date, and what is known of the settings of virtual
 * functions: looks again when mounts, swap, links, addresses, routes or logind's sessions change, or when asked to.
 * Looking can wait for locks of the kernel (RTNL) that a hung driver holds, so it happens in a thread; there is one at
 * a time, and a pause after each. A look that the kernel does not answer in time is reported as -ETIMEDOUT, and what
 * it finds when it does answer is taken; one that failed is repeated, and so is one that found what changes without an
 * event (mounts in other namespaces).
 *
 * The kernel tells of a change of these settings as of any other of the link. But nothing tells of one that the driver
 * makes by itself, of a change of /etc/fstab, or of a screen that a program switches on or off: that is found at the
 * next look, whatever it is for. The helper, which decides, looks anew each time.
 */

#include <systemd/sd-event.h>

#include "pci-identity.h"
#include "vf-settings.h"

typedef struct HostVerdict {
        PciIdentity identity;         /* in: who is judged */
        PciAddress physical_function; /* in: of a virtual function of a network card */
        int32_t vf_index;             /* in: which of them it is; -1: it is none */
        int error;                    /* out: why there is no verdict (negative errno), or 0 */
        uint32_t critical;            /* out: bits 1 << CriticalReason */
        char *sentence;               /* out: the first reason; NULL for none */
        VfSettings settings;          /* out: of such a function, what the kernel tells of it */
} HostVerdict;

/* Who is to be judged? *ret is an allocated array. Called on the main loop. */
typedef int (*host_watch_subjects_t)(HostVerdict **ret, size_t *ret_n, void *userdata);

/* error: 0, or why nothing could be had; then there are no verdicts. -ETIMEDOUT: nothing yet. */
typedef void (*host_watch_done_t)(int error, const HostVerdict *verdicts, size_t n, void *userdata);

typedef struct HostWatch HostWatch;

#define HOST_WATCH_PATIENCE_USEC (5ULL * 1000 * 1000)
#define HOST_WATCH_RETRY_USEC (10ULL * 1000 * 1000)
#define HOST_WATCH_RECHECK_USEC (3ULL * 1000 * 1000)

typedef struct HostWatchConfig {
        int root;
        uint64_t patience_usec, retry_usec, recheck_usec; /* the three above, but for tests */
        host_watch_subjects_t subjects;
        host_watch_done_t done;
        void *userdata;
} HostWatchConfig;

int host_watch_new(sd_event *event, const HostWatchConfig *config, HostWatch **ret);
/* Gives a thread that is at work a second to end; one that hangs in the kernel is left behind. */
HostWatch *host_watch_free(HostWatch *w);

/* Look again soon. Cheap; may be called in bursts: after a look there is a pause nine times as long (but 0.1 s to
 * recheck_usec), so a storm of events costs a tenth of a processor, however many they are. */
void host_watch_trigger(HostWatch *w);
/* And once more after recheck_usec: for an event that can come a moment before what it tells of. Device mapper
 * says that a volume goes before it lets go of the disks; a screen is switched on by who has heard that it was
 * plugged in. */
void host_watch_trigger_twice(HostWatch *w);
