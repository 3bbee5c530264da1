/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "diagnosis-report.h"

#define CONTAINER "/dev/vfio/vfio"

/* Does the kernel itself, or modprobe, not load it? What says so, for a sentence. */
static bool find_blocker(const DiagnosisHost *h, DiagnosisChange *c, char *buf, size_t size) {
        static const char *const keys[] = {"module_blacklist", "modprobe.blacklist"};
        const char *line = strempty(h->command_line);

        /* The kernel's "-" is its "_", so one name finds both. */
        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (diagnosis_line_has_item(line, keys[i], VFIO_DRIVER)) {
                        diagnosis_change_remove_item(c, line, keys[i], VFIO_DRIVER);
                        (void)snprintf(buf, size, "%s= on the kernel command line", keys[i]);
                        return true;
                }
        if (h->blocked_by[0])
                (void)snprintf(buf, size, "/%s", h->blocked_by);
        return h->blocked_by[0];
}

static void say_missing(DiagnosisReport *r, DiagnosisFinding *f, const DiagnosisHost *h) {
        if (!h->has_modules) {
                diagnosis_say(f, DIAGNOSIS_ERROR,
                              "vfio-pci is not loaded and cannot be: there are no modules of the running "
                              "kernel "
                              "(/lib/modules/%s)%s.",
                              h->release,
                              h->has_other_modules
                                              ? ", but those of another: it was replaced without a reboot"
                                              : "");
                if (h->has_other_modules) {
                        diagnosis_advise(f, "Reboot into the kernel that is installed.");
                        diagnosis_command(r, f, "systemctl reboot");
                } else
                        diagnosis_advise(f, "Install the modules of this kernel, or a kernel with "
                                            "CONFIG_VFIO_PCI.");
                return;
        }
        diagnosis_say(f, DIAGNOSIS_ERROR,
                      "The running kernel %s has no driver vfio-pci, neither built in nor as a "
                      "module.",
                      h->release);
        if (strstr(h->release, "-cloud-"))
                diagnosis_advise(f, "Debian's kernels for clouds are made without it: install the usual one "
                                    "(linux-image-amd64 or linux-image-arm64) and reboot.");
        else
                diagnosis_advise(f,
                                 "Install what holds the rest of this kernel's modules "
                                 "(linux-modules-extra-%s on "
                                 "Ubuntu, kernel-modules on Fedora), or a kernel with CONFIG_VFIO_PCI.",
                                 h->release);
}

void diagnosis_find_modules(DiagnosisReport *r, const DiagnosisHost *h) {
        DiagnosisFinding *f = diagnosis_find(r, "vfio-modules");
        DiagnosisChange c = {0};
        char blocker[300];

        if (h->vfio_loaded) {
                diagnosis_say(f, DIAGNOSIS_OK, "The driver vfio-pci is loaded.");
                return;
        }
        if (!h->vfio_built_in && !h->vfio_loadable) {
                say_missing(r, f, h);
                return;
        }
        if (find_blocker(h, &c, blocker, sizeof blocker)) {
                diagnosis_say(f, DIAGNOSIS_ERROR, "vfio-pci is not loaded: %s keeps it out.", blocker);
                if (c.n_remove > 0)
                        diagnosis_boot(r, f, h, &c);
                else {
                        diagnosis_advise(f, "Take the line about vfio-pci out of %s, then load it.",
                                         blocker);
                        diagnosis_command(r, f, "modprobe vfio-pci");
                }
                return;
        }
        if (h->vfio_built_in) {
                diagnosis_say(f, DIAGNOSIS_ERROR, "vfio-pci is built into the kernel %s, but did not start.",
                              h->release);
                diagnosis_advise(f, "The kernel log says why.");
                diagnosis_command(r, f, "journalctl -k -b --grep=vfio");
                return;
        }
        diagnosis_say(f, DIAGNOSIS_INFO,
                      "vfio-pci is not loaded yet; it is there, and the helper's unit loads it.");
        diagnosis_command(r, f, "modprobe vfio-pci");
}

/* Who opens /dev/iommu is the helper, so its mode does not matter; the container's node is for the VM's own process. */
void diagnosis_find_permissions(DiagnosisReport *r, const DiagnosisHost *h) {
        DiagnosisFinding *f = diagnosis_find(r, "permissions");
        int mode = h->container_mode;

        if (mode >= 0 && (mode & 0666) == 0666)
                diagnosis_say(f, DIAGNOSIS_OK, "Every user may open " CONTAINER ".");
        else if (!h->has_container_class)
                diagnosis_say(f, DIAGNOSIS_INFO,
                              CONTAINER " is not in use yet; it comes with the VFIO modules.");
        else if (mode >= 0) {
                diagnosis_say(f, DIAGNOSIS_ERROR,
                              CONTAINER
                              " has the mode 0%o: the VM of a user who is not root cannot open it.",
                              mode);
                diagnosis_advise(f,
                                 "It is to be 0666, as the kernel and udev make it; that gives nobody a "
                                 "device. "
                                 "Look in /etc/udev/rules.d for a rule that says otherwise (grep -r vfio).");
                diagnosis_command(r, f, "grep -r vfio /etc/udev/rules.d");
                diagnosis_command(r, f, "chmod 0666 " CONTAINER);
        } else if (h->has_vfio_dir) {
                diagnosis_say(f, DIAGNOSIS_ERROR,
                              CONTAINER " is not there, although VFIO is loaded: no VM can start "
                                        "with a device.");
                diagnosis_advise(f, "Have udev make it again.");
                diagnosis_command(r, f, "udevadm trigger --action=add /sys/class/misc/vfio");
        } else {
                diagnosis_say(f, DIAGNOSIS_WARNING,
                              "This service does not see /dev/vfio; it was started before that directory "
                              "was made.");
                diagnosis_advise(f, "Look at the mode yourself (it is to be 0666), or start the service "
                                    "again; VMs "
                                    "stay as they are.");
                diagnosis_command(r, f, "ls -l " CONTAINER);
                diagnosis_command(r, f, "systemctl restart verge-passthroughd");
        }
}

void diagnosis_find_cdev(DiagnosisReport *r, const DiagnosisState *s) {
        DiagnosisFinding *f = diagnosis_find(r, "vfio-cdev");

        if (s->vfio_cdev)
                diagnosis_say(f, DIAGNOSIS_OK,
                              "The kernel has VFIO's character devices and iommufd: VMs get open "
                              "descriptors.");
        else
                diagnosis_say(f, DIAGNOSIS_INFO,
                              "The kernel has no VFIO character devices or no iommufd "
                              "(CONFIG_VFIO_DEVICE_CDEV, "
                              "CONFIG_IOMMUFD): VMs get access by an entry for their user in the list of "
                              "/dev/vfio/N, which works as well.");
}
