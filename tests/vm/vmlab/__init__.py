# SPDX-License-Identifier: LGPL-2.1-or-later
"""A lab for verge-passthrough: a VM with a real kernel, IOMMU, VFIO, systemd, D-Bus and polkit.

The modules, lowest first; each uses only those above it:

    cache      where built things lie, how they get there in one piece, progress lines
    kernels    the kernels to boot: Debian's, and directories given from outside
    image      the guest's root file system, from distribution packages
    layers     what is laid over the root at each run: guest tools, the product
    devices    the PCI devices of the guest, under stable names
    qmp        QEMU's control socket
    channel    the command channel to the agent in the guest
    guest      one running VM: boot, run, hot-plug, reboot, end
    cases      what a test case is, and what it may ask for
    runner     runs cases and reports
"""
