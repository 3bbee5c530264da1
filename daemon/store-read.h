/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reads everything that a database of this version holds, and takes no row on trust. */

#include <sqlite3.h>

#include "store.h"

/* -EREMOTEIO with what is wrong, without a dot at its end; -errno of SQLite's; -ENOMEM. */
int store_read(sqlite3 *db, StoreContents *ret, Failure *f);
