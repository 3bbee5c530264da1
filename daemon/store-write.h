/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Carries out changes: each one transaction, on the disk when it is reported. */

#include <sqlite3.h>

#include "store.h"

typedef struct StoreWriter StoreWriter;

/* Takes db over when it succeeds, and closes it at the end. -errno. */
int store_writer_new(sqlite3 *db, StoreWriter **ret);
StoreWriter *store_writer_free(StoreWriter *w);
DEFINE_CLEANUP(StoreWriter *, store_writer_free);

/* 0: it is safe on the disk. -errno: it has had no effect; when that cannot be promised, or the database turned out to
 * be damaged, *broken says so in a part of a sentence, and nothing is written any more: -EROFS. */
int store_writer_commit(StoreWriter *w, const StoreChange *c, Failure *broken);
