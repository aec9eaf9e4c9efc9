/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker.h - one thread for what may block (writing and syncing files), in the order given.
 *
 * The thread starts with the first job. Jobs belong to the caller until `done` is called.
 */
#ifndef CONTROL_WORKER_H
#define CONTROL_WORKER_H

#include "daemon/platform/loop.h"
#include "daemon/platform/thread.h"

struct worker;

struct worker_job {
    struct letter letter;                 /* worker_submit()'s: there, and then back */
    struct worker *worker;                /* the same */
    void (*run)(struct worker_job *job);  /* on the worker's thread */
    void (*done)(struct worker_job *job); /* on the loop's thread, once, after `run` */
};

/* `loop` is woken when a job is done; its turn is to call worker_collect(). NULL when memory is
 * short. */
struct worker *worker_new(struct loop *loop);

/* Call `done` of the jobs that are done. NULL is accepted. */
void worker_collect(struct worker *worker);

/* Waits for the jobs submitted, calls `done` of each, and ends the thread. NULL is accepted. */
void worker_free(struct worker *worker);

/* 0, or a negative code: no thread was started, and `job` was not taken. */
int worker_submit(struct worker *worker, struct worker_job *job);

#endif
