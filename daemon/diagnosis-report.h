/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The inside of the diagnosis: how a finding is written, and who finds what. */

#include "diagnosis.h"

/* The next finding, which is fine until somebody says otherwise. Never NULL: there are places enough for each code and
 * what it is bounded to, and one that nobody reads. */
DiagnosisFinding *diagnosis_find(DiagnosisReport *r, const char *code);

_printf_(3, 4) void diagnosis_say(DiagnosisFinding *f, DiagnosisSeverity severity, const char *format, ...);
_printf_(2, 3) void diagnosis_advise(DiagnosisFinding *f, const char *format, ...);
/* One more sentence behind the last. */
_printf_(2, 3) void diagnosis_advise_also(DiagnosisFinding *f, const char *format, ...);
_printf_(3, 4) void diagnosis_command(DiagnosisReport *r, DiagnosisFinding *f, const char *format, ...);
void diagnosis_concerns(DiagnosisFinding *f, const Device *d); /* what does not fit is left out */

/* ", ..." for so many words of a sentence; cut with "...". Returns buf. */
const char *diagnosis_list(const char words[][DIAGNOSIS_WORD_SIZE], size_t n, char *buf, size_t size);

/* How the kernel command line of the next boot is changed here: advice and commands, up to the reboot. */
void diagnosis_boot(DiagnosisReport *r, DiagnosisFinding *f, const DiagnosisHost *h,
                    const DiagnosisChange *c);

/* How the initramfs is made here: the command, or NULL. */
const char *diagnosis_initramfs_command(const DiagnosisHost *h);

/* diagnosis-iommu.c */
void diagnosis_find_firmware(DiagnosisReport *r, const DiagnosisHost *h);
void diagnosis_find_command_line(DiagnosisReport *r, const DiagnosisHost *h, const DiagnosisState *s);
void diagnosis_find_iommu(DiagnosisReport *r, const DiagnosisHost *h);
void diagnosis_find_interrupts(DiagnosisReport *r, const DiagnosisHost *h, const DiagnosisState *s);

/* diagnosis-drivers.c */
void diagnosis_find_modules(DiagnosisReport *r, const DiagnosisHost *h);
void diagnosis_find_permissions(DiagnosisReport *r, const DiagnosisHost *h);
void diagnosis_find_cdev(DiagnosisReport *r, const DiagnosisState *s);

/* diagnosis-initramfs.c */
void diagnosis_find_initramfs(DiagnosisReport *r, const DiagnosisHost *h, const DiagnosisState *s);

/* diagnosis-devices.c */
void diagnosis_find_sets(DiagnosisReport *r, const DiagnosisHost *h, const DiagnosisState *s);
void diagnosis_find_reset(DiagnosisReport *r, const DiagnosisState *s);
void diagnosis_find_ports(DiagnosisReport *r, const DiagnosisHost *h, const DiagnosisState *s);
void diagnosis_find_groups(DiagnosisReport *r, const DiagnosisState *s);

/* diagnosis-service.c */
void diagnosis_find_memlock(DiagnosisReport *r, const DiagnosisState *s);
void diagnosis_find_boot_guard(DiagnosisReport *r, const DiagnosisState *s);
void diagnosis_find_database(DiagnosisReport *r, const DiagnosisState *s);
