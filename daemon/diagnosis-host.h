/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reads what a diagnosis needs to know about this host. What is not there, or cannot be read, is left out of it; so is
 * what is too long to be true. Files may lie on a disk or an automount that does not answer: for a thread. */

#include "diagnosis.h"

/* -ENOMEM. */
int diagnosis_host_load(int root, DiagnosisHost *ret);
