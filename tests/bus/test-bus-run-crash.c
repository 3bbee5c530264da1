/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Starts and stops of VMs, ended by force between any two steps: after that the VM has all of its devices and its
 * lifeline, or they are all back, and nobody has access to what is nobody's. */

#include <fcntl.h>
#include <sys/stat.h>

#include "suite.h"
#include "vms.h"

#define STEPS_MAX 60U

static const char *const all[] = {NIC, CARD, SPARE};
static const unsigned sets[] = {NIC_SET, CARD_SET, SPARE_SET};

/* A VM with a claim on an on-claim group, and one on a persistent group. */
typedef struct Scene {
        Bench *b;
        sd_bus *user;
        Path claims[2];
        Answer answer;
        bool keeps; /* the service manager keeps lifelines */
} Scene;

static const char *const named[] = {NIC " " CARD, SPARE};

static Path make_group(Bench *b, unsigned i) {
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Path group;

        (void)sscanf(orders_show(orders_make(b, admin, named[i], NULL, i == 0 ? "pool" : "kept",
                                             i == 0 ? "on-claim" : "persistent")),
                     "%127s", group.text);
        bench_disconnect(admin);
        return group;
}

static void scene_begin(Scene *s, bool keeps) {
        static const unsigned counts[] = {2, 1};
        void *state = NULL;
        Path group;

        (void)vms_setup(&state);
        *s = (Scene){.b = state, .keeps = keeps, .answer = {.lifeline = -1, .iommufd = -1}};
        if (keeps) {
                bench_stop_daemon(s->b);
                bench_keep_descriptors(s->b);
                bench_start_daemon(s->b);
        }
        s->user = bench_connect(s->b, OTHER_UID);
        for (unsigned i = 0; i < 2; i++) {
                group = make_group(s->b, i);
                s->claims[i] = orders_make_claim(s->b, s->user, "web", &group, counts[i]);
        }
        fake_host_clear(s->b->host);
}

static void scene_end(Scene *s) {
        void *state = s->b;

        vm_let_go(&s->answer);
        bench_disconnect(s->user);
        assert_int_equal(bench_teardown(&state), 0);
}

/* "": nobody answers. */
static const char *look(Bench *b, const char *path, const char *interface, const char *property) {
        sd_bus_message *reply;

        reply = bench_finish(b, bench_start(b, b->root, BUS_NAME, path, "org.freedesktop.DBus.Properties",
                                            "Get", false, "ss", interface, property));
        if (!sd_bus_message_get_error(reply))
                return orders_show(reply);
        sd_bus_message_unref(reply);
        return "";
}

static const char *look_at_claim(Scene *s, size_t i, const char *property) {
        return look(s->b, s->claims[i].text, BUS_INTERFACE_CLAIM, property);
}

static const char *look_at_device(Scene *s, size_t i, const char *property) {
        return look(s->b, bench_device_path(all[i]), BUS_INTERFACE_DEVICE, property);
}

static bool is_running(Scene *s) {
        for (size_t i = 0; i < ELEMENTSOF(s->claims); i++)
                if (!streq(look_at_claim(s, i, "Status"), "online"))
                        return false;
        for (size_t i = 0; i < ELEMENTSOF(all); i++)
                if (!streq(fake_host_driver(s->b->host, all[i]), "vfio-pci") ||
                    !vms_may_open(s->b, sets[i], OTHER_UID))
                        return false;
        return true;
}

static bool is_shut(Scene *s, size_t i) {
        char path[64];

        (void)snprintf(path, sizeof path, ACCESS_DIR "/%u", sets[i]);
        return !fake_host_exists(s->b->host, path) && !vms_may_open(s->b, sets[i], OTHER_UID) &&
               streq(look_at_device(s, i, "Claim"), "/") &&
               streq(look_at_device(s, i, "State"), i == 2 ? "pool" : "host");
}

/* Says what it is that is not as it should be; false. */
static bool wait_for(Scene *s, const char *what, size_t i, const char *state) {
        (void)snprintf(s->b->waiting_for, sizeof s->b->waiting_for, ", last for %s %zu, which is %s", what,
                       i, state);
        return false;
}

