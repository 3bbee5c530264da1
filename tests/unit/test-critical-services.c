/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "judge-fixture.h"

/* Keyboards, watchdogs, management controllers and TPMs, on layouts as they are found; and what critical.c says about
 * one device by itself: bridges, physical functions, the IOMMU. docs name these tests: what is refused, what is not. */

#define XHCI "0000:00:14.0"
#define XHCI_PATH "devices/pci0000:00/0000:00:14.0"
#define XHCI2 "0000:03:00.0"
#define XHCI2_PATH "devices/pci0000:00/0000:00:1c.0/0000:03:00.0"

/* capabilities/key as the kernel prints it. */
#define KEYBOARD "1000000000007 ff9f207ac14057ff febeffdfffefffff fffffffffffffffe"
#define KEYBOARD_32 "10000 7 ff9f207a c14057ff febeffdf ffefffff ffffffff fffffffe"
#define MOUSE "1f0000 0 0 0 0"
#define POWER_BUTTON "10000000000000 0"
#define REMOTE_CONTROL "c040a27c000 267bfad941dfed 9e000000000000 0"
#define TOKEN "40000010003ffe" /* digits, Enter and a few more */

static int add_controllers(void **state) {
        FakeHost *h;

        (void)judge_setup(state);
        h = *state;
        judge_device(h, .address = XHCI, .class_code = 0x0c0330, .driver = "xhci_hcd");
        judge_device(h, .address = "0000:00:1c.0", .class_code = 0x060400, .driver = "pcieport");
        judge_device(h, .address = XHCI2, .class_code = 0x0c0330, .driver = "xhci_hcd",
                     .below = "0000:00:1c.0");
        return 0;
}

/* path: of what the input hangs on, below sys/. */
static void add_input(FakeHost *h, const char *path, const char *input, const char *name, const char *keys) {
        char directory[PATH_MAX];

        (void)snprintf(directory, sizeof directory, "%s/input", path);
        judge_class(h, "input", directory, input);
        judge_attribute(h, "input", input, "name", name);
        judge_attribute(h, "input", input, "capabilities/key", keys);
        (void)snprintf(directory, sizeof directory, "%s/input/%s", path, input);
        judge_class(h, "input", directory, streq(input, "input0") ? "event0" : "event9");
}

static void test_refused_keyboard_on_the_only_usb_controller(void **state) {
        FakeHost *h = *state;

        add_input(h, "devices/LNXSYSTM:00/LNXPWRBN:00", "input0", "Power Button", POWER_BUTTON);
        add_input(h, XHCI_PATH "/usb1/1-3/1-3:1.0/0003:046D:C077.0002", "input4", "USB Mouse", MOUSE);
        add_input(h, XHCI_PATH "/usb1/1-2/1-2:1.0/0003:046D:C31C.0001", "input5", "Keyboard K120", KEYBOARD);
        judge_refused(h, XHCI, CRITICAL_INPUT,
                      "every keyboard of the host is on it, Keyboard K120; plug a keyboard into another");
        judge_free(h, XHCI2);
}

static void test_refused_two_keyboards_on_one_controller(void **state) {
        FakeHost *h = *state;

        /* Behind a hub of a screen, behind a root port: the port carries it, too, but stays anyway. */
        add_input(h, XHCI2_PATH "/usb3/3-1/3-1.4/3-1.4:1.0/0003:04D9:0024.0003", "input5", "One", KEYBOARD);
        add_input(h, XHCI2_PATH "/usb3/3-2/3-2:1.0/0003:04D9:0024.0004", "input6", "Two", KEYBOARD);
        judge_refused(h, XHCI2, CRITICAL_INPUT, "every keyboard of the host is on it");
        judge_free(h, XHCI);
        assert_int_equal(evaluate(h, "0000:00:1c.0").reasons, BIT(INPUT) | BIT(BRIDGE_DEVICE));
}

