/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "judge-fixture.h"

/* Screens, adapters and consoles, on layouts as they are found. docs name these tests: what is refused, what is not. */

#define IGPU "0000:00:02.0"
#define IGPU_PATH "devices/pci0000:00/0000:00:02.0"
#define DGPU "0000:01:00.0"
#define DGPU_AUDIO "0000:01:00.1"
#define DGPU_PATH "devices/pci0000:00/0000:00:01.0/0000:01:00.0"

static void add_igpu(FakeHost *h, bool boot_vga) {
        judge_device(h, .address = IGPU, .class_code = 0x030000, .driver = "i915", .boot_vga = boot_vga);
}

/* A card in a slot: GPU and HDMI audio, both in one set, behind a root port in a set of its own. */
static void add_card(FakeHost *h, uint32_t class_code, const char *driver) {
        judge_device(h, .address = "0000:00:01.0", .class_code = 0x060400, .driver = "pcieport");
        judge_device(h, .address = DGPU, .class_code = class_code, .driver = driver, .iommu_set = 14,
                     .below = "0000:00:01.0");
        judge_device(h, .address = DGPU_AUDIO, .class_code = 0x040300, .driver = "snd_hda_intel",
                     .iommu_set = 14, .below = "0000:00:01.0");
}

static void add_connector(FakeHost *h, const char *path, const char *card, const char *connector,
                          const char *status, const char *enabled) {
        char directory[PATH_MAX], name[64];

        (void)snprintf(directory, sizeof directory, "%s/drm", path);
        judge_class(h, "drm", directory, card);
        (void)snprintf(directory, sizeof directory, "%s/drm/%s", path, card);
        (void)snprintf(name, sizeof name, "%s-%s", card, connector);
        judge_class(h, "drm", directory, name);
        judge_attribute(h, "drm", name, "status", status);
        judge_attribute(h, "drm", name, "enabled", enabled);
        judge_attribute(h, "drm", name, "dpms", streq(enabled, "enabled") ? "On" : "Off");
}

static void add_framebuffer(FakeHost *h, const char *path, const char *name) {
        char directory[PATH_MAX];

        (void)snprintf(directory, sizeof directory, "%s/graphics", path);
        judge_class(h, "graphics", directory, name);
}

/* As everybody reads it who has no CAP_SYS_ADMIN. */
#define ZEROS "00000000-00000000 : "

static void test_refused_laptop_with_efifb(void **state) {
        FakeHost *h = *state;

        /* No native driver has come up: what is seen is what the firmware left, and it names no device. */
        judge_device(h, .address = IGPU, .class_code = 0x030000);
        add_card(h, 0x030000, "nouveau");
        add_framebuffer(h, "devices/platform/efi-framebuffer.0", "fb0");
        fake_host_write(h, "proc/iomem",
                        ZEROS "Reserved\n" ZEROS "System RAM\n"
                              "  " ZEROS "Kernel code\n" ZEROS "PCI Bus 0000:00\n"
                              "  " ZEROS "PCI Bus 0000:01\n"
                              "    " ZEROS "0000:01:00.0\n"
                              "    " ZEROS "0000:01:00.1\n"
                              "  " ZEROS "0000:00:02.0\n"
                              "    " ZEROS "efifb\n"
                              "  " ZEROS "0000:00:1f.3\n");
        judge_refused(h, IGPU, CRITICAL_CONSOLE, "the firmware's screen (efifb) is in its memory; move the");
        judge_free(h, DGPU_AUDIO);
        judge_refused(h, DGPU, CRITICAL_CONSOLE, "only graphics adapter"); /* the only one with a driver */
}

