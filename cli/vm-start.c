/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <inttypes.h>

#include "commands.h"
#include "size.h"
#include "time-span.h"
#include "vm-exec.h"
#include "vm.h"

#define WAIT_MAX 86400U
#define CALL_SECONDS 300U /* beside the waiting: polkit's prompt, and moving the devices */
#define NODE_MAX 1023U    /* of Linux */

typedef struct StartOptions {
        bool has_owner, has_memory, has_node;
        uint32_t owner;
        uint64_t wait, memory, node; /* seconds, bytes */
} StartOptions;

static ExitCode read_memory(const Options *o, StartOptions *ret) {
        const char *text = option_value(o, OPTION_MEMORY);
        int r;

        if (!text)
                return EXIT_DONE;
        r = size_parse(text, &ret->memory);
        if (r == -ERANGE)
                return complain(EXIT_USAGE, "--memory=%s: no VM has as much; give a size like 4G or 512M.",
                                text);
        if (r < 0)
                return complain(EXIT_USAGE, "--memory=%s: give a size with its unit, like 4G or 512M.",
                                text);
        ret->has_memory = true;
        return EXIT_DONE;
}

static ExitCode read_options(const Options *o, StartOptions *ret) {
        ExitCode code;

        if (!o->separated)
                return complain(EXIT_USAGE,
                                "Put '--' in front of the command, so that its options are not taken for "
                                "those of passthroughctl: passthroughctl vm start %s -- %s...",
                                o->words[0], o->words[1]);
        if (isempty(o->words[1]))
                return complain(EXIT_USAGE, "The command is empty: say which program the VM is.");
        code = vm_owner_option(o, &ret->has_owner, &ret->owner);
        if (code == EXIT_DONE)
                code = time_span_option(o, OPTION_WAIT, 0, WAIT_MAX, &ret->wait);
        if (code == EXIT_DONE)
                code = read_memory(o, ret);
        if (code == EXIT_DONE)
                code = option_number(o, OPTION_NUMA_NODE, 0, NODE_MAX, &ret->node);
        ret->has_node = option_given(o, OPTION_NUMA_NODE);
        return code;
}

static int append_options(sd_bus_message *call, const Options *o, const StartOptions *s) {
        int r = sd_bus_message_append(call, "{sv}", "track", "s", "lifeline");

        if (r >= 0 && option_given(o, OPTION_ACCESS))
                r = sd_bus_message_append(call, "{sv}", "access", "s", option_value(o, OPTION_ACCESS));
        if (r >= 0 && s->wait > 0)
                r = sd_bus_message_append(call, "{sv}", "wait", "u", (uint32_t)s->wait);
        if (r >= 0 && s->has_memory)
                r = sd_bus_message_append(call, "{sv}", "memory", "t", s->memory);
        if (r >= 0 && option_given(o, OPTION_VIOMMU))
                r = sd_bus_message_append(call, "{sv}", "viommu", "b", true);
        if (r >= 0 && s->has_node)
                r = sd_bus_message_append(call, "{sv}", "numa-node", "i", (int32_t)s->node);
        return r;
}

static ExitCode call_start(Cli *cli, const StartOptions *s, sd_bus_message **ret_reply) {
        _cleanup_bus_message_ sd_bus_message *call = NULL;
        const char *vm = cli->options.words[0];
        _cleanup_free_ char *doing = NULL;
        Failure f = {};
        ExitCode code;
        int r;

        if (asprintf(&doing, "Starting VM %s", vm) < 0)
                return complain_oom();
        code = cli_connect(cli);
        if (code == EXIT_DONE)
                code = vm_new_call(cli, "StartVm", s->has_owner, s->owner, &call);
        if (code != EXIT_DONE)
                return code;
        r = append_options(call, &cli->options, s);
        if (r < 0)
                return client_complain_message(r);
        code = vm_end_call(call);
        if (code == EXIT_DONE)
                code = client_try(&cli->client, call, doing, (s->wait + CALL_SECONDS) * 1000000U, ret_reply,
                                  &f);
        return f.kind == FAILURE_NONE ? code : vm_complain(vm, &f);
}

/* Where the descriptor of this name is to go, behind VM_FIRST_FD, if devices are passed; -ENOENT: nobody
 * needs it. */
static int place_of(const json_t *devices, const char *name) {
        json_t *device;
        size_t i;

        if (streq(name, "iommufd"))
                return 0;
        json_array_foreach(devices, i, device) {
                if (streq(strempty(json_string_value(json_array_get(device, 0))), name))
                        return (int)i + 1;
        }
        return streq(name, "lifeline") ? (int)i + 1 : -ENOENT;
}

static int read_fd(sd_bus_message *reply, VmExec *e) {
        const char *name;
        int fd, place, r;

        r = sd_bus_message_enter_container(reply, 'e', "sh");
        if (r <= 0)
                return r;
        r = sd_bus_message_read(reply, "sh", &name, &fd);
        if (r < 0)
                return r;
        place = place_of(e->devices, name);
        if (place >= 0 && e->fds[place] < 0) {
                e->fds[place] = fcntl(fd, F_DUPFD_CLOEXEC, VM_FIRST_FD);
                if (e->fds[place] < 0)
                        return -errno;
        }
        r = sd_bus_message_exit_container(reply);
        return r < 0 ? r : 1;
}

