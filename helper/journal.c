/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>

#include "atomic-files.h"
#include "journal.h"

/* On tmpfs, so there is nothing to sync. A worker, and the main loop when that is late, may write at once. */
static int write_entry(int root, const Move *m) {
        _cleanup_(atomic_files_close) AtomicFiles f = {.root = root, .dir = -1, .unlocked = true};
        char text[MOVE_TEXT_SIZE], path[sizeof MOVES_DIR + 16];

        (void)snprintf(path, sizeof path, MOVES_DIR "/%u", m->set.number);
        atomic_files_add(&f, path, move_format(m, text, sizeof text), text);
        return atomic_files_commit(&f);
}

int journal_begin(int root, MoveVerb verb, const IommuSet *set) {
        return write_entry(root, &(Move){.verb = verb, .set = *set});
}

int journal_mark_stuck(int root, unsigned set, const char *sentence) {
        char name[16];
        Move m;
        int r;

        (void)snprintf(name, sizeof name, "%u", set);
        r = move_read(root, name, &m);
        if (r < 0)
                return r;

        (void)snprintf(m.stuck, sizeof m.stuck, "%s", sentence);
        return write_entry(root, &m);
}

int journal_end(int root, unsigned set) {
        char path[sizeof MOVES_DIR + 16];

        (void)snprintf(path, sizeof path, MOVES_DIR "/%u", set);
        return unlinkat(root, path, 0) < 0 && errno != ENOENT ? -errno : 0;
}
