/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/acl.h>

#include "vms.h"

#define OK(expression)                                                                                      \
        ({                                                                                                  \
                int _r = (expression);                                                                      \
                if (_r < 0)                                                                                 \
                        fail_msg("%s: %s", #expression, strerror(-_r));                                     \
                _r;                                                                                         \
        })

static void take_device(Answer *a, const char *address, const char *claim, uint32_t set, const char *node) {
        assert_true(a->n < ELEMENTSOF(a->devices));
        (void)snprintf(a->devices[a->n].address, sizeof a->devices[0].address, "%s", address);
        (void)snprintf(a->devices[a->n].claim, sizeof a->devices[0].claim, "%s", claim);
        (void)snprintf(a->devices[a->n].node, sizeof a->devices[0].node, "%s", node);
        a->devices[a->n++].set = set;
}

static void take_fd(Answer *a, const char *name, int fd) {
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

        assert_true(copy >= 0);
        if (streq(name, "lifeline"))
                a->lifeline = copy;
        else if (streq(name, "iommufd"))
                a->iommufd = copy;
        else {
                assert_true(a->n_fds < ELEMENTSOF(a->fds));
                (void)snprintf(a->fds[a->n_fds].address, sizeof a->fds[0].address, "%s", name);
                a->fds[a->n_fds++].fd = copy;
        }
}

Answer vm_take_answer(sd_bus_message *reply) {
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        const char *address, *device, *claim, *node;
        Answer a = {.lifeline = -1, .iommufd = -1};
        uint32_t set;
        int fd;

        if (e)
                fail_msg("%s: %s", e->name, e->message);
        OK(sd_bus_message_enter_container(reply, 'a', "(soous)"));
        while (sd_bus_message_read(reply, "(soous)", &address, &device, &claim, &set, &node) > 0) {
                assert_string_equal(device, bench_device_path(address));
                take_device(&a, address, claim, set, node);
        }
        OK(sd_bus_message_exit_container(reply));
        OK(sd_bus_message_enter_container(reply, 'a', "{sh}"));
        while (sd_bus_message_read(reply, "{sh}", &address, &fd) > 0)
                take_fd(&a, address, fd);
        sd_bus_message_unref(reply);
        return a;
}

bool vm_has(const Answer *a, const char *address) {
        for (size_t i = 0; i < a->n; i++)
                if (streq(a->devices[i].address, address))
                        return true;
        return false;
}

void vm_let_go(Answer *a) {
        closep(&a->lifeline);
        closep(&a->iommufd);
        for (size_t i = 0; i < a->n_fds; i++)
                close(a->fds[i].fd);
        *a = (Answer){.lifeline = -1, .iommufd = -1};
}

void vms_add_spare(Bench *b) {
        fake_host_add_device(b->host, &(FakeDevice){.address = SPARE,
                                                    .vendor = 0x10de,
                                                    .device = 0x1eb8,
                                                    .subsystem_vendor = 0x10de,
                                                    .subsystem_device = 0x12a2,
                                                    .class_code = 0x030200,
                                                    .driver = "nouveau",
                                                    .iommu_set = SPARE_SET,
                                                    .reset_methods = "flr"});
}

int vms_setup(void **state) {
        Bench *b;
        int r;

        r = orders_setup(state);
        b = *state;
        vms_add_spare(b);
        bench_until_signal(b, "InterfacesAdded " SPARE);
        return r;
}

Path vms_make_group(Bench *b, const char *addresses, const char *siblings, const char *binding) {
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Path group;

        (void)sscanf(orders_show(orders_make(b, admin, addresses, siblings, "pool", binding)), "%127s",
                     group.text);
        bench_disconnect(admin);
        return group;
}

void vms_until_home(Bench *b, const char *address) {
        orders_until_device(b, address, "State", "host");
        assert_string_equal(orders_get_device(b, address, "Claim"), "/");
        assert_string_not_equal(fake_host_driver(b->host, address), "vfio-pci");
        assert_string_equal(fake_host_override(b->host, address), "(null)");
}

void vms_until_pooled(Bench *b, const char *address) {
        orders_until_device(b, address, "State", "pool");
        assert_string_equal(orders_get_device(b, address, "Claim"), "/");
        assert_string_equal(fake_host_driver(b->host, address), "vfio-pci");
}

bool vms_may_open(Bench *b, unsigned set, uid_t uid) {
        acl_entry_t e;
        acl_tag_t tag;
        bool found = false;
        char path[256];
        uid_t *is;
        acl_t acl;

        (void)snprintf(path, sizeof path, "%s/dev/vfio/%u", b->host->root, set);
        acl = acl_get_file(path, ACL_TYPE_ACCESS);
        for (int i = ACL_FIRST_ENTRY; acl && acl_get_entry(acl, i, &e) > 0; i = ACL_NEXT_ENTRY) {
                if (acl_get_tag_type(e, &tag) < 0 || tag != ACL_USER)
                        continue;
                is = acl_get_qualifier(e);
                found = found || (is && *is == uid);
                (void)acl_free(is);
        }
        (void)acl_free(acl);
        return found;
}

void vms_expect_shut(Bench *b, unsigned set) {
        char path[64];

        (void)snprintf(path, sizeof path, ACCESS_DIR "/%u", set);
        assert_false(fake_host_exists(b->host, path));
        assert_false(vms_may_open(b, set, OTHER_UID));
        assert_false(vms_may_open(b, set, ADMIN_UID));
}
