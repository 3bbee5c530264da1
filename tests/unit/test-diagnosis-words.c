/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Texts that say how a host boots: as administrators and distributions write them, and as nobody should. */

#include "fake-host.h"
#include "diagnosis-words.h"

static void expect_edit(const char *line, const DiagnosisChange *c, int changed, const char *expected) {
        char ret[256];

        assert_int_equal(diagnosis_line_edit(line, c, true, ret, sizeof ret), changed);
        assert_string_equal(ret, expected);
}

static void test_words(void **state _unused_) {
        static const char *const expected[] = {"ro", "dyndbg=\"file a.c +p\"", "x=\"a b", NULL};
        const char *at = " ro\tdyndbg=\"file a.c +p\"  x=\"a b", *word;
        size_t n, i = 0;

        for (; diagnosis_next_word(&at, &word, &n); i++) {
                assert_non_null(expected[i]);
                assert_int_equal(n, strlen(expected[i]));
                assert_memory_equal(word, expected[i], n);
        }
        assert_null(expected[i]);

        assert_true(diagnosis_line_has("quiet nointremap splash", "nointremap"));
        assert_true(diagnosis_line_has("verge_passthrough=off", "verge-passthrough=off"));
        assert_false(diagnosis_line_has("quiet xnointremap nointremapx", "nointremap"));
        assert_false(diagnosis_line_has("quiet -- nointremap", "nointremap")); /* init's */
        assert_false(diagnosis_line_has("x=\"a nointremap\"", "nointremap"));
        assert_false(diagnosis_line_has("", "nointremap"));
}

static void test_items(void **state _unused_) {
        assert_true(diagnosis_line_has_item("iommu=pt,off ro", "iommu", "off"));
        assert_true(diagnosis_line_has_item("a iommu=pt iommu=off", "iommu", "off"));
        assert_true(diagnosis_line_has_item("module_blacklist=a,vfio_pci", "module-blacklist", "vfio-pci"));
        assert_false(diagnosis_line_has_item("intel_iommu=off", "iommu", "off"));
        assert_false(diagnosis_line_has_item("iommu=offset", "iommu", "off"));
        assert_false(diagnosis_line_has_item("iommu", "iommu", "off"));
        assert_false(diagnosis_line_has_item("iommu=", "iommu", "off"));

        assert_int_equal(diagnosis_line_switch("intel_iommu=on", "intel_iommu"), 1);
        assert_int_equal(diagnosis_line_switch("intel_iommu=on,sm_on", "intel_iommu"), 1);
        assert_int_equal(diagnosis_line_switch("intel_iommu=on intel_iommu=off", "intel_iommu"), 0);
        assert_int_equal(diagnosis_line_switch("intel_iommu=off intel_iommu=on", "intel_iommu"), 1);
        assert_int_equal(diagnosis_line_switch("intel_iommu=on,off", "intel_iommu"), 0);
        assert_int_equal(diagnosis_line_switch("intel_iommu=strict", "intel_iommu"), -1);
        assert_int_equal(diagnosis_line_switch("quiet", "intel_iommu"), -1);
}

static void test_edits(void **state _unused_) {
        DiagnosisChange c = {0};
        char small[24], whole[64];

        diagnosis_change_add(&c, "intel_iommu=on");
        expect_edit("", &c, 1, "intel_iommu=on");
        expect_edit("root=/dev/sda1  ro\n", &c, 1, "root=/dev/sda1 ro intel_iommu=on");
        expect_edit("intel_iommu=on ro", &c, 0, "intel_iommu=on ro");
        expect_edit("ro -- single\n", &c, 1, "ro intel_iommu=on -- single");

        diagnosis_change_remove(&c, "iommu=off", strlen("iommu=off"));
        expect_edit("iommu=off ro iommu=off iommu=offx", &c, 1, "ro iommu=offx intel_iommu=on");
        expect_edit("intel_iommu=on", &c, 0, "intel_iommu=on");

        assert_int_equal(diagnosis_line_edit("BOOT_IMAGE=/x root=a initrd=\\y ro", &c, false, whole,
                                             sizeof whole),
                         1);
        assert_string_equal(whole, "root=a ro intel_iommu=on");
        assert_int_equal(diagnosis_line_edit("root=a x=\"b c", &c, true, whole, sizeof whole), -EBADMSG);
        assert_string_equal(whole, "");
        assert_int_equal(diagnosis_line_edit("root=/dev/sda1 ro", &c, true, small, sizeof small), -E2BIG);
        assert_string_equal(small, "");
}

