/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdarg.h>

#include "vm-arguments.h"

#define IOMMUFD_ID "verge-iommufd"
#define MEMORY_BESIDE (UINT64_C(1) << 30)

/* Of all devices that are not on their way back. */
static bool is_of_claim(const RunDevice *d, const char *claim) {
        return !d->returning && streq(d->claim, claim);
}

static size_t count_devices(const RunRecord *run, const char *claim) {
        size_t n = 0;

        for (size_t i = 0; i < run->n_devices; i++)
                n += is_of_claim(&run->devices[i], claim);
        return n;
}

static bool is_first_claim(const RunRecord *run, const char *claim) {
        for (size_t i = 0; i < run->n_devices; i++)
                if (!run->devices[i].returning)
                        return streq(run->devices[i].claim, claim);
        return false;
}

char **vm_arguments_free(char **arguments) {
        if (arguments)
                for (size_t i = 0; arguments[i]; i++)
                        free(arguments[i]);
        free(arguments);
        return NULL;
}

/* "-option" and its value, at *n; there is room. */
_printf_(4, 5) static int append(char **arguments, size_t *n, const char *option, const char *format, ...) {
        va_list ap;
        int r;

        arguments[*n] = strdup(option);
        if (!arguments[*n])
                return -ENOMEM;
        (*n)++;

        va_start(ap, format);
        r = vasprintf(&arguments[*n], format, ap);
        va_end(ap);
        if (r < 0) {
                arguments[*n] = NULL;
                return -ENOMEM;
        }
        (*n)++;
        return 0;
}

/* A device that was opened for QEMU has no address for it: fd= and host= exclude each other. */
static int append_device(char **arguments, size_t *n, const RunRecord *run, size_t i) {
        char address[PCI_ADDRESS_SIZE];

        if (run->access == RUN_ACCESS_FDS)
                return append(arguments, n, "-device", "vfio-pci,iommufd=" IOMMUFD_ID ",fd=%zu",
                              VM_FIRST_DEVICE_NUMBER + i);
        return append(arguments, n, "-device", "vfio-pci,host=%s",
                      pci_address_format(&run->devices[i].identity.address, address));
}

int vm_qemu_arguments(const RunRecord *run, const char *claim, char ***ret) {
        _cleanup_(vm_arguments_freep) char **arguments = NULL;
        size_t n_devices, n = 0;
        int r = 0;

        assert(run);
        assert(claim);
        assert(ret);

        n_devices = count_devices(run, claim);
        if (n_devices == 0)
                return -ENODATA;
        arguments = calloc(2 * n_devices + 3, sizeof *arguments); /* with the iommufd and the end */
        if (!arguments)
                return -ENOMEM;

        if (run->access == RUN_ACCESS_FDS && is_first_claim(run, claim))
                r = append(arguments, &n, "-object", "iommufd,id=" IOMMUFD_ID ",fd=%u", VM_IOMMUFD_NUMBER);
        for (size_t i = 0; i < run->n_devices && r >= 0; i++)
                if (is_of_claim(&run->devices[i], claim))
                        r = append_device(arguments, &n, run, i);
        if (r < 0)
                return r;

        *ret = STEAL(arguments);
        return 0;
}

static void print_hostdev(FILE *f, const PciAddress *a) {
        (void)fprintf(f,
                      "<hostdev mode='subsystem' type='pci' managed='no'>\n"
                      "  <driver name='vfio'/>\n"
                      "  <source>\n"
                      "    <address domain='0x%04x' bus='0x%02x' slot='0x%02x' function='0x%x'/>\n"
                      "  </source>\n"
                      "</hostdev>\n",
                      (unsigned)a->domain, (unsigned)a->bus, (unsigned)a->device, (unsigned)a->function);
}

int vm_libvirt_xml(const RunRecord *run, const char *claim, char **ret) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        bool failed;
        FILE *f;

        assert(run);
        assert(claim);
        assert(ret);

        if (count_devices(run, claim) == 0)
                return -ENODATA;
        f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;
        for (size_t i = 0; i < run->n_devices; i++)
                if (is_of_claim(&run->devices[i], claim))
                        print_hostdev(f, &run->devices[i].identity.address);
        failed = ferror(f) != 0;
        if (fclose(f) != 0 || failed)
                return -ENOMEM;

        *ret = STEAL(text);
        return 0;
}

uint64_t vm_memory_lock(uint64_t memory, bool viommu, size_t n_devices) {
        uint64_t bytes;

        if (memory == 0 || n_devices == 0)
                return 0;
        if (__builtin_mul_overflow(memory, viommu ? (uint64_t)n_devices : 1, &bytes) ||
            __builtin_add_overflow(bytes, MEMORY_BESIDE, &bytes))
                return UINT64_MAX;
        return bytes;
}
