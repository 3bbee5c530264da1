/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>

#include "exit-code.h"
#include "output.h"
#include "sentence.h"
#include "text.h"

ExitCode exit_code_from_failure(FailureKind kind) {
        switch (kind) {
        case FAILURE_INVALID_ARGUMENT:
        case FAILURE_INVALID_FILTER:
                return EXIT_USAGE;
        case FAILURE_NO_SUCH_DEVICE:
        case FAILURE_NO_SUCH_OBJECT:
                return EXIT_NOT_FOUND;
        case FAILURE_NOT_AUTHORIZED:
        case FAILURE_INTERACTION_REQUIRED:
                return EXIT_NOT_ALLOWED;
        case FAILURE_NAME_TAKEN:
        case FAILURE_CONFLICT:
        case FAILURE_READ_ONLY:
        case FAILURE_ORDERED:
        case FAILURE_NOT_GRANTED:
        case FAILURE_CRITICAL:
        case FAILURE_INCOMPLETE_IOMMU_SET:
        case FAILURE_IDENTITY_CHANGED:
        case FAILURE_NOT_BOUND:
        case FAILURE_NO_RESET:
        case FAILURE_CLAIMED:
        case FAILURE_NOT_RUNNING:
                return EXIT_REFUSED;
        case FAILURE_BUSY:
        case FAILURE_IN_USE:
        case FAILURE_STUCK:
        case FAILURE_UNAVAILABLE:
        case FAILURE_RUNNING:
        case FAILURE_CONFIRMATION_PENDING:
        case FAILURE_LIMITS_EXCEEDED:
                return EXIT_BUSY;
        case FAILURE_CANCELLED:
                return EXIT_INTERRUPTED;
        default:
                return EXIT_FAILED;
        }
}

ExitCode complain(ExitCode code, const char *format, ...) {
        char *text = NULL;
        va_list ap;
        int r;

        (void)fflush(stdout);
        (void)fprintf(stderr, "%spassthroughctl:%s ", output_tint(stderr, TINT_BAD),
                      output_tint(stderr, TINT_NONE));
        va_start(ap, format);
        r = vasprintf(&text, format, ap);
        va_end(ap);
        /* It may speak of words and files that were named elsewhere, and of what the bus says. */
        if (r >= 0)
                text_make_utf8(text);
        (void)fprintf(stderr, "%s\n", r >= 0 ? text : format);
        if (r >= 0)
                free(text);
        return code;
}

/* What else can be done by this tool, or NULL. */
/* Where the sentence does not say what to do in the words of this tool. */
static const char *hint(const Failure *f) {
        switch (f->kind) {
        case FAILURE_INCOMPLETE_IOMMU_SET:
                return "'passthroughctl list --iommu' shows which devices move together.";
        case FAILURE_ORDERED:
                if (!strstr(f->sentence, "disable"))
                        return NULL;
                return "'passthroughctl return' brings it home for good; 'passthroughctl rule edit' and "
                       "'passthroughctl group edit' take --disable.";
        case FAILURE_CRITICAL:
                if (strstr(f->sentence, "is used by the host (driver"))
                        return NULL;
                return "'passthroughctl plan' shows all of it; --consent=REASON overrides a reason by name, "
                       "where that can be.";
        case FAILURE_CLAIMED:
                return "'passthroughctl claim list' shows who has what; 'passthroughctl vm stop' takes "
                       "devices back from a VM that has ended.";
        case FAILURE_INTERACTION_REQUIRED:
                return "At a terminal polkit can ask, unless --no-ask-password is given.";
        default:
                return NULL;
        }
}

ExitCode complain_failure(const Failure *f) {
        _cleanup_free_ char *sentence = NULL;
        ExitCode code;

        assert(f);
        assert(f->kind != FAILURE_NONE);

        sentence = sentence_translate(f->sentence);
        code = complain(exit_code_from_failure(f->kind), "%s", sentence ? sentence : f->sentence);
        if (hint(f))
                (void)complain(code, "%s", hint(f));
        return code;
}

ExitCode complain_oom(void) {
        return complain(EXIT_FAILED, "Out of memory.");
}
