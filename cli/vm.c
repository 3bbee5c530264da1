/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <pwd.h>

#include "commands.h"
#include "names.h"
#include "table.h"
#include "users.h"
#include "vm.h"

ExitCode vm_owner_option(const Options *o, bool *ret_given, uint32_t *ret_uid) {
        const char *text = option_value(o, OPTION_OWNER);
        const struct passwd *entry;
        uint64_t n;

        *ret_given = text;
        if (!text)
                return EXIT_DONE;
        if (number_parse(text, &n) && n < UINT32_MAX) {
                *ret_uid = (uint32_t)n;
                return EXIT_DONE;
        }
        entry = getpwnam(text);
        if (!entry)
                return complain(EXIT_USAGE,
                                "--owner=%s: there is no user of this name; give a name or a number.", text);
        *ret_uid = entry->pw_uid;
        return EXIT_DONE;
}

ExitCode vm_new_call(Cli *cli, const char *member, bool has_owner, uint32_t owner, sd_bus_message **ret) {
        _cleanup_bus_message_ sd_bus_message *call = NULL;
        ExitCode code;
        int r;

        code = client_new_call(&cli->client, BUS_PATH, BUS_INTERFACE_MANAGER, member, &call);
        if (code != EXIT_DONE)
                return code;
        r = sd_bus_message_append(call, "s", cli->options.words[0]);
        if (r >= 0)
                r = sd_bus_message_open_container(call, 'a', "{sv}");
        if (r >= 0 && has_owner)
                r = sd_bus_message_append(call, "{sv}", "owner", "u", owner);
        if (r < 0)
                return client_complain_message(r);
        *ret = STEAL(call);
        return EXIT_DONE;
}

ExitCode vm_end_call(sd_bus_message *call) {
        int r = sd_bus_message_close_container(call);

        return r < 0 ? client_complain_message(r) : EXIT_DONE;
}

ExitCode vm_complain(const char *vm, const Failure *f) {
        if (f->kind == FAILURE_NO_SUCH_OBJECT)
                return complain(EXIT_NOT_FOUND,
                                "You have no VM '%s' with a claim. 'passthroughctl vm list' shows which "
                                "there are, 'passthroughctl claim add' makes a claim, and --owner=USER "
                                "names whose VM it is.",
                                vm);
        return complain_failure(f);
}

ExitCode vm_read_arguments(Cli *cli, const char *claim, json_t *list) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        _cleanup_json_ json_t *arguments = NULL;
        ExitCode code;

        code = client_ask_object(&cli->client, claim, BUS_INTERFACE_CLAIM, "QemuArguments", &reply);
        if (code == EXIT_DONE)
                code = client_read_json(reply, &arguments);
        if (code != EXIT_DONE)
                return code;
        return json_array_extend(list, arguments) < 0 ? complain_oom() : EXIT_DONE;
}

bool vm_is_same(const Object *a, const Object *b) {
        return object_number(a, "Owner") == object_number(b, "Owner") &&
               streq(object_text(a, "Vm"), object_text(b, "Vm"));
}

static int compare_vms(const void *a, const void *b) {
        const Object *x = *(const Object *const *)a, *y = *(const Object *const *)b;
        int r = strcmp(object_text(x, "Vm"), object_text(y, "Vm"));

        if (r != 0)
                return r;
        return object_number(x, "Owner") < object_number(y, "Owner")
                               ? -1
                               : object_number(x, "Owner") > object_number(y, "Owner");
}

/* Of each VM a claim, which stands for it; sorted by the VM's name and its owner. NULL: no memory. */
static const Object **find_vms(const Model *m, size_t *ret_n) {
        const Object **list = calloc(m->n[KIND_CLAIM] + 1, sizeof *list);
        size_t n = 0;

        if (!list)
                return NULL;
        for (size_t i = 0; i < m->n[KIND_CLAIM]; i++)
                list[i] = &m->objects[KIND_CLAIM][i];
        qsort(list, m->n[KIND_CLAIM], sizeof *list, compare_vms);
        for (size_t i = 0; i < m->n[KIND_CLAIM]; i++)
                if (n == 0 || !vm_is_same(list[n - 1], list[i]))
                        list[n++] = list[i];
        *ret_n = n;
        return list;
}

/* What is most to be known of several claims: what happens now, then what it has, then what has been. */
static const char *vm_status(const Model *m, const Object *first) {
        static const char *const order[] = {"initializing", "waiting", "missing",
                                            "online",       "offline", "errors"};

        for (size_t s = 0; s < ELEMENTSOF(order); s++)
                for (size_t i = 0; i < m->n[KIND_CLAIM]; i++)
                        if (vm_is_same(&m->objects[KIND_CLAIM][i], first) &&
                            streq(object_text(&m->objects[KIND_CLAIM][i], "Status"), order[s]))
                                return order[s];
        return object_text(first, "Status");
}

