/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <linux/capability.h>
#include <sys/syscall.h>

#include "capabilities.h"
#include "sysfs.h"
#include "text.h"

#define NET_ADMIN (1ULL << CAP_NET_ADMIN)

static int set(uint64_t permitted, uint64_t effective) {
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

        for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
                data[i] = (struct __user_cap_data_struct){.permitted = (uint32_t)(permitted >> 32 * i),
                                                          .effective = (uint32_t)(effective >> 32 * i)};
        return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/* proc_pid_status(5). */
static int read_set(const char *status, const char *name, uint64_t *ret) {
        char line[4096];
        int r;

        while ((r = text_next_line(&status, line, sizeof line)) > 0)
                if (startswith(line, name) && sscanf(line + strlen(name), ":\t%" SCNx64, ret) == 1)
                        return 0;
        return r < 0 ? r : -EBADMSG;
}

int capabilities_settle(int root) {
        static const char *const names[] = {"CapPrm", "CapBnd", "CapInh", "CapAmb"};
        _cleanup_free_ char *status = NULL;
        uint64_t has, permitted = 0;
        int r;

        r = sysfs_read_full(root, "proc/self/status", 65536, &status);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(names); i++) {
                r = read_set(status, names[i], &has);
                if (r >= 0 && has & ~(i < 2 ? NET_ADMIN : 0))
                        r = -EPERM;
                permitted = i == 0 ? has : permitted;
        }
        return r < 0 ? r : set(permitted, 0);
}

int capabilities_keep(bool net_admin) {
        if (net_admin && set(NET_ADMIN, NET_ADMIN) >= 0)
                return 0;
        return set(0, 0);
}
