/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "model.h"

#define USER_TEXT_SIZE 64

/* Who made a claim: the name, or the number of who has none. Returns buf. */
const char *users_owner(const Object *claim, char buf[static USER_TEXT_SIZE]);
