/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "diagnosis-report.h"
#include "text.h"

#define LINE_SIZE 8192

typedef enum Loader {
        LOADER_UNKNOWN,
        LOADER_GRUB,
        LOADER_GRUBBY,
        LOADER_PROXMOX, /* keeps etc/kernel/cmdline, whatever boots */
        LOADER_KERNEL_INSTALL,
        LOADER_ENTRIES, /* systemd-boot, and no kernel-install */
        LOADER_U_BOOT_MENU,
        LOADER_EXTLINUX,
        LOADER_FIRMWARE,
} Loader;

static bool has_file(const DiagnosisHost *h, DiagnosisFile file) {
        return h->files & 1U << file;
}

static bool has_tool(const DiagnosisHost *h, DiagnosisTool tool) {
        return h->tools & 1U << tool;
}

/* GRUB puts this in front of what it starts. Files alone say only that it was installed once. */
static bool came_by_grub(const DiagnosisHost *h) {
        return has_file(h, DIAGNOSIS_FILE_GRUB) && startswith(strempty(h->command_line), "BOOT_IMAGE=");
}

static Loader choose(const DiagnosisHost *h) {
        bool systemd_boot = startswith(h->boot_loader, "systemd-boot");

        if (came_by_grub(h) && !systemd_boot)
                return has_tool(h, DIAGNOSIS_TOOL_GRUBBY) ? LOADER_GRUBBY : LOADER_GRUB;
        if (systemd_boot || (h->has_efi && !h->boot_loader[0] && has_file(h, DIAGNOSIS_FILE_KERNEL))) {
                if (has_tool(h, DIAGNOSIS_TOOL_PROXMOX_BOOT_TOOL) && has_file(h, DIAGNOSIS_FILE_KERNEL))
                        return LOADER_PROXMOX;
                return has_tool(h, DIAGNOSIS_TOOL_KERNEL_INSTALL) ? LOADER_KERNEL_INSTALL : LOADER_ENTRIES;
        }
        if (has_file(h, DIAGNOSIS_FILE_EXTLINUX))
                return has_tool(h, DIAGNOSIS_TOOL_U_BOOT_UPDATE) && has_file(h, DIAGNOSIS_FILE_U_BOOT)
                                       ? LOADER_U_BOOT_MENU
                                       : LOADER_EXTLINUX;
        return has_file(h, DIAGNOSIS_FILE_FIRMWARE) ? LOADER_FIRMWARE : LOADER_UNKNOWN;
}

/* "take out iommu=off and add intel_iommu=on". */
static const char *describe(const DiagnosisChange *c, char *buf, size_t size) {
        char removed[480], added[480];

        (void)diagnosis_list(c->remove, c->n_remove, removed, sizeof removed);
        (void)diagnosis_list(c->add, c->n_add, added, sizeof added);
        (void)snprintf(buf, size, "%s%s%s%s%s", c->n_remove ? "take out " : "", removed,
                       c->n_remove && c->n_add ? " and " : "", c->n_add ? "add " : "", added);
        return buf;
}

/* Where a variable of GRUB's gets its value: what is read later counts. */
static DiagnosisFile grub_file_of(const DiagnosisHost *h, const char *name) {
        char value[LINE_SIZE];

        return h->file_texts[DIAGNOSIS_FILE_GRUB_D] &&
                                               diagnosis_shell_value(h->file_texts[DIAGNOSIS_FILE_GRUB_D],
                                                                     name, value, sizeof value) != 0
                               ? DIAGNOSIS_FILE_GRUB_D
                               : DIAGNOSIS_FILE_GRUB;
}

typedef struct GrubLine {
        const char *name;
        DiagnosisFile file;
        int error; /* as of diagnosis_shell_value() */
        char value[LINE_SIZE];
} GrubLine;

static void read_grub_line(const DiagnosisHost *h, const char *name, GrubLine *ret) {
        ret->name = name;
        ret->file = grub_file_of(h, name);
        ret->error = h->file_texts[ret->file] ? diagnosis_shell_value(h->file_texts[ret->file], name,
                                                                      ret->value, sizeof ret->value)
                                              : -EBADMSG;
}

/* The line as it is to be, if it has to change. -EBADMSG: nobody can tell. */
static int grub_command(DiagnosisReport *r, DiagnosisFinding *f, const GrubLine *l,
                        const DiagnosisChange *c) {
        char line[LINE_SIZE], assignment[LINE_SIZE];
        int changed;

        if (l->error < 0)
                return -EBADMSG;
        changed = diagnosis_line_edit(l->value, c, true, line, sizeof line);
        if (changed < 0 || diagnosis_shell_assign(l->name, line, assignment, sizeof assignment) < 0)
                return -EBADMSG;
        if (changed)
                diagnosis_command(r, f, "%s", assignment);
        return changed;
}

