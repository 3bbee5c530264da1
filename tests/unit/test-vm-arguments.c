/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What QEMU and libvirt are told, and how much memory a VM must be able to lock. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "vm-arguments.h"

#define FIRST "6ba7b810-9dad-11d1-80b4-000000000001"
#define SECOND "6ba7b810-9dad-11d1-80b4-000000000002"
#define GIB (UINT64_C(1) << 30)

static RunDevice devices[] = {
                {.claim = FIRST, .identity.address = {0, 0x01, 0x00, 0}},
                {.claim = FIRST, .identity.address = {0, 0x3b, 0x1f, 7}},
                {.claim = SECOND, .identity.address = {0x10000, 0xff, 0x02, 1}},
                {.claim = FIRST, .identity.address = {0, 0x02, 0x00, 0}},
};

static RunRecord run_of(RunAccess access) {
        for (size_t i = 0; i < ELEMENTSOF(devices); i++)
                devices[i].returning = false;
        return (RunRecord){.access = access, .devices = devices, .n_devices = ELEMENTSOF(devices)};
}

/* All arguments with a space between them. */
static void expect_qemu(const RunRecord *run, const char *claim, const char *expected) {
        _cleanup_(vm_arguments_freep) char **arguments = NULL;
        char text[1024] = "";
        size_t length = 0;

        assert_int_equal(vm_qemu_arguments(run, claim, &arguments), 0);
        for (size_t i = 0; arguments[i]; i++)
                length += (size_t)snprintf(text + length, sizeof text - length, "%s%s", i > 0 ? " " : "",
                                           arguments[i]);
        assert_string_equal(text, expected);
}

static void test_qemu_by_address(void **state) {
        RunRecord run = run_of(RUN_ACCESS_ACL);

        expect_qemu(&run, FIRST,
                    "-device vfio-pci,host=0000:01:00.0 -device vfio-pci,host=0000:3b:1f.7 "
                    "-device vfio-pci,host=0000:02:00.0");
        expect_qemu(&run, SECOND, "-device vfio-pci,host=10000:ff:02.1");
}

/* One iommufd for all claims, and numbers in the order of the run. */
static void test_qemu_by_descriptor(void **state) {
        RunRecord run = run_of(RUN_ACCESS_FDS);

        expect_qemu(&run, FIRST,
                    "-object iommufd,id=verge-iommufd,fd=3 -device vfio-pci,iommufd=verge-iommufd,fd=4 "
                    "-device vfio-pci,iommufd=verge-iommufd,fd=5 -device "
                    "vfio-pci,iommufd=verge-iommufd,fd=7");
        expect_qemu(&run, SECOND, "-device vfio-pci,iommufd=verge-iommufd,fd=6");
}

static void test_returning(void **state) {
        RunRecord run = run_of(RUN_ACCESS_FDS);

        devices[0].returning = true;
        expect_qemu(&run, FIRST,
                    "-object iommufd,id=verge-iommufd,fd=3 -device vfio-pci,iommufd=verge-iommufd,fd=5 "
                    "-device vfio-pci,iommufd=verge-iommufd,fd=7");
        devices[1].returning = true;
        expect_qemu(&run, FIRST, "-device vfio-pci,iommufd=verge-iommufd,fd=7");
        expect_qemu(&run, SECOND,
                    "-object iommufd,id=verge-iommufd,fd=3 -device vfio-pci,iommufd=verge-iommufd,fd=6");
}

static void test_no_devices(void **state) {
        RunRecord run = run_of(RUN_ACCESS_ACL), empty = {0};
        char **arguments = NULL;
        char *xml = NULL;

        devices[2].returning = true;
        assert_int_equal(vm_qemu_arguments(&run, SECOND, &arguments), -ENODATA);
        assert_int_equal(vm_libvirt_xml(&run, SECOND, &xml), -ENODATA);
        assert_int_equal(vm_qemu_arguments(&run, "6ba7b810-9dad-11d1-80b4-000000000003", &arguments),
                         -ENODATA);
        assert_int_equal(vm_qemu_arguments(&empty, FIRST, &arguments), -ENODATA);
        assert_int_equal(vm_libvirt_xml(&empty, FIRST, &xml), -ENODATA);
        assert_null(arguments);
        assert_null(xml);
        assert_null(vm_arguments_free(NULL));
}

#define DEPTH_MAX 8U

