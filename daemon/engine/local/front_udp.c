/* SPDX-License-Identifier: Apache-2.0 */
/* front_udp.c - "udp://": every datagram that comes is for the tunnel's target. */
#include "daemon/engine/local/udp_local.h"
#include "daemon/platform/udp_io.h"

/* System calls per turn; each takes a batch. */
enum { MAX_RECEIVES = 4 };

static bool received(void *arg, const struct udp_run *run)
{
    struct tunnel *t = (struct tunnel *)arg;
    struct udp_local *local = t->local;
    const uint8_t *data;
    size_t at = 0, size;
    /* What cannot be sent is counted where it is dropped. */
    while (udp_run_next(run, &at, &data, &size))
        udp_local_send(&local->udp, &run->source, &local->target, data, size);
    if (run->local.family != ENDPOINT_NONE)
        udp_local_set_own(&local->udp, &run->source, &run->local);
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
    if (t->listening.fd >= 0)
        udp_sender_add_from(t->engine->sender, t->listening.fd, &flow->own, &flow->source, data,
                            size, &flow->head);
}

const struct front_ops front_udp_ops = {.deliver = deliver, .closed = NULL};

void front_udp_start(struct tunnel *t)
{
    /* An app takes an answer from where it asked alone; routes may have it from elsewhere. */
    udp_setup(t->listening.fd, endpoint_is_unspecified(&t->listening.bound) ? UDP_WANT_LOCAL : 0);
    ev_io_init(&t->local->readable, on_readable, t->listening.fd, EV_READ);
    t->local->readable.data = t;
    ev_io_start(t->engine->loop, &t->local->readable);
}
