/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For the tests of migrations: store_open() with the tables of another version. */

#include "store-schema.h"
#include "store.h"

int store_open_as(sd_event *event, int directory_fd, const StoreSchema *schema, Store **ret,
                  StoreContents *ret_contents);
