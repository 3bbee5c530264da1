/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Why passthrough does not work on this host, and what to do: from facts to findings, in the order in which things are
 * to be put right. Pure; all sentences and commands are made here. What is fine is a finding, too, so that a list is
 * complete.
 */

#include "device-table.h"
#include "diagnosis-words.h"

typedef enum DiagnosisSeverity {
        DIAGNOSIS_OK,
        DIAGNOSIS_INFO,    /* nothing to do, but good to know */
        DIAGNOSIS_WARNING, /* something works less well than it could, or not for all */
        DIAGNOSIS_ERROR,   /* with this nothing, or not what was ordered, can be passed through */
        DIAGNOSIS_SEVERITY_MAX,
        DIAGNOSIS_SEVERITY_INVALID = -EINVAL,
} DiagnosisSeverity;

DECLARE_STRING_TABLE(diagnosis_severity, DiagnosisSeverity);

/* Programs that are there; what they are for says the table of paths in diagnosis-host.c. */
typedef enum DiagnosisTool {
        DIAGNOSIS_TOOL_UPDATE_GRUB,
        DIAGNOSIS_TOOL_GRUBBY,
        DIAGNOSIS_TOOL_GRUB2_MKCONFIG,
        DIAGNOSIS_TOOL_GRUB_MKCONFIG,
        DIAGNOSIS_TOOL_PROXMOX_BOOT_TOOL,
        DIAGNOSIS_TOOL_KERNEL_INSTALL,
        DIAGNOSIS_TOOL_U_BOOT_UPDATE,
        DIAGNOSIS_TOOL_UPDATE_INITRAMFS,
        DIAGNOSIS_TOOL_DRACUT,
        DIAGNOSIS_TOOL_MKINITCPIO,
        DIAGNOSIS_TOOL_MAX,
} DiagnosisTool;

/* Files that hold the kernel command line of the next boot. */
typedef enum DiagnosisFile {
        DIAGNOSIS_FILE_GRUB,     /* etc/default/grub */
        DIAGNOSIS_FILE_GRUB_D,   /* the last of etc/default/grub.d that has anything to say about it */
        DIAGNOSIS_FILE_KERNEL,   /* etc/kernel/cmdline */
        DIAGNOSIS_FILE_EXTLINUX, /* boot/extlinux/extlinux.conf */
        DIAGNOSIS_FILE_U_BOOT,   /* etc/default/u-boot */
        DIAGNOSIS_FILE_FIRMWARE, /* boot/firmware/cmdline.txt, or boot/cmdline.txt */
        DIAGNOSIS_FILE_MAX,
} DiagnosisFile;

/* What diagnosis-host.c has read. */
typedef struct DiagnosisHost {
        bool has_acpi, has_dmar, has_ivrs, has_iort, has_viot; /* tables of the firmware */
        bool has_efi;
        DiagnosisCpu cpu;
        bool guest;
        char machine[128]; /* maker and model; "" */
        unsigned n_iommus, n_iommu_groups;
        bool unsafe_interrupts; /* a loaded module allows them */
        char *command_line;     /* of this boot */

        char release[65];                               /* of the kernel */
        bool has_modules;                               /* its lib/modules/RELEASE is there */
        bool has_other_modules;                         /* only those of another kernel are */
        bool vfio_loaded, vfio_built_in, vfio_loadable; /* vfio-pci */
        char blocked_by[256], unsafe_by[256];           /* file of modprobe.d; "" */
        bool has_image;                                 /* lib/modules/RELEASE/vmlinuz */

        uint32_t tools;                       /* bits 1 << DiagnosisTool */
        char *file_texts[DIAGNOSIS_FILE_MAX]; /* NULL: it is not there, or cannot be read */
        char file_paths[DIAGNOSIS_FILE_MAX][256];
        uint32_t files;       /* bits 1 << DiagnosisFile: those that are there */
        char boot_loader[64]; /* as it calls itself in the firmware's variable LoaderInfo; "" */

        char links_down[1024]; /* network interfaces that nobody has brought up: " eno1 eno2 ", or "" */

        bool has_container_class, has_vfio_dir; /* class/misc/vfio; dev/vfio as we see it */
        int container_mode; /* of dev/vfio/vfio, permission bits alone; or negative errno */
} DiagnosisHost;

void diagnosis_host_clear(DiagnosisHost *h);

/* What the service knows by itself; nothing is owned. */
typedef struct DiagnosisState {
        const DeviceTable *devices;
        bool interrupt_remapping, vfio_cdev;
        bool disabled;          /* verge_passthrough=off */
        const char *boot_guard; /* why this boot binds nothing by itself; "" */
        const char *read_only;  /* why the database is left alone; "" */
        const char *user;       /* who asks */
        bool is_root;
        int memlock_error; /* 0, or why the limit of the caller is not known */
        uint64_t memlock;  /* what the calling process may lock, in bytes; UINT64_MAX for all */
} DiagnosisState;

#define DIAGNOSIS_COMMANDS_MAX 8

typedef struct DiagnosisFinding {
        const char *code; /* a constant */
        DiagnosisSeverity severity;
        char sentence[1024], remedy[1024];
        char *commands[DIAGNOSIS_COMMANDS_MAX]; /* owned */
        size_t n_commands;
        PciAddress devices[DEVICES_PER_CALL_MAX];
        size_t n_devices;
} DiagnosisFinding;

typedef struct DiagnosisReport {
        DiagnosisFinding *findings; /* owned */
        size_t n;
        int error; /* -ENOMEM: some of it is missing */
} DiagnosisReport;

/* All findings. -ENOMEM. */
int diagnosis_make(const DiagnosisHost *host, const DiagnosisState *state, DiagnosisReport *ret);
void diagnosis_report_clear(DiagnosisReport *r);
