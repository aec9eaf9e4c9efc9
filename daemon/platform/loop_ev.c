/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop_ev.c - the table of <udptun/loop.h> on libev.
 *
 * A pass of a libev loop ends where the next begins to wait: there, in an ev_prepare, the turn is
 * made, whatever the pass brought. libev drops what is pending for a watcher that is stopped, and
 * hands changes to the system when it waits, so stopping and starting within a pass is free.
 */
#include <ev.h>
#include <stdlib.h>

#include <udptun/error.h>

#include "daemon/platform/loop_private.h"

struct loop_host {
    struct loop *owner;
    struct ev_loop *ev;
    bool own; /* made here */
    ev_prepare before_wait;
    ev_timer timer;
    ev_async woken; /* wakes the loop; the turn does the rest */
};

/* A socket that is watched. */
struct ev_watch {
    ev_io io;
    void *token;
};

/* ---- from libev ---------------------------------------------------------------------------- */

static void on_io(struct ev_loop *ev, ev_io *io, int events)
{
    (void)ev;
    struct ev_watch *w = (struct ev_watch *)(void *)io;
    struct loop_host *host = (struct loop_host *)io->data;
    loop_ready(host->owner, w->token,
               (events & EV_READ ? UDPTUN_LOOP_READ : 0) |
                   (events & EV_WRITE ? UDPTUN_LOOP_WRITE : 0));
}

static void on_loop_ev_timer(struct ev_loop *ev, ev_timer *timer, int events)
{
    (void)ev;
    (void)events;
    loop_due(((struct loop_host *)timer->data)->owner);
}

static void on_before_wait(struct ev_loop *ev, ev_prepare *prepare, int events)
{
    (void)ev;
    (void)events;
    struct loop *owner = ((struct loop_host *)prepare->data)->owner;
    if (owner->turns_always || owner->in_batch || owner->turn_asked)
        loop_turn(owner);
}

static void on_woken(struct ev_loop *ev, ev_async *async, int events)
{
    (void)ev;
    (void)events;
    ((struct loop_host *)async->data)->owner->turn_asked = true;
}

/* ---- the table ----------------------------------------------------------------------------- */

static int mask_of(unsigned events)
{
    return (events & UDPTUN_LOOP_READ ? EV_READ : 0) | (events & UDPTUN_LOOP_WRITE ? EV_WRITE : 0);
}

static void *watch(void *arg, udptun_socket socket, unsigned events, void *token)
{
    struct loop_host *host = (struct loop_host *)arg;
    struct ev_watch *w = (struct ev_watch *)malloc(sizeof *w);
    if (!w)
        return NULL;
    w->token = token;
    ev_io_init(&w->io, on_io, socket, mask_of(events));
    w->io.data = host;
    if (events)
        ev_io_start(host->ev, &w->io);
    return w;
}

static void change(void *arg, void *handle, unsigned events)
{
    struct loop_host *host = (struct loop_host *)arg;
    struct ev_watch *w = (struct ev_watch *)handle;
    ev_io_stop(host->ev, &w->io);
    ev_io_set(&w->io, w->io.fd, mask_of(events));
    if (events)
        ev_io_start(host->ev, &w->io);
}

static void loop_ev_unwatch(void *arg, void *handle)
{
    struct loop_host *host = (struct loop_host *)arg;
    struct ev_watch *w = (struct ev_watch *)handle;
    ev_io_stop(host->ev, &w->io);
    free(w);
}

static void loop_ev_set_timer(void *arg, uint64_t after_us)
{
    struct loop_host *host = (struct loop_host *)arg;
    ev_timer_stop(host->ev, &host->timer);
    if (after_us == UDPTUN_LOOP_NEVER)
        return;
    ev_now_update(host->ev); /* else libev counts from the start of the pass */
    ev_timer_set(&host->timer, (double)after_us / 1e6, 0.);
    ev_timer_start(host->ev, &host->timer);
}

static void wake(void *arg)
{
    struct loop_host *host = (struct loop_host *)arg;
    ev_async_send(host->ev, &host->woken);
}

/* ---- life ---------------------------------------------------------------------------------- */

static struct loop_host *host_new(struct loop *owner, struct ev_loop *ev, bool own)
{
    struct loop_host *host = (struct loop_host *)calloc(1, sizeof *host);
    if (!host)
        return NULL;
    host->owner = owner;
    host->ev = ev;
    host->own = own;
    ev_prepare_init(&host->before_wait, on_before_wait);
    ev_timer_init(&host->timer, on_loop_ev_timer, 0., 0.);
    ev_async_init(&host->woken, on_woken);
    host->before_wait.data = host->timer.data = host->woken.data = host;
    ev_prepare_start(ev, &host->before_wait);
    ev_async_start(ev, &host->woken);
    return host;
}

static void host_free(struct loop_host *host)
{
    ev_prepare_stop(host->ev, &host->before_wait);
    ev_timer_stop(host->ev, &host->timer);
    ev_async_stop(host->ev, &host->woken);
    if (host->own)
        ev_loop_destroy(host->ev);
    free(host);
}

static int init(struct loop *loop, struct ev_loop *ev, bool own, void (*turn)(void *arg), void *arg)
{
    struct loop_host *host = host_new(loop, ev, own);
    if (!host)
        return UDPTUN_E_NOMEM;
    const struct udptun_loop table = {.size = sizeof table,
                                      .arg = host,
                                      .watch = watch,
                                      .change = change,
                                      .unwatch = loop_ev_unwatch,
                                      .timer = loop_ev_set_timer,
                                      .wake = wake};
    loop_init(loop, &table, turn, arg);
    loop->host = host;
    loop->host_free = host_free;
    loop->turns_always = true;
    return UDPTUN_OK;
}

int loop_init_ev(struct loop *loop, struct ev_loop *ev, void (*turn)(void *arg), void *arg)
{
    return init(loop, ev, false, turn, arg);
}

int loop_init_own(struct loop *loop, void (*turn)(void *arg), void *arg)
{
    struct ev_loop *ev = ev_loop_new(EVFLAG_AUTO);
    if (!ev)
        return UDPTUN_E_SYSTEM;
    int code = init(loop, ev, true, turn, arg);
    if (code < 0)
        ev_loop_destroy(ev);
    return code;
}

struct ev_loop *loop_native(const struct loop *loop)
{
    return loop->host ? loop->host->ev : NULL;
}

void loop_run(struct loop *loop)
{
    ev_run(loop->host->ev, 0);
}

void loop_stop(struct loop *loop)
{
    ev_break(loop->host->ev, EVBREAK_ALL);
}