static void test_refused_simpledrm(void **state) {
        FakeHost *h = *state;

        /* A card with a switch of its own, four bridges deep: the kernel (5 levels) shows what uses the memory at the
         * same level as the memory. Without fbdev emulation there is no fb0. */
        add_igpu(h, false);
        add_card(h, 0x030000, NULL);
        add_connector(h, "devices/platform/simple-framebuffer.0", "card0", "Unknown-1", "connected",
                      "enabled");
        fake_host_write(h, "proc/iomem",
                        "c0000000-febfffff : PCI Bus 0000:00\n"
                        "  c0000000-d01fffff : PCI Bus 0000:01\n"
                        "    c0000000-d01fffff : PCI Bus 0000:02\n"
                        "      c0000000-d01fffff : PCI Bus 0000:03\n"
                        "        c0000000-d01fffff : PCI Bus 0000:04\n"
                        "          c0000000-cfffffff : 0000:01:00.0\n"
                        "          c0000000-c08fffff : BOOTFB\n"
                        "          c0000000-c08fffff : simpledrm\n"
                        "  e0000000-e0ffffff : 0000:00:02.0\n");
        judge_refused(h, DGPU, CRITICAL_CONSOLE, "the firmware's screen (BOOTFB) is in its memory");
        judge_free(h, DGPU_AUDIO);
        judge_refused(h, IGPU, CRITICAL_CONSOLE, "only graphics adapter");
}

static void test_refused_screen_after_a_deep_neighbour(void **state) {
        FakeHost *h = *state;

        /* What came before at the last level that the kernel shows has nothing to do with it. */
        add_igpu(h, true);
        add_card(h, 0x030000, NULL);
        add_framebuffer(h, "devices/platform/simple-framebuffer.0", "fb0");
        fake_host_write(h, "proc/iomem",
                        ZEROS "PCI Bus 0000:00\n"
                              "  " ZEROS "PCI Bus 0000:01\n"
                              "    " ZEROS "PCI Bus 0000:02\n"
                              "      " ZEROS "PCI Bus 0000:03\n"
                              "        " ZEROS "PCI Bus 0000:04\n"
                              "          " ZEROS "0000:05:00.0\n"
                              "  " ZEROS "PCI Bus 0000:06\n"
                              "    " ZEROS "PCI Bus 0000:07\n"
                              "      " ZEROS "PCI Bus 0000:08\n"
                              "        " ZEROS "0000:01:00.0\n"
                              "          " ZEROS "simplefb\n");
        judge_refused(h, DGPU, CRITICAL_CONSOLE, "(simplefb) is in its memory");
}

static void test_refused_whoever_drives_the_firmware_screen(void **state) {
        static const char *const drivers[] = {"BOOTFB",    "efifb",  "vesafb",  "simplefb",
                                              "simpledrm", "efidrm", "vesadrm", "ofdrm"};
        FakeHost *h = *state;

        add_igpu(h, true);
        add_card(h, 0x030000, NULL);
        add_framebuffer(h, "devices/platform/simple-framebuffer.0", "fb0");
        for (size_t i = 0; i < ELEMENTSOF(drivers); i++) {
                fake_host_write(h, "proc/iomem",
                                ZEROS "PCI Bus 0000:00\n  " ZEROS "0000:01:00.0\n    " ZEROS "%s\n",
                                drivers[i]);
                judge_refused(h, DGPU, CRITICAL_CONSOLE, drivers[i]);
        }
        fake_host_write(h, "proc/iomem",
                        ZEROS "PCI Bus 0000:00\n  " ZEROS "0000:01:00.0\n    " ZEROS "nvidia\n");
        judge_free(h, DGPU);
}

static void test_refused_firmware_framebuffer_below_its_gpu(void **state) {
        FakeHost *h = *state;

        /* Linux 6.9 and later say to whom it belongs; /proc/iomem is not needed. */
        add_igpu(h, false);
        add_card(h, 0x030000, NULL);
        add_framebuffer(h, DGPU_PATH "/efi-framebuffer.0", "fb0");
        judge_refused(h, DGPU, CRITICAL_CONSOLE, "framebuffer fb0 shows the host's screen on it");
}

static void test_refused_server_with_bmc_vga(void **state) {
        FakeHost *h = *state;

        /* ASPEED: the VGA behind a bridge of its own; the screen is in the remote console. */
        judge_device(h, .address = "0000:02:00.0", .class_code = 0x060400);
        judge_device(h, .address = "0000:03:00.0", .class_code = 0x030000, .driver = "ast", .boot_vga = true,
                     .below = "0000:02:00.0");
        add_card(h, 0x030000, "nvidia");
        judge_refused(h, "0000:03:00.0", CRITICAL_CONSOLE, "it is the boot VGA device");
        judge_free(h, DGPU);
        judge_free(h, DGPU_AUDIO);
}