Tint vm_status_tint(const char *status) {
        if (streq(status, "online"))
                return TINT_GOOD;
        if (streq(status, "missing") || streq(status, "errors"))
                return TINT_BAD;
        return streq(status, "idle") ? TINT_NONE : TINT_WARN;
}

/* Names of its claims, as one may call them without the VM, or with it; and of its devices. */
static int add_names(const Model *m, const Object *first, bool whole, json_t *claims, json_t *devices) {
        for (size_t i = 0; i < m->n[KIND_CLAIM]; i++) {
                const Object *c = &m->objects[KIND_CLAIM][i];
                json_t *item;
                size_t j;

                if (!vm_is_same(c, first))
                        continue;
                if (json_array_append_new(claims, json_string(whole ? c->name : object_text(c, "Name"))) < 0)
                        return -ENOMEM;
                json_array_foreach(object_list(c, "Devices"), j, item) {
                        const char *path = strempty(json_string_value(item));

                        if (json_array_append_new(devices, json_string(model_name(m, path))) < 0)
                                return -ENOMEM;
                }
        }
        return 0;
}

static void add_joined(Table *t, const json_t *list) {
        _cleanup_free_ char *text = NULL;
        json_t *item;
        size_t size, i;
        FILE *f = open_memstream(&text, &size);

        if (f) {
                json_array_foreach(list, i, item)(void)
                                fprintf(f, "%s%s", i > 0 ? ", " : "", json_string_value(item));
                (void)fclose(f);
        }
        table_add(t, TINT_NONE, isempty(text) ? "-" : text);
}

static ExitCode list_json(Cli *cli) {
        _cleanup_json_ json_t *list = json_array();
        _cleanup_free_ const Object **vms = NULL;
        const Model *m = &cli->model;
        size_t n = 0;

        vms = find_vms(m, &n);
        if (!vms)
                return complain_oom();
        for (size_t i = 0; i < n; i++) {
                const Object *first = vms[i];
                json_t *claims, *devices, *vm;

                claims = json_array();
                devices = json_array();
                vm = json_pack("{s:s, s:I, s:s, s:o, s:o}", "Name", object_text(first, "Vm"), "Owner",
                               (json_int_t)object_number(first, "Owner"), "Status", vm_status(m, first),
                               "Claims", claims, "Devices", devices);
                if (!vm || json_array_append_new(list, vm) < 0 ||
                    add_names(m, first, true, claims, devices) < 0)
                        return complain_oom();
        }
        return cli_print_json(cli, STEAL(list));
}

static ExitCode list_table(Cli *cli) {
        static const Column columns[] = {
                        {"VM", COLUMN_SHRINKS, 12},
                        {"OWNER", COLUMN_OPTIONAL, 0},
                        {"STATUS", 0, 0},
                        {"DEVICES", COLUMN_SHRINKS, 12},
                        {"CLAIMS", COLUMN_SHRINKS | COLUMN_OPTIONAL, 8},
                        {},
        };
        _cleanup_(table_freep) Table *t = table_new(columns);
        _cleanup_free_ const Object **vms = NULL;
        const Model *m = &cli->model;
        size_t n = 0;

        vms = find_vms(m, &n);
        if (!t || !vms)
                return complain_oom();
        for (size_t i = 0; i < n; i++) {
                _cleanup_json_ json_t *claims = json_array(), *devices = json_array();
                const Object *first = vms[i];
                const char *status = vm_status(m, first);
                char owner[USER_TEXT_SIZE];

                if (add_names(m, first, false, claims, devices) < 0)
                        return complain_oom();
                table_add(t, TINT_BOLD, object_text(first, "Vm"));
                table_add(t, TINT_NONE, users_owner(first, owner));
                table_add(t, vm_status_tint(status), status);
                add_joined(t, devices);
                add_joined(t, claims);
        }
        return cli_print_table(cli, t, "There are no VMs: no claim names one yet.\n");
}

ExitCode command_vm_list(Cli *cli) {
        ExitCode code = cli_load(cli);

        if (code != EXIT_DONE)
                return code;
        return cli_wants_json(cli) ? list_json(cli) : list_table(cli);
}

ExitCode command_vm_stop(Cli *cli) {
        _cleanup_bus_message_ sd_bus_message *call = NULL;
        const char *vm = cli->options.words[0];
        _cleanup_free_ char *doing = NULL;
        bool has_owner = false;
        uint32_t owner = 0;
        Failure f = {};
        ExitCode code;

        if (asprintf(&doing, "Stopping VM %s", vm) < 0)
                return complain_oom();
        code = vm_owner_option(&cli->options, &has_owner, &owner);
        if (code == EXIT_DONE)
                code = cli_connect(cli);
        if (code == EXIT_DONE)
                code = vm_new_call(cli, "StopVm", has_owner, owner, &call);
        if (code == EXIT_DONE)
                code = vm_end_call(call);
        if (code == EXIT_DONE)
                code = client_try(&cli->client, call, doing, 0, NULL, &f);
        if (f.kind != FAILURE_NONE)
                return vm_complain(vm, &f);
        if (code == EXIT_DONE)
                (void)printf("The devices of VM %s are back; its claims stay for the next start.\n", vm);
        return code;
}

