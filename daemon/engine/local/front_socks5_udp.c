/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front_socks5_udp.c - datagrams of a SOCKS5 client, with the header of RFC 1928 section 7.
 *
 * Only the associating client's address is served, as the section has it. Each of its ports is a
 * flow of its own, announced or not: a client may change its port, or use several. What it sends in
 * fragments is refused, as the section allows. Replies get their header by the one copy that there
 * is, into the local's arena.
 */
#include "daemon/engine/local/front_socks5_udp.h"

#include <stdlib.h>

#include "daemon/platform/datagram.h"
#include "proto/error.h"

/* System calls per association and turn; each takes a batch. */
enum { MAX_RECEIVES = 4 };

struct association {
    struct front front;
    struct udptun_endpoint client; /* unmapped; the port is not looked at */
    struct io_watch readable;
    udptun_socket socket;
    uint64_t active_us; /* its opening, or the last datagram of either direction */
    bool is_used;       /* there was one */
};

static void note_use(struct association *a)
{
    a->active_us = a->front.tunnel->engine->loop.now_us;
    a->is_used = true;
}

/* ---- out to the tunnel --------------------------------------------------------------------------
 */

static void forward(struct association *a, const struct udptun_endpoint *source,
                    const uint8_t *data, size_t size)
{
    struct reader r = reader_of(data, size);
    struct socks5_udp_header header;
    struct udptun_machine *m = a->front.tunnel->machine;
    if (!socks5_read_udp_header(&r, &header)) {
        udptun_machine_count_drop(m, NULL, UDPTUN_MACHINE_DROP_NO_FLOW);
        return;
    }
    if (header.fragment != 0) {
        udptun_machine_count_drop(m, NULL, UDPTUN_MACHINE_DROP_POLICY);
        return;
    }
    const struct socks5_address *to = &header.address;
    struct udptun_dest dest = to->name_len ? udptun_dest_of_name(to->name, to->name_len, to->port)
                                           : udptun_dest_of(&to->ep);
    udp_local_send(&a->front, source, &dest, r.at, reader_left(&r));
}

static bool received(void *arg, const struct udp_run *run)
{
    struct association *a = (struct association *)arg;
    const uint8_t *data;
    size_t at = 0, size;
    while (udp_run_next(run, &at, &data, &size)) {
        if (!endpoint_same_ip(&a->client, &run->source)) {
            udptun_machine_count_drop(a->front.tunnel->machine, NULL, UDPTUN_MACHINE_DROP_POLICY);
            continue;
        }
        note_use(a);
        forward(a, &run->source, data, size);
    }
    return true;
}

static void on_readable(void *arg, unsigned events)
{
    (void)events;
    struct association *a = (struct association *)arg;
    struct tunnel *t = a->front.tunnel;
    t->engine->batch_used = true;
    for (int i = 0; i < MAX_RECEIVES; i++)
        if (udp_receive(t->engine->batch, a->socket, received, a) <= 0 ||
            !udp_batch_was_full(t->engine->batch))
            break;
    tunnel_touch(t);
}

/* ---- back to the client -------------------------------------------------------------------------
 */

/* Room in the arena. What lies there already is sent first when it does not suffice. */
static uint8_t *arena_room(struct tunnel *t, size_t size)
{
    struct udp_local *local = t->local;
    if (local->arena_used + size > LOCAL_ARENA_SIZE) {
        udp_sender_flush(t->engine->sender);
        local->arena_used = 0;
    }
    return local->arena + local->arena_used;
}

static void front_socks5_udp_deliver(struct front *front, struct flow *flow,
                                     const struct udptun_dest *peer, const uint8_t *data,
                                     size_t size)
{
    struct association *a = (struct association *)front;
    struct tunnel *t = front->tunnel;
    note_use(a);
    size_t most = SOCKS5_UDP_HEADER_SIZE + size;
    struct writer w = writer_of(arena_room(t, most), most);
    struct socks5_address from = socks5_address_of(&peer->ep);
    socks5_write_udp_header(&w, &from);
    writer_bytes(&w, data, size);
    t->local->arena_used += writer_size(&w);
    udp_sender_add(t->engine->sender, a->socket, &flow->source, w.start, writer_size(&w),
                   &flow->head.owner);
}

static const struct front_ops association_ops = {.deliver = front_socks5_udp_deliver,
                                                 .closed = NULL};

/* ---- life ---------------------------------------------------------------------------------------
 */

struct association *association_open(struct tunnel *t, const struct udptun_endpoint *client,
                                     const struct udptun_endpoint *own,
                                     struct udptun_endpoint *bound, int *failure)
{
    struct association *a = (struct association *)calloc(1, sizeof *a);
    if (!a) {
        *failure = io_error(IO_NO_MEMORY);
        return NULL;
    }
    struct udptun_endpoint ep = *own;
    ep.port = 0;
    struct socket_rules rules = socket_rules_none();
    rules.leaves_spare = true;
    *failure = udp_open(&ep, &rules, 0, &a->socket);
    watch_init(&a->readable, &t->engine->loop, on_readable, a);
    if (*failure == 0 && watch_start(&a->readable, a->socket, LOOP_READ) < 0) {
        *failure = io_error(IO_NO_MEMORY);
        socket_close(a->socket);
    }
    if (*failure) {
        free(a);
        return NULL;
    }
    *bound = socket_own(a->socket);
    front_init(&a->front, &association_ops, t, t->local->next_front++);
    a->client = endpoint_unmapped(client);
    a->active_us = t->engine->loop.now_us;
    return a;
}

uint64_t association_active_us(const struct association *a)
{
    return a->active_us;
}

bool association_is_used(const struct association *a)
{
    return a->is_used;
}

void association_close(struct association *a)
{
    if (!a)
        return;
    udp_local_close_flows(&a->front);
    watch_stop(&a->readable);
    socket_close(a->socket);
    free(a);
}