static void test_refused_one_keyboard_in_each_function_of_a_set(void **state) {
        FakeHost *h = *state;

        /* No function has all of them, but they leave together. */
        judge_device(h, .address = "0000:04:00.0", .class_code = 0x0c0310, .iommu_set = 9);
        judge_device(h, .address = "0000:04:00.1", .class_code = 0x0c0310, .iommu_set = 9);
        add_input(h, "devices/pci0000:00/0000:04:00.0/usb5/5-1/5-1:1.0/0003:1:1.1", "input5", "One",
                  KEYBOARD);
        add_input(h, "devices/pci0000:00/0000:04:00.1/usb6/6-1/6-1:1.0/0003:1:1.2", "input6", "Two",
                  KEYBOARD);
        judge_refused(h, "0000:04:00.0", CRITICAL_INPUT, "is on it or on what would leave with it");
        judge_refused(h, "0000:04:00.1", CRITICAL_INPUT, "is on it or on what would leave with it");

        /* A third one elsewhere stays. */
        add_input(h, XHCI_PATH "/usb1/1-2/1-2:1.0/0003:1:1.3", "input7", "Three", KEYBOARD);
        judge_free(h, "0000:04:00.0");
        judge_free(h, "0000:04:00.1");
}

static void test_refused_controllers_behind_vmd(void **state) {
        FakeHost *h = *state;

        /* Another domain below a PCI function: with that go both keyboards, with a controller one. */
        judge_device(h, .address = "0000:00:0e.0", .class_code = 0x010400, .driver = "vmd");
        judge_device(h, .address = "10000:e1:00.0", .class_code = 0x0c0330, .below = "0000:00:0e.0");
        judge_device(h, .address = "10000:e2:00.0", .class_code = 0x0c0330, .below = "0000:00:0e.0");
        add_input(h, "devices/pci0000:00/0000:00:0e.0/pci10000:e0/10000:e1:00.0/usb5/5-1/5-1:1.0/0003:1:1.1",
                  "input5", "One", KEYBOARD);
        add_input(h, "devices/pci0000:00/0000:00:0e.0/pci10000:e0/10000:e2:00.0/usb6/6-1/6-1:1.0/0003:1:1.2",
                  "input6", "Two", KEYBOARD);
        judge_refused(h, "0000:00:0e.0", CRITICAL_INPUT, "every keyboard");
        judge_free(h, "10000:e1:00.0");
        judge_free(h, "10000:e2:00.0");
}

static void test_refused_virtio_keyboard(void **state) {
        FakeHost *h = *state;

        judge_device(h, .address = "0000:00:05.0", .class_code = 0x090000, .driver = "virtio-pci");
        add_input(h, "devices/pci0000:00/0000:00:05.0/virtio2", "input4", "QEMU Virtio Keyboard",
                  KEYBOARD_32);
        judge_refused(h, "0000:00:05.0", CRITICAL_INPUT, "QEMU Virtio Keyboard");
}

static void test_refused_where_a_program_makes_the_other_keyboard(void **state) {
        FakeHost *h = *state;

        add_input(h, XHCI_PATH "/usb1/1-2/1-2:1.0/0003:046D:C31C.0001", "input5", "Keyboard", KEYBOARD);
        add_input(h, "devices/virtual", "input9", "keyd virtual keyboard", KEYBOARD);
        judge_refused(h, XHCI, CRITICAL_INPUT, "every keyboard");
}

#define UHID "devices/virtual/misc/uhid/0005:046D:B342.0007"

static void test_refused_controller_with_the_bluetooth_of_the_only_keyboard(void **state) {
        FakeHost *h = *state;

        judge_class(h, "bluetooth", XHCI_PATH "/usb1/1-10/1-10:1.0/bluetooth", "hci0");
        judge_class(h, "bluetooth", XHCI_PATH "/usb1/1-10/1-10:1.0/bluetooth/hci0", "hci0:256");
        judge_free(h, XHCI);
        add_input(h, UHID, "input20", "Keyboard K380", KEYBOARD);
        judge_refused(h, XHCI, CRITICAL_INPUT, "every keyboard of the host is on it, Keyboard K380");
        judge_free(h, XHCI2);

        add_input(h, XHCI2_PATH "/usb3/3-2/3-2:1.0/0003:04D9:0024.0004", "input6", "Two", KEYBOARD);
        judge_free(h, XHCI);
        judge_free(h, XHCI2);
}

