/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <malloc.h>
#include <pci/pci.h>

#include "log.h"
#include "pci-names.h"

/* Hotplug of ever new ids must not grow us for ever; past this the words are looked up but not kept. */
#define ENTRIES_MAX 1024U

typedef struct Entry {
        uint16_t vendor, device, class_id;
        char *words[3]; /* vendor, model, class */
} Entry;

struct PciNames {
        struct pci_access *access; /* NULL while the list is not loaded */
        Entry *entries;
        size_t n, n_allocated;
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

/* Length of the UTF-8 sequence at s, 0 when it is none (RFC 3629). */
static size_t utf8_length(const unsigned char *s) {
        size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] <= 0xdf ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : 4;

        if (n == 4 && (s[0] < 0xf0 || s[0] > 0xf4))
                return 0;
        for (size_t i = 1; i < n; i++)
                if ((s[i] & 0xc0) != 0x80)
                        return 0;
        /* overlong forms, surrogates, past U+10FFFF */
        if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
            (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
                return 0;
        return n;
}

/* One byte that is no UTF-8 would cost the whole listing: sd-bus refuses it. */
static void make_utf8(char *text) {
        size_t length;

        for (unsigned char *s = (unsigned char *)text; *s; s += length) {
                length = utf8_length(s);
                if (length == 0 || s[0] < ' ') {
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

static char *look_up(PciNames *n, int what, unsigned a, unsigned b) {
        char buf[256], *name, *copy = NULL;

        name = pci_lookup_name(n->access, buf, sizeof buf, what | PCI_LOOKUP_NO_NUMBERS | PCI_LOOKUP_NO_HWDB,
                               a, b);
        if (name) {
                copy = strdup(name);
                if (copy)
                        make_utf8(copy);
                return copy;
        }
        return asprintf(&copy, "%04x", what == PCI_LOOKUP_DEVICE ? b : a) < 0 ? NULL : copy;
}

static int add(PciNames *n, const PciIdentity *i, Entry **ret) {
        Entry e = {i->vendor, i->device, (uint16_t)(i->class_code >> 8), {0}}, *entries;
        size_t m;
        int r;

        r = load(n);
        if (r < 0)
                return r;

        if (n->n == n->n_allocated) {
                m = n->n_allocated > 0 ? n->n_allocated * 2 : 32;
                entries = reallocarray(n->entries, m, sizeof *entries);
                if (!entries)
                        return -ENOMEM;
                n->entries = entries;
                n->n_allocated = m;
        }

        e.words[0] = look_up(n, PCI_LOOKUP_VENDOR, e.vendor, 0);
        e.words[1] = look_up(n, PCI_LOOKUP_DEVICE, e.vendor, e.device);
        e.words[2] = look_up(n, PCI_LOOKUP_CLASS, e.class_id, 0);
        if (!e.words[0] || !e.words[1] || !e.words[2]) {
                entry_clear(&e);
                return -ENOMEM;
        }

        n->entries[n->n] = e;
        *ret = &n->entries[n->n++];
        return 0;
}

int pci_names_find(PciNames *n, const PciIdentity *i, PciWords *ret) {
        Entry *e = NULL;
        int r;

        assert(n);
        assert(i);
        assert(ret);

        for (size_t k = 0; k < n->n && !e; k++)
                if (n->entries[k].vendor == i->vendor && n->entries[k].device == i->device &&
                    n->entries[k].class_id == (uint16_t)(i->class_code >> 8))
                        e = &n->entries[k];

        if (!e) {
                if (n->n == ENTRIES_MAX)
                        entry_clear(&n->entries[--n->n]);
                r = add(n, i, &e);
                if (r < 0)
                        return r;
        }

        *ret = (PciWords){e->words[0], e->words[1], e->words[2]};
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
