/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine_thread.c - an engine on a thread of its own: calls of other threads go through its
 * mailbox.
 *
 * A caller sleeps until the loop has run its call, at the end of a turn.
 */
#include "daemon/engine/core/core.h"
#include "daemon/platform/result.h"
#include "daemon/platform/thread.h"

static void run_loop(void *arg)
{
    loop_run((struct loop *)arg);
}

static void wake(void *arg)
{
    loop_wake((struct loop *)arg);
}

int engine_thread_start(struct udptun_engine *e, struct udptun_error *err)
{
    e->mailbox = mailbox_new(wake, &e->loop);
    if (!e->mailbox)
        return error_set(err, UDPTUN_E_NOMEM, NULL, "engine: out of memory");
    int failure = thread_start(&e->thread, run_loop, &e->loop);
    if (failure == 0)
        return UDPTUN_OK;
    mailbox_free(e->mailbox);
    e->mailbox = NULL;
    return error_set_errno(err, UDPTUN_E_SYSTEM, failure, NULL, "engine: no thread");
}

void engine_call(struct udptun_engine *e, void (*run)(void *arg), void *arg)
{
    if (!e->thread || thread_is_me(e->thread))
        run(arg);
    else
        mailbox_call(e->mailbox, run, arg);
}

void engine_thread_turn(struct udptun_engine *e)
{
    if (e->mailbox)
        mailbox_run(e->mailbox);
}

static void stop_loop(void *arg)
{
    loop_stop((struct loop *)arg);
}

void engine_thread_stop(struct udptun_engine *e)
{
    mailbox_call(e->mailbox, stop_loop, &e->loop);
    thread_join(e->thread);
    mailbox_free(e->mailbox);
    e->thread = NULL;
    e->mailbox = NULL;
}
