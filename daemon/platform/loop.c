/* SPDX-License-Identifier: Apache-2.0 */
/* loop.c - watches and batches on any event loop; the timers are in timer.c. */
#include "daemon/platform/loop.h"

#include <stdlib.h>

#include <udptun/error.h>

#include "daemon/platform/clock.h"
#include "daemon/platform/loop_private.h"

/* What the host knows a watch by. */
struct loop_token {
    struct io_watch *watch; /* NULL: it was stopped */
    void *handle;           /* the host's name for it */
    struct loop_token *next;
};

/* ---- batches ------------------------------------------------------------------------------- */

void loop_refresh(struct loop *loop)
{
    loop->now_us = clock_us();
}

static void open_batch(struct loop *loop)
{
    if (loop->in_batch)
        return;
    loop->in_batch = true;
    loop_refresh(loop);
}

void loop_ready(struct loop *loop, void *token, unsigned events)
{
    struct io_watch *w = ((struct loop_token *)token)->watch;
    open_batch(loop);
    if (w && (events & w->events))
        w->ready(w->arg, events & w->events);
}

void loop_due(struct loop *loop)
{
    loop->armed_us = LOOP_NEVER_US;
    open_batch(loop);
    loop->in_due = true;
    timers_run(loop);
    loop->in_due = false;
}

static void free_tokens(struct loop *loop)
{
    while (loop->gone) {
        struct loop_token *token = loop->gone;
        loop->gone = token->next;
        free(token);
    }
}

void loop_turn(struct loop *loop)
{
    open_batch(loop);
    loop->turn_asked = false;
    if (loop->turn)
        loop->turn(loop->arg);
    loop->in_batch = false;
    if (loop->gone)
        free_tokens(loop);
    loop_arm(loop);
}

void loop_arm(struct loop *loop)
{
    uint64_t at_us = loop->timers ? loop->timers->place_us : LOOP_NEVER_US;
    if (at_us >= loop->armed_us)
        return;
    loop->armed_us = at_us;
    loop_refresh(loop); /* the host counts from now, not from the start of the batch */
    loop->table.timer(loop->table.arg, at_us > loop->now_us ? at_us - loop->now_us : 0);
}

void loop_turn_soon(struct loop *loop)
{
    if (loop->in_batch || loop->turn_asked || loop->turns_always)
        return;
    loop->turn_asked = true;
    loop->armed_us = 0; /* brought forward; loop_turn() follows and sets the right one */
    loop->table.timer(loop->table.arg, 0);
}

void loop_wake(struct loop *loop)
{
    if (loop->table.wake)
        loop->table.wake(loop->table.arg);
}

void loop_turn_when_asked(struct loop *loop)
{
    loop->turns_always = false;
}

void loop_init(struct loop *loop, const struct udptun_loop *table, void (*turn)(void *arg),
               void *arg)
{
    *loop = (struct loop){.table = *table, .turn = turn, .arg = arg, .armed_us = LOOP_NEVER_US};
    loop_refresh(loop);
}

void loop_fini(struct loop *loop)
{
    free_tokens(loop);
    if (loop->host)
        loop->host_free(loop->host);
    else if (loop->table.timer && loop->armed_us != LOOP_NEVER_US)
        loop->table.timer(loop->table.arg, LOOP_NEVER_US);
    *loop = (struct loop){0};
}

/* ---- watches ------------------------------------------------------------------------------- */

void watch_init(struct io_watch *w, struct loop *loop, watch_ready *ready, void *arg)
{
    *w = (struct io_watch){.loop = loop, .ready = ready, .arg = arg};
}

int watch_start(struct io_watch *w, udptun_socket socket, unsigned events)
{
    struct loop *loop = w->loop;
    struct loop_token *token = (struct loop_token *)malloc(sizeof *token);
    if (!token)
        return UDPTUN_E_NOMEM;
    *token = (struct loop_token){.watch = w};
    token->handle = loop->table.watch(loop->table.arg, socket, events, token);
    if (!token->handle) {
        free(token);
        return UDPTUN_E_NOMEM;
    }
    w->token = token;
    w->socket = socket;
    w->events = events;
    return UDPTUN_OK;
}

void watch_set(struct io_watch *w, unsigned events)
{
    if (events == w->events)
        return;
    w->events = events;
    w->loop->table.change(w->loop->table.arg, w->token->handle, events);
}

void watch_stop(struct io_watch *w)
{
    struct loop_token *token = w->token;
    struct loop *loop = w->loop;
    if (!token)
        return;
    loop->table.unwatch(loop->table.arg, token->handle);
    token->watch = NULL;
    token->next = loop->gone;
    loop->gone = token;
    w->token = NULL;
    w->events = 0;
    loop_turn_soon(loop);
}
