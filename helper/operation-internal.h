/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the two halves of an operation share. admission.c: is there a place for it, who calls, who is let in, who
 * consents. operation.c: its workers, its answer, its end.
 */

#include "operation.h"

struct Operation {
        Operations *all;
        Operation *next;
        sd_bus_message *call; /* NULL once answered */
        const Verb *verb;
        Request request;
        char *subject;
        char set[PCI_ADDRESS_SIZE]; /* of a move or a plan: the IOMMU set's number, or else the device */
        bool preparing, for_daemon;
        Authorisation *authorisation;
        BusUidQuery *who; /* is to be let in */
        PolkitQuery *question;
        uid_t caller;       /* (uid_t)-1 while nobody knows: of a verb that prompts, whose consent it is */
        const char *action; /* that polkit was asked about; NULL: it was not */
        PolkitVerdict verdict;
        Worker *worker;
        operation_ended_t ended; /* of our own, without a call */
        void *userdata;
};

/* One that stands in the list, and has done nothing yet. NULL: out of memory. */
Operation *operation_new(Operations *all, const Verb *verb, const Request *q);

Operation *operation_free(Operation *o);

/* Ends with the last thing that could still call back. */
void operation_release_if_done(Operation *o);

/* Answers the call, if somebody still waits for that: with the failure, or with what the worker has found. */
void operation_answer(Operation *o, const Failure *f, const WorkerResult *result);
void operation_answer_failure(Operation *o, FailureKind kind, const char *format, ...) _printf_(3, 4);

/* A worker that does this, and what comes of it; or the failure is answered, and -errno returned. */
int operation_start_worker(Operation *o, worker_work_t work, unsigned writes);

/* The verb's own work: all who had to be asked have said yes. */
void operation_start_work(Operation *o);

/* Asks polkit what the worker that prepared it has found, and then has the work done. */
void admission_ask(Operation *o, const WorkerResult *result);