static void test_harmless_controller_where_bluetooth_is_elsewhere(void **state) {
        FakeHost *h = *state;

        add_input(h, XHCI_PATH "/usb1/1-2/1-2:1.0/0003:046D:C31C.0001", "input5", "One", KEYBOARD);
        add_input(h, UHID, "input20", "Keyboard K380", KEYBOARD);
        judge_refused(h, XHCI, CRITICAL_INPUT, "every keyboard"); /* no adapter: nobody types on that one */
        judge_class(h, "bluetooth", "devices/platform/serial8250/serial0/serial0-0/bluetooth", "hci0");
        judge_free(h, XHCI);

        /* Two adapters: it is not known which, so it is no replacement. */
        judge_class(h, "bluetooth", XHCI2_PATH "/usb3/3-1/3-1:1.0/bluetooth", "hci1");
        judge_refused(h, XHCI, CRITICAL_INPUT, "every keyboard");
}

static void test_harmless_controller_where_a_ps2_keyboard_exists(void **state) {
        FakeHost *h = *state;

        add_input(h, XHCI_PATH "/usb1/1-2/1-2:1.0/0003:046D:C31C.0001", "input5", "Keyboard", KEYBOARD);
        add_input(h, "devices/platform/i8042/serio0", "input3", "AT Translated Set 2 keyboard",
                  "402000000 3803078f800d001 feffffdfffefffff fffffffffffffffe");
        judge_free(h, XHCI);
}

static void test_harmless_controller_where_another_has_a_keyboard(void **state) {
        FakeHost *h = *state;

        add_input(h, XHCI_PATH "/usb1/1-2/1-2:1.0/0003:046D:C31C.0001", "input5", "One", KEYBOARD);
        add_input(h, XHCI2_PATH "/usb3/3-2/3-2:1.0/0003:04D9:0024.0004", "input6", "Two", KEYBOARD);
        judge_free(h, XHCI);
        judge_free(h, XHCI2);

        /* The kernel takes the inputs away when the other controller leaves. */
        fake_host_remove(h, "sys/class/input/input6");
        judge_refused(h, XHCI, CRITICAL_INPUT, "every keyboard");
}

static void test_harmless_controller_with_no_whole_keyboard(void **state) {
        FakeHost *h = *state;

        add_input(h, XHCI_PATH "/usb1/1-3/1-3:1.0/0003:046D:C077.0002", "input4", "Mouse", MOUSE);
        add_input(h, XHCI_PATH "/usb1/1-4/1-4:1.0/0003:1050:0010.0003", "input5", "Token", TOKEN);
        add_input(h, XHCI_PATH "/usb1/1-5/1-5:1.0", "input6", "Webcam button", "100000 0 0 0");
        add_input(h, XHCI_PATH "/usb1/1-6/1-6:1.0", "input7", "Remote control", REMOTE_CONTROL);
        add_input(h, XHCI_PATH "/usb1/1-7/1-7:1.0", "input8", "Odd", "");
        add_input(h, XHCI_PATH "/usb1/1-8/1-8:1.0", "input9", "All but D", "7 7ffffffe");
        judge_free(h, XHCI);
}

static void test_harmless_controllers_of_a_server_without_a_keyboard(void **state) {
        FakeHost *h = *state;

        judge_free(h, XHCI);
        judge_free(h, XHCI2);
}

static void add_watchdog(FakeHost *h, const char *path, const char *name, const char *state) {
        char directory[PATH_MAX];

        (void)snprintf(directory, sizeof directory, "%s/watchdog", path);
        judge_class(h, "watchdog", directory, name);
        judge_attribute(h, "watchdog", name, "timeout", "30");
        if (state)
                judge_attribute(h, "watchdog", name, "state", state);
}

