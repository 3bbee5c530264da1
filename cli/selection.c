/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pci-identity.h"
#include "selection.h"

static ExitCode add(Selection *s, const Object *device) {
        const Object **list;

        for (size_t i = 0; i < s->n; i++)
                if (s->devices[i] == device)
                        return EXIT_DONE;
        list = reallocarray(s->devices, s->n + 1, sizeof *list);
        if (!list)
                return complain_oom();
        s->devices = list;
        s->devices[s->n++] = device;
        return EXIT_DONE;
}

/* A bridge stays where it is when its set moves. */
static ExitCode add_peers(Selection *s, const Model *m, const Object *device) {
        ExitCode code = EXIT_DONE;
        json_t *path;
        size_t i;

        json_array_foreach(object_list(device, "IommuPeers"), i, path) {
                const Object *peer = model_at(m, strempty(json_string_value(path)));

                if (!peer || pci_class_is_bridge((uint32_t)object_number(peer, "ClassCode")))
                        continue;
                code = add(s, peer);
                if (code != EXIT_DONE)
                        break;
        }
        return code;
}

ExitCode selection_find(Cli *cli, bool whole_sets, Selection *ret) {
        ExitCode code;

        *ret = (Selection){};
        code = cli_find_devices(cli, &ret->devices, &ret->n);
        ret->n_named = ret->n;
        for (size_t i = 0; i < ret->n_named && whole_sets && code == EXIT_DONE; i++)
                code = add_peers(ret, &cli->model, ret->devices[i]);
        return code;
}

ExitCode selection_of_set(const Model *m, const Object *device, Selection *ret) {
        ExitCode code;

        *ret = (Selection){.n_named = 1};
        code = add(ret, device);
        return code == EXIT_DONE ? add_peers(ret, m, device) : code;
}

void selection_done(Selection *s) {
        free(s->devices);
        *s = (Selection){};
}

char *selection_text(const Object *const devices[], size_t n) {
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return NULL;
        for (size_t i = 0; i < n; i++)
                (void)fprintf(f, "%s%s", i > 0 ? ", " : "", devices[i]->name);
        if (fclose(f) == 0)
                return text;
        free(text);
        return NULL;
}

int selection_append_paths(sd_bus_message *m, const Object *const devices[], size_t n) {
        int r = sd_bus_message_open_container(m, 'a', "o");

        for (size_t i = 0; i < n && r >= 0; i++)
                r = sd_bus_message_append_basic(m, 'o', devices[i]->path);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int selection_append_addresses(sd_bus_message *m, const Object *const devices[], size_t n) {
        int r = sd_bus_message_open_container(m, 'a', "s");

        for (size_t i = 0; i < n && r >= 0; i++)
                r = sd_bus_message_append_basic(m, 's', devices[i]->name);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int selection_append_reasons(sd_bus_message *m, const Options *o) {
        int r = sd_bus_message_open_container(m, 'a', "s");

        for (size_t i = 0; i < o->n_consent && r >= 0; i++)
                r = sd_bus_message_append_basic(m, 's', o->consent[i]);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

int selection_append_siblings(sd_bus_message *m, const Selection *s) {
        int r;

        if (s->n == s->n_named)
                return 0;
        if ((r = client_open_entry(m, "siblings", "ao")) < 0 ||
            (r = selection_append_paths(m, s->devices + s->n_named, s->n - s->n_named)) < 0)
                return r;
        return client_close_entry(m);
}

int selection_append_consent(sd_bus_message *m, const Options *o) {
        int r;

        if (o->n_consent == 0)
                return 0;
        if ((r = client_open_entry(m, "consent", "as")) < 0 || (r = selection_append_reasons(m, o)) < 0)
                return r;
        return client_close_entry(m);
}
