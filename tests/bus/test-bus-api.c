/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The programs of docs/api as they are, each run as a user runs it, while this process plays polkit: what the guide
 * shows works, and says what the guide says. */

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "sriov-bench.h"
#include "suite.h"

enum {
        NEEDS_BUSCTL = 1U << 0,
        NEEDS_GDBUS = 1U << 1,
        NEEDS_GIO = 1U << 2,
};

/* All of docs/api but the guide; a case compares. */
static const char *const programs[] = {
                "ask",
                "claim",
                "devices",
                "groups",
                "make-passthrough",
                "return-to-host",
                "rules",
                "start-vm",
                "try-out",
                "virtual-functions",
                "watch",
};

static bool ran[ELEMENTSOF(programs)];
static unsigned missing; /* of what the cases need */

static size_t find_program(const char *name) {
        size_t i;

        for (i = 0; i < ELEMENTSOF(programs) && !streq(programs[i], name); i++)
                ;
        return i;
}

typedef struct Child {
        Bench *b;
        pid_t pid;
        int in, out; /* what it reads, and all that it writes */
        sd_event_source *source;
        size_t n;
        bool ended; /* nobody can write any more */
        const char *wanted;
        char text[65536];
} Child;

static int on_output(sd_event_source *s, int fd, uint32_t events _unused_, void *userdata) {
        Child *c = userdata;
        ssize_t n;

        n = read(fd, c->text + c->n, sizeof c->text - 1 - c->n);
        if (n < 0 && errno == EINTR)
                return 0;
        if (n > 0)
                c->n += (size_t)n;
        else {
                c->ended = true;
                (void)sd_event_source_set_enabled(s, SD_EVENT_OFF);
        }
        return 0;
}

_Noreturn static void exec_program(const Bench *b, uid_t uid, const char *name, char *argv[], int in,
                                   int out) {
        char path[512], address[512], search[] = "PATH=/usr/bin:/bin";
        char *envp[] = {address, search, NULL};
        int fd;

        (void)snprintf(path, sizeof path, "%s/%s", API_DIR, name);
        (void)snprintf(address, sizeof address, "DBUS_SYSTEM_BUS_ADDRESS=%s", b->bus_address);
        (void)dup2(in, STDIN_FILENO);
        (void)dup2(out, STDOUT_FILENO);
        (void)dup2(out, STDERR_FILENO);
        /* By descriptor, which the interpreter opens again: its user need not be able to reach the source tree. */
        fd = open(path, O_RDONLY);
        if (fd >= 0 && setresgid(NOBODY_UID, NOBODY_UID, NOBODY_UID) == 0 && setresuid(uid, uid, uid) == 0 &&
            prctl(PR_SET_PDEATHSIG, SIGKILL) == 0)
                (void)fexecve(fd, argv, envp);
        _exit(EXIT_FAILURE);
}