static void say_grub(DiagnosisReport *r, DiagnosisFinding *f, const DiagnosisHost *h,
                     const DiagnosisChange *c) {
        GrubLine *usual = calloc(2, sizeof *usual), *all = usual ? usual + 1 : NULL;
        DiagnosisChange rest = *c, other = *c;
        char what[1024];
        int a, b;

        if (!usual) {
                r->error = -ENOMEM;
                return;
        }
        read_grub_line(h, "GRUB_CMDLINE_LINUX_DEFAULT", usual);
        read_grub_line(h, "GRUB_CMDLINE_LINUX", all);

        /* New words go to one of them, and only if the other has them not; old ones leave both. */
        rest.n_add = other.n_add = 0;
        for (size_t i = 0; i < c->n_add; i++)
                if (!diagnosis_line_has(usual->value, c->add[i]) &&
                    !diagnosis_line_has(all->value, c->add[i]))
                        diagnosis_change_add(usual->error != 0 || all->error == 0 ? &rest : &other,
                                             c->add[i]);
        a = grub_command(r, f, usual, &rest);
        b = grub_command(r, f, all, &other);

        (void)describe(c, what, sizeof what);
        if (a < 0 || (b < 0 && c->n_remove > 0))
                diagnosis_advise_also(f,
                                      "In /%s %s in %s, whose value this service cannot read; then run what "
                                      "is below.",
                                      h->file_paths[a < 0 ? usual->file : all->file], what,
                                      a < 0 ? usual->name : all->name);
        else if (a > 0 || b > 0)
                diagnosis_advise_also(
                                f,
                                "On the kernel command line %s: put this into /%s in place of the line "
                                "of the same name, then run what is below.",
                                what, h->file_paths[a > 0 ? usual->file : all->file]);
        else
                diagnosis_advise_also(f,
                                      "On the kernel command line %s: in /%s it is so already, but the boot "
                                      "loader has not heard of it; run what is below.",
                                      what, h->file_paths[DIAGNOSIS_FILE_GRUB]);

        if (has_tool(h, DIAGNOSIS_TOOL_UPDATE_GRUB))
                diagnosis_command(r, f, "update-grub");
        else if (has_tool(h, DIAGNOSIS_TOOL_GRUB2_MKCONFIG))
                diagnosis_command(r, f, "grub2-mkconfig -o /boot/grub2/grub.cfg");
        else
                diagnosis_command(r, f, "grub-mkconfig -o /boot/grub/grub.cfg");
        free(usual);
}

static void say_grubby(DiagnosisReport *r, DiagnosisFinding *f, const DiagnosisChange *c) {
        char removed[1024] = "", added[1024] = "", what[1024];
        size_t n = 0, k = 0;

        for (size_t i = 0; i < c->n_remove && n < sizeof removed; i++)
                n += (size_t)snprintf(removed + n, sizeof removed - n, "%s%s", i ? " " : "", c->remove[i]);
        for (size_t i = 0; i < c->n_add && k < sizeof added; i++)
                k += (size_t)snprintf(added + k, sizeof added - k, "%s%s", i ? " " : "", c->add[i]);
        diagnosis_advise_also(f, "On the kernel command line %s, with what is below.",
                              describe(c, what, sizeof what));
        diagnosis_command(r, f, "grubby --update-kernel=ALL%s%s%s%s%s%s", n ? " --remove-args='" : "",
                          removed, n ? "'" : "", k ? " --args='" : "", added, k ? "'" : "");
}

/* A file that holds nothing but the line; or in front of it stands a word (extlinux, the entries of systemd-boot). */
static void say_line(DiagnosisReport *r, DiagnosisFinding *f, const DiagnosisHost *h, const char *where,
                     const char *text, const char *before, const DiagnosisChange *c) {
        char line[LINE_SIZE], what[1024];
        bool own = text != NULL;
        int changed;

        changed = diagnosis_line_edit(own ? text : strempty(h->command_line), c, false, line, sizeof line);
        (void)describe(c, what, sizeof what);
        if (changed < 0)
                diagnosis_advise_also(f, "On the kernel command line in %s %s.", where, what);
        else if (!changed && own)
                diagnosis_advise_also(f,
                                      "On the kernel command line %s: in %s it is so already, but this boot "
                                      "was not started with it.",
                                      what, where);
        else {
                diagnosis_advise_also(f, "On the kernel command line %s: %s this in %s.", what,
                                      own ? "let the line be" : "put", where);
                diagnosis_command(r, f, "%s%s", before, line);
        }
}

static void say_kernel(DiagnosisReport *r, DiagnosisFinding *f, const DiagnosisHost *h,
                       const DiagnosisChange *c, bool proxmox) {
        say_line(r, f, h, "/etc/kernel/cmdline", h->file_texts[DIAGNOSIS_FILE_KERNEL], "", c);
        diagnosis_advise_also(f, "Then run what is below.");
        if (proxmox)
                diagnosis_command(r, f, "proxmox-boot-tool refresh");
        else
                diagnosis_command(r, f, "kernel-install add %s /%s%s%s", h->release,
                                  h->has_image ? "lib/modules/" : "boot/vmlinuz-", h->release,
                                  h->has_image ? "/vmlinuz" : "");
}

