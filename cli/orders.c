/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <strings.h>

#include "names.h"
#include "orders.h"
#include "properties.h"

static const char *interface_of(Kind kind) {
        static const char *const interfaces[KIND_MAX] = {
                        [KIND_GROUP] = BUS_INTERFACE_GROUP,
                        [KIND_RULE] = BUS_INTERFACE_RULE,
                        [KIND_CLAIM] = BUS_INTERFACE_CLAIM,
        };

        assert(kind > KIND_DEVICE && kind < KIND_MAX);
        return interfaces[kind];
}

ExitCode orders_find(Cli *cli, Kind kind, const Object **ret) {
        ExitCode code = cli_load(cli);

        return code == EXIT_DONE ? find_object(&cli->model, kind, cli->options.words[0], ret) : code;
}

/* The object as it is after a call; the path is not the model's, which is read anew. */
static ExitCode read_again(Cli *cli, const char *path, const Object **ret) {
        ExitCode code;

        cli_forget(cli);
        code = cli_load(cli);
        if (code != EXIT_DONE)
                return code;
        *ret = model_at(&cli->model, path);
        return *ret ? EXIT_DONE
                    : complain(EXIT_NOT_FOUND, "It was done, but somebody else has deleted it meanwhile.");
}

static ExitCode take_or_print(const Cli *cli, const Object *o, const Object **ret) {
        *ret = cli_wants_json(cli) ? NULL : o;
        return *ret ? EXIT_DONE : cli_print_json(cli, model_json(&cli->model, o->properties));
}

ExitCode orders_create(Cli *cli, sd_bus_message *call, const char *doing, const Object **ret) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        const Object *o = NULL;
        const char *path;
        ExitCode code;
        int r;

        code = client_call(&cli->client, call, doing, &reply);
        if (code != EXIT_DONE)
                return code;
        r = sd_bus_message_read(reply, "o", &path);
        if (r < 0)
                return client_complain_answer(r);
        code = read_again(cli, path, &o);
        if (code != EXIT_DONE)
                return code;
        return take_or_print(cli, o, ret);
}

static ExitCode call_update(Cli *cli, const Object *o, uint64_t which) {
        _cleanup_bus_message_ sd_bus_message *call = NULL;
        _cleanup_free_ char *doing = NULL;
        ExitCode code;

        code = client_new_call(&cli->client, o->path, interface_of(o->kind), "Update", &call);
        if (code == EXIT_DONE)
                code = properties_append(call, &cli->options, which, o);
        if (code != EXIT_DONE)
                return code;
        if (asprintf(&doing, "Changing %s '%s'", kind_name(o->kind, false), o->name) < 0) {
                doing = NULL;
                return complain_oom();
        }
        return client_call(&cli->client, call, doing, NULL);
}

ExitCode orders_update(Cli *cli, Kind kind, uint64_t which, const Object **ret, bool *ret_changed) {
        _cleanup_free_ char *path = NULL;
        const Object *o = NULL;
        uint64_t modified;
        ExitCode code;

        code = properties_check(&cli->options, which, true);
        if (code == EXIT_DONE)
                code = orders_find(cli, kind, &o);
        if (code == EXIT_DONE)
                code = call_update(cli, o, which);
        if (code != EXIT_DONE)
                return code;

        modified = object_number(o, "Modified");
        path = strdup(o->path);
        if (!path)
                return complain_oom();
        code = read_again(cli, path, &o);
        if (code != EXIT_DONE)
                return code;
        *ret_changed = object_number(o, "Modified") != modified;
        return take_or_print(cli, o, ret);
}

static bool is_whole_name(const Object *o, const char *word) {
        return streq(word, o->name) || streq(word, object_text(o, "Name")) ||
               streq(word, object_text(o, "Vm")) || streq(word, o->path) ||
               strcasecmp(word, object_text(o, "Id")) == 0;
}

