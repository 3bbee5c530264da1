/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who holds a device: whoever names it, or what moves along with it; and nothing that a process says of itself breaks
 * the sentence. */

#include <sys/stat.h>

#include "holders.h"
#include "standard-devices.h"

static int setup(void **state) {
        FakeHost *h;

        *state = h = fake_host_new();
        fake_host_add_standard_devices(h);
        return 0;
}

static int teardown(void **state) {
        fake_host_free(*state);
        return 0;
}

static void on_found(const char *names, void *userdata) {
        char **ret = userdata;

        *ret = strdup(names);
}

static char *search(FakeHost *h, const char *address) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        HolderSearch *s;
        char *names = NULL;
        PciAddress a;

        assert_int_equal(pci_address_parse(address, &a), 0);
        assert_true(sd_event_new(&event) >= 0);
        assert_true(holders_search(event, h->fd, &a, on_found, &names, &s) >= 0);
        while (!names)
                assert_true(sd_event_run(event, UINT64_MAX) >= 0);
        holder_search_free(s);
        return names;
}

static void expect(FakeHost *h, const char *address, const char *expected) {
        _cleanup_free_ char *names = search(h, address);

        assert_string_equal(names, expected);
}

static void add_process(FakeHost *h, const char *pid, const char *name, const char *about) {
        char path[64], line[128];
        int n;

        n = snprintf(line, sizeof line, "qemu%c-device%cvfio-pci,host=%s", 0, 0, about);
        (void)snprintf(path, sizeof path, "proc/%s/cmdline", pid);
        fake_host_write_bytes(h, path, line, (size_t)n);
        (void)snprintf(path, sizeof path, "proc/%s/comm", pid);
        fake_host_write(h, path, "%s\n", name);
}

static void test_who_names_it(void **state) {
        FakeHost *h = *state;

        expect(h, NIC, "");
        add_process(h, "42", "qemu-kvm", NIC);
        add_process(h, "43", "shell", "0000:ff:00.0");
        add_process(h, "net", "none", NIC);
        expect(h, NIC, "process 42 (qemu-kvm)");
        expect(h, PAIR_NIC, "");
        add_process(h, "44", "a (b)\nc\033", PAIR_NVME);
        expect(h, PAIR_NIC, "process 44 (a (b)?c?)");
}

static void test_of_many_some(void **state) {
        _cleanup_free_ char *names = NULL;
        FakeHost *h = *state;
        unsigned n = 0;
        char pid[16];

        for (unsigned i = 0; i < 9; i++) {
                (void)snprintf(pid, sizeof pid, "%u", 100 + i);
                add_process(h, pid, "qemu", NIC);
        }
        names = search(h, NIC);
        for (const char *at = names; (at = strstr(at, "process ")); at++)
                n++;
        assert_int_equal(n, 4);
}

static void test_cancelled(void **state) {
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_free_ char *names = NULL;
        FakeHost *h = *state;
        HolderSearch *s;
        PciAddress a;

        assert_int_equal(pci_address_parse(NIC, &a), 0);
        assert_true(sd_event_new(&event) >= 0);
        assert_true(holders_search(event, h->fd, &a, on_found, &names, &s) >= 0);
        holder_search_free(s);
        assert_int_equal(sd_event_run(event, 0), 0);
        assert_null(names);
}

/* A process whose command line nobody can read to its end, as one of FUSE's: the search ends by itself. */
static void test_who_does_not_answer(void **state) {
        FakeHost *h = *state;
        char path[512];

        fake_host_mkdir(h, "proc/45");
        (void)snprintf(path, sizeof path, "%s/proc/45/cmdline", h->root);
        assert_int_equal(mkfifo(path, 0600), 0);
        expect(h, NIC, "");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(test_who_names_it, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_of_many_some, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_cancelled, setup, teardown),
                        cmocka_unit_test_setup_teardown(test_who_does_not_answer, setup, teardown),
        };

        return cmocka_run_group_tests_name("holders", tests, NULL, NULL);
}