static void test_refused_boot_vga_in_text_mode(void **state) {
        FakeHost *h = *state;

        judge_device(h, .address = "0000:00:01.0", .class_code = 0x030000, .boot_vga = true);
        judge_refused(h, "0000:00:01.0", CRITICAL_CONSOLE, "");
}

static void test_refused_desktop_gpu_with_a_lit_screen(void **state) {
        FakeHost *h = *state;

        add_igpu(h, true);
        add_connector(h, IGPU_PATH, "card0", "HDMI-A-1", "disconnected", "disabled");
        add_card(h, 0x030000, "amdgpu");
        add_connector(h, DGPU_PATH, "card1", "DP-1", "disconnected", "disabled");
        add_connector(h, DGPU_PATH, "card1", "HDMI-A-2", "connected", "enabled");
        judge_refused(h, DGPU, CRITICAL_CONSOLE, "a screen is on at HDMI-A-2");
        judge_free(h, DGPU_AUDIO);
        judge_refused(h, IGPU, CRITICAL_CONSOLE, "boot VGA");
}

static void test_refused_screen_that_sleeps(void **state) {
        FakeHost *h = *state;

        add_igpu(h, true);
        add_card(h, 0x030000, "amdgpu");
        add_connector(h, DGPU_PATH, "card1", "DP-1", "connected", "enabled");
        judge_attribute(h, "drm", "card1-DP-1", "dpms", "Off");
        judge_refused(h, DGPU, CRITICAL_CONSOLE, "a screen is on at DP-1");
}

static void test_refused_boot_display_of_a_laptop(void **state) {
        FakeHost *h = *state;

        /* Two GPUs of which neither is VGA, the panel switched off by its lid. */
        judge_device(h, .address = IGPU, .class_code = 0x038000, .driver = "amdgpu");
        add_connector(h, IGPU_PATH, "card0", "eDP-1", "connected", "disabled");
        judge_attribute(h, "drm", "card0", "boot_display", "1");
        add_card(h, 0x038000, "amdgpu");
        add_connector(h, DGPU_PATH, "card1", "DP-1", "disconnected", "disabled");
        judge_refused(h, IGPU, CRITICAL_CONSOLE, "it showed how the host booted");
        judge_free(h, DGPU);
}

static void test_refused_guest_with_virtio_gpu(void **state) {
        FakeHost *h = *state;

        add_igpu(h, true);
        judge_device(h, .address = "0000:00:05.0", .class_code = 0x038000, .driver = "virtio-pci");
        add_framebuffer(h, "devices/pci0000:00/0000:00:05.0/virtio2", "fb0");
        judge_refused(h, "0000:00:05.0", CRITICAL_CONSOLE, "framebuffer fb0");
}

static void test_refused_only_gpu(void **state) {
        FakeHost *h = *state;

        /* No screen is plugged in, now. */
        add_card(h, 0x030000, "nouveau");
        add_connector(h, DGPU_PATH, "card0", "DP-1", "disconnected", "disabled");
        judge_refused(h, DGPU, CRITICAL_CONSOLE, "it is the only graphics adapter of the host");
        judge_free(h, DGPU_AUDIO);
}

static void test_refused_last_gpu(void **state) {
        FakeHost *h = *state;

        add_igpu(h, false);
        add_card(h, 0x038000, "amdgpu");
        judge_free(h, IGPU);
        judge_free(h, DGPU);

        /* Once one has left, the other has to stay. */
        fake_host_remove(h, "sys/" DGPU_PATH "/driver");
        fake_host_link(h, "sys/" DGPU_PATH "/driver", "../../../../bus/pci/drivers/vfio-pci");
        judge_refused(h, IGPU, CRITICAL_CONSOLE, "only graphics adapter");
        judge_free(h, DGPU);
}

