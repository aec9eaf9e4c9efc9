/* SPDX-License-Identifier: Apache-2.0 */
/* datagram.c - datagrams of a binding, in and out; and of copies the first. */
#include <stdlib.h>

#include "proto/error.h"
#include "proto/udpt/internal.h"

bool datagram_fresh(struct udptun_binding *b, uint32_t sequence)
{
    struct rx_window *w = b->rx_window;
    if (!w) {
        w = b->rx_window = (struct rx_window *)calloc(1, sizeof *w);
        if (!w)
            return true; /* a copy too many is better than none */
        w->highest = sequence;
        w->bits[sequence / 64 % (RX_WINDOW_BITS / 64)] |= UINT64_C(1) << sequence % 64;
        return true;
    }
    int32_t ahead = (int32_t)(sequence - w->highest);
    if (ahead <= -RX_WINDOW_BITS)
        return false;
    if (ahead >= RX_WINDOW_BITS)
        memset(w->bits, 0, sizeof w->bits);
    for (uint32_t i = w->highest + 1; ahead < RX_WINDOW_BITS && (int32_t)(sequence - i) >= 0; i++)
        w->bits[i / 64 % (RX_WINDOW_BITS / 64)] &= ~(UINT64_C(1) << i % 64);
    if (ahead > 0)
        w->highest = sequence;
    uint64_t *word = &w->bits[sequence / 64 % (RX_WINDOW_BITS / 64)];
    uint64_t bit = UINT64_C(1) << sequence % 64;
    bool fresh = !(*word & bit);
    *word |= bit;
    return fresh;
}

void datagram_sequence_anew(struct udptun_binding *b)
{
    free(b->rx_window);
    b->rx_window = NULL;
}

void datagram_deliver(struct udptun_binding *b, const struct udptun_dest *dest, const uint8_t *data,
                      size_t size)
{
    struct udptun_session *s = b->session;
    struct udptun_machine *m = s->m;
    b->rx_packets++;
    b->rx_bytes += size;
    s->rx_bytes += size;
    m->counters.rx_packets++;
    m->counters.rx_bytes += size;
    b->dns_only = b->dns_only && dest->ep.port == DNS_PORT;
    binding_touch(b);
    m->ops->datagram(m->arg, b, dest, data, size);
}

bool datagram_held_now(const struct udptun_binding *b)
{
    uint64_t now_us = b->session->m->now_us;
    if (b->awaits_port && now_us < b->awaits_until_us)
        return true;
    for (unsigned i = 0; b->hold_us != 0 && i < UDPTUN_MACHINE_MAX_LEGS; i++) {
        const struct udptun_conn *c = b->session->legs[i].conn;
        uint64_t since_us = c && c != b->conn ? leg_unacked_since(c) : 0;
        if (since_us != 0 && since_us <= b->hold_us)
            return true;
    }
    return false;
}

/* Whether the far end, a server, offered it. */
static bool has_capability(const struct udptun_binding *b, enum udpt_capability capability)
{
    const struct udptun_session *s = b->session;
    return s->m->config.role == UDPTUN_MACHINE_LOCAL && (s->params.capabilities & capability);
}

/* What goes along with an inline datagram. */
static void fill_inline(const struct udptun_binding *b, struct inline_header *h,
                        const uint32_t *sequence)
{
    if (b->session->m->config.role == UDPTUN_MACHINE_LOCAL && !b->confirmed) {
        h->flags |= INLINE_LABEL;
        if (b->source_port && has_capability(b, CAPABILITY_SOURCE_PORT))
            h->flags |= INLINE_PORT;
        h->port = b->source_port;
    }
    if (h->dest.dont_fragment && has_capability(b, CAPABILITY_DONT_FRAGMENT))
        h->flags |= INLINE_WHOLE;
    if (sequence) {
        h->flags |= INLINE_SEQUENCE;
        h->sequence = *sequence;
    }
}

