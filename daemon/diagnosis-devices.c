/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "diagnosis-report.h"
#include "registry.h"
#include "text.h"

#define SETS_MAX 16U    /* that are told one by one */
#define DEVICES_MAX 16U /* the same */

/* Somebody wants to pass it through. */
static bool is_wanted(const Device *d) {
        return !device_is_bridge(d) && (d->granted || registry_group_of(d));
}

/* Functions of one card, in one slot. */
static bool same_slot(const Device *a, const Device *b) {
        const PciAddress *x = device_address(a), *y = device_address(b);

        return x->domain == y->domain && x->bus == y->bus && x->device == y->device;
}

typedef struct Glued {
        const Device *members[DEVICES_PER_CALL_MAX];
        size_t n;
        bool wanted;
} Glued;

/* False: it is one slot's, or another member speaks for it. */
static bool look_at_set(const DeviceTable *t, const Device *d, Glued *ret) {
        bool several = false;
        const Device *p;

        *ret = (Glued){0};
        if (device_is_bridge(d) || d->facts.set.number == DEVICE_NO_IOMMU_SET)
                return false;
        for (size_t i = 0; i < d->facts.set.n_members; i++) {
                p = device_table_find(t, &d->facts.set.members[i]);
                if (!p || device_is_bridge(p))
                        continue;
                if (ret->n == 0 && p != d)
                        return false;
                ret->members[ret->n++] = p;
                several = several || !same_slot(p, d);
                ret->wanted = ret->wanted || is_wanted(p);
        }
        return several;
}

static void say_set(DiagnosisReport *r, const Glued *g) {
        DiagnosisFinding *f = diagnosis_find(r, "iommu-sets");
        char names[512] = "";

        for (size_t i = 0; i < g->n; i++) {
                diagnosis_concerns(f, g->members[i]);
                text_append_item(names, sizeof names, g->members[i]->address);
        }
        diagnosis_say(f, g->wanted ? DIAGNOSIS_WARNING : DIAGNOSIS_INFO,
                      "The devices %s are in different slots, but share IOMMU set %u: a bridge above them "
                      "does not "
                      "keep them apart (no ACS, or an old PCI bus), so they can only be passed through "
                      "together.",
                      names, g->members[0]->facts.set.number);
        diagnosis_advise(f, "Move the card to another slot, best to one that is wired to the processor "
                            "itself; 'lspci "
                            "-tv' shows what is behind which bridge. Or give all of them to one VM.");
}

/* Those that somebody wants come first, for not all may be told. */
static size_t say_sets(DiagnosisReport *r, const DeviceTable *t, bool wanted, size_t n) {
        Glued g;

        for (size_t i = 0; i < t->n; i++)
                if (look_at_set(t, t->devices[i], &g) && g.wanted == wanted && n++ < SETS_MAX)
                        say_set(r, &g);
        return n;
}

void diagnosis_find_sets(DiagnosisReport *r, const DiagnosisHost *h, const DiagnosisState *s) {
        const char *line = strempty(h->command_line), *word;
        DiagnosisFinding *f;
        DiagnosisChange c = {0};
        size_t n, length;

        n = say_sets(r, s->devices, false, say_sets(r, s->devices, true, 0));
        if (n > SETS_MAX) {
                f = diagnosis_find(r, "iommu-sets");
                diagnosis_say(f, DIAGNOSIS_INFO, "%zu more IOMMU sets hold devices of different slots.",
                              n - SETS_MAX);
        }

        while (diagnosis_next_word(&line, &word, &length))
                if (startswith(word, "pcie_acs_override="))
                        diagnosis_change_remove(&c, word, length);
        if (c.n_remove > 0) {
                f = diagnosis_find(r, "iommu-sets");
                diagnosis_say(f, DIAGNOSIS_WARNING,
                              "pcie_acs_override on the kernel command line has a patched kernel pretend "
                              "that devices "
                              "are kept apart which are not: past the IOMMU, a VM may read and write "
                              "devices and "
                              "memory of others.");
                diagnosis_advise(f, "Take it out unless you trust each VM as you trust the host.");
                diagnosis_boot(r, f, h, &c);
        } else if (n == 0)
                diagnosis_say(diagnosis_find(r, "iommu-sets"), DIAGNOSIS_OK,
                              "No IOMMU set holds devices of different slots.");
}

static size_t find_without_reset(const DeviceTable *t, bool wanted, DiagnosisFinding *f, char *names,
                                 size_t size) {
        size_t n = 0;

        for (size_t i = 0; i < t->n; i++) {
                const Device *d = t->devices[i];

                if (device_is_bridge(d) || d->facts.reset_methods[0] || is_wanted(d) != wanted ||
                    (!wanted && !d->eligible))
                        continue;
                n++;
                diagnosis_concerns(f, d);
                text_append_item(names, size, d->address);
        }
        return n;
}

void diagnosis_find_reset(DiagnosisReport *r, const DiagnosisState *s) {
        DiagnosisFinding *f = diagnosis_find(r, "reset");
        char names[512] = "";

        if (find_without_reset(s->devices, true, f, names, sizeof names) > 0) {
                diagnosis_say(f, DIAGNOSIS_WARNING,
                              "The kernel has no way to reset %s: after a VM such a device stays in "
                              "quarantine, since "
                              "the next one would find what the last has left in it.",
                              names);
                diagnosis_advise(
                                f,
                                "Give it to VMs that trust each other, and call EndQuarantine between them; "
                                "or "
                                "reboot the host. A newer kernel or firmware of the device may know a way.");
        } else if (find_without_reset(s->devices, false, f, names, sizeof names) > 0)
                diagnosis_say(f, DIAGNOSIS_INFO,
                              "The kernel has no way to reset %s, of the devices that could be passed "
                              "through: after "
                              "a VM they would stay in quarantine.",
                              names);
        else
                diagnosis_say(f, DIAGNOSIS_OK,
                              "Each device that is or could be passed through can be reset.");
}

