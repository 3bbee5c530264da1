/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Who may call what: the default-deny table. Each method of our interfaces has a row, and the row decides
 * what is asked before the method does anything; a method without a row is refused.
 */

#include "macro.h"

typedef enum AuthorisationKind {
        AUTHORISATION_OPEN,   /* every local user; the calls of one user are limited */
        AUTHORISATION_POLKIT, /* polkit is asked here, about the sender */
        AUTHORISATION_OWNER,  /* the same, unless it is his own: CallKind.is_owner() */
        AUTHORISATION_HELPER, /* the helper asks polkit, about the sender that we name */
} AuthorisationKind;

typedef struct Authorisation {
        const char *interface, *member;
        AuthorisationKind kind;
        const char *action; /* NULL: none */
} Authorisation;

/* NULL: nobody may. */
const Authorisation *authorisation_find(const char *interface, const char *member);
