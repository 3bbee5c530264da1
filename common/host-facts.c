/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "array.h"
#include "host-facts.h"
#include "sysfs.h"

#define HOST_USES_MAX 8192U

HostFacts *host_facts_free(HostFacts *facts) {
        if (!facts)
                return NULL;

        for (size_t i = 0; i < facts->n_uses; i++) {
                free(facts->uses[i].path);
                free(facts->uses[i].what);
                free(facts->uses[i].remedy);
        }
        free(facts->uses);
        free(facts);
        return NULL;
}

bool host_facts_have(const HostFacts *facts, CriticalReason reason, const char *path) {
        for (size_t i = 0; i < facts->n_uses; i++)
                if (facts->uses[i].reason == reason && streq(facts->uses[i].path, path))
                        return true;
        return false;
}

int host_facts_add_with_remedy(HostFacts *facts, CriticalReason reason, const char *path, const char *what,
                               const char *remedy) {
        _cleanup_free_ char *p = NULL, *w = NULL, *y = NULL;

        /* Bind mounts tell of the same device again and again. */
        if (host_facts_have(facts, reason, path))
                return 0;
        if (facts->n_uses == HOST_USES_MAX)
                return -E2BIG;

        if (array_grow(&facts->uses, facts->n_uses, sizeof *facts->uses) < 0)
                return -ENOMEM;

        p = strdup(path);
        w = strdup(what);
        y = remedy ? strdup(remedy) : NULL;
        if (!p || !w || (remedy && !y))
                return -ENOMEM;

        facts->uses[facts->n_uses++] = (HostUse){reason, STEAL(p), STEAL(w), STEAL(y)};
        return 0;
}

int host_facts_add(HostFacts *facts, CriticalReason reason, const char *path, const char *what) {
        return host_facts_add_with_remedy(facts, reason, path, what, NULL);
}

/* Documentation/driver-api/vfio.rst: the module parameters that let VFIO do without interrupt remapping. */
static bool allows_unsafe_interrupts(int root, const char *module) {
        char path[128], text[16];

        (void)snprintf(path, sizeof path, "sys/module/%s/parameters/allow_unsafe_interrupts", module);
        return sysfs_read(root, path, text, sizeof text) >= 0 && (text[0] == 'Y' || text[0] == '1');
}

bool host_facts_are_unwatched(const HostFacts *facts) {
        return facts->unwatched;
}

int host_facts_load(int root, HostFacts **ret) {
        _cleanup_(host_facts_freep) HostFacts *facts = NULL;
        int r;

        assert(ret);

        facts = calloc(1, sizeof *facts);
        if (!facts)
                return -ENOMEM;

        if ((r = host_blocks_load(root, facts)) < 0 || (r = host_links_load(root, facts)) < 0 ||
            (r = host_displays_load(root, facts)) < 0 || (r = host_services_load(root, facts)) < 0)
                return r;

        facts->unsafe_interrupts = allows_unsafe_interrupts(root, "vfio_iommu_type1") ||
                                   allows_unsafe_interrupts(root, "iommufd");

        *ret = STEAL(facts);
        return 0;
}
