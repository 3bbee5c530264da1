/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>

#include "move.h"
#include "sysfs.h"
#include "text.h"

static const char *const move_verb_table[MOVE_VERB_MAX] = {
                [MOVE_BIND] = "bind",
                [MOVE_RELEASE] = "release",
                [MOVE_RESET] = "reset",
                [MOVE_VFS] = "vfs",
};

DEFINE_STRING_TABLE(move_verb, MoveVerb, MOVE_VERB_MAX);

static int parse_line(const char *line, Move *m, unsigned *seen) {
        PciAddress a;
        int verb;

        if (startswith(line, "verb=")) {
                verb = (int)move_verb_from_string(line + strlen("verb="));
                if (verb < 0 || *seen & 1)
                        return -EBADMSG;
                m->verb = (MoveVerb)verb;
                *seen |= 1;
                return 0;
        }
        if (startswith(line, "device=")) {
                if (pci_address_parse(line + strlen("device="), &a) < 0 || iommu_set_add(&m->set, &a) < 0)
                        return -EBADMSG;
                return 0;
        }
        if (startswith(line, "stuck=")) {
                line += strlen("stuck=");
                text_sanitize(m->stuck, sizeof m->stuck, line, strlen(line));
                return 0;
        }
        return -EBADMSG;
}

int move_parse(const char *text, Move *ret) {
        char line[MOVE_TEXT_SIZE];
        unsigned seen = 0;
        Move m = {0};
        int r;

        assert(text);
        assert(ret);

        while ((r = text_next_line(&text, line, sizeof line)) > 0)
                if (line[0] && parse_line(line, &m, &seen) < 0)
                        return -EBADMSG;
        if (r < 0)
                return -EBADMSG;

        if (seen != 1 || m.set.n_members == 0)
                return -EBADMSG;

        *ret = m;
        return 0;
}

int move_format(const Move *m, char *buf, size_t size) {
        char address[PCI_ADDRESS_SIZE], stuck[sizeof m->stuck];
        size_t used;

        assert(m);
        assert(buf);

        used = (size_t)snprintf(buf, size, "verb=%s\n", move_verb_to_string(m->verb));
        for (size_t i = 0; i < m->set.n_members && used < size; i++)
                used += (size_t)snprintf(buf + used, size - used, "device=%s\n",
                                         pci_address_format(&m->set.members[i], address));
        /* It may name a process, which names itself: it must not be able to add lines. */
        text_sanitize(stuck, sizeof stuck, m->stuck, strlen(m->stuck));
        if (stuck[0] && used < size)
                used += (size_t)snprintf(buf + used, size - used, "stuck=%s\n", stuck);

        return used >= size ? -ENOBUFS : (int)used;
}

int move_read(int root, const char *name, Move *ret) {
        char path[sizeof MOVES_DIR + NAME_MAX + 2], text[MOVE_TEXT_SIZE];
        unsigned long number;
        char *end;
        int r;

        assert(name);
        assert(ret);

        /* One number, one name: the set of "07" or of 2^32 would be taken for another's. */
        if (name[0] < '0' || name[0] > '9' || (name[0] == '0' && name[1]) || strlen(name) > 10)
                return -EINVAL;
        number = strtoul(name, &end, 10);
        if (*end != '\0' || number > UINT_MAX)
                return -EINVAL;

        (void)snprintf(path, sizeof path, MOVES_DIR "/%s", name);
        r = sysfs_read(root, path, text, sizeof text);
        if (r < 0 || (r = move_parse(text, ret)) < 0)
                return r;

        ret->set.number = (unsigned)number;
        return 0;
}
