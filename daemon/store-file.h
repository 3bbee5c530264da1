/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The file: making it, opening it, and leaving it alone when it is not what it should be. */

#include "store-schema.h"
#include "store.h"

/* Opens store.db in this directory, checks it, brings it to the schema's version and reads it; makes one where there is
 * none. 0: the handle may be written through (store-write.h).
 * -EREMOTEIO: it must not be used; *f has the whole sentence for the user, and neither it nor what stands beside it
 * has been changed. -ENOMEM. */
int store_file_open(int directory_fd, const StoreSchema *schema, sqlite3 **ret, StoreContents *ret_contents,
                    Failure *f);

/* The sentence for a store that cannot be written (any more) for a reason found elsewhere. */
void store_file_explain(int directory_fd, const char *what, Failure *f);
