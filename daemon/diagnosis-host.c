/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <linux/if.h>
#include <sys/stat.h>

#include "diagnosis-host.h"
#include "sysfs.h"
#include "text.h"

#define SETTINGS_MAX (64U * 1024)      /* of one file of settings */
#define MODULES_MAX (8U * 1024 * 1024) /* modules.dep of a distribution's kernel: below 1 MiB */
#define CPUINFO_SIZE 8192              /* holds the first processor */
#define LOADER_INFO "sys/firmware/efi/efivars/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"

static const char *const tool_paths[DIAGNOSIS_TOOL_MAX][3] = {
                [DIAGNOSIS_TOOL_UPDATE_GRUB] = {"usr/sbin/update-grub", "usr/bin/update-grub"},
                [DIAGNOSIS_TOOL_GRUBBY] = {"usr/sbin/grubby", "usr/bin/grubby", "sbin/grubby"},
                [DIAGNOSIS_TOOL_GRUB2_MKCONFIG] = {"usr/sbin/grub2-mkconfig", "usr/bin/grub2-mkconfig"},
                [DIAGNOSIS_TOOL_GRUB_MKCONFIG] = {"usr/bin/grub-mkconfig", "usr/sbin/grub-mkconfig"},
                [DIAGNOSIS_TOOL_PROXMOX_BOOT_TOOL] = {"usr/sbin/proxmox-boot-tool"},
                [DIAGNOSIS_TOOL_KERNEL_INSTALL] = {"usr/bin/kernel-install"},
                [DIAGNOSIS_TOOL_U_BOOT_UPDATE] = {"usr/sbin/u-boot-update"},
                [DIAGNOSIS_TOOL_UPDATE_INITRAMFS] =
                                {"usr/sbin/mkinitramfs"}, /* dracut has an update-initramfs, too */
                [DIAGNOSIS_TOOL_DRACUT] = {"usr/bin/dracut", "usr/sbin/dracut"},
                [DIAGNOSIS_TOOL_MKINITCPIO] = {"usr/bin/mkinitcpio"},
};

static const char *const file_paths[DIAGNOSIS_FILE_MAX][2] = {
                [DIAGNOSIS_FILE_GRUB] = {"etc/default/grub"},
                [DIAGNOSIS_FILE_KERNEL] = {"etc/kernel/cmdline"},
                [DIAGNOSIS_FILE_EXTLINUX] = {"boot/extlinux/extlinux.conf"},
                [DIAGNOSIS_FILE_U_BOOT] = {"etc/default/u-boot"},
                [DIAGNOSIS_FILE_FIRMWARE] = {"boot/firmware/cmdline.txt", "boot/cmdline.txt"},
};

static bool exists(int root, const char *path) {
        return faccessat(root, path, F_OK, AT_EACCESS) >= 0;
}

/* Missing, unreadable and too long are the same here; only memory is not. */
static int read_text(int root, const char *path, size_t max, char **ret) {
        char *text;
        int r;

        *ret = NULL;
        r = sysfs_read_full(root, path, max, &text);
        if (r >= 0)
                *ret = text;
        return r == -ENOMEM ? r : 0;
}