#define SMBUS "0000:00:1f.4"
#define SMBUS_PATH "devices/pci0000:00/0000:00:1f.4"

static void test_refused_armed_watchdog_of_the_chipset(void **state) {
        _cleanup_(host_facts_freep) HostFacts *facts = NULL;
        FakeHost *h = *state;

        /* iTCO: a platform device that the SMBus function provides. */
        judge_device(h, .address = SMBUS, .class_code = 0x0c0500, .driver = "i801_smbus");
        add_watchdog(h, SMBUS_PATH "/iTCO_wdt", "watchdog0", "active");
        judge_refused(h, SMBUS, CRITICAL_WATCHDOG_OR_BMC, "watchdog0 on it is armed; stop what uses it");
        assert_int_equal(host_facts_load(h->fd, &facts), 0);
        assert_true(host_facts_are_unwatched(facts)); /* no event tells when it is stopped */
}

static void test_refused_armed_watchdog_card(void **state) {
        FakeHost *h = *state;

        /* i6300esb: its watchdog hangs on no device. */
        judge_device(h, .address = "0000:00:07.0", .class_code = 0x088000, .driver = "i6300ESB timer");
        judge_device(h, .address = "0000:00:08.0", .class_code = 0x088000, .driver = "something");
        fake_host_write(h, "sys/bus/pci/drivers/i6300ESB timer/new_id", "%s", "");
        add_watchdog(h, "devices/virtual", "watchdog0", "active");
        judge_attribute(h, "watchdog", "watchdog0", "identity", "i6300ESB timer");
        judge_refused(h, "0000:00:07.0", CRITICAL_WATCHDOG_OR_BMC, "watchdog0 on it is armed");
        judge_free(h, "0000:00:08.0");

        judge_attribute(h, "watchdog", "watchdog0", "state", "inactive");
        judge_free(h, "0000:00:07.0");
        judge_attribute(h, "watchdog", "watchdog0", "state", "active");
        judge_attribute(h, "watchdog", "watchdog0", "identity", "../drivers/i6300ESB timer");
        judge_free(h, "0000:00:07.0"); /* no name of a driver */
}

static void test_refused_watchdog_whose_state_the_kernel_hides(void **state) {
        FakeHost *h = *state;

        judge_device(h, .address = "0000:00:07.0", .class_code = 0x088000, .driver = "hpwdt");
        add_watchdog(h, "devices/pci0000:00/0000:00:07.0", "watchdog0", NULL);
        judge_refused(h, "0000:00:07.0", CRITICAL_WATCHDOG_OR_BMC,
                      "may be armed, this kernel does not tell");
}

static void test_harmless_idle_watchdogs(void **state) {
        FakeHost *h = *state;

        judge_device(h, .address = "0000:00:07.0", .class_code = 0x088000, .driver = "hpwdt");
        judge_device(h, .address = SMBUS, .class_code = 0x0c0500, .driver = "i801_smbus");
        add_watchdog(h, "devices/pci0000:00/0000:00:07.0", "watchdog0", "inactive");
        add_watchdog(h, SMBUS_PATH "/iTCO_wdt", "watchdog1", "inactive");
        judge_free(h, "0000:00:07.0");
        judge_free(h, SMBUS);
}

static void test_harmless_watchdogs_that_are_no_pci_device(void **state) {
        _cleanup_(host_facts_freep) HostFacts *facts = NULL;
        FakeHost *h = *state;

        judge_device(h, .address = SMBUS, .class_code = 0x0c0500, .driver = "i801_smbus");
        add_watchdog(h, "devices/virtual", "watchdog0", "active");
        judge_attribute(h, "watchdog", "watchdog0", "identity", "Software Watchdog");
        add_watchdog(h, "devices/platform/sp5100-tco", "watchdog1", "active");
        assert_int_equal(host_facts_load(h->fd, &facts), 0);
        assert_false(host_facts_are_unwatched(facts)); /* nothing to look for again */
        judge_free(h, SMBUS);
        judge_free(h, XHCI);
}

