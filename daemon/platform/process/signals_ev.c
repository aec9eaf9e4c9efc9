/* SPDX-License-Identifier: Apache-2.0 */
/* signals_ev.c - signals, by libev. */
#include "daemon/platform/process/signals.h"

#include <ev.h>
#include <signal.h>
#include <stdlib.h>

struct signals {
    struct ev_loop *ev;
    const struct signals_ops *ops;
    void *arg;
    ev_signal terminate, interrupt, hangup;
};

static void on_stop(struct ev_loop *ev, ev_signal *watcher, int events)
{
    (void)ev;
    (void)events;
    const struct signals *s = (const struct signals *)watcher->data;
    s->ops->stop(s->arg, watcher->signum);
}

static void on_hangup_signal(struct ev_loop *ev, ev_signal *watcher, int events)
{
    (void)ev;
    (void)events;
    const struct signals *s = (const struct signals *)watcher->data;
    s->ops->reload(s->arg);
}

struct signals *signals_new(struct loop *loop, const struct signals_ops *ops, void *arg)
{
    struct signals *s = (struct signals *)calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->ev = loop_native(loop);
    s->ops = ops;
    s->arg = arg;
    ev_signal_init(&s->terminate, on_stop, SIGTERM);
    ev_signal_init(&s->interrupt, on_stop, SIGINT);
    ev_signal_init(&s->hangup, on_hangup_signal, SIGHUP);
    s->terminate.data = s->interrupt.data = s->hangup.data = s;
    ev_signal_start(s->ev, &s->terminate);
    ev_signal_start(s->ev, &s->interrupt);
    ev_signal_start(s->ev, &s->hangup);
    return s;
}

void signals_free(struct signals *s)
{
    if (!s)
        return;
    ev_signal_stop(s->ev, &s->terminate);
    ev_signal_stop(s->ev, &s->interrupt);
    ev_signal_stop(s->ev, &s->hangup);
    free(s);
}