/* One datagram into the output of `c`, by its short id where one is live. */
static bool write_datagram(struct udptun_binding *b, struct udptun_conn *c, uint64_t since_us,
                           const struct udptun_dest *dest, const uint8_t *data, size_t size,
                           const uint32_t *sequence)
{
    leg_send_clock(c, since_us);
    struct peer *p = peer_of(b, dest);
    uint64_t id = FRAME_INLINE;
    struct inline_header header = {.binding = b->id, .label = b->label, .dest = *dest};
    bool announced = p && announce_live(p, sequence != NULL, &id);
    /* Only an inline datagram can say that it is not to be fragmented. */
    bool live = announced && !(dest->dont_fragment && has_capability(b, CAPABILITY_DONT_FRAGMENT));
    size_t head_size = live && sequence ? sizeof *sequence : 0;
    if (!live) {
        id = FRAME_INLINE;
        fill_inline(b, &header, sequence);
        head_size = frame_inline_size(&header);
    }
    size_t whole = frame_size(id, head_size + size);
    uint8_t *to = conn_reserve(c, whole);
    if (!to)
        return false;
    size_t at = frame_put_header(to, id, head_size + size);
    struct writer w = writer_of(to + at, head_size);
    if (!live)
        frame_put_inline(&w, &header);
    else if (sequence)
        writer_u32(&w, *sequence);
    if (size > 0)
        memcpy(to + at + head_size, data, size);
    conn_commit(c, whole);
    leg_count_sent(c, whole);
    if (p && !announced)
        announce_used(p);
    return true;
}

static void count_sent(struct udptun_binding *b, size_t size)
{
    struct udptun_machine *m = b->session->m;
    b->tx_packets++;
    b->tx_bytes += size;
    b->session->tx_bytes += size;
    m->counters.tx_packets++;
    m->counters.tx_bytes += size;
}

bool datagram_write(struct udptun_binding *b, struct udptun_conn *c, const struct udptun_dest *dest,
                    const uint8_t *data, size_t size)
{
    bool sequenced = route_copies(b->session) > 1;
    uint32_t sequence = b->next_sequence;
    if (!write_datagram(b, c, b->session->m->now_us, dest, data, size,
                        sequenced ? &sequence : NULL))
        return false;
    b->next_sequence += sequenced;
    count_sent(b, size);
    b->written_us = b->session->m->now_us;
    b->hold_us = 0;
    return true;
}

bool datagram_write_queued(struct udptun_binding *b, struct udptun_conn *c, struct queued *q)
{
    bool first = !q->written;
    size_t size = queue_payload_size(q);
    if (first && route_copies(b->session) > 1) {
        q->sequenced = true;
        q->sequence = b->next_sequence++;
    }
    if (!write_datagram(b, c, q->since_us, &q->dest, q->data, size,
                        q->sequenced ? &q->sequence : NULL))
        return false;
    q->written = true;
    if (!first) /* copies are no datagrams of the app's, and have no order to keep */
        return true;
    count_sent(b, size);
    b->written_us = b->session->m->now_us;
    b->hold_us = 0;
    return true;
}

static int send(struct udptun_binding *b, const struct udptun_dest *peer, const uint8_t *data,
                size_t size)
{
    struct udptun_session *s = b->session;
    size_t most = peer->ep.family == UDPTUN_ENDPOINT_IP4 ? UDPTUN_MACHINE_MAX_PAYLOAD_IP4
                                                         : UDPTUN_MACHINE_MAX_PAYLOAD_IP6;
    if (size > most || frame_address_size(peer) == 0) {
        udptun_machine_count_drop(s->m, b, UDPTUN_MACHINE_DROP_OVERSIZE);
        return UDPTUN_E_INVALID;
    }
    if (s->ending) {
        udptun_machine_count_drop(s->m, b, UDPTUN_MACHINE_DROP_NO_FLOW);
        return UDPTUN_E_UNREACHABLE;
    }
    b->dns_only = b->dns_only && peer->ep.port == DNS_PORT;
    binding_touch(b);
    route_classify(b, size);
    if (!b->queue_first && !route_is_thin(b) && !datagram_held(b)) {
        struct udptun_conn *c = route_sticky(b);
        if (c && !datagram_held(b) && route_writable(c) && queue_may_pass(b, c) &&
            datagram_write(b, c, peer, data, size))
            return UDPTUN_OK;
    }
    int result = queue_put(b, peer, data, size);
    if (result == UDPTUN_OK && b->bulk)
        queue_pump_all(s);
    return result;
}

int udptun_binding_send(struct udptun_binding *b, const struct udptun_dest *peer,
                        const uint8_t *data, size_t size, uint64_t now_us)
{
    struct udptun_machine *m = b->session->m;
    machine_enter(m, now_us);
    int result = send(b, peer, data, size);
    machine_leave(m);
    return result;
}
