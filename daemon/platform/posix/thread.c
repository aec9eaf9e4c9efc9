/* SPDX-License-Identifier: Apache-2.0 */
/* thread.c - threads and mailboxes on POSIX threads. */
#include "daemon/platform/thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

/* ---- threads ------------------------------------------------------------------------------- */

struct thread {
    pthread_t id;
    void (*run)(void *arg);
    void *arg;
};

static void *thread_begin(void *arg)
{
    struct thread *thread = (struct thread *)arg;
    thread->run(thread->arg);
    return NULL;
}

/* The app's signals are not this thread's: all are blocked in it from the start. */
static int thread_create(struct thread *thread)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(&thread->id, NULL, thread_begin, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failure;
}

int thread_start(struct thread **made, void (*run)(void *arg), void *arg)
{
    struct thread *thread = (struct thread *)calloc(1, sizeof *thread);
    if (!thread)
        return ENOMEM;
    thread->run = run;
    thread->arg = arg;
    *made = thread; /* it may look at it at once */
    int failure = thread_create(thread);
    if (failure == 0)
        return 0;
    *made = NULL;
    free(thread);
    return failure;
}

void thread_join(struct thread *thread)
{
    if (!thread)
        return;
    pthread_join(thread->id, NULL);
    free(thread);
}

bool thread_is_me(const struct thread *thread)
{
    return pthread_equal(pthread_self(), thread->id);
}

/* ---- mailboxes ----------------------------------------------------------------------------- */

struct mailbox {
    pthread_mutex_t lock;
    pthread_cond_t posted; /* for mailbox_wait() */
    pthread_cond_t called; /* for mailbox_call() */
    struct list letters;
    void (*wake)(void *arg);
    void *arg;
};

struct mailbox *mailbox_new(void (*wake)(void *arg), void *arg)
{
    struct mailbox *m = (struct mailbox *)calloc(1, sizeof *m);
    if (!m)
        return NULL;
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->posted, NULL);
    pthread_cond_init(&m->called, NULL);
    list_init(&m->letters);
    m->wake = wake;
    m->arg = arg;
    return m;
}

void mailbox_free(struct mailbox *m)
{
    if (!m)
        return;
    pthread_cond_destroy(&m->called);
    pthread_cond_destroy(&m->posted);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

void mailbox_post(struct mailbox *m, struct letter *letter)
{
    pthread_mutex_lock(&m->lock);
    bool first = list_empty(&m->letters);
    list_init(&letter->node);
    list_append(&m->letters, &letter->node);
    if (first)
        pthread_cond_signal(&m->posted);
    pthread_mutex_unlock(&m->lock);
    if (first && m->wake)
        m->wake(m->arg);
}

/* A call lives on its caller's stack. */
struct posted_call {
    struct letter letter;
    struct mailbox *mailbox;
    void (*run)(void *arg);
    void *arg;
    bool done; /* under the lock */
};

static void thread_run_call(struct letter *letter)
{
    struct posted_call *call = (struct posted_call *)(void *)letter;
    struct mailbox *m = call->mailbox;
    call->run(call->arg);
    pthread_mutex_lock(&m->lock);
    call->done = true; /* and with that it may be gone */
    pthread_cond_broadcast(&m->called);
    pthread_mutex_unlock(&m->lock);
}

void mailbox_call(struct mailbox *m, void (*run)(void *arg), void *arg)
{
    struct posted_call call = {
        .letter = {.run = thread_run_call}, .mailbox = m, .run = run, .arg = arg};
    mailbox_post(m, &call.letter);
    pthread_mutex_lock(&m->lock);
    while (!call.done)
        pthread_cond_wait(&m->called, &m->lock);
    pthread_mutex_unlock(&m->lock);
}

static void run_all(struct mailbox *m, bool wait)
{
    struct list now;
    list_init(&now);
    pthread_mutex_lock(&m->lock);
    while (wait && list_empty(&m->letters))
        pthread_cond_wait(&m->posted, &m->lock);
    /* What comes meanwhile is for the next time: the reader has other work as well. */
    while (!list_empty(&m->letters))
        list_move(&now, m->letters.next);
    pthread_mutex_unlock(&m->lock);
    while (!list_empty(&now)) {
        struct letter *letter = list_entry(now.next, struct letter, node);
        list_remove(&letter->node);
        letter->run(letter);
    }
}

void mailbox_run(struct mailbox *m)
{
    run_all(m, false);
}

void mailbox_wait(struct mailbox *m)
{
    run_all(m, true);
}