/* The beginning of a file, as far as there is room. */
static void read_head(int root, const char *path, char *buf, size_t size) {
        _cleanup_close_ int fd = openat(root, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        size_t n = 0;
        ssize_t k;

        while (fd >= 0 && n + 1 < size && (k = read(fd, buf + n, size - 1 - n)) != 0)
                if (k > 0)
                        n += (size_t)k;
                else if (errno != EINTR)
                        break;
        buf[n] = '\0';
}

static int count_entry(const char *name _unused_, void *userdata) {
        ++*(unsigned *)userdata;
        return 0;
}

static void read_word(int root, const char *path, char *ret, size_t size) {
        char text[256];
        int n;

        n = sysfs_read(root, path, text, sizeof text);
        text_sanitize(ret, size, text, n < 0 ? 0 : (size_t)n);
}

static void load_firmware(int root, DiagnosisHost *h) {
        char maker[64], model[64], cpuinfo[CPUINFO_SIZE];

        h->has_acpi = exists(root, "sys/firmware/acpi/tables");
        h->has_dmar = exists(root, "sys/firmware/acpi/tables/DMAR");
        h->has_ivrs = exists(root, "sys/firmware/acpi/tables/IVRS");
        h->has_iort = exists(root, "sys/firmware/acpi/tables/IORT");
        h->has_viot = exists(root, "sys/firmware/acpi/tables/VIOT");
        h->has_efi = exists(root, "sys/firmware/efi");

        read_word(root, "sys/class/dmi/id/sys_vendor", maker, sizeof maker);
        read_word(root, "sys/class/dmi/id/product_name", model, sizeof model);
        if (!maker[0] && !model[0])
                read_word(root, "sys/firmware/devicetree/base/model", model, sizeof model);
        (void)snprintf(h->machine, sizeof h->machine, "%.60s%s%.60s", maker, maker[0] && model[0] ? " " : "",
                       model);

        read_head(root, "proc/cpuinfo", cpuinfo, sizeof cpuinfo);
        h->cpu = diagnosis_cpu_parse(cpuinfo, &h->guest);
        h->guest = h->guest || startswith(maker, "QEMU"); /* Arm's processors do not say it */

        (void)sysfs_each(root, "sys/class/iommu", count_entry, &h->n_iommus);
        (void)sysfs_each(root, "sys/kernel/iommu_groups", count_entry, &h->n_iommu_groups);
}

static bool allows_unsafe_interrupts(int root, const char *module) {
        char path[128], text[16];

        (void)snprintf(path, sizeof path, "sys/module/%s/parameters/allow_unsafe_interrupts", module);
        return sysfs_read(root, path, text, sizeof text) >= 0 && (text[0] == 'Y' || text[0] == '1');
}

typedef struct Search {
        int root, error;
        const char *directory;
        DiagnosisHost *host;
} Search;

static int look_at_modprobe(const char *name, void *userdata) {
        _cleanup_free_ char *text = NULL;
        Search *s = userdata;
        char path[256];
        size_t n = strlen(name);

        if (n < strlen(".conf") || !streq(name + n - strlen(".conf"), ".conf") ||
            (size_t)snprintf(path, sizeof path, "%s/%s", s->directory, name) >= sizeof path)
                return 0;
        s->error = read_text(s->root, path, SETTINGS_MAX, &text);
        if (s->error < 0 || !text)
                return s->error;

        if (diagnosis_modprobe_blocks(text, VFIO_DRIVER))
                (void)snprintf(s->host->blocked_by, sizeof s->host->blocked_by, "%s", path);
        if (diagnosis_modprobe_sets(text, "vfio_iommu_type1", "allow_unsafe_interrupts") ||
            diagnosis_modprobe_sets(text, "iommufd", "allow_unsafe_interrupts"))
                (void)snprintf(s->host->unsafe_by, sizeof s->host->unsafe_by, "%s", path);
        return 0;
}

/* What stands later is what an administrator would look for first. */
static int load_modprobe(int root, DiagnosisHost *h) {
        static const char *const directories[] = {"usr/lib/modprobe.d", "lib/modprobe.d", "run/modprobe.d",
                                                  "etc/modprobe.d"};

        for (size_t i = 0; i < ELEMENTSOF(directories); i++) {
                Search s = {root, 0, directories[i], h};

                (void)sysfs_each(root, directories[i], look_at_modprobe, &s);
                if (s.error < 0)
                        return s.error;
        }
        return 0;
}

/* *ret stays as it is when the list is not there. */
static int look_for_vfio(int root, const DiagnosisHost *h, const char *list, bool *ret) {
        _cleanup_free_ char *text = NULL;
        char path[128];
        int r;

        (void)snprintf(path, sizeof path, "lib/modules/%s/%s", h->release, list);
        r = read_text(root, path, MODULES_MAX, &text);
        if (r >= 0 && text)
                *ret = diagnosis_modules_have(text, VFIO_DRIVER);
        return r;
}

static int load_modules(int root, DiagnosisHost *h) {
        char path[128];
        unsigned n = 0;
        int r;

        read_word(root, "proc/sys/kernel/osrelease", h->release, sizeof h->release);
        if (strchr(h->release, '/'))
                h->release[0] = '\0';
        (void)snprintf(path, sizeof path, "lib/modules/%s", h->release);
        h->has_modules = h->release[0] && exists(root, path);
        (void)sysfs_each(root, "lib/modules", count_entry, &n);
        h->has_other_modules = !h->has_modules && n > 0;
        (void)snprintf(path, sizeof path, "lib/modules/%s/vmlinuz", h->release);
        h->has_image = h->has_modules && exists(root, path);

        h->vfio_loaded = exists(root, "sys/bus/pci/drivers/" VFIO_DRIVER);
        h->unsafe_interrupts = allows_unsafe_interrupts(root, "vfio_iommu_type1") ||
                               allows_unsafe_interrupts(root, "iommufd");
        if (h->has_modules && ((r = look_for_vfio(root, h, "modules.builtin", &h->vfio_built_in)) < 0 ||
                               (r = look_for_vfio(root, h, "modules.dep", &h->vfio_loadable)) < 0))
                return r;
        return load_modprobe(root, h);
}

static int load_file(int root, DiagnosisHost *h, DiagnosisFile file, const char *path) {
        (void)snprintf(h->file_paths[file], sizeof h->file_paths[file], "%s", path);
        h->files |= 1U << file;
        free(h->file_texts[file]);
        return read_text(root, path, SETTINGS_MAX, &h->file_texts[file]);
}

/* Of etc/default/grub.d the last file, by name, that sets one of the two variables. */
static int look_at_grub(const char *name, void *userdata) {
        static const char directory[] = "etc/default/grub.d";
        _cleanup_free_ char *text = NULL;
        Search *s = userdata;
        char path[256], value[8192];
        size_t n = strlen(name);

        if (n < strlen(".cfg") || !streq(name + n - strlen(".cfg"), ".cfg") ||
            (size_t)snprintf(path, sizeof path, "%s/%s", directory, name) >= sizeof path ||
            strcmp(path, s->host->file_paths[DIAGNOSIS_FILE_GRUB_D]) < 0)
                return 0;
        s->error = read_text(s->root, path, SETTINGS_MAX, &text);
        if (s->error < 0 || !text ||
            (diagnosis_shell_value(text, "GRUB_CMDLINE_LINUX_DEFAULT", value, sizeof value) == 0 &&
             diagnosis_shell_value(text, "GRUB_CMDLINE_LINUX", value, sizeof value) == 0))
                return s->error;
        return s->error = load_file(s->root, s->host, DIAGNOSIS_FILE_GRUB_D, path);
}

/* Of what an EFI boot loader says about itself the letters; it is UTF-16 behind four bytes of flags. */
static void load_boot_loader(int root, DiagnosisHost *h) {
        _cleanup_close_ int fd = openat(root, LOADER_INFO, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        char data[4 + 2 * sizeof h->boot_loader], text[sizeof h->boot_loader];
        size_t length = 0;
        ssize_t n = fd < 0 ? -1 : read(fd, data, sizeof data);

        for (ssize_t i = 4; i + 1 < n && data[i] && !data[i + 1] && length + 1 < sizeof text; i += 2)
                text[length++] = data[i];
        text_sanitize(h->boot_loader, sizeof h->boot_loader, text, length);
}

static int load_boot(int root, DiagnosisHost *h) {
        Search s = {.root = root, .host = h};
        int r;

        r = read_text(root, "proc/cmdline", SETTINGS_MAX, &h->command_line);
        if (r < 0)
                return r;
        load_boot_loader(root, h);
        for (size_t i = 0; i < ELEMENTSOF(tool_paths); i++)
                for (size_t k = 0; k < ELEMENTSOF(tool_paths[i]) && tool_paths[i][k]; k++)
                        if (exists(root, tool_paths[i][k]))
                                h->tools |= 1U << i;
        for (size_t i = 0; i < ELEMENTSOF(file_paths); i++)
                for (size_t k = 0; k < ELEMENTSOF(file_paths[i]) && !(h->files & 1U << i); k++)
                        if (file_paths[i][k] && exists(root, file_paths[i][k]) &&
                            (r = load_file(root, h, (DiagnosisFile)i, file_paths[i][k])) < 0)
                                return r;
        (void)sysfs_each(root, "etc/default/grub.d", look_at_grub, &s);
        return s.error;
}

static void load_nodes(int root, DiagnosisHost *h) {
        struct stat st;

        h->has_container_class = exists(root, "sys/class/misc/vfio");
        h->has_vfio_dir = exists(root, "dev/vfio");
        h->container_mode = fstatat(root, "dev/vfio/vfio", &st, 0) < 0 ? -errno : (int)(st.st_mode & 07777);
}

typedef struct Links {
        int root;
        char *list;
        size_t size;
} Links;

static int look_at_link(const char *name, void *userdata) {
        size_t n, length = strlen(name);
        Links *links = userdata;
        uint64_t flags;
        char path[128];

        (void)snprintf(path, sizeof path, "sys/class/net/%.64s/flags", name);
        n = strlen(links->list);
        if (sysfs_read_u64(links->root, path, 0, &flags) < 0 || flags & IFF_UP ||
            n + length + 3 > links->size)
                return 0;
        (void)snprintf(links->list + n, links->size - n, "%s%s ", n > 0 ? "" : " ", name);
        return 0;
}

static void load_links(int root, DiagnosisHost *h) {
        (void)sysfs_each(root, "sys/class/net", look_at_link,
                         &(Links){.root = root, .list = h->links_down, .size = sizeof h->links_down});
}

int diagnosis_host_load(int root, DiagnosisHost *ret) {
        DiagnosisHost h = {0};
        int r;

        assert(ret);

        load_firmware(root, &h);
        load_nodes(root, &h);
        load_links(root, &h);
        if ((r = load_modules(root, &h)) < 0 || (r = load_boot(root, &h)) < 0) {
                diagnosis_host_clear(&h);
                return r;
        }
        *ret = h;
        return 0;
}