#define START_PROGRAM(b, uid, name, ...)                                                                    \
        start_program(b, uid, name, (const char *const[]){name, ##__VA_ARGS__, NULL})
static Child *start_program(Bench *b, uid_t uid, const char *name, const char *const argv[]) {
        int in[2], out[2];
        size_t i = find_program(name);
        Child *c;

        assert_true(i < ELEMENTSOF(programs));
        ran[i] = true;
        c = calloc(1, sizeof *c);
        assert_non_null(c);
        c->b = b;
        assert_int_equal(pipe2(in, O_CLOEXEC), 0);
        assert_int_equal(pipe2(out, O_CLOEXEC), 0);
        c->pid = fork();
        assert_true(c->pid >= 0);
        if (c->pid == 0)
                exec_program(b, uid, name, (char **)argv, in[0], out[1]);
        close(in[0]);
        close(out[1]);
        c->in = in[1];
        c->out = out[0];
        assert_true(sd_event_add_io(b->event, &c->source, c->out, EPOLLIN, on_output, c) >= 0);
        return c;
}

static bool has_said(void *userdata) {
        const Child *c = userdata;

        return c->ended || (c->wanted && strstr(c->text, c->wanted));
}

static void child_until(Child *c, const char *text) {
        (void)snprintf(c->b->waiting_for, sizeof c->b->waiting_for, " for a program to say \"%s\"", text);
        c->wanted = text;
        bench_until(c->b, has_said, c);
        if (!strstr(c->text, text))
                fail_msg("the program ended without \"%s\": %s", text, c->text);
        c->b->waiting_for[0] = '\0';
}

static void child_tell(Child *c, const char *text) {
        assert_int_equal(write(c->in, text, strlen(text)), strlen(text));
        closep(&c->in);
}

/* Returns what it has said, in one of a few static buffers, when it has ended in this way. */
static const char *child_finish(Child *c, int status) {
        static char said[4][sizeof c->text];
        static unsigned next;
        char *text = said[next++ % ELEMENTSOF(said)];
        int is;

        closep(&c->in);
        c->wanted = NULL;
        (void)snprintf(c->b->waiting_for, sizeof c->b->waiting_for, " for a program to end");
        bench_until(c->b, has_said, c);
        c->b->waiting_for[0] = '\0';
        assert_int_equal(waitpid(c->pid, &is, 0), c->pid);
        is = WIFEXITED(is) ? WEXITSTATUS(is) : 128 + WTERMSIG(is);
        if (is != status)
                fail_msg("the program ended with %d: %s", is, c->text);
        (void)snprintf(text, sizeof said[0], "%s", c->text);
        sd_event_source_disable_unref(c->source);
        closep(&c->out);
        free(c);
        return text;
}

#define RUN(b, uid, status, name, ...) child_finish(START_PROGRAM(b, uid, name, ##__VA_ARGS__), status)

static void expect_said(const char *said, const char *text) {
        if (!strstr(said, text))
                fail_msg("\"%s\" is not in: %s", text, said);
}

/* The last line, which some programs make a path for the next one. */
static Path last_path(const char *said) {
        size_t n = strlen(said);
        const char *at;
        Path p;

        assert_true(n > 0 && said[n - 1] == '\n');
        at = memrchr(said, '\n', n - 1);
        at = at ? at + 1 : said;
        assert_non_null(startswith(at, BUS_PATH));
        (void)snprintf(p.text, sizeof p.text, "%.*s", (int)strcspn(at, "\n"), at);
        return p;
}

static void expect_asked(Bench *b, size_t i, const char *action) {
        assert_true(i < b->n_asked);
        assert_string_equal(b->asked[i].action, action);
        assert_int_equal(b->asked[i].flags, 1); /* a person may be prompted */
}

static void test_devices(void **state) {
        static const char *const addresses[] = {NIC, CARD, SPARE, BRIDGE, PAIR_NIC, PAIR_NVME};
        char wanted[4096] = "";
        Bench *b = *state;
        bool eligible;
        size_t n = 0;

        orders_until_device(b, SPARE, "Eligible",
                            "true"); /* it came last, and is judged when the host was read */
        for (size_t i = 0; i < ELEMENTSOF(addresses); i++) {
                const char *address = addresses[i], *name = orders_get_device(b, address, "Name");

                eligible = streq(orders_get_device(b, address, "Eligible"), "true");
                n += (size_t)snprintf(wanted + n, sizeof wanted - n, "%s\thost\t%s\t%s\n", address, name,
                                      eligible ? "can leave" : orders_get_device(b, address, "Reason"));
        }
        assert_non_null(strstr(wanted, "\tcan leave\n"));
        assert_non_null(strstr(wanted, " is a bridge"));
        assert_string_equal(RUN(b, OTHER_UID, 0, "devices"), wanted);
}

static void test_ask(void **state) {
        Bench *b = *state;
        const char *said;

        said = RUN(b, OTHER_UID, 0, "ask", NIC);
        expect_said(said, "s \"host\"\nb true\n");
        expect_said(said, "\"iommu-set\"");
        expect_said(said, "driver_override");
        expect_said(RUN(b, OTHER_UID, 1, "ask", BRIDGE), "pass the devices behind it instead");
        expect_said(RUN(b, OTHER_UID, 1, "ask", "0000:77:00.0"), "Unknown object");

        assert_int_equal(b->n_asked, 0);
        assert_string_equal(fake_host_driver(b->host, NIC), "e1000e");
}

static void test_watch(void **state) {
        Bench *b = *state;
        Child *c = START_PROGRAM(b, OTHER_UID, "watch");
        char text[256];
        Path group;

        child_until(c, " objects\n");
        group = vms_make_group(b, NIC, NULL, "persistent");
        (void)snprintf(text, sizeof text, BUS_PATH "\tInterfacesAdded\t%s\n", group.text);
        child_until(c, text);
        (void)snprintf(text, sizeof text, "%s\tState\tpool\n", bench_device_path(NIC));
        child_until(c, text);
        assert_int_equal(kill(c->pid, SIGTERM), 0);
        (void)child_finish(c, 128 + SIGTERM);
}

static void test_make_and_return(void **state) {
        Bench *b = *state;
        Path group;

        group = last_path(RUN(b, ADMIN_UID, 0, "make-passthrough", "PCI NICs", NIC));
        expect_asked(b, 0, POLKIT_ACTION_GRANT);
        assert_string_equal(orders_get_group(b, &group, "Name"), "PCI NICs");
        assert_string_equal(orders_get_group(b, &group, "Devices"), "[" NIC "]");
        assert_string_equal(fake_host_driver(b->host, NIC), "vfio-pci");

        assert_string_equal(RUN(b, ADMIN_UID, 0, "return-to-host", bench_device_path(NIC)), "()\n");
        expect_asked(b, 1, POLKIT_ACTION_REVOKE);
        assert_string_equal(fake_host_driver(b->host, NIC), "e1000e");
        expect_said(RUN(b, ADMIN_UID, 1, "return-to-host", BUS_PATH "/device/nothing"), "NoSuchDevice");
}

static void test_errors(void **state) {
        Bench *b = *state;
        const char *said;

        said = RUN(b, ADMIN_UID, 1, "make-passthrough", "pair", PAIR_NIC);
        assert_non_null(startswith(said, BUS_NAME ".Error.IncompleteIommuSet: "));
        expect_said(said, PAIR_NVME);
        expect_said(said, "Name those, too, if they can go along.\n");
        said = RUN(b, ADMIN_UID, 1, "make-passthrough", "bridges", BRIDGE);
        assert_non_null(startswith(said, BUS_NAME ".Error.Critical: "));
        said = RUN(b, ADMIN_UID, 1, "make-passthrough", "none", "0000:77:00.0");
        assert_non_null(startswith(said, BUS_NAME ".Error.NoSuchDevice: "));
        assert_int_equal(b->n_asked, 0);

        polkit_set_mode(b, POLKIT_DISMISSED);
        said = RUN(b, ADMIN_UID, 1, "make-passthrough", "PCI NICs", NIC);
        assert_non_null(startswith(said, BUS_NAME ".Error.NotAuthorized: "));
        expect_asked(b, 0, POLKIT_ACTION_GRANT);
        orders_expect_nothing_left(b);
}

static void try_out(Bench *b, const char *answer, const char *method) {
        Child *c = START_PROGRAM(b, ADMIN_UID, "try-out", "PCI NICs", bench_device_path(NIC));
        char done[64];

        child_until(c, "Then type yes.\n");
        assert_string_not_equal(orders_get_manager(b, "ConfirmUntil"), "0");
        assert_string_equal(fake_host_driver(b->host, NIC), "vfio-pci");
        child_tell(c, answer);
        (void)snprintf(done, sizeof done, "%s done\n", method);
        expect_said(child_finish(c, 0), done);
        assert_string_equal(orders_get_manager(b, "ConfirmUntil"), "0");
}

static void test_try_out(void **state) {
        Bench *b = *state;

        try_out(b, "", "Revert");
        orders_expect_nothing_left(b);
        try_out(b, "yes\n", "Confirm");
        assert_string_equal(fake_host_driver(b->host, NIC), "vfio-pci");
        assert_true(fake_host_exists(b->host, KEPT(NIC)));
        assert_int_equal(b->n_asked, 2); /* the grants; not Confirm and Revert of one's own */
        expect_asked(b, 1, POLKIT_ACTION_GRANT);
}

static void test_rules(void **state) {
        Bench *b = *state;
        const char *said;
        Path group;

        said = RUN(b, ADMIN_UID, 0, "rules", "PCI NICs", "device_type eq 'network'", bench_device_path(NIC));
        expect_asked(b, 0, POLKIT_ACTION_MANAGE);
        assert_non_null(startswith(said, "([objectpath '")); /* of the preview */
        expect_said(said, "(true, ");
        group = last_path(said);
        assert_string_equal(orders_get_group(b, &group, "Description"), "Made by hand");
        assert_string_equal(orders_get_group(b, &group, "Devices"), "[" NIC " " PAIR_NIC "]");
        assert_string_equal(orders_get_group(b, &group, "NeedsApproval"), "[" NIC " " PAIR_NIC "]");

        said = RUN(b, ADMIN_UID, 1, "rules", "others", "no filter", bench_device_path(NIC));
        expect_said(said, "InvalidFilter");
        assert_int_equal(orders_count_objects(b, BUS_INTERFACE_GROUP), 1);
}

static void test_claim(void **state) {
        Bench *b = *state;
        Path group = vms_make_group(b, NIC, NULL, NULL), claim;
        size_t asked = b->n_asked;
        const char *said;

        said = RUN(b, OTHER_UID, 0, "claim", "web", group.text, "1");
        expect_asked(b, asked, POLKIT_ACTION_CLAIM);
        assert_int_equal(b->n_asked, asked + 1);
        expect_said(said, "s \"idle\"\ns \"For web\"\n");
        claim = last_path(said);
        assert_string_equal(orders_get_claim(b, &claim, "Vm"), "web");
        assert_string_equal(orders_get_claim(b, &claim, "Group"), group.text);
}

/* The VM is a shell that says so when it runs, and ends with its input. */
static Child *start_vm(Bench *b, sd_bus *admin, const Path *claim, const char *other) {
        Child *c;

        c = START_PROGRAM(b, OTHER_UID, "start-vm", "web", "sh", "-c", "echo up; cat; exit 7");
        child_until(c, "up\n");
        assert_string_equal(c->text, NIC "\t/dev/vfio/7\nup\n");
        /* If the lifeline had not come along, the service would have seen it by the time it has done all this. */
        bench_expect_success(orders_make(b, admin, other, NULL, "others", "persistent"));
        assert_string_equal(orders_get_claim(b, claim, "Status"), "online");
        assert_true(vms_may_open(b, NIC_SET, OTHER_UID));
        return c;
}

static void test_start_vm(void **state) {
        Bench *b = *state;
        sd_bus *user = bench_connect(b, OTHER_UID), *admin = bench_connect(b, ADMIN_UID);
        Path group = vms_make_group(b, NIC, NULL, NULL),
             claim = orders_make_claim(b, user, "web", &group, 1);
        Child *c;

        c = start_vm(b, admin, &claim, CARD);
        (void)child_finish(c, 7);
        vms_until_home(b, NIC);
        orders_until_claim(b, &claim, "Status", "idle");

        /* cat of the shell has the lifeline, too: it ends with the pipe. */
        c = start_vm(b, admin, &claim, SPARE);
        assert_int_equal(kill(c->pid, SIGKILL), 0);
        (void)child_finish(c, 128 + SIGKILL);
        vms_until_home(b, NIC);
        vms_expect_shut(b, NIC_SET);

        expect_said(RUN(b, OTHER_UID, 1, "start-vm", "mail", "true"), "NoSuchObject");
        bench_disconnect(admin);
        bench_disconnect(user);
}

static void test_virtual_functions(void **state) {
        Bench *b = *state;
        const char *said;
        Path claim, group;

        add_pf(b, PF, 21, 0x020000, PF_DRIVER, "igbvf");
        fake_links_add(b->host, PF, "eno1", 11, PF_DRIVER);
        assert_int_equal(fchownat(b->host->fd, "fake", DAEMON_UID, (gid_t)-1, 0), 0);
        bench_until_signal(b, "InterfacesAdded " PF);

        said = RUN(b, ADMIN_UID, 0, "virtual-functions", "web", "Ports", PF);
        expect_said(said, "3\t0000:06:10.3\n");
        expect_said(said, " 02:00:00:00:aa:01\n");
        expect_asked(b, 0, POLKIT_ACTION_GRANT);
        expect_asked(b, 1, POLKIT_ACTION_CLAIM);
        assert_true(sriov_has(b, PF, 4, false));
        (void)sscanf(strstr(said, BUS_PATH "/claim/"), "%127s", claim.text);
        expect_said(orders_get_claim(b, &claim, "Sriov"), "spoof-checking");
        (void)sscanf(orders_get_claim(b, &claim, "Group"), "%127s", group.text);
        expect_said(orders_get_group(b, &group, "Sriov"), "vlan");
}

static void test_groups(void **state) {
        Bench *b = *state;
        sd_bus *admin = bench_connect(b, ADMIN_UID);
        Path group = orders_make_group(b, admin, "PCI NICs", NULL);
        const char *document;
        Child *c;

        (void)orders_make_rule(b, admin, &group, "all", "device_type eq 'network'");
        document = RUN(b, OTHER_UID, 0, "groups", "export");
        expect_said(document, "\"PCI NICs\"");
        bench_expect_success(orders_call_group(b, admin, &group, "Delete", ""));

        c = START_PROGRAM(b, ADMIN_UID, "groups", "import");
        child_tell(c, document);
        assert_string_equal(child_finish(c, 0), "2 changed\n");
        expect_asked(b, b->n_asked - 1, POLKIT_ACTION_MANAGE);
        assert_string_equal(RUN(b, OTHER_UID, 0, "groups", "export"), document);

        c = START_PROGRAM(b, ADMIN_UID, "groups", "import");
        child_tell(c, "no document");
        expect_said(child_finish(c, 1), "InvalidArgument");
        bench_disconnect(admin);
}

/* A program that somebody adds is run here, too. */
static void test_no_program_is_left_out(void **state _unused_) {
        const struct dirent *entry;
        size_t n = 0;
        DIR *d;

        d = opendir(API_DIR);
        assert_non_null(d);
        while ((entry = readdir(d)))
                if (entry->d_name[0] != '.' && !streq(entry->d_name, "guide.md")) {
                        if (find_program(entry->d_name) == ELEMENTSOF(programs))
                                fail_msg("docs/api/%s is not in the list of this test", entry->d_name);
                        n++;
                }
        (void)closedir(d);
        assert_int_equal(n, ELEMENTSOF(programs));

        for (size_t i = 0; i < ELEMENTSOF(programs) && !missing && !getenv("CASE"); i++)
                if (!ran[i])
                        fail_msg("docs/api/%s is run by no case of this test", programs[i]);
}

static bool succeeds(const char *command) {
        return system(command) == 0;
}

static unsigned find_missing(void) {
        return (succeeds("busctl --version >/dev/null 2>&1") ? 0 : NEEDS_BUSCTL) |
               (succeeds("gdbus help >/dev/null 2>&1") ? 0 : NEEDS_GDBUS) |
               (succeeds("/usr/bin/python3 -c 'from gi.repository import Gio' 2>/dev/null") ? 0 : NEEDS_GIO);
}

int main(void) {
#define CASE(needs, name)                                                                                   \
        { needs, cmocka_unit_test_setup_teardown(name, vms_setup, bench_teardown) }
        static const struct {
                unsigned needs;
                struct CMUnitTest test;
        } cases[] = {
                        CASE(NEEDS_GIO, test_devices),
                        CASE(NEEDS_BUSCTL, test_ask),
                        CASE(NEEDS_GIO, test_watch),
                        CASE(NEEDS_GIO | NEEDS_GDBUS, test_make_and_return),
                        CASE(NEEDS_GIO, test_errors),
                        CASE(NEEDS_BUSCTL, test_try_out),
                        CASE(NEEDS_GDBUS, test_rules),
                        CASE(NEEDS_BUSCTL, test_claim),
                        CASE(NEEDS_GIO, test_start_vm),
                        CASE(NEEDS_GIO, test_groups),
                        CASE(NEEDS_GIO, test_virtual_functions),
                        {0, cmocka_unit_test(test_no_program_is_left_out)},
        };
        struct CMUnitTest tests[ELEMENTSOF(cases)];
        size_t n = 0;

        missing = find_missing();

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                if (!(cases[i].needs & missing))
                        tests[n++] = cases[i].test;
                else
                        printf("# %s is skipped: it needs%s%s%s\n", cases[i].test.name,
                               cases[i].needs & missing & NEEDS_BUSCTL ? " busctl (systemd)" : "",
                               cases[i].needs & missing & NEEDS_GDBUS ? " gdbus (libglib2.0-bin)" : "",
                               cases[i].needs & missing & NEEDS_GIO ? " Gio for Python (python3-gi)" : "");
        if (geteuid() != 0)
                return suite_skip(tests, n, "runs the examples under several users");
        suite_filter();
        return _cmocka_run_group_tests("bus-api", tests, n, NULL, NULL);
}
