/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host-iomem.h"

#define LEVELS_MAX 16
/* kernel/resource.c prints what is nested deeper than MAX_IORES_LEVEL (5, later 8) as if it were not: from there on a
 * region may be inside the one before it that looks like its neighbour. */
#define LEVELS_TRUE 5

typedef struct Level {
        bool is_device;
        PciAddress device;
} Level;

/* drivers/firmware/sysfb_simplefb.c, drivers/video/fbdev, drivers/gpu/drm/{tiny,sysfb} */
static bool is_screen(const char *name) {
        static const char *const names[] = {"BOOTFB",    "efifb",  "vesafb",  "simplefb",
                                            "simpledrm", "efidrm", "vesadrm", "ofdrm"};

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (streq(name, names[i]))
                        return true;
        return false;
}

/* "    c0000000-c02fffff : efifb" */
static int parse_line(const char *line, size_t length, size_t *ret_level, char *name, size_t size) {
        static const char hex[] = "0123456789abcdef";
        size_t spaces = strspn(line, " "), n;
        const char *p = line + spaces;

        n = strspn(p, hex);
        if (n == 0 || p[n] != '-')
                return -EBADMSG;
        p += n + 1;
        n = strspn(p, hex);
        if (n == 0 || !startswith(p + n, " : "))
                return -EBADMSG;
        p += n + 3;

        n = length - (size_t)(p - line);
        if (spaces % 2 != 0 || spaces / 2 >= LEVELS_MAX)
                return -EBADMSG;

        *ret_level = spaces / 2;
        (void)snprintf(name, size, "%.*s", n < size ? (int)n : 0, p); /* no name that counts is that long */
        return 0;
}

static const PciAddress *find_owner(const Level *levels, size_t level) {
        for (size_t i = level >= LEVELS_TRUE ? level + 1 : level; i > 0; i--)
                if (levels[i - 1].is_device)
                        return &levels[i - 1].device;
        return NULL;
}

int host_iomem_each_screen(const char *text, host_iomem_screen_t f, void *userdata) {
        Level levels[LEVELS_MAX] = {0};
        const PciAddress *owner;
        size_t level, length;
        char name[32];
        int r;

        assert(text);
        assert(f);

        for (; *text; text += length + (text[length] == '\n')) {
                length = strcspn(text, "\n");
                if (parse_line(text, length, &level, name, sizeof name) < 0)
                        continue;

                for (size_t i = level + 1; i < LEVELS_MAX; i++)
                        levels[i].is_device = false;

                owner = is_screen(name) ? find_owner(levels, level) : NULL;
                r = owner ? f(owner, name, userdata) : 0;
                if (r != 0)
                        return r;
                levels[level].is_device = pci_address_parse(name, &levels[level].device) == 0;
        }
        return 0;
}