static void test_refused_all_gpus_in_one_iommu_set(void **state) {
        FakeHost *h = *state;

        /* None is the only one, but who takes one takes both. */
        judge_device(h, .address = "0000:00:03.0", .class_code = 0x030000, .driver = "nouveau",
                     .iommu_set = 3);
        judge_device(h, .address = "0000:00:04.0", .class_code = 0x030000, .driver = "nouveau",
                     .iommu_set = 3);
        judge_refused(h, "0000:00:03.0", CRITICAL_CONSOLE, "no graphics adapter would be left");
        judge_refused(h, "0000:00:04.0", CRITICAL_CONSOLE, "no graphics adapter would be left");

        judge_device(h, .address = "0000:00:05.0", .class_code = 0x030000, .driver = "nouveau");
        judge_free(h, "0000:00:03.0");
        judge_free(h, "0000:00:04.0");
}

static void test_refused_serial_console_on_a_pci_uart(void **state) {
        FakeHost *h = *state;

        judge_device(h, .address = "0000:00:16.3", .class_code = 0x070002, .driver = "serial");
        judge_class(h, "tty", "devices/pci0000:00/0000:00:16.3/0000:00:16.3:0/0000:00:16.3:0.0/tty",
                    "ttyS4");
        fake_host_write(h, "sys/class/tty/console/active", "tty0\n");
        judge_free(h, "0000:00:16.3");
        fake_host_write(h, "sys/class/tty/console/active", "tty0 ttyS4\n");
        judge_refused(h, "0000:00:16.3", CRITICAL_CONSOLE, "the console ttyS4 is on it");
}

static void test_harmless_second_idle_gpu_and_its_audio(void **state) {
        FakeHost *h = *state;

        add_igpu(h, true);
        add_connector(h, IGPU_PATH, "card0", "eDP-1", "connected", "enabled");
        add_framebuffer(h, IGPU_PATH, "fb0");
        add_card(h, 0x030000, "nouveau");
        add_connector(h, DGPU_PATH, "card1", "HDMI-A-1", "disconnected", "disabled");
        add_connector(h, DGPU_PATH, "card1", "DP-1", "disconnected", "disabled");
        add_connector(h, DGPU_PATH, "card1", "Writeback-1", "unknown", "disabled");
        judge_class(h, "drm", DGPU_PATH "/drm", "renderD129");
        add_framebuffer(h, DGPU_PATH, "fb1");
        judge_free(h, DGPU);
        judge_free(h, DGPU_AUDIO);
        judge_refused(h, IGPU, CRITICAL_CONSOLE, "fb0");
}

static void test_harmless_gpu_with_a_screen_that_nobody_uses(void **state) {
        FakeHost *h = *state;

        add_igpu(h, true);
        add_card(h, 0x030000, "nvidia");
        add_connector(h, DGPU_PATH, "card1", "DP-1", "connected", "disabled");
        add_connector(h, DGPU_PATH, "card1", "DP-2", "disconnected", "enabled"); /* was pulled out */
        judge_free(h, DGPU);
}

static void test_harmless_compute_card(void **state) {
        FakeHost *h = *state;

        /* 3D controller: no connectors. Not even as the only thing of its kind in a headless host. */
        add_card(h, 0x030200, "nvidia");
        judge_free(h, DGPU);
        judge_device(h, .address = IGPU, .class_code = 0x030000, .driver = "i915");
        judge_refused(h, IGPU, CRITICAL_CONSOLE, "only graphics adapter"); /* it is no replacement either */
}

static void test_harmless_gpu_on_vfio(void **state) {
        FakeHost *h = *state;

        add_card(h, 0x030000, "vfio-pci");
        judge_device(h, .address = "0000:00:03.0", .class_code = 0x030000, .driver = "pci-stub");
        judge_device(h, .address = "0000:00:04.0", .class_code = 0x038000, .driver = "xe-vfio-pci");
        judge_free(h, DGPU);
        judge_free(h, "0000:00:03.0");
        judge_free(h, "0000:00:04.0");
}

static void test_harmless_gpu_without_a_driver(void **state) {
        FakeHost *h = *state;

        add_card(h, 0x030000, NULL);
        judge_free(h, DGPU);
}

