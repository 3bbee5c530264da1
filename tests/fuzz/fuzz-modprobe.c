/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "diagnosis-words.h"
#include "fuzz.h"

/* modprobe.d(5), and the lists of modules. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = fuzz_text(data, size);

        must(!diagnosis_modprobe_blocks(text, "vfio-pci") || strstr(text, "blacklist") ||
             strstr(text, "install"));
        must(!diagnosis_modprobe_blocks(text, "vfio-pci") || strstr(text, "vfio"));
        must(!diagnosis_modprobe_sets(text, "vfio_iommu_type1", "allow_unsafe_interrupts") ||
             strstr(text, "options"));
        must(!diagnosis_modules_have(text, "vfio-pci") || strstr(text, "vfio-pci.ko") ||
             strstr(text, "vfio_pci.ko"));
        return 0;
}
