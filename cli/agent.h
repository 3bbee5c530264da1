/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The polkit agent of the terminal, pkttyagent(1): it prompts for passwords there, if the session has no agent. */

#include "client.h"

/* Starts it, once, for people at a terminal who are not root, and waits until polkit knows it. Without one polkit's
 * answer says that it could not ask. */
void agent_open(Client *c);
void agent_close(Client *c);
/* Whether it could be started at all. */
bool agent_is_installed(void);
