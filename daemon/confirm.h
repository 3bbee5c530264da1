/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A MakePassthrough that somebody has to confirm: it stays open behind its answer, with pending grants and without
 * marks, until Confirm, Revert or its deadline. There is one at most, m->unconfirmed, from the consent on.
 *
 *   wait:     (make, but: Grant with a deadline, Bind without a mark) -> answer, ConfirmationPending
 *   confirm:  intent stored as confirmed -> Keep -> Bind, for the marks -> intent removed
 *   undo:     Release, Drop, rules and intent removed; again and again until all of it is done
 *
 * At the deadline the helper brings home what has moved, too, by itself: whoever comes second finds it done.
 */

#include "transaction.h"

#define CONFIRM_SECONDS_MIN 10U
#define CONFIRM_SECONDS_MAX 3600U

/* ConfirmationPending, with whose and until when, if there is one. */
int confirm_check_none(const Manager *m, Failure *f);
bool confirm_covers(const Manager *m, const PciAddress *a);

/* Make, in its order. Who is to be granted: all, but what root has granted with a deadline himself. */
void confirm_find_fresh(const Manager *m, uid_t uid, const IommuSet *movers, IommuSet *ret);
int confirm_hold(Transaction *t, Failure *f); /* consented: from now on nobody else begins anything */
int confirm_check_time(const Transaction *t, Failure *f); /* before it moves anything: is there time left? */
void confirm_wait(Transaction *t,
                  transaction_answer_t answer); /* all is done: answers, or undoes what is late */

/* The one that Confirm or Revert is about; NULL with a sentence when there is none, or it is at it already. */
Transaction *confirm_find(const Manager *m, Failure *f);
int confirm_check_keep(Transaction *t, Failure *f); /* may it be confirmed as it stands? */
void confirm_keep(Transaction *t, Call *call);
void confirm_revert(Transaction *t, Call *call);

/* What a crash has left. */
void confirm_recover(Transaction *t);

/* It is at its end. */
void confirm_forget(Transaction *t);

/* What the bus shows of it: 0, (uid_t)-1 and nothing when none waits. */
uint64_t confirm_until(const Manager *m); /* CLOCK_REALTIME, microseconds */
uid_t confirm_user(const Manager *m);
const IommuSet *confirm_devices(const Manager *m);
void confirm_show(Manager *m); /* one of these may have changed */
