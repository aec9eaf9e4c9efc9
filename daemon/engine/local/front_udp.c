/* SPDX-License-Identifier: Apache-2.0 */
/* front_udp.c - "udp://": every datagram that comes is for the tunnel's target. */
#include "daemon/engine/local/udp_local.h"
#include "daemon/platform/datagram.h"

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
    if (endpoint_is_unspecified(&t->listening.bound))
        udp_local_set_own(&local->udp, &run->source, &run->local);
    return true;
}

static void on_readable(void *arg, unsigned events)
{
    (void)events;
    struct tunnel *t = (struct tunnel *)arg;
    struct udptun_engine *e = t->engine;
    e->batch_used = true;
    for (int i = 0; i < MAX_RECEIVES; i++)
        if (udp_receive(e->batch, t->listening.socket, received, t) <= 0 ||
            !udp_batch_was_full(e->batch))
            break;
    tunnel_touch(t);
}

static void front_udp_deliver(struct front *front, struct flow *flow,
                              const struct udptun_dest *peer, const uint8_t *data, size_t size)
{
    (void)peer;
    struct tunnel *t = front->tunnel;
    if (t->listening.socket != NO_SOCKET)
        udp_sender_add_from(t->engine->sender, t->listening.socket, &flow->own, &flow->source, data,
                            size, &flow->head.owner);
    else
        udptun_machine_count_drop(t->machine, flow->head.binding, UDPTUN_MACHINE_DROP_NO_FLOW);
}

const struct front_ops front_udp_ops = {.deliver = front_udp_deliver, .closed = NULL};

int front_udp_start(struct tunnel *t)
{
    watch_init(&t->local->readable, &t->engine->loop, on_readable, t);
    return watch_start(&t->local->readable, t->listening.socket, LOOP_READ);
}