static void expect_rest(const char *line, const char *expected) {
        DiagnosisChange c = {0};

        diagnosis_change_remove_item(&c, line, "pci", "nomsi");
        expect_edit(line, &c, c.n_remove > 0, expected);
}

static void test_items_that_go(void **state _unused_) {
        expect_rest("ro pci=nomsi", "ro");
        expect_rest("pci=nomsi,noaer ro", "ro pci=noaer");
        expect_rest("pci=noaer,nomsi ro", "ro pci=noaer");
        expect_rest("pci=a,nomsi,b ro", "ro pci=a,b");
        expect_rest("pci=noaer ro", "pci=noaer ro");
        expect_rest("pci=nomsi pci=nomsi,x ro", "ro pci=x");
}

static void test_more_words_than_room(void **state _unused_) {
        char word[DIAGNOSIS_WORD_SIZE + 1], line[4096] = "";
        DiagnosisChange c = {0};

        memset(word, 'x', sizeof word - 1);
        word[sizeof word - 1] = '\0';
        diagnosis_change_add(&c, word);
        diagnosis_change_add(&c, "");
        assert_int_equal(c.n_add, 0);
        for (unsigned i = 0; i < 2 * DIAGNOSIS_WORDS_MAX; i++) {
                (void)snprintf(word, sizeof word, "word%u", i / 2);
                diagnosis_change_add(&c, word);
                (void)snprintf(line + strlen(line), sizeof line - strlen(line), "pci=nomsi,%u ", i);
        }
        diagnosis_change_add(&c, "one-too-many");
        assert_int_equal(c.n_add, DIAGNOSIS_WORDS_MAX);
        diagnosis_change_remove_item(&c, line, "pci", "nomsi");
        assert_int_equal(c.n_remove, DIAGNOSIS_WORDS_MAX);
}

static void expect_shell(const char *text, int error, const char *value) {
        char ret[64], back[64], line[128];

        assert_int_equal(diagnosis_shell_value(text, "GRUB_CMDLINE_LINUX", ret, sizeof ret), error);
        assert_string_equal(ret, value);
        if (error <= 0)
                return;
        assert_int_equal(diagnosis_shell_assign("GRUB_CMDLINE_LINUX", value, line, sizeof line), 0);
        assert_int_equal(diagnosis_shell_value(line, "GRUB_CMDLINE_LINUX", back, sizeof back), 1);
        assert_string_equal(back, value);
}

static void test_shell(void **state _unused_) {
        char line[128], small[8];

        expect_shell("GRUB_CMDLINE_LINUX=\"quiet ro\"\n", 1, "quiet ro");
        expect_shell("GRUB_CMDLINE_LINUX=", 1, "");
        expect_shell("GRUB_CMDLINE_LINUX=quiet # so\n", 1, "quiet");
        expect_shell("  export GRUB_CMDLINE_LINUX='a \"b\" $c'\n", 1, "a \"b\" $c");
        expect_shell("GRUB_CMDLINE_LINUX=\"a \\\"b\\\" \\$c \\x\"", 1, "a \"b\" $c \\x");
        expect_shell("GRUB_CMDLINE_LINUX=a'b c'\"d\"\\ e;\n", 1, "ab cd e");
        expect_shell("GRUB_CMDLINE_LINUX=a\nGRUB_CMDLINE_LINUX=b\n", 1, "b");
        expect_shell("#GRUB_CMDLINE_LINUX=a\nGRUB_CMDLINE_LINUX_DEFAULT=b\nx=\"GRUB_CMDLINE_LINUX=c\"\n", 0,
                     "");

        /* These only a shell can tell. */
        expect_shell("GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX quiet\"", -EBADMSG, "");
        expect_shell("GRUB_CMDLINE_LINUX=\"`cat x`\"", -EBADMSG, "");
        expect_shell("GRUB_CMDLINE_LINUX=\"a\nb\"", -EBADMSG, "");
        expect_shell("GRUB_CMDLINE_LINUX=\"a \\\nb\"", -EBADMSG, "");
        expect_shell("GRUB_CMDLINE_LINUX=a\nGRUB_CMDLINE_LINUX+=b\n", -EBADMSG, "");
        expect_shell("GRUB_CMDLINE_LINUX=a sh x\n", -EBADMSG, "");
        expect_shell("GRUB_CMDLINE_LINUX=a&\n", -EBADMSG, "");
        expect_shell("GRUB_CMDLINE_LINUX="
                     "01234567890123456789012345678901234567890123456789012345678901234567890\n",
                     -E2BIG, "");

        assert_int_equal(diagnosis_shell_assign("X", "a \"b\" $c `d` \\e", line, sizeof line), 0);
        assert_string_equal(line, "X=\"a \\\"b\\\" \\$c \\`d\\` \\\\e\"");
        assert_int_equal(diagnosis_shell_assign("X", "abcde", small, sizeof small), -E2BIG);
}