/* Whether or not the last start has failed. */
static bool is_back(void *userdata) {
        Scene *s = userdata;
        const char *status;

        for (size_t i = 0; i < ELEMENTSOF(s->claims); i++) {
                status = look_at_claim(s, i, "Status");
                if (!streq(status, "idle") && !streq(status, "errors"))
                        return wait_for(s, "claim", i, status);
                if (!streq(look_at_claim(s, i, "Devices"), "[]"))
                        return wait_for(s, "devices of claim", i, status);
        }
        for (size_t i = 0; i < ELEMENTSOF(all); i++)
                if (!is_shut(s, i))
                        return wait_for(s, "device", i, look_at_device(s, i, "State"));
        return !s->keeps || bench_count_kept(s->b) == 0;
}

static void until_back(Scene *s) {
        orders_until_files(s->b, is_back, s);
        s->b->waiting_for[0] = '\0';
}

/* Nothing of it is in the way of the next start; and a restart finds nothing to take up. */
static void expect_as_new(Scene *s) {
        until_back(s);
        bench_kill_daemon(s->b);
        bench_start_daemon(s->b);
        assert_true(is_back(s));
        s->answer = vm_take_answer(START(s->b, s->user, "web", 0));
        assert_int_equal(s->answer.n, 3);
        assert_true(is_running(s));
        vm_let_go(&s->answer);
        until_back(s);
}

/* Nobody was answered, so nobody has the lifeline. */
static bool start_dies_at(unsigned step, bool keeps) {
        sd_bus_message *reply;
        bool died;
        Scene s;

        scene_begin(&s, keeps);
        orders_die_at(s.b, step);
        reply = START(s.b, s.user, "web", 0);
        if (!sd_bus_message_get_error(reply)) {
                s.answer = vm_take_answer(sd_bus_message_ref(reply));
                sd_bus_message_unref(reply);
                assert_true(is_running(&s));
                fake_host_remove(s.b->host, "fake/die");
                vm_let_go(&s.answer);
                scene_end(&s);
                return false;
        }
        died = orders_daemon_died(s.b, reply);
        assert_true(died);
        bench_start_daemon(s.b);
        expect_as_new(&s);
        scene_end(&s);
        return true;
}

static void start_dies_everywhere(bool keeps) {
        unsigned step;

        for (step = 1; step < STEPS_MAX && start_dies_at(step, keeps); step++)
                ;
        assert_in_range(step, 14, STEPS_MAX - 1);
}

static void test_the_daemon_dies_in_start(void **state _unused_) {
        start_dies_everywhere(false);
}

static void test_the_daemon_dies_in_start_and_is_kept(void **state _unused_) {
        start_dies_everywhere(true);
}

typedef enum Way { STOP_IT, CUT_IT } Way;

static bool daemon_is_gone(void *userdata) {
        const Scene *s = userdata;

        return !fake_host_exists(s->b->host, "fake/die");
}

static bool is_gone_or_back(void *userdata) {
        return daemon_is_gone(userdata) || is_back(userdata);
}

/* The lifeline may stand or be cut; once it was begun the end comes. */
static bool stop_dies_at(unsigned step, Way way, bool keeps) {
        bool died;
        Scene s;

        scene_begin(&s, keeps);
        s.answer = vm_take_answer(START(s.b, s.user, "web", 0));
        orders_die_at(s.b, step);
        if (way == STOP_IT) {
                died = orders_daemon_died(s.b, STOP(s.b, s.user, "web", 0));
                vm_let_go(&s.answer);
        } else {
                vm_let_go(&s.answer);
                orders_until_files(s.b, is_gone_or_back, &s);
                died = daemon_is_gone(&s);
                if (died)
                        orders_gather_daemon(s.b);
        }
        fake_host_remove(s.b->host, "fake/die");
        if (died) {
                bench_start_daemon(s.b);
                expect_as_new(&s);
        } else
                assert_true(is_back(&s));
        scene_end(&s);
        return died;
}

static void stop_dies_everywhere(Way way, bool keeps) {
        unsigned step;

        for (step = 1; step < STEPS_MAX && stop_dies_at(step, way, keeps); step++)
                ;
        assert_in_range(step, 14, STEPS_MAX - 1);
}

static void test_the_daemon_dies_in_stop(void **state _unused_) {
        stop_dies_everywhere(STOP_IT, false);
}

