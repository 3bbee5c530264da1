/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * All objects of the service as one GetManagedObjects() has told them: each a JSON object of its D-Bus properties, by
 * their D-Bus names (org.verge.Passthrough(5)), with "Path" besides. References to other objects are paths in here;
 * model_json() makes names of them.
 */

#include "bus-json.h"
#include "client.h"

typedef enum Kind {
        KIND_DEVICE,
        KIND_GROUP,
        KIND_RULE,
        KIND_CLAIM,
        KIND_MAX,
        KIND_INVALID = -EINVAL,
} Kind;

typedef struct Object {
        Kind kind;
        const char *path;
        char *name; /* as the command line takes it: "0000:01:00.0", "GROUP", "GROUP/RULE", "VM/CLAIM" */
        json_t *properties;
} Object;

typedef struct Model {
        size_t n[KIND_MAX];
        Object *objects[KIND_MAX]; /* sorted by name */
        json_t *everything;        /* owns what the objects point to */
        json_t *places;            /* path -> kind and index, as one number */
} Model;

ExitCode model_load(Client *c, Model *ret);
void model_done(Model *m);

/* The same from the answer to a GetManagedObjects(). 0 or -EBADMSG, -ENOMEM. */
int model_read(sd_bus_message *reply, Model *ret);

/* For those who follow the signals: an interface of an object is there, or some properties of it are others now; an
 * object is gone. Objects of before are not valid any more. -ENOMEM. */
int model_change(Model *m, const char *path, const char *interface, const json_t *properties);
int model_remove(Model *m, const char *path);

/* The properties of the host's object, Manager. */
ExitCode model_load_host(Client *c, json_t **ret);

/* The object of this path, or NULL. */
const Object *model_at(const Model *m, const char *path);
/* Its name, for people; of a path that nothing has any more the path itself, of "/" "". */
const char *model_name(const Model *m, const char *path);
/* KIND_INVALID: of none. */
Kind kind_from_interface(const char *interface) _pure_;
/* "group", "groups" */
const char *kind_name(Kind kind, bool plural) _const_;

const char *object_text(const Object *o, const char *property) _pure_; /* "" if it has none */
uint64_t object_number(const Object *o, const char *property) _pure_;
bool object_is(const Object *o, const char *property) _pure_;
json_t *object_list(const Object *o, const char *property) _pure_; /* NULL if it has none; borrowed */
bool list_has(const json_t *list, const char *text) _pure_;
/* Names of the objects in such a list, "a, b"; freed by the caller, NULL: no memory. */
char *object_names(const Model *m, const Object *o, const char *property);

/* A copy for others to read, names in place of paths. NULL: no memory. */
json_t *model_json(const Model *m, const json_t *properties);
