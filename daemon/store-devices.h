/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The devices of a run as one text, which is how the database has them: a line each, ended by a newline.
 *
 *   CLAIM ADDRESS VENDOR DEVICE SUBSYSTEM-VENDOR SUBSYSTEM-DEVICE CLASS REVISION here|returning SLOT/SERIAL
 *
 * A device that has settings has a ":" and their fingerprint behind "here" or "returning": 16 hexadecimal digits.
 * One space between them. Slot and serial number may be empty and have spaces in them; a slot, being the name of a
 * directory, has no slash.
 */

#include "claim-record.h"

#define STORE_DEVICES_SIZE 16384U /* bytes of the longest one, at most; the table checks it */

/* -EBADMSG: it is no such text, or has more than RUN_DEVICES_MAX lines; -ENOMEM. There is exactly one text for the same
 * devices. What is left to run_record_check(): that no address comes twice. */
int store_devices_parse(const char *text, RunDevice **ret, size_t *ret_n);

/* -ENOMEM. parse(format(d)) = d when the record is valid. */
int store_devices_format(const RunDevice *devices, size_t n, char **ret);