static void test_the_daemon_dies_after_the_vm(void **state _unused_) {
        stop_dies_everywhere(CUT_IT, true);
}

/* It dies in the middle of a start or a stop, and once more while it takes up what is left. */
static void dies_twice(unsigned first, unsigned second, bool stopping) {
        Scene s;

        scene_begin(&s, true);
        if (stopping)
                s.answer = vm_take_answer(START(s.b, s.user, "web", 0));
        orders_die_at(s.b, first);
        assert_true(orders_daemon_died(s.b, stopping ? STOP(s.b, s.user, "web", 0)
                                                     : START(s.b, s.user, "web", 0)));
        vm_let_go(&s.answer);

        orders_die_at(s.b, second);
        bench_launch_daemon(s.b);
        orders_until_files(s.b, is_gone_or_back, &s);
        bench_kill_daemon(s.b); /* dead already, or done and about to count on */
        fake_host_remove(s.b->host, "fake/die");
        bench_start_daemon(s.b);
        expect_as_new(&s);
        scene_end(&s);
}

static void test_the_daemon_dies_twice(void **state _unused_) {
        for (unsigned first = 3; first <= 14; first += 4)
                for (unsigned second = 1; second <= 10; second += 3) {
                        dies_twice(first, second, false);
                        dies_twice(first, second, true);
                }
}

/* The answer of the helper is lost between the deed and us. */
static void answer_is_lost(const char *verb, bool stopping) {
        sd_bus_message *reply;
        Scene s;

        scene_begin(&s, true);
        if (stopping)
                s.answer = vm_take_answer(START(s.b, s.user, "web", 0));
        orders_lose_answer(s.b, verb);
        if (stopping)
                vm_let_go(&s.answer);
        else {
                reply = START(s.b, s.user, "web", 0);
                assert_non_null(sd_bus_message_get_error(reply));
                sd_bus_message_unref(reply);
        }
        until_back(&s);
        assert_false(fake_host_exists(s.b->host, "fake/lose"));
        expect_as_new(&s);
        scene_end(&s);
}

static void test_an_answer_is_lost(void **state _unused_) {
        answer_is_lost("Bind", false);
        answer_is_lost("Open", false);
        answer_is_lost("Close", true);
        answer_is_lost("Release", true);
}

/* The helper dies at the nth write to the kernel, with its worker or not; the daemon stays. A start that fails for it
 * is undone, an end goes on. True: it has died. */
static bool helper_dies_at(const char *how, unsigned nth, bool stopping) {
        _cleanup_free_ char *log = NULL;
        sd_bus_message *reply;
        char rule[64];
        bool died;
        Scene s;

        scene_begin(&s, true);
        if (stopping)
                s.answer = vm_take_answer(START(s.b, s.user, "web", 0));
        fake_host_clear(s.b->host);
        (void)snprintf(rule, sizeof rule, "* * %s %u", how, nth);
        fake_host_fail(s.b->host, rule);
        if (stopping)
                vm_let_go(&s.answer);
        else {
                reply = START(s.b, s.user, "web", 0);
                if (sd_bus_message_get_error(reply))
                        sd_bus_message_unref(reply);
                else
                        s.answer = vm_take_answer(reply);
        }
        if (s.answer.n > 0) {
                assert_true(is_running(&s));
                vm_let_go(&s.answer);
        }
        until_back(&s);
        log = fake_host_log(s.b->host);
        died = strstr(log, "= KILL");
        fake_host_clear(s.b->host);
        expect_as_new(&s);
        scene_end(&s);
        return died;
}

/* Sets move at the same time: two of them may pass for one and the same write, and then the next one has no number. */
static void helper_dies_everywhere(const char *how, bool stopping) {
        unsigned n = 0;

        for (unsigned nth = 1; nth <= 9; nth++) /* two devices with three writes each, and three resets */
                n += helper_dies_at(how, nth, stopping);
        assert_true(n >= 3);
}

static void test_the_worker_dies_in_start(void **state _unused_) {
        helper_dies_everywhere("kill", false);
}

static void test_the_helper_dies_in_start(void **state _unused_) {
        helper_dies_everywhere("crash-after", false);
}

static void test_the_worker_dies_in_stop(void **state _unused_) {
        helper_dies_everywhere("kill-after", true);
}

