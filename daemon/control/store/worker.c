/* SPDX-License-Identifier: Apache-2.0 */
/* worker.c - see worker.h: two mailboxes, one for each thread. A job goes there and comes back. */
#include "daemon/control/store/worker.h"

#include <stdbool.h>
#include <stdlib.h>

#include <udptun/error.h>

struct worker {
    struct loop *loop;
    struct thread *thread; /* NULL: not started */
    struct mailbox *there; /* read by the thread */
    struct mailbox *back;  /* read by the loop */
    bool stopping;         /* the thread's alone */
};

static void worker_main(void *arg)
{
    struct worker *w = arg;
    while (!w->stopping)
        mailbox_wait(w->there);
}

static struct worker_job *job_of(struct letter *letter)
{
    return list_entry(letter, struct worker_job, letter);
}

static void finish_job(struct letter *letter)
{
    struct worker_job *job = job_of(letter);
    job->done(job);
}

static void run_job(struct letter *letter)
{
    struct worker_job *job = job_of(letter);
    job->run(job);
    letter->run = finish_job;
    mailbox_post(job->worker->back, letter);
}

void worker_collect(struct worker *w)
{
    if (w)
        mailbox_run(w->back);
}

static void wake(void *arg)
{
    struct worker *w = arg;
    loop_wake(w->loop);
}

struct worker *worker_new(struct loop *loop)
{
    struct worker *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->loop = loop;
    w->there = mailbox_new(NULL, NULL);
    w->back = mailbox_new(wake, w);
    if (!w->there || !w->back) {
        mailbox_free(w->there);
        mailbox_free(w->back);
        free(w);
        return NULL;
    }
    return w;
}

int worker_submit(struct worker *w, struct worker_job *job)
{
    if (!w->thread && thread_start(&w->thread, worker_main, w) != 0)
        return UDPTUN_E_SYSTEM;
    job->worker = w;
    job->letter.run = run_job;
    mailbox_post(w->there, &job->letter);
    return 0;
}

static void stop(void *arg)
{
    struct worker *w = arg;
    w->stopping = true;
}

void worker_free(struct worker *w)
{
    if (!w)
        return;
    if (w->thread)
        mailbox_call(w->there, stop, w); /* behind the jobs */
    thread_join(w->thread);
    mailbox_run(w->back);
    mailbox_free(w->there);
    mailbox_free(w->back);
    free(w);
}
