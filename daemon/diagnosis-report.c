/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>

#include "diagnosis-report.h"
#include "text.h"

/* A host with more to say has said enough. */
#define FINDINGS_MAX 64U

static const char *const diagnosis_severity_table[DIAGNOSIS_SEVERITY_MAX] = {
                [DIAGNOSIS_OK] = "ok",
                [DIAGNOSIS_INFO] = "info",
                [DIAGNOSIS_WARNING] = "warning",
                [DIAGNOSIS_ERROR] = "error",
};

DEFINE_STRING_TABLE(diagnosis_severity, DiagnosisSeverity, DIAGNOSIS_SEVERITY_MAX);

void diagnosis_host_clear(DiagnosisHost *h) {
        assert(h);

        free(h->command_line);
        for (size_t i = 0; i < ELEMENTSOF(h->file_texts); i++)
                free(h->file_texts[i]);
        *h = (DiagnosisHost){0};
}

static void clear_commands(DiagnosisFinding *f) {
        for (size_t i = 0; i < f->n_commands; i++)
                free(f->commands[i]);
        f->n_commands = 0;
}

void diagnosis_report_clear(DiagnosisReport *r) {
        assert(r);

        for (size_t i = 0; r->findings && i <= FINDINGS_MAX; i++)
                clear_commands(&r->findings[i]);
        free(r->findings);
        *r = (DiagnosisReport){0};
}

/* One place more than there are findings takes what does not fit. */
DiagnosisFinding *diagnosis_find(DiagnosisReport *r, const char *code) {
        DiagnosisFinding *f = &r->findings[r->n];

        clear_commands(f);
        *f = (DiagnosisFinding){.code = code};
        r->n += r->n < FINDINGS_MAX;
        return f;
}

void diagnosis_say(DiagnosisFinding *f, DiagnosisSeverity severity, const char *format, ...) {
        va_list ap;

        f->severity = severity;
        va_start(ap, format);
        (void)vsnprintf(f->sentence, sizeof f->sentence, format, ap);
        va_end(ap);
}

static _printf_(2, 0) void append(DiagnosisFinding *f, const char *format, va_list ap) {
        size_t n = strlen(f->remedy);

        if (n > 0 && n + 1 < sizeof f->remedy)
                f->remedy[n++] = ' ';
        (void)vsnprintf(f->remedy + n, sizeof f->remedy - n, format, ap);
}

void diagnosis_advise(DiagnosisFinding *f, const char *format, ...) {
        va_list ap;

        f->remedy[0] = '\0';
        va_start(ap, format);
        append(f, format, ap);
        va_end(ap);
}

void diagnosis_advise_also(DiagnosisFinding *f, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        append(f, format, ap);
        va_end(ap);
}

void diagnosis_command(DiagnosisReport *r, DiagnosisFinding *f, const char *format, ...) {
        char *command;
        va_list ap;
        int n;

        assert(f->n_commands < DIAGNOSIS_COMMANDS_MAX);

        va_start(ap, format);
        n = vasprintf(&command, format, ap);
        va_end(ap);
        if (n < 0) {
                r->error = -ENOMEM;
                return;
        }
        text_make_utf8(command);
        f->commands[f->n_commands++] = command;
}

void diagnosis_concerns(DiagnosisFinding *f, const Device *d) {
        if (f->n_devices < ELEMENTSOF(f->devices))
                f->devices[f->n_devices++] = *device_address(d);
}

const char *diagnosis_list(const char words[][DIAGNOSIS_WORD_SIZE], size_t n, char *buf, size_t size) {
        buf[0] = '\0';
        for (size_t i = 0; i < n; i++)
                text_append_item(buf, size, words[i]);
        return buf;
}

int diagnosis_make(const DiagnosisHost *host, const DiagnosisState *state, DiagnosisReport *ret) {
        DiagnosisReport r = {0};

        assert(host);
        assert(state);
        assert(ret);

        r.findings = calloc(FINDINGS_MAX + 1, sizeof *r.findings);
        if (!r.findings)
                return -ENOMEM;

        /* In the order of a repair: what stands first is often why what follows is wrong. */
        diagnosis_find_firmware(&r, host);
        diagnosis_find_command_line(&r, host, state);
        diagnosis_find_iommu(&r, host);
        diagnosis_find_interrupts(&r, host, state);
        diagnosis_find_modules(&r, host);
        diagnosis_find_initramfs(&r, host, state);
        diagnosis_find_sets(&r, host, state);
        diagnosis_find_reset(&r, state);
        diagnosis_find_permissions(&r, host);
        diagnosis_find_memlock(&r, state);
        diagnosis_find_boot_guard(&r, state);
        diagnosis_find_database(&r, state);
        diagnosis_find_ports(&r, host, state);
        diagnosis_find_groups(&r, state);
        diagnosis_find_cdev(&r, state);

        if (r.error < 0) {
                diagnosis_report_clear(&r);
                return -ENOMEM;
        }
        for (size_t i = 0; i < r.n; i++) { /* texts of files and names may have been cut */
                text_make_utf8(r.findings[i].sentence);
                text_make_utf8(r.findings[i].remedy);
        }
        *ret = r;
        return 0;
}