static void test_refused_ipmi_function(void **state) {
        FakeHost *h = *state;

        judge_device(h, .address = "0000:01:04.6", .class_code = 0x0c0701);
        judge_refused(h, "0000:01:04.6", CRITICAL_WATCHDOG_OR_BMC, "management controller (IPMI)");
}

static void test_refused_device_with_ipmi_on_it(void **state) {
        FakeHost *h = *state;

        judge_device(h, .address = "0000:01:00.2", .class_code = 0x088000, .driver = "ipmi_si_pci");
        judge_class(h, "ipmi", "devices/pci0000:00/0000:01:00.2/ipmi", "ipmi0");
        judge_refused(h, "0000:01:00.2", CRITICAL_WATCHDOG_OR_BMC, "management controller, ipmi0 is on it");
}

static void test_refused_tpm_on_an_spi_controller(void **state) {
        FakeHost *h = *state;

        judge_device(h, .address = "0000:00:1e.2", .class_code = 0x0c8000, .driver = "intel-lpss");
        judge_class(h, "tpm",
                    "devices/pci0000:00/0000:00:1e.2/pxa2xx-spi.3/spi_master/spi1/spi-PRP0001:01/tpm",
                    "tpm0");
        judge_refused(h, "0000:00:1e.2", CRITICAL_WATCHDOG_OR_BMC, "security chip (TPM) tpm0 is on it");
        judge_free(h, XHCI);
}

static void test_harmless_chips_of_the_platform(void **state) {
        FakeHost *h = *state;

        judge_class(h, "ipmi", "devices/platform/dmi-ipmi-si.0/ipmi", "ipmi0");
        judge_class(h, "tpm", "devices/LNXSYSTM:00/LNXSYBUS:00/MSFT0101:00/tpm", "tpm0");
        judge_free(h, XHCI);
        judge_free(h, XHCI2);
}

#define PORT "0000:00:1c.0"
#define PORT_PATH "sys/devices/pci0000:00/0000:00:1c.0"

static void test_refused_bridges(void **state) {
        FakeHost *h = *state;

        judge_device(h, .address = "0000:00:1f.0", .class_code = 0x060100);
        judge_refused(h, PORT, CRITICAL_BRIDGE_DEVICE,
                      "it is a bridge, and the devices behind it hang on it");
        judge_refused(h, "0000:00:1f.0", CRITICAL_BRIDGE_DEVICE, "it is a bridge");
}

static void test_refused_port_that_watches_a_slot(void **state) {
        FakeHost *h = *state;

        fake_host_mkdir(h, PORT_PATH "/0000:00:1c.0:pcie004"); /* its driver is not there (yet) */
        fake_host_link(h, PORT_PATH "/0000:00:1c.0:pcie001/driver",
                       "../../../../bus/pci_express/drivers/pcie_pme");
        judge_refused(h, PORT, CRITICAL_BRIDGE_DEVICE, "it is a bridge");
        fake_host_link(h, PORT_PATH "/0000:00:1c.0:pcie004/driver",
                       "../../../../bus/pci_express/drivers/pciehp");
        judge_refused(h, PORT, CRITICAL_BRIDGE_DEVICE,
                      "hot-plug service watches the slot of 0000:03:00.0; pass");

        /* A downstream port of a switch, with nothing in its slot. */
        judge_device(h, .address = "0000:05:01.0", .class_code = 0x060400, .driver = "pcieport");
        fake_host_link(h, "sys/devices/pci0000:05/0000:05:01.0/0000:05:01.0:pcie204/driver",
                       "../../../../bus/pci_express/drivers/pciehp");
        judge_refused(h, "0000:05:01.0", CRITICAL_BRIDGE_DEVICE, "watches an empty slot");
}

static void test_harmless_device_behind_a_port_that_watches_its_slot(void **state) {
        FakeHost *h = *state;

        fake_host_link(h, PORT_PATH "/0000:00:1c.0:pcie004/driver",
                       "../../../../bus/pci_express/drivers/pciehp");
        judge_free(h, XHCI2);
}

