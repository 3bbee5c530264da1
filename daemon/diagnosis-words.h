/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The texts that say how this host boots: kernel command line, shell assignments (/etc/default/grub), modprobe.d(5),
 * lists of modules, /proc/cpuinfo. Pure; what cannot be understood is said to be so, and never guessed.
 */

#include "macro.h"

/* Whole words of a kernel command line that are to go, and such as are to be there. They are constants of ours, or
 * copies of at most this size. */
#define DIAGNOSIS_WORD_SIZE 128
#define DIAGNOSIS_WORDS_MAX 12

typedef struct DiagnosisChange {
        size_t n_add, n_remove;
        char add[DIAGNOSIS_WORDS_MAX][DIAGNOSIS_WORD_SIZE], remove[DIAGNOSIS_WORDS_MAX][DIAGNOSIS_WORD_SIZE];
} DiagnosisChange;

/* A word twice, one too many, or one that is too long changes nothing. */
void diagnosis_change_add(DiagnosisChange *c, const char *word);
void diagnosis_change_remove(DiagnosisChange *c, const char *word, size_t length);

/* The next word, with its quotes; false at the end, or at "--", behind which all is for init. */
bool diagnosis_next_word(const char **at, const char **ret, size_t *ret_length);

/* Is it there as a word of its own? "-" and "_" are the same to the kernel. */
bool diagnosis_line_has(const char *line, const char *word);

/* The next KEY=...,item,... from *at on (a copy of the line's start at first). *ret is the whole word. */
bool diagnosis_next_item(const char **at, const char *key, const char *item, const char **ret,
                         size_t *ret_length);
static inline bool diagnosis_line_has_item(const char *line, const char *key, const char *item) {
        const char *word;
        size_t n;

        return diagnosis_next_item(&line, key, item, &word, &n);
}

/* Of KEY=on,x KEY=off: 1, 0, or -1 when neither is there; the last counts. */
int diagnosis_line_switch(const char *line, const char *key);

/* Takes an item out wherever it stands: "pci=nomsi,noaer" becomes "pci=noaer". */
void diagnosis_change_remove_item(DiagnosisChange *c, const char *line, const char *key, const char *item);

/* The line as it would be; what the boot loader adds itself (BOOT_IMAGE=, initrd=) stays only if `whole`. Whether
 * anything changed; -EBADMSG: a quote has no end; -E2BIG. */
int diagnosis_line_edit(const char *line, const DiagnosisChange *c, bool whole, char *ret, size_t size);

/* The last value that a file of shell assignments gives to a variable. 1; 0: none; -EBADMSG: only a shell could tell;
 * -E2BIG. */
int diagnosis_shell_value(const char *text, const char *name, char *ret, size_t size);

/* NAME="value", as a shell reads it back. -E2BIG. */
int diagnosis_shell_assign(const char *name, const char *value, char *ret, size_t size);

/* What keeps a module from being loaded by modprobe -b: is there a line of modprobe.d(5) in the text that does? */
bool diagnosis_modprobe_blocks(const char *text, const char *module);

/* Is there a line "options MODULE ... PARAMETER=y|Y|1"? */
bool diagnosis_modprobe_sets(const char *text, const char *module, const char *parameter);

/* Does modules.dep or modules.builtin list it? */
bool diagnosis_modules_have(const char *text, const char *module);

typedef enum DiagnosisCpu {
        DIAGNOSIS_CPU_OTHER,
        DIAGNOSIS_CPU_INTEL,
        DIAGNOSIS_CPU_AMD, /* and Hygon, which is the same to us */
        DIAGNOSIS_CPU_ARM,
} DiagnosisCpu;

/* From the beginning of /proc/cpuinfo. *ret_guest: the processor says that it is a virtual machine's. */
DiagnosisCpu diagnosis_cpu_parse(const char *text, bool *ret_guest);