/* Each element that opens closes, in order, with its attributes in quotes; the number of elements named so, or -1. */
static int count_elements(const char *xml, const char *wanted) {
        char open[DEPTH_MAX][32], name[32], rest[128];
        unsigned depth = 0;
        int n = 0, length;

        for (; *xml; xml += length) {
                length = (int)strspn(xml, " \n");
                if (length > 0)
                        continue;
                if (sscanf(xml, "</%31[a-z]>%n", name, &length) == 1 && length > 0) {
                        if (depth == 0 || !streq(open[--depth], name))
                                return -1;
                        continue;
                }
                if (sscanf(xml, "<%31[a-z]%n", name, &length) != 1)
                        return -1;
                n += streq(name, wanted);
                for (int more = 0;
                     sscanf(xml + length, " %127[a-z]='%*[^'<&]'%n", rest, &more) == 1 && more > 0; more = 0)
                        length += more;
                if (startswith(xml + length, "/>")) {
                        length += 2;
                        continue;
                }
                if (xml[length++] != '>' || depth == DEPTH_MAX)
                        return -1;
                (void)snprintf(open[depth++], sizeof open[0], "%s", name);
        }
        return depth == 0 ? n : -1;
}

static void test_counting_sees_errors(void **state) {
        assert_int_equal(count_elements("<a b='c'><d/></a>\n<d></d>", "d"), 2);
        assert_int_equal(count_elements("<a>", "a"), -1);
        assert_int_equal(count_elements("</a>", "a"), -1);
        assert_int_equal(count_elements("<a></b>", "a"), -1);
        assert_int_equal(count_elements("<a b=c/>", "a"), -1);
        assert_int_equal(count_elements("<a b='c/>", "a"), -1);
        assert_int_equal(count_elements("<a>text</a>", "a"), -1);
}

static void test_libvirt(void **state) {
        RunRecord run = run_of(RUN_ACCESS_FDS);
        _cleanup_free_ char *many = NULL, *one = NULL;

        assert_int_equal(vm_libvirt_xml(&run, SECOND, &one), 0);
        assert_string_equal(one, "<hostdev mode='subsystem' type='pci' managed='no'>\n"
                                 "  <driver name='vfio'/>\n"
                                 "  <source>\n"
                                 "    <address domain='0x10000' bus='0xff' slot='0x02' function='0x1'/>\n"
                                 "  </source>\n"
                                 "</hostdev>\n");
        assert_int_equal(count_elements(one, "hostdev"), 1);

        assert_int_equal(vm_libvirt_xml(&run, FIRST, &many), 0);
        assert_int_equal(count_elements(many, "hostdev"), 3);
        assert_int_equal(count_elements(many, "source"), 3);
        assert_int_equal(count_elements(many, "address"), 3);
        assert_non_null(strstr(many, "<address domain='0x0000' bus='0x3b' slot='0x1f' function='0x7'/>"));
}

static void test_memory_lock(void **state) {
        assert_int_equal(vm_memory_lock(0, true, 8), 0);
        assert_int_equal(vm_memory_lock(4 * GIB, false, 0), 0);
        assert_int_equal(vm_memory_lock(4 * GIB, false, 1), 5 * GIB);
        assert_int_equal(vm_memory_lock(4 * GIB, false, 3), 5 * GIB);
        assert_int_equal(vm_memory_lock(4 * GIB, true, 1), 5 * GIB);
        assert_int_equal(vm_memory_lock(4 * GIB, true, 3), 13 * GIB);
        assert_int_equal(vm_memory_lock(1, false, 1), GIB + 1);

        assert_true(vm_memory_lock(UINT64_MAX / 2, true, 3) == UINT64_MAX);
        assert_true(vm_memory_lock(UINT64_MAX - GIB, false, 1) == UINT64_MAX);
        assert_true(vm_memory_lock(UINT64_MAX - GIB + 1, false, 1) == UINT64_MAX);
        assert_true(vm_memory_lock(UINT64_MAX - GIB - 1, false, 1) == UINT64_MAX - 1);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_qemu_by_address),
                        cmocka_unit_test(test_qemu_by_descriptor),
                        cmocka_unit_test(test_returning),
                        cmocka_unit_test(test_no_devices),
                        cmocka_unit_test(test_counting_sees_errors),
                        cmocka_unit_test(test_libvirt),
                        cmocka_unit_test(test_memory_lock),
        };

        return cmocka_run_group_tests_name("vm-arguments", tests, NULL, NULL);
}
