/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Which object a word of the command line means. Devices: an address with or without its domain, a slot (the firmware's
 * name for it, or an address without its function), or a part of the name, in any case. Others: their name, their id
 * (UUID) or a part of the name; a rule and a claim also without what stands before the "/". Of all: the D-Bus path.
 * What is meant exactly goes before what is meant by a part; among claims the caller's own go first.
 */

#include "model.h"

/* Complains when there is none (EXIT_NOT_FOUND) or more than one: then with the candidates. */
ExitCode find_object(const Model *m, Kind kind, const char *word, const Object **ret);

/* Several; each once, however often it is named. The list is freed by the caller. */
ExitCode find_objects(const Model *m, Kind kind, size_t n, char *const words[], const Object ***ret,
                      size_t *ret_n);
