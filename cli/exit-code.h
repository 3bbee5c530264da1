/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the tool ends with; passthroughctl(1), EXIT STATUS. Scripts rely on these numbers. */

#include "bus-error.h"

typedef enum ExitCode {
        EXIT_DONE = 0,
        EXIT_FAILED = 1, /* the service, a driver or the kernel failed */
        EXIT_USAGE = 2,  /* not a command line that is documented, or an argument that is not of its form */
        EXIT_NOT_FOUND = 3,     /* no device, group, rule, claim or VM of this name; or more than one */
        EXIT_NOT_ALLOWED = 4,   /* polkit said no, or nobody answered its prompt */
        EXIT_REFUSED = 5,       /* it was refused; or check, plan or doctor have found what would be */
        EXIT_BUSY = 6,          /* in use, moving, running: may succeed later */
        EXIT_NO_SERVICE = 7,    /* the bus or the service cannot be reached */
        EXIT_NO_DEVICES = 125,  /* vm start: no devices, so the command was not started */
        EXIT_CANNOT_RUN = 126,  /* vm start: the command is there and cannot be run */
        EXIT_NO_COMMAND = 127,  /* vm start: there is no such command */
        EXIT_INTERRUPTED = 130, /* by ctrl-C or SIGTERM */
} ExitCode;

ExitCode exit_code_from_failure(FailureKind kind) _const_;

/* Tells why on standard error, "passthroughctl: SENTENCE", and returns the code: `return complain(...)`. */
ExitCode complain(ExitCode code, const char *format, ...) _printf_(2, 3);
ExitCode complain_failure(const Failure *f);
ExitCode complain_oom(void);
