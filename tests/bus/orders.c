/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>
#include <sys/wait.h>

#include "orders.h"

#define OK(expression)                                                                                      \
        ({                                                                                                  \
                int _r = (expression);                                                                      \
                if (_r < 0)                                                                                 \
                        fail_msg("%s: %s", #expression, strerror(-_r));                                     \
                _r;                                                                                         \
        })

int orders_setup(void **state) {
        Bench *b;

        *state = b = bench_new(0);
        fake_host_add_device(b->host, &(FakeDevice){.address = CARD,
                                                    .vendor = 0x10de,
                                                    .device = 0x1eb8,
                                                    .subsystem_vendor = 0x10de,
                                                    .subsystem_device = 0x12a2,
                                                    .class_code = 0x030200,
                                                    .driver = "nouveau",
                                                    .iommu_set = 8,
                                                    .reset_methods = "flr"});
        assert_int_equal(fchownat(b->host->fd, "fake", DAEMON_UID, (gid_t)-1, 0),
                         0); /* it writes its steps there */
        bench_start_daemon(b);
        return 0;
}

sd_bus_message *orders_call_group(Bench *b, sd_bus *from, const Path *group, const char *member,
                                  const char *types, ...) {
        sd_bus_message *reply;
        va_list ap;

        va_start(ap, types);
        reply = bench_callv(b, from, group->text, BUS_INTERFACE_GROUP, member, types, ap);
        va_end(ap);
        return reply;
}

sd_bus_message *orders_call_rule(Bench *b, sd_bus *from, const Path *rule, const char *member,
                                 const char *types, ...) {
        sd_bus_message *reply;
        va_list ap;

        va_start(ap, types);
        reply = bench_callv(b, from, rule->text, BUS_INTERFACE_RULE, member, types, ap);
        va_end(ap);
        return reply;
}

sd_bus_message *orders_call_claim(Bench *b, sd_bus *from, const Path *claim, const char *member,
                                  const char *types, ...) {
        sd_bus_message *reply;
        va_list ap;

        va_start(ap, types);
        reply = bench_callv(b, from, claim->text, BUS_INTERFACE_CLAIM, member, types, ap);
        va_end(ap);
        return reply;
}

Path orders_take_path(sd_bus_message *reply) {
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        const char *path;
        Path p;

        if (e)
                fail_msg("%s: %s", e->name, e->message);
        OK(sd_bus_message_read(reply, "o", &path));
        (void)snprintf(p.text, sizeof p.text, "%s", path);
        sd_bus_message_unref(reply);
        return p;
}

Path orders_make_group(Bench *b, sd_bus *from, const char *name, const char *binding) {
        return orders_take_path(
                        binding ? bench_call_manager(b, from, "CreateGroup", "ssa{sv}", name, "pci", 1,
                                                     "binding", "s", binding)
                                : bench_call_manager(b, from, "CreateGroup", "ssa{sv}", name, "pci", 0));
}

Path orders_make_rule(Bench *b, sd_bus *from, const Path *group, const char *name, const char *filter) {
        return orders_take_path(
                        bench_call_manager(b, from, "CreateRule", "ossa{sv}", group->text, name, filter, 0));
}

Path orders_make_claim(Bench *b, sd_bus *from, const char *vm, const Path *group, unsigned count) {
        return orders_take_path(
                        bench_call_manager(b, from, "CreateClaim", "soua{sv}", vm, group->text, count, 0));
}

/* values as text */

static void show_value(sd_bus_message *m, FILE *f);

static void show_all(sd_bus_message *m, FILE *f) {
        bool first = true;

        while (sd_bus_message_at_end(m, false) == 0) {
                if (!first)
                        (void)fputc(' ', f);
                show_value(m, f);
                first = false;
        }
}

static void show_text(FILE *f, char type, const char *text) {
        char *address = NULL;

        if (type == 'o' && sd_bus_path_decode(text, BUS_PATH_DEVICES, &address) > 0)
                (void)fputs(address, f);
        else
                (void)fputs(text, f);
        free(address);
}

static void show_value(sd_bus_message *m, FILE *f) {
        const char *contents;
        union {
                const char *s;
                int b;
                uint32_t u;
                uint64_t t;
        } v;
        char type;

        OK(sd_bus_message_peek_type(m, &type, &contents));
        switch (type) {
        case 'a':
        case 'r':
        case 'v':
        case 'e':
                OK(sd_bus_message_enter_container(m, type, contents));
                (void)fputs(type == 'a' ? "[" : type == 'r' ? "(" : "", f);
                show_all(m, f);
                (void)fputs(type == 'a' ? "]" : type == 'r' ? ")" : "", f);
                OK(sd_bus_message_exit_container(m));
                return;
        case 'b':
                OK(sd_bus_message_read_basic(m, type, &v.b));
                (void)fputs(v.b ? "true" : "false", f);
                return;
        case 'u':
                OK(sd_bus_message_read_basic(m, type, &v.u));
                (void)fprintf(f, "%u", v.u);
                return;
        case 'i':
                OK(sd_bus_message_read_basic(m, type, &v.u));
                (void)fprintf(f, "%d", (int)v.u);
                return;
        case 't':
                OK(sd_bus_message_read_basic(m, type, &v.t));
                (void)fprintf(f, "%llu", (unsigned long long)v.t);
                return;
        default:
                OK(sd_bus_message_read_basic(m, type, &v.s));
                show_text(f, type, v.s);
        }
}

const char *orders_show(sd_bus_message *reply) {
        static char *texts[8];
        static unsigned next;
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        char **text = &texts[next++ % ELEMENTSOF(texts)];
        size_t size;
        FILE *f;

        if (e)
                fail_msg("%s: %s", e->name, e->message);
        free(*text);
        f = open_memstream(text, &size);
        assert_non_null(f);
        show_all(reply, f);
        (void)fclose(f);
        sd_bus_message_unref(reply);
        return *text;
}

static const char *get(Bench *b, const char *path, const char *interface, const char *property) {
        return orders_show(bench_finish(b, bench_start(b, b->root, BUS_NAME, path,
                                                       "org.freedesktop.DBus.Properties", "Get", false, "ss",
                                                       interface, property)));
}

const char *orders_get_group(Bench *b, const Path *group, const char *property) {
        return get(b, group->text, BUS_INTERFACE_GROUP, property);
}

const char *orders_get_rule(Bench *b, const Path *rule, const char *property) {
        return get(b, rule->text, BUS_INTERFACE_RULE, property);
}

const char *orders_get_claim(Bench *b, const Path *claim, const char *property) {
        return get(b, claim->text, BUS_INTERFACE_CLAIM, property);
}

const char *orders_get_device(Bench *b, const char *address, const char *property) {
        return get(b, bench_device_path(address), BUS_INTERFACE_DEVICE, property);
}

const char *orders_get_manager(Bench *b, const char *property) {
        return get(b, BUS_PATH, BUS_INTERFACE_MANAGER, property);
}

static bool note_wait(Bench *b, const char *what, const char *property, const char *wanted, const char *is) {
        (void)snprintf(b->waiting_for, sizeof b->waiting_for, " for %s %s \"%s\", which is \"%s\"", what,
                       property, wanted, is);
        return false;
}

void orders_until_group(Bench *b, const Path *group, const char *property, const char *value) {
        const char *is;
        size_t from;

        for (;;) {
                from = b->n_signals;
                is = orders_get_group(b, group, property);
                if (streq(is, value) || note_wait(b, "group", property, value, is))
                        break;
                bench_until_more_signals(b, from);
        }
        b->waiting_for[0] = '\0';
}

void orders_until_claim(Bench *b, const Path *claim, const char *property, const char *value) {
        const char *is;
        size_t from;

        for (;;) {
                from = b->n_signals;
                is = orders_get_claim(b, claim, property);
                if (streq(is, value) || note_wait(b, "claim", property, value, is))
                        break;
                bench_until_more_signals(b, from);
        }
        b->waiting_for[0] = '\0';
}

void orders_until_device(Bench *b, const char *address, const char *property, const char *text) {
        const char *is;
        size_t from;

        for (;;) {
                from = b->n_signals;
                is = orders_get_device(b, address, property);
                if ((isempty(text) ? isempty(is) : !!strstr(is, text)) ||
                    note_wait(b, address, property, text, is))
                        break;
                bench_until_more_signals(b, from);
        }
        b->waiting_for[0] = '\0';
}

void orders_until_manager(Bench *b, const char *property, const char *text) {
        const char *is;
        size_t from;

        for (;;) {
                from = b->n_signals;
                is = orders_get_manager(b, property);
                if (strstr(is, text) || note_wait(b, "the host", property, text, is))
                        break;
                bench_until_more_signals(b, from);
        }
        b->waiting_for[0] = '\0';
}

size_t orders_count_told(Bench *b, const char *object, const char *property) {
        char begin[192], name[64];
        size_t n = 0;
        const char *at;

        (void)snprintf(begin, sizeof begin, "PropertiesChanged %s ", object);
        (void)snprintf(name, sizeof name, " %s", property);
        for (size_t i = 0; i < b->n_signals; i++) {
                at = startswith(b->signals[i].text, begin) ? strstr(b->signals[i].text, name) : NULL;
                n += at && strchr(" =", at[strlen(name)]);
        }
        return n;
}

void orders_forget_signals(Bench *b) {
        (void)orders_get_manager(b, "Version"); /* behind all that was told so far */
        b->n_signals = 0;
}

unsigned orders_count_objects(Bench *b, const char *interface) {
        sd_bus_message *m;
        const char *name;
        unsigned n = 0;

        m = bench_finish(b, bench_start(b, b->root, BUS_NAME, BUS_PATH, "org.freedesktop.DBus.ObjectManager",
                                        "GetManagedObjects", false, ""));
        if (sd_bus_message_get_error(m)) {
                sd_bus_message_unref(m);
                return UINT_MAX;
        }
        OK(sd_bus_message_enter_container(m, 'a', "{oa{sa{sv}}}"));
        while (sd_bus_message_enter_container(m, 'e', "oa{sa{sv}}") > 0) {
                OK(sd_bus_message_skip(m, "o"));
                OK(sd_bus_message_enter_container(m, 'a', "{sa{sv}}"));
                while (sd_bus_message_enter_container(m, 'e', "sa{sv}") > 0) {
                        OK(sd_bus_message_read(m, "s", &name));
                        n += streq(name, interface);
                        OK(sd_bus_message_skip(m, "a{sv}"));
                        OK(sd_bus_message_exit_container(m));
                }
                OK(sd_bus_message_exit_container(m));
                OK(sd_bus_message_exit_container(m));
        }
        sd_bus_message_unref(m);
        return n;
}

/* MakePassthrough and back */

static void append_devices(sd_bus_message *m, const char *addresses) {
        char list[2048], *save = NULL;

        (void)snprintf(list, sizeof list, "%s", addresses);
        OK(sd_bus_message_open_container(m, 'a', "o"));
        for (char *a = strtok_r(list, " ", &save); a; a = strtok_r(NULL, " ", &save))
                OK(sd_bus_message_append(m, "o", bench_device_path(a)));
        OK(sd_bus_message_close_container(m));
}

static void append_siblings(sd_bus_message *m, const char *siblings) {
        OK(sd_bus_message_open_container(m, 'e', "sv"));
        OK(sd_bus_message_append(m, "s", "siblings"));
        OK(sd_bus_message_open_container(m, 'v', "ao"));
        append_devices(m, siblings);
        OK(sd_bus_message_close_container(m));
        OK(sd_bus_message_close_container(m));
}

static sd_bus_message *new_call(sd_bus *from, const char *member) {
        sd_bus_message *m;

        OK(sd_bus_message_new_method_call(from, &m, BUS_NAME, BUS_PATH, BUS_INTERFACE_MANAGER, member));
        OK(sd_bus_message_set_allow_interactive_authorization(m, true));
        return m;
}

Pending *orders_start_make_until(Bench *b, sd_bus *from, const char *addresses, const char *siblings,
                                 const char *group, const char *binding, uint32_t seconds) {
        sd_bus_message *m = new_call(from, "MakePassthrough");

        append_devices(m, addresses);
        OK(sd_bus_message_append(m, "s", group));
        OK(sd_bus_message_open_container(m, 'a', "{sv}"));
        if (binding)
                OK(sd_bus_message_append(m, "{sv}", "binding", "s", binding));
        if (seconds > 0)
                OK(sd_bus_message_append(m, "{sv}", "confirm-seconds", "u", seconds));
        if (siblings)
                append_siblings(m, siblings);
        OK(sd_bus_message_close_container(m));
        return bench_start_message(b, from, m);
}

sd_bus_message *orders_make_until(Bench *b, sd_bus *from, const char *addresses, const char *siblings,
                                  const char *group, const char *binding, uint32_t seconds) {
        return bench_finish(b,
                            orders_start_make_until(b, from, addresses, siblings, group, binding, seconds));
}

Pending *orders_start_make(Bench *b, sd_bus *from, const char *addresses, const char *siblings,
                           const char *group, const char *binding) {
        return orders_start_make_until(b, from, addresses, siblings, group, binding, 0);
}

sd_bus_message *orders_make(Bench *b, sd_bus *from, const char *addresses, const char *siblings,
                            const char *group, const char *binding) {
        return bench_finish(b, orders_start_make(b, from, addresses, siblings, group, binding));
}

Pending *orders_start_return(Bench *b, sd_bus *from, const char *addresses) {
        sd_bus_message *m = new_call(from, "ReturnToHost");

        append_devices(m, addresses);
        return bench_start_message(b, from, m);
}

sd_bus_message *orders_return(Bench *b, sd_bus *from, const char *addresses) {
        return bench_finish(b, orders_start_return(b, from, addresses));
}

static const struct {
        const char *address, *driver;
} natural[] = {{NIC, "e1000e"}, {CARD, "nouveau"}, {PAIR_NIC, "e1000e"}, {PAIR_NVME, "nvme"}};

const char *orders_what_is_left(Bench *b) {
        static char text[256];
        static const struct {
                const char *directory, *suffix;
        } files[] = {{GRANTS_DIR, "grant"},
                     {PENDING_GRANTS_DIR, "grant"},
                     {PENDING_GRANTS_DIR, "confirm"},
                     {GRANTS_DIR, "boot"}};

        for (size_t i = 0; i < ELEMENTSOF(natural); i++) {
                for (size_t k = 0; k < ELEMENTSOF(files); k++) {
                        (void)snprintf(text, sizeof text, "%s/%s.%s", files[k].directory, natural[i].address,
                                       files[k].suffix);
                        if (fake_host_exists(b->host, text))
                                return text;
                }
                if (!streq(fake_host_driver(b->host, natural[i].address), natural[i].driver))
                        return natural[i].address;
                if (!streq(fake_host_override(b->host, natural[i].address), "(null)"))
                        return "an override";
        }
        if (orders_count_objects(b, BUS_INTERFACE_GROUP) > 0)
                return "a group, or nobody answers";
        return orders_count_objects(b, BUS_INTERFACE_RULE) > 0 ? "a rule" : NULL;
}

bool orders_nothing_is_left(Bench *b) {
        return !orders_what_is_left(b);
}

void orders_expect_nothing_left(Bench *b) {
        const char *left = orders_what_is_left(b);

        if (left)
                fail_msg("left behind: %s", left);
}

void orders_die_at(Bench *b, unsigned step) {
        fake_host_write(b->host, "fake/die", "%u\n", step);
        assert_int_equal(fchownat(b->host->fd, "fake/die", DAEMON_UID, (gid_t)-1, 0), 0);
}

void orders_lose_answer(Bench *b, const char *verb) {
        fake_host_write(b->host, "fake/lose", "%s\n", verb);
}

typedef struct FileWait {
        Bench *b;
        bool (*condition)(void *userdata);
        void *userdata;
        size_t n_changes;
} FileWait;

static int on_file(sd_event_source *s _unused_, const struct inotify_event *e _unused_, void *userdata) {
        ((FileWait *)userdata)->n_changes++;
        return 0;
}

/* The condition may ask the daemon, and the loop goes round meanwhile: what comes then must not be missed. */
static bool is_met(void *userdata) {
        const FileWait *w = userdata;
        size_t changes, signals;

        do {
                changes = w->n_changes;
                signals = w->b->n_signals;
                if (w->condition(w->userdata))
                        return true;
        } while (w->n_changes != changes || w->b->n_signals != signals);
        return false;
}

void orders_until_files(Bench *b, bool (*condition)(void *userdata), void *userdata) {
        static const char *const watched[] = {GRANTS_DIR, PENDING_GRANTS_DIR, MOVES_DIR, ACCESS_DIR, "fake"};
        sd_event_source *sources[ELEMENTSOF(watched)] = {0};
        FileWait w = {b, condition, userdata, 0};
        char path[512];

        for (size_t i = 0; i < ELEMENTSOF(watched); i++) {
                (void)snprintf(path, sizeof path, "%s/%s", b->host->root, watched[i]);
                OK(sd_event_add_inotify(b->event, &sources[i], path,
                                        IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_CLOSE_WRITE, on_file, &w));
        }
        bench_until(b, is_met, &w);
        for (size_t i = 0; i < ELEMENTSOF(watched); i++)
                sd_event_source_disable_unref(sources[i]);
}

typedef struct StepWait {
        Bench *b;
        const char *step;
} StepWait;

static bool step_came(void *userdata) {
        const StepWait *w = userdata;
        _cleanup_free_ char *steps = fake_host_read(w->b->host, "fake/steps");

        return steps && strstr(steps, w->step);
}

void orders_until_step(Bench *b, const char *step) {
        orders_until_files(b, step_came, &(StepWait){b, step});
}

void orders_gather_daemon(Bench *b) {
        assert_int_equal(waitpid(b->daemon, NULL, 0), b->daemon);
        b->daemon = 0;
        bench_until_gone(b, BUS_NAME);
}

bool orders_daemon_died(Bench *b, sd_bus_message *reply) {
        bool died = sd_bus_error_has_name(sd_bus_message_get_error(reply), SD_BUS_ERROR_NO_REPLY);

        sd_bus_message_unref(reply);
        if (died)
                orders_gather_daemon(b);
        return died;
}

void orders_show_signals(Bench *b) {
        for (size_t i = 0; i < b->n_signals; i++)
                fprintf(stderr, "%s\n", b->signals[i].text);
}
