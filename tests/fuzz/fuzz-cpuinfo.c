/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "diagnosis-words.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = fuzz_text(data, size);
        DiagnosisCpu cpu;
        bool guest;

        cpu = diagnosis_cpu_parse(text, &guest);
        must(cpu != DIAGNOSIS_CPU_INTEL || strstr(text, "GenuineIntel"));
        must(cpu != DIAGNOSIS_CPU_ARM || strstr(text, "CPU implementer"));
        must(!guest || strstr(text, "hypervisor"));
        return 0;
}
