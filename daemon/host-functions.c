/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host-functions.h"
#include "sysfs.h"
#include "vf-link.h"

/* The virtual functions of one physical function. */
typedef struct Port {
        HostVerdict **functions;
        size_t n;
} Port;

static int compare(const void *a, const void *b) {
        const HostVerdict *x = *(HostVerdict *const *)a, *y = *(HostVerdict *const *)b;

        return pci_address_compare(&x->physical_function, &y->physical_function);
}

static int take(unsigned number, const VfSettings *now, void *userdata) {
        const Port *p = userdata;

        for (size_t i = 0; i < p->n; i++)
                if (p->functions[i]->vf_index == (int32_t)number)
                        p->functions[i]->settings = *now;
        return 0;
}

/* The interface that the helper would take for their settings is the one that tells of them. */
static void ask(int root, Port *p) {
        const HostVerdict *first = p->functions[0];
        _cleanup_close_ int fd = sysfs_open_device(root, &first->physical_function);
        VfLink link;

        if (fd >= 0 && vf_link_find(fd, (unsigned)first->vf_index, &link) >= 0)
                (void)vf_link_each(link.interface, take, p);
}

void host_functions_read(int root, HostVerdict *verdicts, size_t n) {
        _cleanup_free_ HostVerdict **functions = NULL;
        size_t n_functions = 0;

        assert(verdicts || n == 0);

        functions = calloc(n > 0 ? n : 1, sizeof *functions);
        if (!functions)
                return;
        for (size_t i = 0; i < n; i++) {
                verdicts[i].settings.given = 0;
                if (verdicts[i].vf_index >= 0)
                        functions[n_functions++] = &verdicts[i];
        }
        qsort(functions, n_functions, sizeof *functions, compare);

        for (Port p = {.functions = functions}; n_functions > 0; p.functions += p.n, n_functions -= p.n) {
                for (p.n = 1; p.n < n_functions && compare(&p.functions[0], &p.functions[p.n]) == 0; p.n++)
                        ;
                ask(root, &p);
        }
}