static int compare_claims(const void *a, const void *b) {
        const Object *x = *(const Object *const *)a, *y = *(const Object *const *)b;
        uint64_t s = object_number(x, "Order"), t = object_number(y, "Order");

        if (s == t) {
                s = object_number(x, "Created");
                t = object_number(y, "Created");
        }
        return s < t ? -1 : s > t;
}

/* The owner of the VM: the caller, or the one user who has one of this name. */
static ExitCode find_owner(const Model *m, const char *vm, uint32_t *ret) {
        bool found = false, many = false, own = false;

        for (size_t i = 0; i < m->n[KIND_CLAIM]; i++) {
                const Object *c = &m->objects[KIND_CLAIM][i];
                uint32_t owner = (uint32_t)object_number(c, "Owner");

                if (!streq(object_text(c, "Vm"), vm))
                        continue;
                own = own || owner == getuid();
                many = many || (found && owner != *ret);
                found = true;
                *ret = owner;
        }
        if (own)
                *ret = getuid();
        if (many && !own)
                return complain(EXIT_NOT_FOUND,
                                "Several users have a VM '%s'; name the one that you mean with "
                                "--owner=USER.",
                                vm);
        if (!found)
                return complain(EXIT_NOT_FOUND,
                                "There is no VM '%s'; 'passthroughctl vm list' shows which there are.", vm);
        return EXIT_DONE;
}

/* Its claims that have devices, in the order in which they are served. */
static ExitCode find_running(const Model *m, const char *vm, uint32_t owner, const Object ***ret,
                             size_t *ret_n) {
        _cleanup_free_ const Object **list = calloc(m->n[KIND_CLAIM] + 1, sizeof *list);
        bool known = false;
        size_t n = 0;

        if (!list)
                return complain_oom();
        for (size_t i = 0; i < m->n[KIND_CLAIM]; i++) {
                const Object *c = &m->objects[KIND_CLAIM][i];

                if (!streq(object_text(c, "Vm"), vm) || object_number(c, "Owner") != owner)
                        continue;
                known = true;
                if (json_array_size(object_list(c, "Devices")) > 0)
                        list[n++] = c;
        }
        if (!known)
                return complain(EXIT_NOT_FOUND,
                                "User %" PRIu32 " has no VM '%s' with a claim; 'passthroughctl vm list' "
                                "shows which there are.",
                                owner, vm);
        if (n == 0)
                return complain(EXIT_REFUSED,
                                "VM '%s' has no device: it is not running. 'passthroughctl vm start' starts "
                                "it.",
                                vm);
        qsort(list, n, sizeof *list, compare_claims);
        *ret = STEAL(list);
        *ret_n = n;
        return EXIT_DONE;
}

static ExitCode print_xml(Cli *cli, const Object *claim) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        const char *xml = NULL;
        ExitCode code;
        int r;

        code = client_ask_object(&cli->client, claim->path, BUS_INTERFACE_CLAIM, "LibvirtXml", &reply);
        if (code != EXIT_DONE)
                return code;
        r = sd_bus_message_read(reply, "s", &xml);
        if (r < 0)
                return client_complain_answer(r);
        (void)fputs(xml, stdout);
        return EXIT_DONE;
}

static ExitCode print_arguments(Cli *cli, const Object **claims, size_t n) {
        _cleanup_json_ json_t *list = json_array();
        json_t *item;
        size_t i;

        for (i = 0; i < n; i++) {
                ExitCode code = vm_read_arguments(cli, claims[i]->path, list);

                if (code != EXIT_DONE)
                        return code;
        }
        if (cli_wants_json(cli))
                return cli_print_json(cli, STEAL(list));
        json_array_foreach(list, i, item)(void) puts(json_string_value(item));
        return EXIT_DONE;
}

ExitCode command_vm_arguments(Cli *cli) {
        _cleanup_free_ const Object **claims = NULL;
        const Options *o = &cli->options;
        bool has_owner = false;
        uint32_t owner = 0;
        size_t n = 0;
        ExitCode code;

        if (option_given(o, OPTION_LIBVIRT) && cli_wants_json(cli))
                return complain(EXIT_USAGE, "--libvirt is XML and --json is not: give one of them.");
        code = vm_owner_option(o, &has_owner, &owner);
        if (code == EXIT_DONE)
                code = cli_load(cli);
        if (code == EXIT_DONE && !has_owner)
                code = find_owner(&cli->model, o->words[0], &owner);
        if (code == EXIT_DONE)
                code = find_running(&cli->model, o->words[0], owner, &claims, &n);
        if (code != EXIT_DONE)
                return code;
        if (!option_given(o, OPTION_LIBVIRT))
                return print_arguments(cli, claims, n);
        for (size_t i = 0; i < n && code == EXIT_DONE; i++)
                code = print_xml(cli, claims[i]);
        return code;
}
