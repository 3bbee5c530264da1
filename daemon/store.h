/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Where the orders are kept: SQLite in the state directory. The one thing that knows SQLite; another store (etcd, for
 * several nodes) would have this interface. Writing happens in a thread of the store's own, since a full sync can take
 * a disk a long time: a change is one transaction, all or nothing, and its callback comes in the event loop after it
 * is safe on the disk. Changes are done in the order in which they were handed in.
 *
 * A database that is damaged, or that a newer version has written, is left exactly as it is: the store is then
 * read-only, and says why.
 */

#include <systemd/sd-event.h>

#include "claim-record.h"

#define STORE_FILE "store.db"
#define STORE_VERSION 3               /* PRAGMA user_version; each version has its migration and a test */
#define STORE_PENDING_MAX 64U         /* changes whose callback has not come yet */
#define STORE_INTENT_MAX (64U * 1024) /* bytes of an intent's data */
#define STORE_INTENTS_MAX 1000U       /* as many as calls at once, and what crashes have left */
#define STORE_ROWS_MAX (GROUPS_MAX + RULES_MAX + STORE_INTENTS_MAX + CLAIMS_MAX + RUNS_MAX + QUARANTINE_MAX)

/* What MakePassthrough or ReturnToHost is doing, written before it begins and removed after its end: what is left tells
 * of a crash in the middle. One at a time. */
typedef enum IntentKind {
        INTENT_MAKE,
        INTENT_RETURN,
        INTENT_KIND_MAX,
        INTENT_KIND_INVALID = -EINVAL,
} IntentKind;

DECLARE_STRING_TABLE(intent_kind, IntentKind); /* "make", "return" */

typedef struct IntentRecord {
        char id[RECORD_ID_SIZE];
        IntentKind kind;
        char *data; /* the caller's own text, at most STORE_INTENT_MAX */
        uint64_t created;
} IntentRecord;
void intent_record_clear(IntentRecord *i);

typedef struct Store Store;
typedef struct StoreChange StoreChange;

typedef struct StoreContents { /* all owned */
        GroupRecord *groups;
        size_t n_groups;
        RuleRecord *rules; /* oldest first */
        size_t n_rules;
        IntentRecord *intents;
        size_t n_intents;
        ClaimRecord *claims; /* by id; each has its group */
        size_t n_claims;
        RunRecord *runs; /* oldest first; each device has its claim */
        size_t n_runs;
        QuarantineRecord *quarantine; /* one an address */
        size_t n_quarantine;
        uint64_t next_age; /* for the next rule: higher than any that ever was */
} StoreContents;
void store_contents_clear(StoreContents *c);

/* Opens (or makes) the database in the directory `directory_fd` (not of O_PATH: it is synced), checks it and migrates
 * it. Waits for the disk: for the start only. Always gives a store unless memory is out: look at store_read_only(). The
 * contents of a store that is read-only are empty. One store at a time can have a database open. */
int store_open(sd_event *event, int directory_fd, Store **ret, StoreContents *ret_contents);
/* Waits for what was handed in, whose callbacks are not called any more. Not from inside a callback. */
Store *store_free(Store *s);
DEFINE_CLEANUP(Store *, store_free);

/* NULL, or the sentence: which file, what is wrong with it, and what to do. It can become read-only while it is in use,
 * when the disk fails: look again after a change that failed. */
const char *store_read_only(const Store *s);

/* A transaction in the making; each copies what it is given. -ENOMEM. Puts insert or replace by id; deleting what is
 * not there is no error. They are done in this order, and after each one names must be unique; at the end each device
 * of a run must have its claim. A claim, run or quarantine that its own check refuses: -EINVAL. How many there may be
 * of each is the caller's to watch: with too many, all would be read as damaged. */
int store_change_new(StoreChange **ret);
StoreChange *store_change_free(StoreChange *c);
DEFINE_CLEANUP(StoreChange *, store_change_free);
int store_change_put_group(StoreChange *c, const GroupRecord *g);
/* Its rules with it. A group that has claims stays, and the change fails. */
int store_change_delete_group(StoreChange *c, const char *id);
int store_change_put_rule(StoreChange *c, const RuleRecord *r);
int store_change_delete_rule(StoreChange *c, const char *id);
int store_change_put_intent(StoreChange *c, const IntentRecord *i);
int store_change_delete_intent(StoreChange *c, const char *id);
int store_change_put_claim(StoreChange *c, const ClaimRecord *claim);
int store_change_delete_claim(StoreChange *c, const char *id);
int store_change_put_run(StoreChange *c, const RunRecord *run);
int store_change_delete_run(StoreChange *c, const char *id);
/* Replaces that of the address. What is no text in the reason becomes "?". */
int store_change_put_quarantine(StoreChange *c, const QuarantineRecord *q);
int store_change_delete_quarantine(StoreChange *c, const PciAddress *a);

/* r: 0 when it is safe on the disk; else it has had no effect: -ENOSPC, -EIO, -EROFS (read-only since), -EINVAL (it
 * contradicts what is stored: a name twice, a rule without its group, a group that
 * has claims, a length), ... */
typedef void (*store_done_t)(int r, void *userdata);
/* Takes c over in any case. Calls done (which may be NULL) once, later (never from inside), unless this fails: -EROFS:
 * read-only; -EBUSY: STORE_PENDING_MAX are waiting; -ENOMEM. */
int store_commit(Store *s, StoreChange *c, store_done_t done, void *userdata);