static void test_refused_pf_with_vfs(void **state) {
        FakeHost *h = *state;

        judge_device(h, .address = "0000:06:00.0", .class_code = 0x020000, .driver = "ixgbe");
        judge_free(h, "0000:06:00.0");
        judge_device(h, .address = "0000:06:10.0", .class_code = 0x020000, .driver = "ixgbevf",
                     .physfn = "0000:06:00.0");
        judge_device(h, .address = "0000:06:10.2", .class_code = 0x020000, .driver = "ixgbevf",
                     .physfn = "0000:06:00.0");
        judge_refused(h, "0000:06:00.0", CRITICAL_PF_WITH_VFS,
                      "it has virtual functions; call ReturnToHost for it if they are for VMs, else write 0 "
                      "to its sriov_numvfs");
        judge_free(h, "0000:06:10.0");
        judge_free(h, "0000:06:10.2");
}

static void test_refused_pf_with_a_vf_in_a_vm(void **state) {
        FakeHost *h = *state;

        /* Writing 0 now would hang: first things first. */
        judge_device(h, .address = "0000:06:00.0", .class_code = 0x020000, .driver = "ixgbe");
        judge_device(h, .address = "0000:06:10.0", .class_code = 0x020000, .driver = "ixgbevf",
                     .physfn = "0000:06:00.0");
        judge_device(h, .address = "0000:06:10.2", .class_code = 0x020000, .driver = "vfio-pci",
                     .physfn = "0000:06:00.0");
        judge_refused(h, "0000:06:00.0", CRITICAL_PF_WITH_VFS,
                      "its virtual function 0000:06:10.2 is passed through; end the VM that has it, then "
                      "call ReturnToHost for it");
        judge_free(h, "0000:06:10.2");
}

static void test_harmless_pf_without_vfs(void **state) {
        FakeHost *h = *state;

        judge_device(h, .address = "0000:06:00.0", .class_code = 0x020000, .driver = "ixgbe");
        fake_host_write(h, "sys/bus/pci/devices/0000:06:00.0/sriov_totalvfs", "63\n");
        fake_host_write(h, "sys/bus/pci/devices/0000:06:00.0/sriov_numvfs", "0\n");
        judge_free(h, "0000:06:00.0");
}

static void test_refused_reserved_direct_region(void **state) {
        FakeHost *h = *state;

        /* RMRR of a RAID controller whose firmware talks to the BMC. */
        judge_device(h, .address = "0000:07:00.0", .class_code = 0x010400,
                     .reserved = "0x00000000bdf6f000 0x00000000bdf7dfff direct\n"
                                 "0x00000000fee00000 0x00000000feefffff msi\n");
        judge_refused(h, "0000:07:00.0", CRITICAL_FIRMWARE_MAPPING, "(RMRR)");
}

static void test_harmless_relaxable_and_reserved_regions(void **state) {
        FakeHost *h = *state;

        /* USB and graphics have their RMRR only for the time before the driver. */
        judge_device(h, .address = "0000:00:1a.0", .class_code = 0x0c0320,
                     .reserved = "0x00000000bdf6f000 0x00000000bdf7dfff direct-relaxable\n"
                                 "0x00000000a0000000 0x00000000afffffff reserved\n"
                                 "0x00000000fee00000 0x00000000feefffff msi\n");
        judge_free(h, "0000:00:1a.0");
}

static void test_refused_without_an_iommu(void **state) {
        FakeHost *h = *state;

        fake_host_add_device(h, &(FakeDevice){.address = "0000:08:00.0", .class_code = 0x020000});
        judge_refused(h, "0000:08:00.0", CRITICAL_NO_IOMMU, "no IOMMU stands between it and the memory");
}

