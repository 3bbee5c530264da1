/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What VM programs want to be told about the devices of a claim, and how much memory the VM must be able to lock. Pure.
 * Sources: qemu(1), docs/devel/vfio-iommufd.rst of QEMU; libvirt's formatdomain ("Host device assignment").
 */

#include "claim-record.h"

/* The descriptor numbers that QemuArguments counts on, when access is by descriptors: the iommufd, then each device in
 * the order of the run. */
#define VM_IOMMUFD_NUMBER 3U
#define VM_FIRST_DEVICE_NUMBER 4U

/* For QEMU: "-device", "vfio-pci,host=0000:01:00.0", ... A NULL terminated array, one allocation each; free with
 * vm_arguments_free(). With RUN_ACCESS_FDS "-device", "vfio-pci,iommufd=...,fd=4", ..., and for the claim that comes
 * first in the run before that "-object", "iommufd,id=...,fd=3"; so the arguments of all claims, one after the other,
 * belong together. Devices on their way back are left out, and keep their number. Multifunction, guest addresses and
 * ROMs are the caller's. -ENOMEM; -ENODATA: the run has no device of this claim. */
int vm_qemu_arguments(const RunRecord *run, const char *claim, char ***ret);
char **vm_arguments_free(char **arguments);
DEFINE_CLEANUP(char **, vm_arguments_free);

/* <hostdev> elements for libvirt, managed='no', one behind the other; whatever the access is, since libvirt opens
 * devices itself. *ret is the caller's to free. -ENOMEM, -ENODATA. */
int vm_libvirt_xml(const RunRecord *run, const char *claim, char **ret);

/* Bytes that the VM's process must be able to lock: all of its RAM, once for each device behind a virtual IOMMU, plus
 * 1 GiB for what devices map besides (the rule of libvirt). 0 when memory is 0, which is: not said, and when there is
 * no device. Saturates. */
uint64_t vm_memory_lock(uint64_t memory, bool viommu, size_t n_devices) _const_;
