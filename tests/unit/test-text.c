/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-host.h"
#include "text.h"

static void test_sanitize(void **state _unused_) {
        static const struct {
                const char *text;
                size_t length, size;
                const char *wanted;
        } table[] = {
                        {"", 0, 8, ""},
                        {"abc", 3, 8, "abc"},
                        {"abc", 2, 8, "ab"},
                        {"abc", 3, 3, "ab"},
                        {"abc", 3, 1, ""},
                        {" \t\n abc  ", 9, 16, "abc"},
                        {"a b", 3, 8, "a b"},
                        {"a bcd", 5, 3, "a"}, /* a space that only the cut puts at the end */
                        {"   ", 3, 8, ""},
                        {"a\0b", 3, 8, "a"},
                        {"a\nb=c", 5, 8, "a?b=c"},
                        {"\x1b[31m", 5, 8, "?[31m"},
                        {"\x7f\x80\xff~ ", 5, 8, "???~"},
                        {"gr\xc3\xbc\xc3\x9f", 6, 8, "gr????"},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                char *tight = malloc(table[i].size); /* so that a sanitizer sees one byte too many */

                text_sanitize(tight, table[i].size, table[i].text, table[i].length);
                assert_string_equal(tight, table[i].wanted);
                free(tight);
        }
}

/* Whatever a device says: printable, ended, no spaces around it, and no different the second time. */
static void test_sanitize_any_bytes(void **state _unused_) {
        char raw[24], once[16], twice[16];
        uint32_t x = 1;

        for (int i = 0; i < 20000; i++) {
                size_t size = 1 + (size_t)i % sizeof once;

                for (size_t k = 0; k < sizeof raw; k++)
                        raw[k] = (char)((x = x * 1664525 + 1013904223) >> 24);
                memset(once, 0x5a, sizeof once);
                text_sanitize(once, size, raw, x % (sizeof raw + 1));

                assert_true(strnlen(once, size) < size);
                for (const char *c = once; *c; c++)
                        assert_in_range(*c, ' ', '~');
                assert_true(once[0] != ' ' && (!once[0] || once[strlen(once) - 1] != ' '));
                for (size_t k = size; k < sizeof once; k++)
                        assert_int_equal(once[k], 0x5a);
                text_sanitize(twice, sizeof twice, once, strlen(once));
                assert_string_equal(twice, once);
        }
}

static void test_make_printable(void **state _unused_) {
        char text[256];

        for (int i = 0; i < 255; i++)
                text[i] = (char)(i + 1);
        text[255] = '\0';
        text_make_printable(text);
        assert_int_equal(strlen(text), 255);
        for (int i = 0; i < 255; i++)
                assert_int_equal(text[i], i + 1 >= ' ' && i + 1 <= '~' ? i + 1 : '?');

        text[0] = '\0';
        text_make_printable(text);
        assert_string_equal(text, "");
}

static void test_append_item(void **state _unused_) {
        char list[64] = "";

        text_append_item(list, sizeof list, "");
        assert_string_equal(list, "");
        text_append_item(list, sizeof list, "e1000e");
        text_append_item(list, sizeof list, "");
        text_append_item(list, sizeof list, "e1000e");
        assert_string_equal(list, "e1000e");
        text_append_item(list, sizeof list, "nvme");
        text_append_item(list, sizeof list, "nvme");
        text_append_item(list, sizeof list, "e1000e");
        assert_string_equal(list, "e1000e, nvme");

        /* What merely begins, ends or looks alike is another item. */
        text_append_item(list, sizeof list, "e1000");
        text_append_item(list, sizeof list, "vme");
        text_append_item(list, sizeof list, "n");
        assert_string_equal(list, "e1000e, nvme, e1000, vme, n");
}

static void test_a_full_list_ends_in_dots(void **state _unused_) {
        char list[16] = "";

        text_append_item(list, sizeof list, "0123456");
        text_append_item(list, sizeof list, "abc");
        assert_string_equal(list, "0123456, abc");
        text_append_item(list, sizeof list, "x");
        assert_string_equal(list, "0123456, abc...");
        text_append_item(list, sizeof list, "y");
        text_append_item(list, sizeof list, "abc");
        assert_string_equal(list, "0123456, abc...");
}

/* Of every size: never too long, and complete or with dots that say so. */
static void test_a_list_fits_or_says_that_it_does_not(void **state _unused_) {
        static const char *const items[] = {"vfio-pci", "e1000e", "nvme", "i915", "x", "snd_hda_intel"};
        const char *all = "vfio-pci, e1000e, nvme, i915, x, snd_hda_intel";
        size_t complete = 0;

        for (size_t size = sizeof "..." + 1; size < 80; size++) {
                char *list = calloc(1, size);
                size_t n;

                for (size_t i = 0; i < ELEMENTSOF(items); i++)
                        text_append_item(list, size, items[i]);
                n = strlen(list);
                assert_true(n < size);
                if (streq(list, all))
                        complete++;
                else {
                        assert_true(n >= 3 && streq(list + n - 3, "..."));
                        assert_memory_equal(list, all, n - 3);
                        assert_true(n == 3 || all[n - 3] == ','); /* cut between items */
                        assert_int_equal(complete, 0);            /* more room never shows less */
                }
                free(list);
        }
        assert_true(complete > 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_sanitize),
                        cmocka_unit_test(test_sanitize_any_bytes),
                        cmocka_unit_test(test_make_printable),
                        cmocka_unit_test(test_append_item),
                        cmocka_unit_test(test_a_full_list_ends_in_dots),
                        cmocka_unit_test(test_a_list_fits_or_says_that_it_does_not),
        };

        return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
