/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm-arguments.h"

uint64_t vm_memory_lock(uint64_t memory, bool viommu, size_t n_devices) {
        uint64_t need = memory;
        if (memory == 0)
                return 0;
        if (viommu)
                need *= n_devices;
        return need + (1ULL << 30);
}