static void test_modprobe(void **state _unused_) {
        static const char text[] = "# blacklist vfio-pci\n"
                                   "blacklist nouveau\n"
                                   "install floppy /bin/false\n"
                                   "install snd /sbin/modprobe --ignore-install snd\n"
                                   "options vfio_iommu_type1 x=1 allow_unsafe_interrupts=1\n"
                                   "options kvm ignore_msrs=0";

        assert_false(diagnosis_modprobe_blocks(text, "vfio-pci"));
        assert_true(diagnosis_modprobe_blocks(text, "nouveau"));
        assert_true(diagnosis_modprobe_blocks(text, "floppy"));
        assert_false(diagnosis_modprobe_blocks(text, "snd"));
        assert_true(diagnosis_modprobe_blocks(" blacklist\tvfio_pci", "vfio-pci"));
        assert_false(diagnosis_modprobe_blocks("blacklist\nvfio-pci\n", "vfio-pci"));

        assert_true(diagnosis_modprobe_sets(text, "vfio-iommu-type1", "allow_unsafe_interrupts"));
        assert_false(diagnosis_modprobe_sets(text, "kvm", "ignore_msrs"));
        assert_false(diagnosis_modprobe_sets(text, "kvm", "allow_unsafe_interrupts"));
        assert_true(diagnosis_modprobe_sets("options a b\n", "a", "b")); /* a bool without a value is yes */
}

static void test_modules(void **state _unused_) {
        static const char text[] = "kernel/drivers/vfio/pci/vfio-pci-core.ko.xz: "
                                   "kernel/drivers/vfio/pci/vfio-pci.ko.xz\n"
                                   "kernel/drivers/net/e1000e.ko: kernel/a.ko\n";

        assert_true(diagnosis_modules_have(text, "e1000e"));
        assert_true(diagnosis_modules_have(text, "vfio_pci_core"));
        assert_false(diagnosis_modules_have(text, "vfio-pci")); /* somebody only needs it */
        assert_true(diagnosis_modules_have("kernel/drivers/vfio/pci/vfio-pci.ko\n", "vfio-pci"));
        assert_true(diagnosis_modules_have("vfio-pci.ko.zst:", "vfio-pci"));
        assert_false(diagnosis_modules_have("kernel/vfio-pci\n/vfio-pci/x.ko\n", "vfio-pci"));
        assert_false(diagnosis_modules_have("", "vfio-pci"));
}

static void expect_cpu(const char *text, DiagnosisCpu cpu, bool guest) {
        bool is_guest = !guest;

        assert_int_equal(diagnosis_cpu_parse(text, &is_guest), cpu);
        assert_int_equal(is_guest, guest);
}

static void test_cpu(void **state _unused_) {
        expect_cpu("processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu vmx\n", DIAGNOSIS_CPU_INTEL,
                   false);
        expect_cpu("vendor_id\t: AuthenticAMD\nflags\t\t: fpu svm hypervisor", DIAGNOSIS_CPU_AMD, true);
        expect_cpu("vendor_id\t: HygonGenuine\n", DIAGNOSIS_CPU_AMD, false);
        expect_cpu("processor\t: 0\nCPU implementer\t: 0x41\n", DIAGNOSIS_CPU_ARM, false);
        expect_cpu("vmx flags\t: hypervisor\nvendor_id\t: Other\n", DIAGNOSIS_CPU_OTHER, false);
        expect_cpu("", DIAGNOSIS_CPU_OTHER, false);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_words),
                        cmocka_unit_test(test_items),
                        cmocka_unit_test(test_edits),
                        cmocka_unit_test(test_items_that_go),
                        cmocka_unit_test(test_more_words_than_room),
                        cmocka_unit_test(test_shell),
                        cmocka_unit_test(test_modprobe),
                        cmocka_unit_test(test_modules),
                        cmocka_unit_test(test_cpu),
        };

        return cmocka_run_group_tests_name("diagnosis-words", tests, NULL, NULL);
}