static void test_the_helper_dies_in_stop(void **state _unused_) {
        helper_dies_everywhere("crash", true);
}

/* The disk is slow from now on; what is written to it next waits until the descriptor is closed. */
static void slow_begin(Scene *s, char path[static 256]) {
        (void)snprintf(path, 256, "%s/fake/slow", s->b->host->root);
        assert_int_equal(mkfifo(path, 0600), 0);
        assert_int_equal(chown(path, DAEMON_UID, (gid_t)-1), 0);
        fake_host_remove(s->b->host, "fake/steps");
}

static int slow_wait(Scene *s, const char *path) {
        int fd;

        orders_until_step(s->b, "commit");
        fd = open(path, O_WRONLY | O_CLOEXEC); /* when the disk waits for it */
        assert_true(fd >= 0);
        (void)unlink(path);
        return fd;
}

static bool probe_hangs(void *userdata) {
        const Scene *s = userdata;
        _cleanup_free_ char *log = fake_host_log(s->b->host);

        return strstr(log, "probe " NIC " = HANG");
}

/* The helper dies alone. Its worker binds the device while the undoing is on its way to the disk, and the journal tells
 * of its end before udev does: by what was seen last, nothing is bound and nothing is half-way. */
static void test_a_worker_outlives_the_helper(void **state _unused_) {
        char path[256];
        Pending *p;
        int slow;
        Scene s;

        scene_begin(&s, true);
        fake_host_fail(s.b->host, "probe " NIC " hang 1");
        p = START_LATER(s.b, s.user, "web", 0);
        orders_until_files(s.b, probe_hangs, &s);
        fake_host_hold_uevents(s.b->host, true);
        slow_begin(&s, path);
        bench_kill_helper(s.b);
        slow = slow_wait(&s, path);
        assert_string_equal(look_at_device(&s, 0, "State"), "moving");

        fake_host_let_go(s.b->host);
        orders_until_device(s.b, NIC, "State", "claimed");
        (void)close(slow);
        bench_expect_error(bench_finish(s.b, p), NULL, "did not answer");
        until_back(&s);
        fake_host_hold_uevents(s.b->host, false);
        fake_host_clear(s.b->host);
        expect_as_new(&s);
        scene_end(&s);
}

/* CARD is one, and NIC. */
static bool two_are_released(void *userdata) {
        const Scene *s = userdata;
        _cleanup_free_ char *steps = fake_host_read(s->b->host, "fake/steps");
        const char *first = strstr(steps, "call Release");

        return first && strstr(first + 1, "call Release");
}

/* It has not even begun: then nothing tells of it, and only the helper can say when it is over. */
static void test_a_worker_has_not_begun(void **state _unused_) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        _cleanup_close_ int fd = -1;
        char path[64];
        Pending *p;
        Scene s;

        scene_begin(&s, true);
        (void)snprintf(path, sizeof path, LOCKS_DIR "/%d", NIC_SET);
        fd = openat(s.b->host->fd, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
        p = START_LATER(s.b, s.user, "web", 0);
        orders_until_step(s.b, "answer Open"); /* the others are done */
        bench_kill_helper(s.b);
        orders_until_files(s.b, two_are_released, &s);
        closep(&fd);
        bench_expect_error(bench_finish(s.b, p), NULL, "did not answer");
        scene_end(&s);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_the_daemon_dies_in_start),
                        cmocka_unit_test(test_the_daemon_dies_in_start_and_is_kept),
                        cmocka_unit_test(test_the_daemon_dies_in_stop),
                        cmocka_unit_test(test_the_daemon_dies_after_the_vm),
                        cmocka_unit_test(test_the_daemon_dies_twice),
                        cmocka_unit_test(test_an_answer_is_lost),
                        cmocka_unit_test(test_the_worker_dies_in_start),
                        cmocka_unit_test(test_the_helper_dies_in_start),
                        cmocka_unit_test(test_the_worker_dies_in_stop),
                        cmocka_unit_test(test_the_helper_dies_in_stop),
                        cmocka_unit_test(test_a_worker_outlives_the_helper),
                        cmocka_unit_test(test_a_worker_has_not_begun),
        };

        return suite_run("bus-run-crash", "runs its parts under several users", tests);
}
