/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A PCI device taken through VFIO the way a hypervisor takes it. Whatever fails ends the program, with one line. */

#include <stddef.h>
#include <stdint.h>

_Noreturn void die(const char *what);

/* By the group: /dev/vfio/N, which one process may have open, and one container with a type 1 IOMMU for all of them. */
int vfio_set_of(const char *address, char *ret_node, size_t size); /* the N of /dev/vfio/N */
int vfio_open_node(const char *path);
int vfio_open_container(void);
void vfio_join_container(int container, int group); /* the first one sets the container's IOMMU */
int vfio_device_of_group(int group, const char *address);

/* By the device's own node, bound to an iommufd, attached to one address space for all. */
int vfio_open_cdev(const char *address);
uint32_t vfio_make_address_space(int iommufd);
void vfio_attach_cdev(int device, int iommufd, uint32_t address_space);

/* Memory of ours where the device, once it may be a bus master, finds it under the address `bus`. */
void *vfio_share_by_container(int container, size_t size, uint64_t bus);
void *vfio_share_by_iommufd(int iommufd, uint32_t address_space, size_t size, uint64_t bus);

/* A region's bytes as QEMU reads them. */
uint32_t vfio_read_config(int device, unsigned offset, unsigned n_bytes);

/* Lets it read and write memory by itself. */
void vfio_make_bus_master(int device);

/* BAR 0, decoding switched on; NULL: it has none that can be mapped. */
volatile uint32_t *vfio_map_bar0(int device, size_t *ret_size);
