/* SPDX-License-Identifier: Apache-2.0 */
/* worker.c - see worker.h. `mutex` guards `waiting`, `finished` and `stopping`. */
#include "daemon/control/store/worker.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

#include <udptun/error.h>

#define STACK_SIZE ((size_t)256 << 10)

struct worker {
    struct ev_loop *loop;
    ev_async wake;
    pthread_t thread;
    bool started;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct list waiting;
    struct list finished;
    bool stopping;
};

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    pthread_mutex_lock(&w->mutex);
    for (;;) {
        while (list_empty(&w->waiting) && !w->stopping)
            pthread_cond_wait(&w->changed, &w->mutex);
        if (list_empty(&w->waiting))
            break;
        struct worker_job *job = list_entry(w->waiting.next, struct worker_job, node);
        list_remove(&job->node);
        pthread_mutex_unlock(&w->mutex);
        job->run(job);
        pthread_mutex_lock(&w->mutex);
        list_append(&w->finished, &job->node);
        ev_async_send(w->loop, &w->wake);
    }
    pthread_mutex_unlock(&w->mutex);
    return NULL;
}

static void deliver(struct worker *w)
{
    pthread_mutex_lock(&w->mutex);
    while (!list_empty(&w->finished)) {
        struct worker_job *job = list_entry(w->finished.next, struct worker_job, node);
        list_remove(&job->node);
        pthread_mutex_unlock(&w->mutex);
        job->done(job);
        pthread_mutex_lock(&w->mutex);
    }
    pthread_mutex_unlock(&w->mutex);
}

static void on_wake(struct ev_loop *loop, ev_async *watcher, int events)
{
    (void)loop;
    (void)events;
    deliver(watcher->data);
}

struct worker *worker_new(struct ev_loop *loop)
{
    struct worker *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->loop = loop;
    list_init(&w->waiting);
    list_init(&w->finished);
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->changed, NULL);
    ev_async_init(&w->wake, on_wake);
    w->wake.data = w;
    ev_async_start(loop, &w->wake);
    return w;
}

/* Signals are the main thread's. */
static int start_thread(struct worker *w)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    w->started = pthread_create(&w->thread, &attr, worker_main, w) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return w->started ? 0 : UDPTUN_E_SYSTEM;
}

int worker_submit(struct worker *w, struct worker_job *job)
{
    if (!w->started && start_thread(w) < 0)
        return UDPTUN_E_SYSTEM;
    pthread_mutex_lock(&w->mutex);
    list_init(&job->node);
    list_append(&w->waiting, &job->node);
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->mutex);
    return 0;
}

void worker_free(struct worker *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->mutex);
    w->stopping = true;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->mutex);
    if (w->started)
        pthread_join(w->thread, NULL);
    deliver(w);
    ev_async_stop(w->loop, &w->wake);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->mutex);
    free(w);
}
