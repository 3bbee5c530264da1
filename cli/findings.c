/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>

#include "findings.h"
#include "names.h"

void findings_add(json_t *findings, const char *code, const char *severity, const char *command,
                  const char *remedy, const char *format, ...) {
        _cleanup_json_ json_t *finding = NULL,
                              *commands = command ? json_pack("[s]", command) : json_array();
        char *sentence = NULL;
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf(&sentence, format, ap);
        va_end(ap);
        if (r < 0)
                return;
        finding = json_pack("{s:s, s:s, s:s, s:s, s:O, s:[]}", "Code", code, "Severity", severity,
                            "Sentence", sentence, "Remedy", strempty(remedy), "Commands", commands,
                            "Devices");
        free(sentence);
        (void)json_array_append(findings, finding);
}

/* Addresses in place of paths. */
static json_t *name_devices(json_t *paths) {
        json_t *names = json_array(), *path;
        size_t i;

        json_array_foreach(paths, i, path) {
                char *address = NULL;

                if (sd_bus_path_decode(strempty(json_string_value(path)), BUS_PATH_DEVICES, &address) > 0)
                        (void)json_array_append_new(names, json_string(address));
                free(address);
        }
        return names;
}

static int add_row(json_t *findings, json_t *row) {
        static const char *const keys[] = {"Code", "Severity", "Sentence", "Remedy", "Commands"};
        _cleanup_json_ json_t *finding = json_object();

        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (json_object_set(finding, keys[i], json_array_get(row, i)) < 0)
                        return -ENOMEM;
        if (json_object_set_new(finding, "Devices", name_devices(json_array_get(row, ELEMENTSOF(keys)))) < 0)
                return -ENOMEM;
        return json_array_append(findings, finding);
}

ExitCode findings_of_host(Client *c, json_t *findings) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        _cleanup_json_ json_t *rows = NULL;
        ExitCode code;
        json_t *row;
        size_t i;

        code = client_ask_object(c, BUS_PATH, BUS_INTERFACE_MANAGER, "Diagnose", &reply);
        if (code == EXIT_DONE)
                code = client_read_json(reply, &rows);
        if (code != EXIT_DONE)
                return code;
        json_array_foreach(rows, i, row) if (add_row(findings, row) < 0) return complain_oom();
        return EXIT_DONE;
}