/* The interface of a port that is down; false: it has none, or one of several is up. */
static bool is_down(const Device *d, const DiagnosisHost *h, char ret[static DIAGNOSIS_WORD_SIZE]) {
        char names[sizeof d->facts.interfaces], word[DIAGNOSIS_WORD_SIZE + 2], *save = NULL;

        ret[0] = '\0';
        (void)memcpy(names, d->facts.interfaces, sizeof names);
        for (char *name = strtok_r(names, " ", &save); name; name = strtok_r(NULL, " ", &save)) {
                (void)snprintf(word, sizeof word, " %s ", name);
                if (!strstr(h->links_down, word))
                        return false;
                (void)snprintf(ret, DIAGNOSIS_WORD_SIZE, "%s", name);
        }
        return ret[0];
}

/* It goes onto a command line. */
static bool is_plain(const char *name) {
        return name[0] != '-' &&
               name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")] ==
                               '\0';
}

/* Nothing to say where no card gives functions away. */
void diagnosis_find_ports(DiagnosisReport *r, const DiagnosisHost *h, const DiagnosisState *s) {
        char names[512] = "", name[DIAGNOSIS_WORD_SIZE], item[DIAGNOSIS_WORD_SIZE + 32];
        DiagnosisFinding *f = NULL;

        for (size_t i = 0; i < s->devices->n; i++) {
                const Device *d = s->devices->devices[i];

                if (!d->vfs_granted || !d->facts.interfaces[0])
                        continue;
                f = f ?: diagnosis_find(r, "ports");
                if (!is_down(d, h, name))
                        continue;
                diagnosis_concerns(f, d);
                (void)snprintf(item, sizeof item, "%s (%s)", name, d->address);
                text_append_item(names, sizeof names, item);
                if (is_plain(name) && f->n_commands < DIAGNOSIS_COMMANDS_MAX)
                        diagnosis_command(r, f, "ip link set dev %s up", name);
        }
        if (f && !names[0])
                diagnosis_say(f, DIAGNOSIS_OK,
                              "The ports that give virtual functions to VMs are up at the host.");
        else if (f) {
                diagnosis_say(f, DIAGNOSIS_WARNING,
                              "A virtual function is dead while its port is down, and the host has not "
                              "brought up %s: VMs get functions of it that send and hear nothing.",
                              names);
                diagnosis_advise(f, "Bring it up, now and at each boot; it needs no address.");
        }
}

static void say_unapproved(DiagnosisReport *r, const DeviceTable *t) {
        DiagnosisFinding *f = NULL;
        char names[512] = "";
        size_t n = 0;

        for (size_t i = 0; i < t->n; i++)
                if (registry_needs_approval(t->devices[i])) {
                        f = f ?: diagnosis_find(r, "groups");
                        n++;
                        diagnosis_concerns(f, t->devices[i]);
                        text_append_item(names, sizeof names, t->devices[i]->address);
                }
        if (!f)
                return;
        diagnosis_say(f, DIAGNOSIS_WARNING,
                      "%zu %s of groups, but no administrator has granted %s: %s. Nobody gets %s.", n,
                      n == 1 ? "device is a member" : "devices are members", n == 1 ? "it" : "them", names,
                      n == 1 ? "it" : "them");
        diagnosis_advise(f, "Call MakePassthrough or Grant for them, or GrantIds for all devices with their "
                            "ids; or "
                            "change the rules that match them.");
}

/* The sentences say what to do, too. */
static const char *complaint_of(const Device *d) {
        if (d->state == DEVICE_STUCK)
                return strempty(d->reason);
        if (d->state == DEVICE_QUARANTINED)
                return strempty(d->quarantine);
        return registry_needs_approval(d) ? "" : strempty(d->attention);
}

static size_t say_complaints(DiagnosisReport *r, const DeviceTable *t) {
        DiagnosisFinding *f;
        size_t n = 0;

        for (size_t i = 0; i < t->n; i++) {
                const Device *d = t->devices[i];

                if (!complaint_of(d)[0] || n++ >= DEVICES_MAX)
                        continue;
                f = diagnosis_find(r, "groups");
                diagnosis_say(f, d->state == DEVICE_STUCK ? DIAGNOSIS_ERROR : DIAGNOSIS_WARNING, "%s",
                              complaint_of(d));
                diagnosis_advise(f, "Do what the sentence says for device %s.", d->address);
                diagnosis_concerns(f, d);
        }
        if (n > DEVICES_MAX) {
                f = diagnosis_find(r, "groups");
                diagnosis_say(f, DIAGNOSIS_WARNING, "%zu more devices wait for something.", n - DEVICES_MAX);
                diagnosis_advise(f, "Their Attention, Reason or Quarantine says for what.");
        }
        return n;
}

void diagnosis_find_groups(DiagnosisReport *r, const DiagnosisState *s) {
        size_t before = r->n;

        say_unapproved(r, s->devices);
        if (say_complaints(r, s->devices) == 0 && r->n == before)
                diagnosis_say(diagnosis_find(r, "groups"), DIAGNOSIS_OK,
                              "Each device is where the groups want it, and none waits for anything.");
}
