/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What tests of groups, rules and MakePassthrough have in common. Beside the standard devices there is CARD, alone in
 * its IOMMU set like NIC. */

#include "bench.h"

#define CARD "0000:02:00.0"
#define KEPT(address) GRANTS_DIR "/" address ".grant"
#define PENDING(address) PENDING_GRANTS_DIR "/" address ".grant"

typedef struct Path {
        char text[128];
} Path;

int orders_setup(void **state); /* the daemon runs */

sd_bus_message *orders_call_group(Bench *b, sd_bus *from, const Path *group, const char *member,
                                  const char *types, ...);
sd_bus_message *orders_call_rule(Bench *b, sd_bus *from, const Path *rule, const char *member,
                                 const char *types, ...);

sd_bus_message *orders_call_claim(Bench *b, sd_bus *from, const Path *claim, const char *member,
                                  const char *types, ...);

/* These must succeed. binding NULL: the default. */
Path orders_make_group(Bench *b, sd_bus *from, const char *name, const char *binding);
Path orders_make_rule(Bench *b, sd_bus *from, const Path *group, const char *name, const char *filter);
Path orders_make_claim(Bench *b, sd_bus *from, const char *vm, const Path *group, unsigned count);
Path orders_take_path(sd_bus_message *reply);

/* As text: "x", "true", "3", "[a b]", "[(a b) (c d)]"; devices by their addresses, other objects by their paths. In one
 * of a few static buffers. Fails the test when there is no such property or object. */
const char *orders_get_group(Bench *b, const Path *group, const char *property);
const char *orders_get_rule(Bench *b, const Path *rule, const char *property);
const char *orders_get_claim(Bench *b, const Path *claim, const char *property);
const char *orders_get_device(Bench *b, const char *address, const char *property);
const char *orders_get_manager(Bench *b, const char *property);
const char *orders_show(sd_bus_message *reply); /* the whole of it; frees it */

/* Waits until it is so, or contains the text; "": until it is empty. */
void orders_until_group(Bench *b, const Path *group, const char *property, const char *value);
void orders_until_claim(Bench *b, const Path *claim, const char *property, const char *value);
void orders_until_device(Bench *b, const char *address, const char *property, const char *text);
void orders_until_manager(Bench *b, const char *property, const char *text);

/* How many PropertiesChanged of the object had the property. object: an address or a path. */
size_t orders_count_told(Bench *b, const char *object, const char *property);
void orders_forget_signals(Bench *b);
void orders_show_signals(Bench *b); /* for whoever looks for a bug */

/* A list of all objects below the manager: how many have this interface. UINT_MAX: nobody answers. */
unsigned orders_count_objects(Bench *b, const char *interface);

/* MakePassthrough; addresses and siblings are lists with spaces. */
Pending *orders_start_make(Bench *b, sd_bus *from, const char *addresses, const char *siblings,
                           const char *group, const char *binding);
sd_bus_message *orders_make(Bench *b, sd_bus *from, const char *addresses, const char *siblings,
                            const char *group, const char *binding);
/* With confirm-seconds. */
Pending *orders_start_make_until(Bench *b, sd_bus *from, const char *addresses, const char *siblings,
                                 const char *group, const char *binding, uint32_t seconds);
sd_bus_message *orders_make_until(Bench *b, sd_bus *from, const char *addresses, const char *siblings,
                                  const char *group, const char *binding, uint32_t seconds);
Pending *orders_start_return(Bench *b, sd_bus *from, const char *addresses);
sd_bus_message *orders_return(Bench *b, sd_bus *from, const char *addresses);

/* No group, no rule, no grant of either kind, no override; all devices with their drivers. */
bool orders_nothing_is_left(Bench *b);
const char *orders_what_is_left(Bench *b); /* NULL: nothing */
void orders_expect_nothing_left(Bench *b);

/* Looks at the condition again when the files of the helper or of the fakes change, or the bus speaks. */
void orders_until_files(Bench *b, bool (*condition)(void *userdata), void *userdata);

/* The daemon has come to this step, "answer Bind". */
void orders_until_step(Bench *b, const char *step);

/* Each is read by the daemon under test at its next step: see tests/fake/daemon-steps.c. */
void orders_die_at(Bench *b, unsigned step);
void orders_lose_answer(Bench *b, const char *verb);

void orders_gather_daemon(Bench *b); /* which is about to die */

/* Did the daemon die of it? Then it is gathered. Frees the reply. */
bool orders_daemon_died(Bench *b, sd_bus_message *reply);
