/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* See daemon-steps.c. */
void daemon_steps_attach(const char *root);
