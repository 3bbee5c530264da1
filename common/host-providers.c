/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>

#include "array.h"
#include "host-facts.h"
#include "sysfs.h"

#define PROVIDERS_MAX 256U

void host_providers_done(HostProviders *p) {
        for (size_t i = 0; i < p->n; i++)
                free(p->paths[i]);
        free(p->paths);
        *p = (HostProviders){0};
}

bool host_path_next_device(const char **at, PciAddress *ret) {
        char component[PCI_ADDRESS_SIZE];
        const char *p = *at;
        size_t n;

        for (; *p; p += n) {
                p += strspn(p, "/");
                n = strcspn(p, "/");
                if (n == 0 || n >= sizeof component)
                        continue;
                memcpy(component, p, n);
                component[n] = '\0';
                if (pci_address_parse(component, ret) < 0)
                        continue;
                *at = p + n;
                return true;
        }
        *at = p;
        return false;
}

bool host_path_has_device(const char *path) {
        PciAddress a;

        return host_path_next_device(&path, &a);
}

int host_providers_add(HostProviders *p, const char *path) {
        _cleanup_free_ char *cut = NULL;
        const char *at = path, *end = path;
        PciAddress a;

        while (host_path_next_device(&at, &a))
                end = at;
        if (end == path) {
                p->elsewhere = true;
                return 0;
        }

        cut = strndup(path, (size_t)(end - path));
        if (!cut)
                return -ENOMEM;
        for (size_t i = 0; i < p->n; i++)
                if (streq(p->paths[i], cut))
                        return 0;
        if (p->n == PROVIDERS_MAX)
                return -E2BIG;
        if (array_grow(&p->paths, p->n, sizeof *p->paths) < 0)
                return -ENOMEM;

        p->paths[p->n++] = STEAL(cut);
        return 0;
}

static int read_set(int root, const PciAddress *a, char *ret, size_t size) {
        char path[96], address[PCI_ADDRESS_SIZE];

        (void)snprintf(path, sizeof path, "sys/bus/pci/devices/%s/iommu_group",
                       pci_address_format(a, address));
        return sysfs_read_link_name(root, path, ret, size);
}

/* Would this path be cut if this device left, and with it its IOMMU set? */
static bool leaves_with(int root, const char *path, const PciAddress *a, const char *set) {
        char other[32];
        PciAddress b;

        while (host_path_next_device(&path, &b))
                if (pci_address_compare(a, &b) == 0 ||
                    (set && read_set(root, &b, other, sizeof other) >= 0 && streq(set, other)))
                        return true;
        return false;
}

int host_providers_add_use(const HostProviders *p, int root, HostFacts *facts, CriticalReason reason,
                           const char *what) {
        char prefix[PATH_MAX], set[32];
        bool has_set, all;
        PciAddress a;
        int r;

        for (size_t i = 0; !p->elsewhere && i < p->n; i++)
                for (const char *at = p->paths[i]; host_path_next_device(&at, &a);) {
                        has_set = read_set(root, &a, set, sizeof set) >= 0;
                        all = true;
                        for (size_t j = 0; j < p->n && all; j++)
                                all = leaves_with(root, p->paths[j], &a, has_set ? set : NULL);
                        if (!all)
                                continue;

                        /* Whatever stands above it on the way carries as much. */
                        (void)snprintf(prefix, sizeof prefix, "%.*s", (int)(at - p->paths[i]), p->paths[i]);
                        r = host_facts_add(facts, reason, prefix, what);
                        if (r < 0)
                                return r;
                }
        return 0;
}