static ExitCode call_delete(Cli *cli, const Object *o) {
        _cleanup_bus_message_ sd_bus_message *call = NULL;
        _cleanup_free_ char *doing = NULL;
        ExitCode code;

        code = client_new_call(&cli->client, o->path, interface_of(o->kind), "Delete", &call);
        if (code != EXIT_DONE)
                return code;
        if (asprintf(&doing, "Deleting %s '%s'", kind_name(o->kind, false), o->name) < 0) {
                doing = NULL;
                return complain_oom();
        }
        return client_call(&cli->client, call, doing, NULL);
}

ExitCode orders_delete(Cli *cli, Kind kind, const Object **ret) {
        const char *word = cli->options.words[0];
        const Object *o = NULL;
        ExitCode code;

        code = orders_find(cli, kind, &o);
        if (code != EXIT_DONE)
                return code;
        if (!is_whole_name(o, word))
                return complain(EXIT_NOT_FOUND,
                                "'%s' is only a part of the name of %s '%s'; give all of it to delete it.",
                                word, kind_name(kind, false), o->name);
        *ret = o;
        return call_delete(cli, o);
}

ExitCode orders_show(Cli *cli, Kind kind, void (*show)(const Model *m, const Object *o)) {
        _cleanup_free_ const Object **objects = NULL;
        _cleanup_json_ json_t *list = json_array();
        const Model *m = &cli->model;
        ExitCode code;
        size_t n = 0;

        code = cli_load(cli);
        if (code == EXIT_DONE)
                code = find_objects(m, kind, (size_t)cli->options.n_words, cli->options.words, &objects, &n);
        if (code != EXIT_DONE)
                return code;
        if (!cli_wants_json(cli))
                cli_open_pager(cli);
        for (size_t i = 0; i < n; i++)
                if (cli_wants_json(cli)) {
                        if (json_array_append_new(list, model_json(m, objects[i]->properties)) < 0)
                                return complain_oom();
                } else {
                        (void)fputs(i > 0 ? "\n" : "", stdout);
                        show(m, objects[i]);
                }
        return cli_wants_json(cli) ? cli_print_json(cli, STEAL(list)) : EXIT_DONE;
}

static bool is_shown(const Object *o, const Object *group) {
        return !group || streq(object_text(o, "Group"), group->path);
}

static ExitCode print_list(const Cli *cli, Kind kind, const Object *group) {
        _cleanup_json_ json_t *list = json_array();
        const Model *m = &cli->model;

        for (size_t i = 0; i < m->n[kind]; i++)
                if (is_shown(&m->objects[kind][i], group) &&
                    json_array_append_new(list, model_json(m, m->objects[kind][i].properties)) < 0)
                        return complain_oom();
        return cli_print_json(cli, STEAL(list));
}

static ExitCode print_table(const Cli *cli, Kind kind, const Object *group, const Column columns[],
                            void (*add)(Table *t, const Model *m, const Object *o)) {
        _cleanup_(table_freep) Table *t = table_new(columns);
        const Model *m = &cli->model;
        char empty[80];

        if (!t)
                return complain_oom();
        for (size_t i = 0; i < m->n[kind]; i++)
                if (is_shown(&m->objects[kind][i], group))
                        add(t, m, &m->objects[kind][i]);
        (void)snprintf(empty, sizeof empty, group ? "The group has no %s.\n" : "There are no %s yet.\n",
                       kind_name(kind, true));
        return cli_print_table(cli, t, empty);
}

ExitCode orders_list(Cli *cli, Kind kind, const Column columns[],
                     void (*add)(Table *t, const Model *m, const Object *o)) {
        const Object *group = NULL;
        ExitCode code;

        code = cli_load(cli);
        if (code == EXIT_DONE && option_given(&cli->options, OPTION_GROUP))
                code = find_object(&cli->model, KIND_GROUP, option_value(&cli->options, OPTION_GROUP),
                                   &group);
        if (code != EXIT_DONE)
                return code;
        return cli_wants_json(cli) ? print_list(cli, kind, group)
                                   : print_table(cli, kind, group, columns, add);
}

const char *orders_count(size_t n, const char *what, char buf[static COUNT_SIZE]) {
        (void)snprintf(buf, COUNT_SIZE, "%zu %s%s", n, what, n == 1 ? "" : "s");
        return buf;
}
