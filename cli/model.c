/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model.h"
#include "names.h"

static const char *const interfaces[KIND_MAX] = {
                [KIND_DEVICE] = BUS_INTERFACE_DEVICE,
                [KIND_GROUP] = BUS_INTERFACE_GROUP,
                [KIND_RULE] = BUS_INTERFACE_RULE,
                [KIND_CLAIM] = BUS_INTERFACE_CLAIM,
};

/* Properties of type o, ao and a(oo). */
static const char *const references[] = {
                "IommuPeers",
                "PhysicalFunction",
                "VirtualFunctions",
                "Groups",
                "Group",
                "Claim",
                "Claims",
                "Rules",
                "Devices",
                "NeedsApproval",
                "Overlaps",
                "ConfirmDevices",
};

const char *kind_name(Kind kind, bool plural) {
        static const char *const names[KIND_MAX][2] = {
                        [KIND_DEVICE] = {"device", "devices"},
                        [KIND_GROUP] = {"group", "groups"},
                        [KIND_RULE] = {"rule", "rules"},
                        [KIND_CLAIM] = {"claim", "claims"},
        };

        assert(kind >= 0 && kind < KIND_MAX);
        return names[kind][plural];
}

Kind kind_from_interface(const char *interface) {
        for (Kind kind = 0; kind < KIND_MAX; kind++)
                if (streq(interface, interfaces[kind]))
                        return kind;
        return KIND_INVALID;
}

const char *object_text(const Object *o, const char *property) {
        return strempty(json_string_value(json_object_get(o->properties, property)));
}

uint64_t object_number(const Object *o, const char *property) {
        return (uint64_t)json_integer_value(json_object_get(o->properties, property));
}

bool object_is(const Object *o, const char *property) {
        return json_is_true(json_object_get(o->properties, property));
}

json_t *object_list(const Object *o, const char *property) {
        return json_object_get(o->properties, property);
}

bool list_has(const json_t *list, const char *text) {
        json_t *item;
        size_t i;

        json_array_foreach(list, i, item) if (streq(strempty(json_string_value(item)), text)) return true;
        return false;
}

const Object *model_at(const Model *m, const char *path) {
        const json_t *place = json_object_get(m->places, path);
        json_int_t n = json_integer_value(place);

        return place ? &m->objects[n % KIND_MAX][n / KIND_MAX] : NULL;
}

const char *model_name(const Model *m, const char *path) {
        const Object *o = model_at(m, path);

        if (o)
                return o->name;
        return streq(path, "/") ? "" : path;
}

char *object_names(const Model *m, const Object *o, const char *property) {
        char *text = NULL;
        size_t size, i;
        json_t *item;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return NULL;
        json_array_foreach(object_list(o, property), i, item)(void) fprintf(
                        f, "%s%s", i > 0 ? ", " : "", model_name(m, strempty(json_string_value(item))));
        if (fclose(f) == 0)
                return text;
        free(text);
        return NULL;
}

static json_t *name_references(const Model *m, const json_t *value) {
        const char *path = json_string_value(value);
        json_t *list, *item;
        size_t i;

        if (path)
                return streq(path, "/") ? json_null() : json_string(model_name(m, path));
        list = json_array();
        json_array_foreach(value, i,
                           item) if (list && json_array_append_new(list, name_references(m, item)) < 0) {
                json_decref(list);
                list = NULL;
        }
        return list;
}

json_t *model_json(const Model *m, const json_t *properties) {
        _cleanup_json_ json_t *copy = json_copy((json_t *)properties);

        for (size_t i = 0; copy && i < ELEMENTSOF(references); i++) {
                const json_t *value = json_object_get(copy, references[i]);

                if (value && json_object_set_new(copy, references[i], name_references(m, value)) < 0)
                        return NULL;
        }
        /* D-Bus has no word for "none"; JSON has. */
        for (const char *const *p = (const char *const[]){"IommuSet", "ConfirmUser", NULL}; copy && *p; p++)
                if (json_integer_value(json_object_get(copy, *p)) == UINT32_MAX &&
                    json_object_set_new(copy, *p, json_null()) < 0)
                        return NULL;
        return STEAL(copy);
}

static int compare(const void *a, const void *b) {
        const Object *x = a, *y = b;
        uint64_t owner = object_number(x, "Owner"), other = object_number(y, "Owner");
        int r = strcmp(x->name, y->name);

        /* VMs and claims of two users can have one name. */
        if (r == 0 && owner != other)
                return owner < other ? -1 : 1;
        return r != 0 ? r : strcmp(x->path, y->path);
}

static const char *text_at(const json_t *everything, Kind kind, const char *path, const char *property) {
        return json_string_value(json_object_get(
                        json_object_get(json_object_get(everything, path), interfaces[kind]), property));
}