static void say_u_boot(DiagnosisReport *r, DiagnosisFinding *f, const DiagnosisHost *h,
                       const DiagnosisChange *c) {
        char value[LINE_SIZE], line[LINE_SIZE], assignment[LINE_SIZE], what[1024];
        const char *text = h->file_texts[DIAGNOSIS_FILE_U_BOOT];

        (void)describe(c, what, sizeof what);
        if (text && diagnosis_shell_value(text, "U_BOOT_PARAMETERS", value, sizeof value) > 0 &&
            diagnosis_line_edit(value, c, true, line, sizeof line) >= 0 &&
            diagnosis_shell_assign("U_BOOT_PARAMETERS", line, assignment, sizeof assignment) >= 0) {
                diagnosis_advise_also(f,
                                      "On the kernel command line %s: let this line be in "
                                      "/etc/default/u-boot, then run what is below.",
                                      what);
                diagnosis_command(r, f, "%s", assignment);
        } else
                diagnosis_advise_also(f,
                                      "In U_BOOT_PARAMETERS of /etc/default/u-boot %s, then run what is "
                                      "below.",
                                      what);
        diagnosis_command(r, f, "u-boot-update");
}

/* The first of the entries, which boots if nobody chooses another; *at is where its line begins. */
static bool copy_append(const char *text, char *ret, size_t size) {
        for (const char *at = text; *at; at += strcspn(at, "\n"), at += *at == '\n') {
                size_t n;

                at += strspn(at, " \t");
                if (strncasecmp(at, "append ", strlen("append ")) != 0)
                        continue;
                at += strlen("append ");
                n = strcspn(at, "\n");
                if (n >= size)
                        return false;
                memcpy(ret, at, n);
                ret[n] = '\0';
                return true;
        }
        return false;
}

static void say_extlinux(DiagnosisReport *r, DiagnosisFinding *f, const DiagnosisHost *h,
                         const DiagnosisChange *c) {
        const char *text = h->file_texts[DIAGNOSIS_FILE_EXTLINUX];
        char line[LINE_SIZE];

        say_line(r, f, h, "/boot/extlinux/extlinux.conf",
                 text && copy_append(text, line, sizeof line) ? line : NULL, "append ", c);
}

static void say_unknown(DiagnosisReport *r, DiagnosisFinding *f, const DiagnosisHost *h,
                        const DiagnosisChange *c) {
        char line[LINE_SIZE], what[1024];

        diagnosis_advise_also(f,
                              "On the kernel command line %s. The boot loader of this host is not known to "
                              "this service%s: do it where the kernel gets its command line from, so that "
                              "it is as below.",
                              describe(c, what, sizeof what),
                              h->guest ? " (the virtual machine may have been given its kernel directly, as "
                                         "with QEMU's -append)"
                                       : "");
        if (diagnosis_line_edit(strempty(h->command_line), c, true, line, sizeof line) >= 0)
                diagnosis_command(r, f, "%s", line);
}

void diagnosis_boot(DiagnosisReport *r, DiagnosisFinding *f, const DiagnosisHost *h,
                    const DiagnosisChange *c) {
        switch (choose(h)) {
        case LOADER_GRUB:
                say_grub(r, f, h, c);
                break;
        case LOADER_GRUBBY:
                say_grubby(r, f, c);
                break;
        case LOADER_PROXMOX:
                say_kernel(r, f, h, c, true);
                break;
        case LOADER_KERNEL_INSTALL:
                say_kernel(r, f, h, c, false);
                break;
        case LOADER_ENTRIES:
                say_line(r, f, h, "the boot loader's entry that 'bootctl list' shows as the default", NULL,
                         "options ", c);
                break;
        case LOADER_U_BOOT_MENU:
                say_u_boot(r, f, h, c);
                break;
        case LOADER_EXTLINUX:
                say_extlinux(r, f, h, c);
                break;
        case LOADER_FIRMWARE: {
                char where[300];

                (void)snprintf(where, sizeof where, "/%s", h->file_paths[DIAGNOSIS_FILE_FIRMWARE]);
                say_line(r, f, h, where, h->file_texts[DIAGNOSIS_FILE_FIRMWARE], "", c);
                break;
        }
        case LOADER_UNKNOWN:
                say_unknown(r, f, h, c);
                break;
        }
        diagnosis_advise_also(f, "It takes effect with a reboot.");
        diagnosis_command(r, f, "systemctl reboot");
}

const char *diagnosis_initramfs_command(const DiagnosisHost *h) {
        if (has_tool(h, DIAGNOSIS_TOOL_UPDATE_INITRAMFS))
                return "update-initramfs -u";
        if (has_tool(h, DIAGNOSIS_TOOL_DRACUT))
                return "dracut --force";
        return has_tool(h, DIAGNOSIS_TOOL_MKINITCPIO) ? "mkinitcpio -P" : NULL;
}