static void test_refused_noiommu_mode(void **state) {
        FakeHost *h = *state;

        judge_device(h, .address = "0000:08:00.0", .class_code = 0x020000);
        fake_host_write(h, "sys/bus/pci/devices/0000:08:00.0/iommu_group/name", "vfio-noiommu\n");
        judge_refused(h, "0000:08:00.0", CRITICAL_NO_IOMMU, "VFIO's no-IOMMU mode");
}

static void test_refused_unsafe_interrupts(void **state) {
        FakeHost *h = *state;

        fake_host_write(h, "sys/module/iommufd/parameters/allow_unsafe_interrupts", "Y\n");
        judge_refused(h, XHCI, CRITICAL_UNSAFE_INTERRUPTS, "set allow_unsafe_interrupts to N");
}

static void test_harmless_safe_interrupts(void **state) {
        FakeHost *h = *state;

        fake_host_write(h, "sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", "N\n");
        fake_host_write(h, "sys/module/iommufd/parameters/allow_unsafe_interrupts", "N\n");
        judge_free(h, XHCI);
}

static void test_keyboard_names_are_anybodys_text(void **state) {
        FakeHost *h = *state;
        Critical c;

        add_input(h, XHCI_PATH "/usb1/1-2/1-2:1.0/0003:1:1.1", "input5",
                  "\033[2J\xff with a name that is far longer than what has room in a sentence for people "
                  "to read",
                  KEYBOARD);
        c = evaluate(h, XHCI);
        assert_int_equal(c.reasons, BIT(INPUT));
        assert_null(strchr(c.sentence[CRITICAL_INPUT], '\033'));
        assert_non_null(strstr(c.sentence[CRITICAL_INPUT],
                               "; plug a keyboard into another controller first."));
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, add_controllers, judge_teardown)
        const struct CMUnitTest tests[] = {
                        CASE(test_refused_keyboard_on_the_only_usb_controller),
                        CASE(test_refused_two_keyboards_on_one_controller),
                        CASE(test_refused_one_keyboard_in_each_function_of_a_set),
                        CASE(test_refused_controllers_behind_vmd),
                        CASE(test_refused_virtio_keyboard),
                        CASE(test_refused_where_a_program_makes_the_other_keyboard),
                        CASE(test_refused_controller_with_the_bluetooth_of_the_only_keyboard),
                        CASE(test_harmless_controller_where_bluetooth_is_elsewhere),
                        CASE(test_harmless_controller_where_a_ps2_keyboard_exists),
                        CASE(test_harmless_controller_where_another_has_a_keyboard),
                        CASE(test_harmless_controller_with_no_whole_keyboard),
                        CASE(test_harmless_controllers_of_a_server_without_a_keyboard),
                        CASE(test_refused_armed_watchdog_of_the_chipset),
                        CASE(test_refused_armed_watchdog_card),
                        CASE(test_refused_watchdog_whose_state_the_kernel_hides),
                        CASE(test_harmless_idle_watchdogs),
                        CASE(test_harmless_watchdogs_that_are_no_pci_device),
                        CASE(test_refused_ipmi_function),
                        CASE(test_refused_device_with_ipmi_on_it),
                        CASE(test_refused_tpm_on_an_spi_controller),
                        CASE(test_harmless_chips_of_the_platform),
                        CASE(test_refused_bridges),
                        CASE(test_refused_port_that_watches_a_slot),
                        CASE(test_harmless_device_behind_a_port_that_watches_its_slot),
                        CASE(test_refused_pf_with_vfs),
                        CASE(test_refused_pf_with_a_vf_in_a_vm),
                        CASE(test_harmless_pf_without_vfs),
                        CASE(test_refused_reserved_direct_region),
                        CASE(test_harmless_relaxable_and_reserved_regions),
                        CASE(test_refused_without_an_iommu),
                        CASE(test_refused_noiommu_mode),
                        CASE(test_refused_unsafe_interrupts),
                        CASE(test_harmless_safe_interrupts),
                        CASE(test_keyboard_names_are_anybodys_text),
        };

        return cmocka_run_group_tests_name("critical-services", tests, NULL, NULL);
}
