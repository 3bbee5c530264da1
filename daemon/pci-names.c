/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <malloc.h>
#include <pci/pci.h>

#include "array.h"
#include "log.h"
#include "pci-names.h"
#include "text.h"

/* Hotplug of ever new ids must not grow us for ever; past this the words are looked up but not kept. */
#define ENTRIES_MAX 1024U

typedef struct Entry {
        uint16_t vendor, device, class_id, svendor, sdevice;
        char *words[5]; /* vendor, model, class, of the subsystem: vendor, model */
} Entry;

struct PciNames {
        struct pci_access *access; /* NULL while the list is not loaded */
        Entry *entries;
        size_t n;
};

int pci_names_new(PciNames **ret) {
        PciNames *n;

        assert(ret);

        n = calloc(1, sizeof *n);
        if (!n)
                return -ENOMEM;

        *ret = n;
        return 0;
}

static Entry entry_key(const PciIdentity *i) {
        return (Entry){.vendor = i->vendor,
                       .device = i->device,
                       .class_id = (uint16_t)(i->class_code >> 8),
                       .svendor = i->subsystem_vendor,
                       .sdevice = i->subsystem_device};
}

static bool entry_is(const Entry *a, const Entry *b) {
        return a->vendor == b->vendor && a->device == b->device && a->class_id == b->class_id &&
               a->svendor == b->svendor && a->sdevice == b->sdevice;
}

static void entry_clear(Entry *e) {
        for (size_t i = 0; i < ELEMENTSOF(e->words); i++)
                free(e->words[i]);
}

PciNames *pci_names_free(PciNames *n) {
        if (!n)
                return NULL;

        if (n->access)
                pci_cleanup(n->access);
        for (size_t i = 0; i < n->n; i++)
                entry_clear(&n->entries[i]);
        free(n->entries);
        free(n);
        return NULL;
}

/* One byte that is no UTF-8 would cost the whole listing: sd-bus refuses it. */
static void make_utf8(char *text) {
        size_t length;

        for (char *s = text; *s; s += length) {
                length = text_utf8_length(s);
                if (length == 0 || (unsigned char)*s < ' ') {
                        *s = '?';
                        length = 1;
                }
        }
}

static void quiet(char *message _unused_, ...) {
}

/* libpci calls it when its memory is out, and does not expect it back. Its own would exit(1) as if that were
 * a decision, and systemd would not start us again. */
static void __attribute__((noreturn)) out_of_memory(char *message, ...) {
        log_error("The names of the devices cannot be looked up: %s. Starting anew.", message);
        abort();
}

static int load(PciNames *n) {
        if (n->access)
                return 0;

        n->access = pci_alloc();
        if (!n->access)
                return -ENOMEM;
        n->access->warning = n->access->debug = quiet;
        n->access->error = out_of_memory;
        n->access->id_lookup_mode = 0; /* no cache in somebody's home */
        if (!pci_load_name_list(n->access))
                log_debug("There is no readable pci.ids: devices have numbers for names.");
        return 0;
}

#define FLAGS (PCI_LOOKUP_NO_NUMBERS | PCI_LOOKUP_NO_HWDB)

/* What libpci found in `buf`, or else the number. */
static char *take_name(const char *name, unsigned number) {
        char *copy = NULL;

        if (!name)
                return asprintf(&copy, "%04x", number) < 0 ? NULL : copy;

        copy = strdup(name);
        if (copy)
                make_utf8(copy);
        return copy;
}

static bool look_up(PciNames *n, Entry *e) {
        bool has_subsystem = e->svendor != 0 || e->sdevice != 0;
        char buf[256];

        e->words[0] = take_name(
                        pci_lookup_name(n->access, buf, sizeof buf, PCI_LOOKUP_VENDOR | FLAGS, e->vendor),
                        e->vendor);
        e->words[1] = take_name(pci_lookup_name(n->access, buf, sizeof buf, PCI_LOOKUP_DEVICE | FLAGS,
                                                e->vendor, e->device),
                                e->device);
        e->words[2] = take_name(
                        pci_lookup_name(n->access, buf, sizeof buf, PCI_LOOKUP_CLASS | FLAGS, e->class_id),
                        e->class_id);
        e->words[3] = !has_subsystem ? strdup("")
                                     : take_name(pci_lookup_name(n->access, buf, sizeof buf,
                                                                 PCI_LOOKUP_SUBSYSTEM | PCI_LOOKUP_VENDOR |
                                                                                 FLAGS,
                                                                 e->svendor),
                                                 e->svendor);
        e->words[4] = !has_subsystem ? strdup("")
                                     : take_name(pci_lookup_name(n->access, buf, sizeof buf,
                                                                 PCI_LOOKUP_SUBSYSTEM | PCI_LOOKUP_DEVICE |
                                                                                 FLAGS,
                                                                 e->vendor, e->device, e->svendor,
                                                                 e->sdevice),
                                                 e->sdevice);
        for (size_t i = 0; i < ELEMENTSOF(e->words); i++)
                if (!e->words[i])
                        return false;
        return true;
}

static int add(PciNames *n, const PciIdentity *i, Entry **ret) {
        Entry e = entry_key(i);
        int r;

        r = load(n);
        if (r < 0)
                return r;

        r = array_grow(&n->entries, n->n, sizeof *n->entries);
        if (r < 0)
                return r;

        if (!look_up(n, &e)) {
                entry_clear(&e);
                return -ENOMEM;
        }

        n->entries[n->n] = e;
        *ret = &n->entries[n->n++];
        return 0;
}

int pci_names_find(PciNames *n, const PciIdentity *i, PciWords *ret) {
        Entry *e = NULL, key;
        int r;

        assert(n);
        assert(i);
        assert(ret);

        key = entry_key(i);
        for (size_t k = 0; k < n->n && !e; k++)
                if (entry_is(&n->entries[k], &key))
                        e = &n->entries[k];

        if (!e) {
                if (n->n == ENTRIES_MAX)
                        entry_clear(&n->entries[--n->n]);
                r = add(n, i, &e);
                if (r < 0)
                        return r;
        }

        *ret = (PciWords){e->words[0], e->words[1], e->words[2], e->words[3], e->words[4]};
        return 0;
}

void pci_names_trim(PciNames *n) {
        assert(n);

        if (!n->access)
                return;

        pci_cleanup(n->access);
        n->access = NULL;
        (void)malloc_trim(0);
}