static char *make_name(const json_t *everything, const Object *o) {
        const char *group = strempty(text_at(everything, KIND_GROUP, object_text(o, "Group"), "Name"));
        char *name = NULL;

        switch (o->kind) {
        case KIND_DEVICE:
                return strdup(object_text(o, "Address"));
        case KIND_GROUP:
                return strdup(object_text(o, "Name"));
        case KIND_RULE:
                return asprintf(&name, "%s/%s", group, object_text(o, "Name")) < 0 ? NULL : name;
        default:
                return asprintf(&name, "%s/%s", object_text(o, "Vm"), object_text(o, "Name")) < 0 ? NULL
                                                                                                  : name;
        }
}

static int add_object(Model *m, Kind kind, const char *path, json_t *properties) {
        Object *list = reallocarray(m->objects[kind], m->n[kind] + 1, sizeof *list);
        Object o = {.kind = kind, .path = path, .properties = properties};

        if (!list)
                return -ENOMEM;
        m->objects[kind] = list;
        o.name = make_name(m->everything, &o);
        if (!o.name || json_object_set_new(properties, "Path", json_string(path)) < 0) {
                free(o.name);
                return -ENOMEM;
        }
        list[m->n[kind]++] = o;
        return 0;
}

static int add_objects(Model *m) {
        const char *path, *interface;
        json_t *object, *properties;

        json_object_foreach(m->everything, path, object) json_object_foreach(object, interface, properties) {
                Kind kind = kind_from_interface(interface);

                if (kind >= 0 && add_object(m, kind, path, properties) < 0)
                        return -ENOMEM;
        }
        m->places = json_object();
        for (Kind kind = 0; kind < KIND_MAX; kind++) {
                if (m->n[kind] > 0)
                        qsort(m->objects[kind], m->n[kind], sizeof(Object), compare);
                for (size_t i = 0; i < m->n[kind]; i++)
                        if (json_object_set_new(m->places, m->objects[kind][i].path,
                                                json_integer((json_int_t)(i * KIND_MAX + kind))) < 0)
                                return -ENOMEM;
        }
        return 0;
}

static void drop_objects(Model *m) {
        for (Kind kind = 0; kind < KIND_MAX; kind++) {
                for (size_t i = 0; i < m->n[kind]; i++)
                        free(m->objects[kind][i].name);
                free(m->objects[kind]);
                m->objects[kind] = NULL;
                m->n[kind] = 0;
        }
        json_decref(m->places);
        m->places = NULL;
}

/* An object of this name in the JSON object, made if there is none yet. NULL: no memory. */
static json_t *have_object(json_t *parent, const char *name, bool *made) {
        json_t *child = json_object_get(parent, name);

        if (child)
                return child;
        *made = true;
        return json_object_set_new(parent, name, json_object()) < 0 ? NULL : json_object_get(parent, name);
}

int model_change(Model *m, const char *path, const char *interface, const json_t *properties) {
        bool made = false;
        json_t *object, *known;

        object = have_object(m->everything, path, &made);
        known = object ? have_object(object, interface, &made) : NULL;
        if (!known || json_object_update(known, (json_t *)properties) < 0)
                return -ENOMEM;
        if (!made && !json_object_get(properties, "Name"))
                return 0;
        drop_objects(m);
        return add_objects(m);
}

int model_remove(Model *m, const char *path) {
        drop_objects(m);
        (void)json_object_del(m->everything, path);
        return add_objects(m);
}

int model_read(sd_bus_message *reply, Model *ret) {
        Model m = {};
        int r;

        r = bus_json_read(reply, &m.everything);
        if (r > 0)
                r = add_objects(&m);
        else if (r == 0)
                r = -EBADMSG;
        if (r < 0) {
                model_done(&m);
                return r;
        }
        *ret = m;
        return 0;
}

ExitCode model_load(Client *c, Model *ret) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        ExitCode code;
        int r;

        *ret = (Model){};
        code = client_ask_object(c, BUS_PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects",
                                 &reply);
        if (code != EXIT_DONE)
                return code;
        r = model_read(reply, ret);
        return r < 0 ? client_complain_answer(r) : EXIT_DONE;
}

void model_done(Model *m) {
        drop_objects(m);
        json_decref(m->everything);
        *m = (Model){};
}

ExitCode model_load_host(Client *c, json_t **ret) {
        _cleanup_bus_message_ sd_bus_message *call = NULL, *reply = NULL;
        ExitCode code;
        int r;

        code = client_new_call(c, BUS_PATH, "org.freedesktop.DBus.Properties", "GetAll", &call);
        if (code != EXIT_DONE)
                return code;
        r = sd_bus_message_append(call, "s", BUS_INTERFACE_MANAGER);
        if (r < 0)
                return client_complain_message(r);
        code = client_call(c, call, NULL, &reply);
        return code == EXIT_DONE ? client_read_json(reply, ret) : code;
}
