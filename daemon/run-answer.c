/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "run-start.h"
#include "vm-arguments.h"

static int append_devices(sd_bus_message *reply, const RunStart *s, const Run *r) {
        const ClaimTable *t = s->manager->claims;
        int e;

        e = sd_bus_message_open_container(reply, 'a', "(soous)");
        for (size_t i = 0; i < r->record.n_devices && e >= 0; i++) {
                const Device *d = claim_table_device(t, &r->record.devices[i]);
                const Claim *c = claim_table_find(t, r->record.devices[i].claim);
                char node[32];

                if (!d || !c)
                        continue;
                (void)snprintf(node, sizeof node, "/dev/vfio/%u", d->facts.set.number);
                e = sd_bus_message_append(reply, "(soous)", d->address, d->path, c->path,
                                          d->facts.set.number, node);
        }
        return e < 0 ? e : sd_bus_message_close_container(reply);
}

static int append_fd(sd_bus_message *reply, const char *name, int fd) {
        return fd < 0 ? 0 : sd_bus_message_append(reply, "{sh}", name, fd);
}

static int append_fds(sd_bus_message *reply, const RunStart *s) {
        char address[PCI_ADDRESS_SIZE];
        int e;

        if ((e = sd_bus_message_open_container(reply, 'a', "{sh}")) < 0 ||
            (e = append_fd(reply, "lifeline", s->lifeline)) < 0 ||
            (e = append_fd(reply, "iommufd", s->iommufd)) < 0)
                return e;
        for (size_t i = 0; i < s->n_fds && e >= 0; i++)
                e = append_fd(reply, pci_address_format(&s->fds[i].device, address), s->fds[i].fd);
        return e < 0 ? e : sd_bus_message_close_container(reply);
}

static void say_what_is_left_out(const RunStart *s) {
        ClaimTable *t = s->manager->claims;
        RunRequest q = run_start_request(s);
        size_t at = 0;
        Claim *c;

        while ((c = run_request_next(s->manager, &q, &at)))
                if (!q.claim && c->record.enabled && !c->run)
                        claim_set_progress(
                                        t, c,
                                        "The VM runs without it: it is optional, and its group had not as "
                                        "many free devices.");
}

static void say_memory(const RunStart *s, const Run *r) {
        ClaimTable *t = s->manager->claims;
        uint64_t need = vm_memory_lock(s->memory, s->viommu, r->record.n_devices);
        char warning[512] = "";
        Claim *c;

        if (need > 0 && s->knows_memlock && s->memlock < need)
                (void)snprintf(warning, sizeof warning,
                               "The VM must be able to lock %llu MiB of memory, but a process of the caller "
                               "may lock %llu MiB: have an administrator raise the limit, by "
                               "'LimitMEMLOCK=' "
                               "of the service that runs the VM or 'memlock' in /etc/security/limits.conf.",
                               (unsigned long long)(need >> 20), (unsigned long long)(s->memlock >> 20));
        for (size_t i = 0; i < r->record.n_devices; i++)
                if ((c = claim_table_find(t, r->record.devices[i].claim))) {
                        claim_set_memory_lock(t, c, need);
                        claim_set_problem(t, c, NULL);
                        claim_set_progress(t, c, warning);
                }
}

void run_answer_note(const RunStart *s, const Run *r) {
        say_memory(s, r);
        say_what_is_left_out(s);
}

int run_answer_make(const RunStart *s, const Run *r, sd_bus_message **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        int e;

        if ((e = sd_bus_message_new_method_return(s->call->message, &reply)) < 0 ||
            (e = append_devices(reply, s, r)) < 0 || (e = append_fds(reply, s)) < 0)
                return e;
        *ret = STEAL(reply);
        return 0;
}
