/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The errors of the D-Bus API, org.verge.Passthrough.Error.*: one list, shared by daemon and helper.
 *
 * Inside the code a failure is a Failure: one of these kinds and the sentence for the user, which names the
 * object, the reason and what to do next. failure_to_bus() is the one place where it becomes a D-Bus error.
 */

#include <systemd/sd-bus.h>

#include "string-table.h"

typedef enum FailureKind {
        FAILURE_NONE,
        FAILURE_INVALID_ARGUMENT, /* an argument that is not of the documented form, or an unknown option */
        FAILURE_NO_SUCH_DEVICE,   /* no PCI function has this address (any more) */
        FAILURE_NO_SUCH_OBJECT,   /* no group, rule, claim or VM of this name is there (any more) */
        FAILURE_INVALID_FILTER,   /* the text is no filter; the sentence has the column */
        FAILURE_NAME_TAKEN,       /* another group, or rule of the group, has this name */
        FAILURE_CONFLICT,         /* somebody else changed it since the caller has read it */
        FAILURE_READ_ONLY,        /* the database is damaged or of a newer version and left alone */
        FAILURE_ORDERED,          /* a persistent group wants the device on vfio-pci */
        FAILURE_NOT_AUTHORIZED,   /* polkit said no or could not be asked, or Bind is switched off */
        FAILURE_INTERACTION_REQUIRED, /* polkit would have to prompt, and the call did not allow it */
        FAILURE_NOT_GRANTED,          /* no grant by an administrator covers the device */
        FAILURE_CRITICAL,             /* the host would lose something it needs */
        FAILURE_INCOMPLETE_IOMMU_SET, /* others must move along; the sentence lists them */
        FAILURE_IDENTITY_CHANGED,     /* not the device, or not the IOMMU set, that was granted */
        FAILURE_BUSY,                 /* another operation on this IOMMU set is under way */
        FAILURE_IN_USE,               /* a process holds the VFIO device open */
        FAILURE_STUCK,                /* the kernel did not answer in time; the sentence names the holder */
        FAILURE_DRIVER,      /* a step failed, no vfio-pci, or a foreign driver_override; a Bind is undone */
        FAILURE_NOT_BOUND,   /* Reset needs it on vfio-pci (Bind), Revoke at the host (Release) */
        FAILURE_NO_RESET,    /* the device has no way to be reset */
        FAILURE_RESET,       /* it has one, which failed */
        FAILURE_CLAIMED,     /* a VM has it, or is being given it; or a claim names the group */
        FAILURE_UNAVAILABLE, /* a group has not as many free devices as are claimed; the sentence says why */
        FAILURE_RUNNING,     /* the claim, or a claim of the VM, is running or starting already */
        FAILURE_NOT_RUNNING, /* it is not, and has to be */
        FAILURE_CANCELLED,   /* a start that waited was called off */
        FAILURE_CONFIRMATION_PENDING, /* a change waits for Confirm or Revert first; the sentence says whose */
        FAILURE_LIMITS_EXCEEDED,      /* too many requests or too large a request */
        FAILURE_HELPER,               /* the privileged helper cannot be reached or failed */
        FAILURE_INTERNAL,             /* out of memory, disk full and the like; the sentence says which */
        FAILURE_KIND_MAX,
        FAILURE_KIND_INVALID = -EINVAL,
} FailureKind;

/* The last part of the D-Bus name: "NoSuchDevice". FAILURE_INTERACTION_REQUIRED goes out under the standard name
 * org.freedesktop.DBus.Error.InteractiveAuthorizationRequired, which clients know. */
DECLARE_STRING_TABLE(failure_kind, FailureKind);

/* Plain data without pointers: it can live in memory shared with a worker. */
typedef struct Failure {
        FailureKind kind;
        char sentence[1024];
} Failure;

/* Fills *f unless it already tells of an earlier failure: the first is the cause. Returns -EREMOTEIO, so that
 * `return failure_set(f, ...)` leaves a function whose caller passes f on. */
int failure_set(Failure *f, FailureKind kind, const char *format, ...) _printf_(3, 4);

/* Turns it into an error for the caller of a method. Returns the negative errno that sd-bus wants. */
int failure_to_bus(const Failure *f, sd_bus_error *error);

/* Takes a D-Bus error from the helper (or from the bus in its place) back into a Failure. */
void failure_from_bus(Failure *f, const sd_bus_error *error);
