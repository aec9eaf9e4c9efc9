/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_ev.h - a client of <udptun/client.h> in a libev loop.
 *
 *     struct udptun_client_ev in_loop;
 *     udptun_client_ev_start(&in_loop, loop, client);
 *     udptun_client_call(client, ...);
 *     ev_run(loop, 0);
 *
 * Header only: the library itself knows no libev. Before each time the loop sleeps, a prepare
 * watcher asks the client for its descriptor, events and timeout, so calls may be made from
 * anywhere without a word to the adapter. The watchers do not keep ev_run() from returning once
 * the client waits for nothing: no connection is open and no timeout runs.
 */
#ifndef UDPTUN_CLIENT_EV_H
#define UDPTUN_CLIENT_EV_H

#include <ev.h>
#include <udptun/client.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Owned by the app; it must live until udptun_client_ev_stop(), or until the client is freed. */
struct udptun_client_ev {
    udptun_client *client; /* NULL once stopped, or freed in a callback */
    struct ev_loop *loop;
    ev_io io;
    ev_timer timer;
    ev_prepare prepare;
    uint64_t generation; /* of the descriptor in `io` */
};

/* Stop the watchers. Call it before udptun_client_free(); only when a callback that this adapter
 * fired frees the client it stops by itself. Harmless when stopped already. */
static inline void udptun_client_ev_stop(struct udptun_client_ev *in_loop)
{
    if (!in_loop->client)
        return;
    in_loop->client = NULL;
    ev_ref(in_loop->loop); /* the prepare watcher was not counted */
    ev_prepare_stop(in_loop->loop, &in_loop->prepare);
    ev_io_stop(in_loop->loop, &in_loop->io);
    ev_timer_stop(in_loop->loop, &in_loop->timer);
}

/* Watch what the client wants watched now. */
static inline void udptun_client_ev_arm(struct udptun_client_ev *in_loop)
{
    struct ev_loop *loop = in_loop->loop;
    int fd = udptun_client_get_fd(in_loop->client);
    unsigned wanted = udptun_client_get_events(in_loop->client);
    uint64_t generation = udptun_client_get_generation(in_loop->client);
    int mask =
        (wanted & UDPTUN_CLIENT_READ ? EV_READ : 0) | (wanted & UDPTUN_CLIENT_WRITE ? EV_WRITE : 0);

    if (fd < 0) {
        ev_io_stop(loop, &in_loop->io);
    } else if (!ev_is_active(&in_loop->io) || generation != in_loop->generation ||
               (in_loop->io.events & (EV_READ | EV_WRITE)) != mask) {
        ev_io_stop(loop, &in_loop->io);
        ev_io_set(&in_loop->io, fd, mask);
        ev_io_start(loop, &in_loop->io);
        in_loop->generation = generation;
    }

    int64_t timeout_ms = udptun_client_get_timeout_ms(in_loop->client);
    ev_timer_stop(loop, &in_loop->timer);
    if (timeout_ms < 0)
        return;
    ev_now_update(loop);
    ev_timer_set(&in_loop->timer, (double)timeout_ms / 1000, 0.);
    ev_timer_start(loop, &in_loop->timer);
}

/* Armed again at once, because a loop without an active watcher ends before it prepares. */
static inline void udptun_client_ev_process(struct udptun_client_ev *in_loop)
{
    if (udptun_client_process(in_loop->client) == UDPTUN_E_CANCELLED)
        udptun_client_ev_stop(in_loop);
    else
        udptun_client_ev_arm(in_loop);
}

static inline void udptun_client_ev_on_io(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    (void)events;
    udptun_client_ev_process((struct udptun_client_ev *)io->data);
}

static inline void udptun_client_ev_on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    udptun_client_ev_process((struct udptun_client_ev *)timer->data);
}

static inline void udptun_client_ev_on_prepare(struct ev_loop *loop, ev_prepare *prepare,
                                               int events)
{
    (void)loop;
    (void)events;
    udptun_client_ev_arm((struct udptun_client_ev *)prepare->data);
}

/* Have `loop` drive `client`. */
static inline void udptun_client_ev_start(struct udptun_client_ev *in_loop, struct ev_loop *loop,
                                          udptun_client *client)
{
    in_loop->client = client;
    in_loop->loop = loop;
    in_loop->generation = 0;
    ev_init(&in_loop->io, udptun_client_ev_on_io);
    ev_init(&in_loop->timer, udptun_client_ev_on_timer);
    ev_prepare_init(&in_loop->prepare, udptun_client_ev_on_prepare);
    in_loop->io.data = in_loop->timer.data = in_loop->prepare.data = in_loop;
    ev_prepare_start(loop, &in_loop->prepare);
    ev_unref(loop);
}

#ifdef __cplusplus
}
#endif

#endif
