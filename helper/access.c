/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <acl/libacl.h>
#include <sys/acl.h>
#include <sys/stat.h>

#include "access.h"
#include "atomic-files.h"
#include "record-file.h"
#include "vfio.h"

#define FORMAT "1"

typedef enum Key { KEY_FORMAT, KEY_UID, KEY_ACCESS, KEY_NODE, KEY_MAX } Key;

static const char *const keys[KEY_MAX] = {
                [KEY_FORMAT] = "format",
                [KEY_UID] = "uid",
                [KEY_ACCESS] = "access",
                [KEY_NODE] = "node",
};

static int take_value(size_t key, const char *value, void *userdata) {
        Access *a = userdata;
        uint64_t uid;

        switch ((Key)key) {
        case KEY_UID:
                if (record_parse_decimal(value, UINT32_MAX - 1, &uid) < 0)
                        return -EBADMSG;
                a->uid = (uid_t)uid;
                return 0;
        case KEY_ACCESS:
                a->fds = streq(value, "fds");
                return a->fds || streq(value, "acl") ? 0 : -EBADMSG;
        case KEY_NODE:
                return record_parse_decimal(value, UINT64_MAX, &a->node);
        default:
                return streq(value, FORMAT) ? 0 : -EBADMSG;
        }
}

int access_parse(const char *text, Access *ret) {
        return record_parse(text, keys, KEY_MAX, 0, take_value, ret);
}

static int access_format(const Access *a, char *buf, size_t size) {
        int n;

        n = snprintf(buf, size, "format=" FORMAT "\nuid=%u\naccess=%s\nnode=%llu\n", (unsigned)a->uid,
                     a->fds ? "fds" : "acl", (unsigned long long)a->node);
        return (size_t)n >= size ? -ENOBUFS : n;
}

static uint64_t read_node(const Target *t) {
        char path[32];
        struct stat st;

        (void)snprintf(path, sizeof path, "dev/vfio/%u", t->movers.number);
        return fstatat(t->root, path, &st, AT_SYMLINK_NOFOLLOW) < 0 ? 0 : (uint64_t)st.st_ino;
}

#define ACCESS_PATH_SIZE (sizeof ACCESS_DIR + 16)

static const char *access_path(const Target *t, char buf[static ACCESS_PATH_SIZE]) {
        (void)snprintf(buf, ACCESS_PATH_SIZE, ACCESS_DIR "/%u", t->movers.number);
        return buf;
}

int access_read(Target *t, Access *ret) {
        char path[ACCESS_PATH_SIZE], text[ACCESS_TEXT_SIZE];
        Access a = {0};
        int r;

        r = record_read(t->root, access_path(t, path), geteuid(), text, sizeof text);
        if (r == -ENOENT)
                return 0;
        if (r < 0 || (r = access_parse(text, &a)) < 0)
                return worker_fail(t->result, FAILURE_INTERNAL,
                                   "/%s, which says who was let in to IOMMU set %u, is damaged or not "
                                   "root's alone; Release the set, remove the file and try again.",
                                   path, t->movers.number);
        if (a.node != read_node(t))
                return 0;
        *ret = a;
        return 1;
}

int access_write(Target *t, const Access *access) {
        _cleanup_(atomic_files_close) AtomicFiles f = {.root = t->root, .dir = -1}; /* on tmpfs: no sync */
        char text[ACCESS_TEXT_SIZE], path[ACCESS_PATH_SIZE];
        Access a = *access;
        int r;

        a.node = read_node(t);
        atomic_files_add(&f, access_path(t, path), access_format(&a, text, sizeof text), text);
        r = atomic_files_commit(&f);
        if (r < 0)
                return worker_fail_write(t->result, "Nobody was let in", ACCESS_DIR, r);
        return 0;
}

int access_forget(const Target *t) {
        char path[ACCESS_PATH_SIZE];

        return unlinkat(t->root, access_path(t, path), 0) < 0 && errno != ENOENT ? -errno : 0;
}

static void acl_done(const acl_t *acl) {
        if (*acl)
                (void)acl_free(*acl);
}

/* acl_get_entry(3) as a loop: 1, 0 behind the last, negative errno. */
static int next_entry(acl_t acl, bool first, acl_entry_t *ret_entry, acl_tag_t *ret_tag) {
        int r;

        r = acl_get_entry(acl, first ? ACL_FIRST_ENTRY : ACL_NEXT_ENTRY, ret_entry);
        return r > 0 && acl_get_tag_type(*ret_entry, ret_tag) < 0 ? -errno : r < 0 ? -errno : r;
}

static bool is_of_user(acl_entry_t e, uid_t uid) {
        uid_t *is = acl_get_qualifier(e);
        bool same = is && *is == uid;

        if (is)
                (void)acl_free(is);
        return same;
}

