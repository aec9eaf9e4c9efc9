/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine_thread.c - an engine on a thread of its own: calls of other threads become jobs of its
 * loop.
 *
 * A job lives on its caller's stack; the caller sleeps until the loop has run it. The lock
 * guards the queue and the jobs' `done`, nothing else: no job runs under it.
 */
#include "daemon/engine/core/core.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "proto/error.h"

struct job {
    void (*run)(void *arg);
    void *arg;
    bool done;
    struct list node;
};

struct engine_thread {
    pthread_t id;
    pthread_mutex_t lock;
    pthread_cond_t finished;
    struct list jobs;
    ev_async wake;
};

static void run_jobs(struct ev_loop *loop, ev_async *watcher, int events)
{
    (void)loop;
    (void)events;
    struct engine_thread *thread = (struct engine_thread *)watcher->data;
    pthread_mutex_lock(&thread->lock);
    while (!list_empty(&thread->jobs)) {
        struct job *job = list_entry(thread->jobs.next, struct job, node);
        list_remove(&job->node);
        pthread_mutex_unlock(&thread->lock);
        job->run(job->arg);
        pthread_mutex_lock(&thread->lock);
        job->done = true;
        pthread_cond_broadcast(&thread->finished);
    }
    pthread_mutex_unlock(&thread->lock);
}

static void *run_loop(void *arg)
{
    struct udptun_engine *e = (struct udptun_engine *)arg;
    ev_run(e->loop, 0);
    return NULL;
}

/* The app's signals are not this thread's: all are blocked in it from the start. */
static int create_thread(struct udptun_engine *e, pthread_t *id)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(id, NULL, run_loop, e);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

int engine_thread_start(struct udptun_engine *e, struct udptun_error *err)
{
    struct engine_thread *thread = (struct engine_thread *)calloc(1, sizeof *thread);
    if (!thread)
        return error_set(err, UDPTUN_E_NOMEM, NULL, "engine: out of memory");
    list_init(&thread->jobs);
    pthread_mutex_init(&thread->lock, NULL);
    pthread_cond_init(&thread->finished, NULL);
    ev_async_init(&thread->wake, run_jobs);
    thread->wake.data = thread;
    ev_async_start(e->loop, &thread->wake);
    e->thread = thread;
    int code = create_thread(e, &thread->id);
    if (code == 0)
        return UDPTUN_OK;
    ev_async_stop(e->loop, &thread->wake);
    pthread_cond_destroy(&thread->finished);
    pthread_mutex_destroy(&thread->lock);
    free(thread);
    e->thread = NULL;
    return error_set_errno(err, UDPTUN_E_SYSTEM, code, NULL, "engine: no thread");
}

void engine_call(struct udptun_engine *e, void (*run)(void *arg), void *arg)
{
    struct engine_thread *thread = e->thread;
    if (!thread || pthread_equal(pthread_self(), thread->id)) {
        run(arg);
        return;
    }
    struct job job = {.run = run, .arg = arg, .done = false};
    pthread_mutex_lock(&thread->lock);
    list_append(&thread->jobs, &job.node);
    ev_async_send(e->loop, &thread->wake);
    while (!job.done)
        pthread_cond_wait(&thread->finished, &thread->lock);
    pthread_mutex_unlock(&thread->lock);
}

static void break_loop(void *arg)
{
    struct udptun_engine *e = (struct udptun_engine *)arg;
    ev_break(e->loop, EVBREAK_ALL);
}

void engine_thread_stop(struct udptun_engine *e)
{
    struct engine_thread *thread = e->thread;
    engine_call(e, break_loop, e);
    pthread_join(thread->id, NULL);
    ev_async_stop(e->loop, &thread->wake);
    pthread_cond_destroy(&thread->finished);
    pthread_mutex_destroy(&thread->lock);
    free(thread);
    e->thread = NULL;
}