/* Without descriptors of devices the lifeline is the first. */
static int check_fds(VmExec *e) {
        int *lifeline = &e->fds[e->n_fds - 1];

        if (e->fds[0] < 0) {
                e->fds[0] = *lifeline;
                *lifeline = -1;
                e->n_fds = 1;
        }
        for (size_t i = 0; i < e->n_fds; i++)
                if (e->fds[i] < 0)
                        return -EBADMSG;
        return 0;
}

static int read_answer(sd_bus_message *reply, VmExec *e) {
        size_t n;
        int r;

        r = bus_json_read(reply, &e->devices);
        if (r < 0)
                return r;
        n = json_array_size(e->devices) + 2;
        e->fds = calloc(n, sizeof *e->fds);
        if (!e->fds)
                return -ENOMEM;
        for (e->n_fds = 0; e->n_fds < n; e->n_fds++)
                e->fds[e->n_fds] = -1;
        r = sd_bus_message_enter_container(reply, 'a', "{sh}");
        while (r >= 0 && (r = read_fd(reply, e)) > 0)
                ;
        return r < 0 ? r : check_fds(e);
}

/* QEMU's arguments of each claim that has been served, in the order of the answer. */
static ExitCode read_arguments(Cli *cli, VmExec *e) {
        const char *before = "";
        ExitCode code = EXIT_DONE;
        json_t *device;
        size_t i;

        e->arguments = json_array();
        if (!e->arguments)
                return complain_oom();
        json_array_foreach(e->devices, i, device) {
                const char *claim = strempty(json_string_value(json_array_get(device, 2)));

                if (code == EXIT_DONE && !streq(claim, before))
                        code = vm_read_arguments(cli, claim, e->arguments);
                before = claim;
        }
        return code;
}

static void say_devices(const VmExec *e) {
        json_t *device;
        size_t i;

        (void)fprintf(stderr, "VM %s has ", e->vm);
        if (json_array_size(e->devices) == 0)
                (void)fprintf(stderr, "no device");
        json_array_foreach(e->devices, i, device)(void)
                        fprintf(stderr, "%s%s (set %" JSON_INTEGER_FORMAT ")", i > 0 ? ", " : "",
                                json_string_value(json_array_get(device, 0)),
                                json_integer_value(json_array_get(device, 3)));
        (void)fputc('\n', stderr);
}

/* Whether one before has said the same: the memory is that of the VM, and each of its claims tells of it. */
static bool is_said(const Model *m, size_t claim, const Object *first) {
        for (size_t i = 0; i < claim; i++)
                if (vm_is_same(&m->objects[KIND_CLAIM][i], first) &&
                    streq(object_text(&m->objects[KIND_CLAIM][i], "StatusInfo"),
                          object_text(&m->objects[KIND_CLAIM][claim], "StatusInfo")))
                        return true;
        return false;
}

/* What its claims have to say now that it has its devices: what its user may not lock, and what was left
 * out. */
static ExitCode say_warnings(Cli *cli, const VmExec *e) {
        const char *path = json_string_value(json_array_get(json_array_get(e->devices, 0), 2));
        ExitCode code = cli_load(cli);
        const Object *first = code == EXIT_DONE && path ? model_at(&cli->model, path) : NULL;

        for (size_t i = 0; first && i < cli->model.n[KIND_CLAIM]; i++) {
                const Object *c = &cli->model.objects[KIND_CLAIM][i];
                const char *info = object_text(c, "StatusInfo");

                if (vm_is_same(c, first) && !isempty(info) && !is_said(&cli->model, i, first))
                        (void)fprintf(stderr, "%sClaim %s:%s %s\n", output_tint(stderr, TINT_WARN), c->name,
                                      output_tint(stderr, TINT_NONE), info);
        }
        return code;
}

static ExitCode start(Cli *cli, const StartOptions *s, VmExec *e) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        ExitCode code;
        int r;

        code = call_start(cli, s, &reply);
        if (code != EXIT_DONE)
                return code;
        r = read_answer(reply, e);
        if (r < 0)
                return complain(EXIT_FAILED,
                                "The service's answer cannot be read: %s. The devices of VM %s go back.",
                                strerror(-r), e->vm);
        code = read_arguments(cli, e);
        if (code != EXIT_DONE)
                return code;
        say_devices(e);
        return say_warnings(cli, e);
}

ExitCode command_vm_start(Cli *cli) {
        const Options *o = &cli->options;
        StartOptions s = {};
        VmExec e = {.vm = o->words[0], .words = o->words + 1, .n_words = o->n_words - 1};
        ExitCode code;

        (void)sigprocmask(SIG_BLOCK, NULL, &e.signals);
        code = read_options(o, &s);
        if (code != EXIT_DONE)
                return code;
        code = start(cli, &s, &e);
        if (code == EXIT_DONE) {
                client_close(&cli->client);
                code = vm_exec(&e);
        } else if (!cli->client.interrupted)
                /* The others could be the status of a command. */
                code = EXIT_NO_DEVICES;
        vm_exec_done(&e);
        return code;
}