/* The mask takes rights from all but owner and others. A new one, wide enough for our user, must not hand back what an
 * old one took: so what it took is taken from the entries themselves. */
static int apply_mask(acl_t acl, acl_entry_t mask) {
        static const acl_perm_t perms[] = {ACL_READ, ACL_WRITE, ACL_EXECUTE};
        acl_permset_t allowed, set;
        acl_entry_t e;
        acl_tag_t tag;
        int r;

        if (acl_get_permset(mask, &allowed) < 0)
                return -errno;
        for (r = next_entry(acl, true, &e, &tag); r > 0; r = next_entry(acl, false, &e, &tag)) {
                if (tag != ACL_USER && tag != ACL_GROUP_OBJ && tag != ACL_GROUP)
                        continue;
                if (acl_get_permset(e, &set) < 0)
                        return -errno;
                for (size_t i = 0; i < ELEMENTSOF(perms); i++)
                        if (acl_get_perm(allowed, perms[i]) <= 0 && acl_delete_perm(set, perms[i]) < 0)
                                return -errno;
        }
        return r;
}

typedef struct Entries {
        acl_entry_t user, mask; /* NULL: there is none */
        bool others;            /* of other users, or of groups */
} Entries;

static int find_entries(acl_t acl, uid_t uid, Entries *ret) {
        acl_entry_t e;
        acl_tag_t tag;
        int r;

        *ret = (Entries){0};
        for (r = next_entry(acl, true, &e, &tag); r > 0; r = next_entry(acl, false, &e, &tag))
                if (tag == ACL_MASK)
                        ret->mask = e;
                else if (tag == ACL_USER && is_of_user(e, uid))
                        ret->user = e;
                else if (tag == ACL_USER || tag == ACL_GROUP)
                        ret->others = true;
        return r;
}

static int add_user(acl_t *acl, acl_entry_t e, uid_t uid) {
        acl_permset_t set;

        if ((!e && (acl_create_entry(acl, &e) < 0 || acl_set_tag_type(e, ACL_USER) < 0 ||
                    acl_set_qualifier(e, &uid) < 0)) ||
            acl_get_permset(e, &set) < 0 || acl_clear_perms(set) < 0 || acl_add_perm(set, ACL_READ) < 0 ||
            acl_add_perm(set, ACL_WRITE) < 0)
                return -errno;
        return 0;
}

/* `path`: of the node, which is open; so it is this node and no other. */
static int change_acl(const char *path, uid_t uid, bool allow) {
        _cleanup_(acl_done) acl_t acl = NULL;
        Entries e;
        int r;

        acl = acl_get_file(path, ACL_TYPE_ACCESS);
        if (!acl)
                return -errno;
        if ((r = find_entries(acl, uid, &e)) < 0 || (!allow && !e.user) ||
            (e.mask && (r = apply_mask(acl, e.mask)) < 0))
                return r;

        if (allow)
                r = add_user(&acl, e.user, uid);
        else
                r = acl_delete_entry(acl, e.user) < 0 ? -errno : 0;
        if (r < 0)
                return r;

        /* Where nobody but owner, group and others is left, there is no mask. */
        if (allow || e.others)
                r = acl_calc_mask(&acl);
        else
                r = e.mask ? acl_delete_entry(acl, e.mask) : 0;
        return r < 0 || acl_set_file(path, ACL_TYPE_ACCESS, acl) < 0 ? -errno : 0;
}

static int change_group(Target *t, uid_t uid, bool allow) {
        _cleanup_close_ int node = -1;
        char path[32];

        node = vfio_open_group(t->root, t->movers.number);
        if (node < 0)
                return node;
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", node);
        return change_acl(path, uid, allow);
}

int access_allow(Target *t, uid_t uid) {
        int r;

        r = change_group(t, uid, true);
        return r >= 0 ? 0
                      : worker_fail(t->result, FAILURE_DRIVER,
                                    "User %u cannot be let in to /dev/vfio/%u (%s); see 'ls -l /dev/vfio' "
                                    "and 'dmesg'.",
                                    (unsigned)uid, t->movers.number, strerror(-r));
}

int access_deny(Target *t, uid_t uid) {
        int r;

        r = change_group(t, uid, false);
        return r >= 0 || r == -ENOENT ? 0
                                      : worker_fail(t->result, FAILURE_DRIVER,
                                                    "The entry of user %u cannot be taken from /dev/vfio/%u "
                                                    "(%s); see 'getfacl /dev/vfio/%u' and try again.",
                                                    (unsigned)uid, t->movers.number, strerror(-r),
                                                    t->movers.number);
}
