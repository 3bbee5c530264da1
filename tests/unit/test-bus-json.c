/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/socket.h>

#include "bus-json.h"
#include "suite.h"

static json_t *read_strings(const char *one, const char *two) {
        sd_bus_message *m = NULL;
        sd_bus *bus = NULL;
        json_t *value = NULL;
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        assert_true(sd_bus_new(&bus) >= 0 && sd_bus_set_fd(bus, pair[0], pair[0]) >= 0 &&
                    sd_bus_start(bus) >= 0);
        assert_true(sd_bus_message_new_signal(bus, &m, "/a", "a.b", "C") >= 0);
        assert_true(sd_bus_message_append(m, "a{sv}", 2, "One", "s", one, "Two", "as", 1, two) >= 0);
        assert_true(sd_bus_message_seal(m, 1, 0) >= 0 && sd_bus_message_rewind(m, true) >= 0);
        assert_int_equal(bus_json_read(m, &value), 1);
        sd_bus_message_unref(m);
        sd_bus_close_unref(bus);
        assert_int_equal(close(pair[1]), 0);
        return value;
}

/* Whatever the service sends: nothing of it gives orders to a terminal. */
static void test_control_characters(void **state _unused_) {
        json_t *value = read_strings("a\033[2Jb\302\233c\rd\177", "one\n\ttwo\n");

        assert_string_equal(json_string_value(json_object_get(value, "One")), "a?[2Jb??c?d?");
        assert_string_equal(json_string_value(json_array_get(json_object_get(value, "Two"), 0)),
                            "one\n?two\n");
        json_decref(value);
}

static void test_text(void **state _unused_) {
        json_t *value = read_strings("", "Gr\303\266\303\237e \342\202\254");

        assert_string_equal(json_string_value(json_object_get(value, "One")), "");
        assert_string_equal(json_string_value(json_array_get(json_object_get(value, "Two"), 0)),
                            "Gr\303\266\303\237e \342\202\254");
        json_decref(value);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_control_characters),
                        cmocka_unit_test(test_text),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
