/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* "Did you mean ...?": words that differ by a slip of the finger. */

#include "macro.h"

/* Whether one becomes the other by at most two letters more, less, other or exchanged with their neighbour, and most of
 * it stays; in any case. */
bool similar(const char *a, const char *b) _pure_;
