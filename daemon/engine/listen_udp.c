/* SPDX-License-Identifier: Apache-2.0 */
/* listen_udp.c - "udp://": every datagram that comes is for the tunnel's target. */
#include "daemon/engine/local.h"
#include "daemon/engine/udp_io.h"

/* System calls per turn; each takes a batch. */
enum { MAX_RECEIVES = 4 };

static bool received(void *arg, const struct udp_run *run)
{
    struct tunnel *t = (struct tunnel *)arg;
    struct local *local = t->local;
    const uint8_t *data;
    size_t at = 0, size;
    /* What cannot be sent is counted where it is dropped. */
    while (udp_run_next(run, &at, &data, &size))
        local_send(&local->udp, &run->source, &local->target, data, size);
    if (run->local.family != ENDPOINT_NONE)
        local_set_own(&local->udp, &run->source, &run->local);
    return true;
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    struct tunnel *t = (struct tunnel *)watcher->data;
    struct udptun_engine *e = t->engine;
    e->batch_used = true;
    for (int i = 0; i < MAX_RECEIVES; i++)
        if (udp_receive(e->batch, watcher->fd, received, t) <= 0 || !udp_batch_was_full(e->batch))
            break;
    tunnel_touch(t);
}

static void deliver(struct front *front, struct flow *flow, const struct udpt_dest *peer,
                    const uint8_t *data, size_t size)
{
    (void)peer;
    struct tunnel *t = front->tunnel;
    if (t->listener.fd >= 0)
        udp_sender_add_from(t->engine->sender, t->listener.fd, &flow->own, &flow->source, data,
                            size, &flow->head);
}

const struct front_ops front_udp_ops = {.deliver = deliver, .closed = NULL};

void listen_udp_start(struct tunnel *t)
{
    /* An app takes an answer from where it asked alone; routes may have it from elsewhere. */
    udp_setup(t->listener.fd, endpoint_is_unspecified(&t->listener.bound) ? UDP_WANT_LOCAL : 0);
    ev_io_init(&t->local->readable, on_readable, t->listener.fd, EV_READ);
    t->local->readable.data = t;
    ev_io_start(t->engine->loop, &t->local->readable);
}
