/* SPDX-License-Identifier: Apache-2.0 */
/* acceptor.c - accept, and rest when there are no descriptors. */
#include "daemon/engine/streams/acceptor.h"

#include <errno.h>

#include "daemon/engine/tunnel/tunnel.h"
#include "daemon/platform/sockaddr.h"
#include "proto/error.h"

/* Streams taken per turn. */
enum { MAX_ACCEPTS = 64 };

static const double pause_s = 1.;

static bool is_shortage(int code)
{
    return code == -EMFILE || code == -ENFILE || code == -ENOBUFS || code == -ENOMEM;
}

static void rest(struct acceptor *a, int sys_errno)
{
    struct tunnel *t = a->tunnel;
    char text[ERRNO_TEXT_SIZE];
    engine_log_gated(t->engine, &a->gate, UDPTUN_LOG_ERROR, tunnel_module(t),
                     "%s: cannot accept: %s; trying again in a second", tunnel_name(t),
                     errno_text(sys_errno, text));
    ev_io_stop(t->engine->loop, &a->readable);
    ev_timer_set(&a->again, pause_s, 0.);
    ev_timer_start(t->engine->loop, &a->again);
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    struct acceptor *a = (struct acceptor *)watcher->data;
    for (int i = 0; i < MAX_ACCEPTS; i++) {
        struct endpoint from = {0};
        int fd = socket_accept(watcher->fd, &from);
        if (fd >= 0) {
            a->taken(a->tunnel, fd, &from);
            continue;
        }
        if (is_shortage(fd))
            rest(a, -fd);
        if (fd != -ECONNABORTED && fd != -EINTR)
            break;
    }
}

static void on_again(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)events;
    ev_io_start(loop, &((struct acceptor *)timer->data)->readable);
}

void acceptor_init(struct acceptor *a, struct tunnel *t, acceptor_taken *taken)
{
    *a = (struct acceptor){.tunnel = t, .taken = taken};
    ev_io_init(&a->readable, on_readable, -1, EV_READ);
    ev_timer_init(&a->again, on_again, pause_s, 0.);
    a->readable.data = a;
    a->again.data = a;
}

void acceptor_start(struct acceptor *a, int fd)
{
    ev_io_set(&a->readable, fd, EV_READ);
    ev_io_start(a->tunnel->engine->loop, &a->readable);
}

void acceptor_stop(struct acceptor *a)
{
    ev_io_stop(a->tunnel->engine->loop, &a->readable);
    ev_timer_stop(a->tunnel->engine->loop, &a->again);
}