static void test_harmless_virtual_function_of_a_gpu(void **state) {
        FakeHost *h = *state;

        judge_device(h, .address = "0000:4d:00.0", .class_code = 0x038000, .driver = "i915");
        judge_device(h, .address = "0000:4d:00.1", .class_code = 0x038000, .driver = "i915",
                     .physfn = "0000:4d:00.0");
        judge_free(h, "0000:4d:00.1");
        assert_int_equal(evaluate(h, "0000:4d:00.0").reasons, BIT(CONSOLE) | BIT(PF_WITH_VFS));
}

static void test_harmless_gpu_beside_a_screen_that_is_not_pci(void **state) {
        FakeHost *h = *state;

        /* A screen of the platform, and one that a module makes up: their memory is in no PCI device. */
        add_igpu(h, true);
        add_card(h, 0x030000, "nouveau");
        add_framebuffer(h, "devices/platform/simple-framebuffer.0", "fb0");
        add_connector(h, "devices/platform/vkms", "card2", "Virtual-1", "connected", "enabled");
        fake_host_write(h, "proc/iomem",
                        ZEROS "System RAM\n" ZEROS "simplefb\n" ZEROS "PCI Bus 0000:00\n"
                              "  " ZEROS "PCI Bus 0000:01\n"
                              "    " ZEROS "0000:01:00.0\n"
                              "    " ZEROS "simplefb\n" /* in the window of the bridge, not in the device */
                              "  " ZEROS "simplefb\n");
        judge_free(h, DGPU);
}

/* Not found out is not the same as free. */
static void test_refused_all_when_the_screen_cannot_be_traced(void **state) {
        FakeHost *h = *state;

        add_framebuffer(h, "devices/platform/efi-framebuffer.0", "fb0");
        assert_int_equal(judge_load(h), -ENOENT);
        fake_host_write(h, "proc/iomem", "%s", "");
        assert_int_equal(judge_load(h), 0);
}

static void test_connector_that_goes_away(void **state) {
        FakeHost *h = *state;

        add_igpu(h, true);
        add_card(h, 0x030000, "nouveau");
        add_connector(h, DGPU_PATH, "card1", "DP-1", "connected", "enabled");
        fake_host_remove(h, "sys/" DGPU_PATH "/drm");
        judge_free(h, DGPU);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        JUDGE(test_refused_laptop_with_efifb),
                        JUDGE(test_refused_simpledrm),
                        JUDGE(test_refused_screen_after_a_deep_neighbour),
                        JUDGE(test_refused_whoever_drives_the_firmware_screen),
                        JUDGE(test_refused_firmware_framebuffer_below_its_gpu),
                        JUDGE(test_refused_server_with_bmc_vga),
                        JUDGE(test_refused_boot_vga_in_text_mode),
                        JUDGE(test_refused_desktop_gpu_with_a_lit_screen),
                        JUDGE(test_refused_screen_that_sleeps),
                        JUDGE(test_refused_boot_display_of_a_laptop),
                        JUDGE(test_refused_guest_with_virtio_gpu),
                        JUDGE(test_refused_only_gpu),
                        JUDGE(test_refused_last_gpu),
                        JUDGE(test_refused_all_gpus_in_one_iommu_set),
                        JUDGE(test_refused_serial_console_on_a_pci_uart),
                        JUDGE(test_harmless_second_idle_gpu_and_its_audio),
                        JUDGE(test_harmless_gpu_with_a_screen_that_nobody_uses),
                        JUDGE(test_harmless_compute_card),
                        JUDGE(test_harmless_gpu_on_vfio),
                        JUDGE(test_harmless_gpu_without_a_driver),
                        JUDGE(test_harmless_virtual_function_of_a_gpu),
                        JUDGE(test_harmless_gpu_beside_a_screen_that_is_not_pci),
                        JUDGE(test_refused_all_when_the_screen_cannot_be_traced),
                        JUDGE(test_connector_that_goes_away),
        };

        return cmocka_run_group_tests_name("critical-displays", tests, NULL, NULL);
}
