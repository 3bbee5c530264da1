/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "record-file.h"
#include "text.h"
#include "transaction.h"

/* Lines of a word and its values:
 *
 *   group ID made|used
 *   rule ID
 *   device ADDRESS            asked for
 *   confirm UNTIL BOOT UID waiting|confirmed      somebody has to: CLOCK_BOOTTIME in microseconds, of that boot
 *   mover ADDRESS old|fresh bound|host [N]    moves along; fresh: granted by this; host: was with the host before;
 *                                             N: it stays, and had so many virtual functions
 */

#define TEXT_MAX (64U * 1024)

int transaction_format(const Transaction *t, char **ret) {
        char address[PCI_ADDRESS_SIZE], *text = NULL;
        size_t size;
        FILE *f;

        assert(t);
        assert(ret);

        f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;

        if (t->group[0])
                fprintf(f, "group %s %s\n", t->group, t->makes_group ? "made" : "used");
        if (t->to_confirm)
                fprintf(f, "confirm %" PRIu64 " %s %u %s\n", t->until, t->boot, (unsigned)t->uid,
                        t->confirmed ? "confirmed" : "waiting");
        for (size_t i = 0; i < t->n_rules; i++)
                fprintf(f, "rule %s\n", t->rules[i]);
        for (size_t i = 0; i < t->named.n_members; i++)
                fprintf(f, "device %s\n", pci_address_format(&t->named.members[i], address));
        for (size_t i = 0; i < t->movers.n_members; i++) {
                const PciAddress *a = &t->movers.members[i];

                fprintf(f, "mover %s %s %s", pci_address_format(a, address),
                        iommu_set_contains(&t->fresh, a) ? "fresh" : "old",
                        iommu_set_contains(&t->at_host, a) ? "host" : "bound");
                if (t->of_vfs)
                        fprintf(f, " %u", t->vfs_before[i]);
                (void)fputc('\n', f);
        }
        if (fclose(f) != 0) {
                free(text);
                return -ENOMEM;
        }

        *ret = text;
        return 0;
}

static int take_vfs(Transaction *t, const PciAddress *a, const char *before) {
        uint64_t n;

        /* In the order in which they were written, which is the set's. */
        if (record_parse_decimal(before, UINT16_MAX, &n) < 0 ||
            pci_address_compare(&t->movers.members[t->movers.n_members - 1], a) != 0)
                return -EBADMSG;
        t->vfs_before[t->movers.n_members - 1] = (uint32_t)n;
        t->of_vfs = true;
        return 0;
}

static int take_mover(Transaction *t, char *words[static 5]) {
        PciAddress a;

        if (!words[2] || !words[3] || pci_address_parse(words[1], &a) < 0 ||
            iommu_set_add(&t->movers, &a) < 0 || (words[4] && take_vfs(t, &a, words[4]) < 0))
                return -EBADMSG;
        if (streq(words[2], "fresh"))
                (void)iommu_set_add(&t->fresh, &a);
        if (streq(words[3], "host"))
                (void)iommu_set_add(&t->at_host, &a);
        return 0;
}

static int take_confirm(Transaction *t, char *words[static 5]) {
        uint64_t uid;

        if (!words[2] || !words[3] || !words[4] ||
            record_parse_decimal(words[1], UINT64_MAX, &t->until) < 0 || !grant_boot_is_valid(words[2]) ||
            record_parse_decimal(words[3], UINT32_MAX - 1, &uid) < 0)
                return -EBADMSG;
        strcpy(t->boot, words[2]);
        t->uid = (uid_t)uid;
        t->to_confirm = t->drops_all = true;
        t->confirmed = streq(words[4], "confirmed");
        return t->confirmed || streq(words[4], "waiting") ? 0 : -EBADMSG;
}

static int take_line(Transaction *t, char *line) {
        char *words[5] = {0}, *save = NULL;
        PciAddress a;

        for (size_t i = 0; i < ELEMENTSOF(words); i++) {
                words[i] = strtok_r(i == 0 ? line : NULL, " ", &save);
                if (!words[i])
                        break;
        }
        if (!words[0] || !words[1])
                return -EBADMSG;

        if (streq(words[0], "group") && words[2] && record_id_is_valid(words[1])) {
                (void)snprintf(t->group, sizeof t->group, "%s", words[1]);
                t->makes_group = streq(words[2], "made");
                return 0;
        }
        if (streq(words[0], "rule") && record_id_is_valid(words[1]) && t->n_rules < ELEMENTSOF(t->rules)) {
                (void)snprintf(t->rules[t->n_rules++], RECORD_ID_SIZE, "%s", words[1]);
                return 0;
        }
        if (streq(words[0], "device"))
                return pci_address_parse(words[1], &a) < 0 || iommu_set_add(&t->named, &a) < 0 ? -EBADMSG
                                                                                               : 0;
        if (streq(words[0], "confirm"))
                return take_confirm(t, words);
        return streq(words[0], "mover") ? take_mover(t, words) : -EBADMSG;
}

int transaction_parse(Transaction *t, const char *data) {
        char line[256];
        int r;

        assert(t);
        assert(data);

        while ((r = text_next_line(&data, line, sizeof line)) > 0)
                if ((r = take_line(t, line)) < 0)
                        break;
        return r < 0 ? -EBADMSG : 0;
}

int transaction_intent(const Transaction *t, IntentRecord *ret) {
        int r;

        assert(t);
        assert(ret);

        *ret = (IntentRecord){.kind = t->kind, .created = t->began};
        (void)snprintf(ret->id, sizeof ret->id, "%s", t->id);
        r = transaction_format(t, &ret->data);
        return r < 0 || strlen(ret->data) <= TEXT_MAX ? r : -E2BIG;
}
