/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>

#include "bus-error.h"
#include "text.h"

#define ERROR_PREFIX "org.verge.Passthrough.Error."

static const char *const failure_kind_table[FAILURE_KIND_MAX] = {
                [FAILURE_INVALID_ARGUMENT] = "InvalidArgument",
                [FAILURE_NO_SUCH_DEVICE] = "NoSuchDevice",
                [FAILURE_NO_SUCH_OBJECT] = "NoSuchObject",
                [FAILURE_INVALID_FILTER] = "InvalidFilter",
                [FAILURE_NAME_TAKEN] = "NameTaken",
                [FAILURE_CONFLICT] = "Conflict",
                [FAILURE_READ_ONLY] = "ReadOnly",
                [FAILURE_ORDERED] = "Ordered",
                [FAILURE_NOT_AUTHORIZED] = "NotAuthorized",
                [FAILURE_INTERACTION_REQUIRED] = "InteractionRequired",
                [FAILURE_NOT_GRANTED] = "NotGranted",
                [FAILURE_CRITICAL] = "Critical",
                [FAILURE_INCOMPLETE_IOMMU_SET] = "IncompleteIommuSet",
                [FAILURE_IDENTITY_CHANGED] = "IdentityChanged",
                [FAILURE_BUSY] = "Busy",
                [FAILURE_IN_USE] = "InUse",
                [FAILURE_STUCK] = "Stuck",
                [FAILURE_DRIVER] = "DriverFailed",
                [FAILURE_NOT_BOUND] = "NotBound",
                [FAILURE_NO_RESET] = "NoReset",
                [FAILURE_RESET] = "ResetFailed",
                [FAILURE_CLAIMED] = "Claimed",
                [FAILURE_UNAVAILABLE] = "Unavailable",
                [FAILURE_RUNNING] = "Running",
                [FAILURE_NOT_RUNNING] = "NotRunning",
                [FAILURE_CANCELLED] = "Cancelled",
                [FAILURE_CONFIRMATION_PENDING] = "ConfirmationPending",
                [FAILURE_LIMITS_EXCEEDED] = "LimitsExceeded",
                [FAILURE_HELPER] = "HelperFailed",
                [FAILURE_INTERNAL] = "Internal",
};

DEFINE_STRING_TABLE(failure_kind, FailureKind, FAILURE_KIND_MAX);

int failure_set(Failure *f, FailureKind kind, const char *format, ...) {
        va_list ap;

        assert(f);
        assert(kind > FAILURE_NONE && kind < FAILURE_KIND_MAX);

        if (f->kind != FAILURE_NONE)
                return -EREMOTEIO;

        f->kind = kind;
        va_start(ap, format);
        (void)vsnprintf(f->sentence, sizeof f->sentence, format, ap);
        va_end(ap);
        text_make_utf8(f->sentence);
        return -EREMOTEIO;
}

int failure_to_bus(const Failure *f, sd_bus_error *error) {
        char name[sizeof ERROR_PREFIX + 32], sentence[sizeof f->sentence];

        assert(f);
        assert(f->kind > FAILURE_NONE && f->kind < FAILURE_KIND_MAX);

        /* Sentences are put together from others, and may be cut in the middle of a character. */
        (void)snprintf(sentence, sizeof sentence, "%s", f->sentence);
        text_make_utf8(sentence);

        if (f->kind == FAILURE_INTERACTION_REQUIRED)
                return sd_bus_error_set(error, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED, sentence);

        (void)snprintf(name, sizeof name, ERROR_PREFIX "%s", failure_kind_to_string(f->kind));
        return sd_bus_error_set(error, name, sentence);
}

void failure_from_bus(Failure *f, const sd_bus_error *error) {
        FailureKind kind;

        assert(f);
        assert(error);

        if (sd_bus_error_has_name(error, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED)) {
                (void)failure_set(f, FAILURE_INTERACTION_REQUIRED, "%s", strempty(error->message));
                return;
        }

        if (error->name && startswith(error->name, ERROR_PREFIX)) {
                kind = failure_kind_from_string(error->name + strlen(ERROR_PREFIX));
                if (kind > FAILURE_NONE) {
                        (void)failure_set(f, kind, "%s", strempty(error->message));
                        return;
                }
        }

        (void)failure_set(f, FAILURE_HELPER,
                          "The privileged helper did not answer (%s: %s); see 'journalctl -u "
                          "verge-passthrough-helper' and try again.",
                          strempty(error->name), strempty(error->message));
}
