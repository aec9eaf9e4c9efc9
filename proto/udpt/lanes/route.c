/* SPDX-License-Identifier: Apache-2.0 */
/*
 * route.c - which leg a datagram takes.
 *
 * Three lanes:
 *
 *   sticky     a bulk flow, and every flow while the far end is near (round trips below FAR_US):
 *              one leg for the flow, written at once, in order
 *   thin       sparse flows (voice, games, DNS) to a far end: a leg is a token. A box with
 *              Nagle's algorithm on the way (simple-obfs) holds a small write back while an earlier
 *              one on the same stream is unacknowledged; so each write goes on a leg whose last
 *              write was answered on that very leg, or is so long ago that a delayed
 *              acknowledgement must have come. Without such a leg, datagrams wait together.
 *   streaming  more sparse traffic than the legs have tokens for: one leg (as many as there are
 *              copies), written at once. Nagle lets go when a segment is full, and that it is soon.
 *
 * A write of the thin lane fills at most one segment: of two, the second would wait for a delayed
 * acknowledgement. Bulk flows share one or two legs that the other lanes leave alone.
 *
 *     udptun_binding_send ─▶ sticky: the leg's output, or the leg's `waiting` (queue.c)
 *               └▶ session.thin ─▶ route_flush() at the end of the turn ─▶ a leg's output
 *                                                        └▶ session.copies ─▶ another leg
 */
#include "proto/udpt/internal.h"

/* Below this round-trip time nothing is gained by spreading. */
#define FAR_US (2 * MS_US)
/* A flow is bulk above the one rate, until it is below the other. */
#define BULK_RATE     (64 * 1024)
#define BULK_END_RATE (32 * 1024)
#define BULK_BURST    (16 * 1024)
/* ... and above these while round trips are longer than the least by CROWDED_US: flows that are
 * exempt from credit are too much for the path. A call's voice is below them. */
#define CROWDED_RATE     (12 * 1024)
#define CROWDED_END_RATE (8 * 1024)
#define CROWDED_US       (150 * MS_US)
#define BULK_WINDOW_US   (200 * MS_US)
/* A leg belongs to the bulk lane this long after its last bulk datagram. */
#define BULK_LEG_US S_US
#define REGIME_US   (250 * MS_US)

struct udptun_conn *route_data_leg(const struct udptun_session *s, unsigned number)
{
    struct udptun_conn *c = s->legs[number].conn;
    return c && !c->leaving ? c : NULL;
}

unsigned route_copies(const struct udptun_session *s)
{
    uint64_t copies =
        s->m->config.role == UDPTUN_MACHINE_LOCAL ? s->m->config.redundancy : s->params.redundancy;
    return copies < 1 ? 1 : copies > 3 ? 3 : (unsigned)copies;
}

uint64_t route_min_rtt_us(const struct udptun_session *s)
{
    return s->credit.path.min_rtt_us;
}

bool session_is_far(const struct udptun_session *s)
{
    return route_min_rtt_us(s) >= FAR_US;
}

static unsigned data_legs_up(const struct udptun_session *s)
{
    unsigned count = 0;
    for (unsigned i = CONTROL_LEG + 1; i < UDPTUN_MACHINE_MAX_LEGS; i++)
        count += route_data_leg(s, i) != NULL;
    return count;
}

/* ---- bulk or sparse -------------------------------------------------------------------------- */

/* A flow of so many bytes a second is bulk. */
static uint64_t bulk_rate(const struct udptun_binding *b)
{
    const struct path *path = &b->session->credit.path;
    if (path->min_rtt_us != 0 && path->last_rtt_us > path->min_rtt_us + CROWDED_US)
        return b->bulk ? CROWDED_END_RATE : CROWDED_RATE;
    return b->bulk ? BULK_END_RATE : BULK_RATE;
}

void route_classify(struct udptun_binding *b, size_t size)
{
    struct udptun_session *s = b->session;
    uint64_t elapsed_us = s->m->now_us - b->window_us;
    bool was_bulk = b->bulk;
    if (elapsed_us >= BULK_WINDOW_US) {
        uint64_t rate = b->window_size * S_US / elapsed_us;
        /* While some of a bulk flow waits, order is kept by its leg. */
        b->bulk = rate >= bulk_rate(b) || (b->bulk && b->queue_first);
        b->window_us = s->m->now_us;
        b->window_size = 0;
    }
    b->window_size += (uint32_t)size;
    if (b->window_size > BULK_BURST)
        b->bulk = true;
    if (!b->bulk) { /* legs are tokens for sparse datagrams alone */
        s->rate_packets++;
        s->rate_size += size;
    }
    if (b->bulk && !was_bulk && b->queue_first) { /* what waits for a token waits for its leg now */
        queue_route(b);
        queue_pump_all(s); /* it may be free, and with nothing under way no ack comes to tell */
    }
}

bool route_is_thin(const struct udptun_binding *b)
{
    return b->session->spread && !b->bulk;
}

/* ---- the sticky lane ------------------------------------------------------------------------- */

bool route_is_bulk_leg(const struct udptun_conn *c)
{
    return c->bulk_until_us > c->m->now_us;
}

uint64_t route_load(const struct udptun_conn *c)
{
    return c->tx_counted - c->tx_acked;
}

/* The data leg with the least unacknowledged; `bulk_only`: of those that bulk flows use already.
 * NULL: there is none. */
static struct udptun_conn *least_loaded(const struct udptun_session *s, bool bulk_only)
{
    struct udptun_conn *best = NULL;
    for (unsigned i = CONTROL_LEG + 1; i < UDPTUN_MACHINE_MAX_LEGS; i++) {
        struct udptun_conn *c = route_data_leg(s, i);
        if (c && (!bulk_only || route_is_bulk_leg(c)) &&
            (!best || route_load(c) < route_load(best)))
            best = c;
    }
    return best;
}

/* Bulk keeps to one leg, to two where there are many. */
static struct udptun_conn *leg_for_bulk(const struct udptun_session *s)
{
    unsigned up = data_legs_up(s), bulk = 0;
    for (unsigned i = CONTROL_LEG + 1; i < UDPTUN_MACHINE_MAX_LEGS; i++)
        bulk += route_data_leg(s, i) && route_is_bulk_leg(route_data_leg(s, i));
    return least_loaded(s, bulk >= (up >= 4 ? 2u : 1u));
}

struct udptun_conn *route_sticky(struct udptun_binding *b)
{
    struct udptun_session *s = b->session;
    bool settled =
        b->conn && b->conn->leg != CONTROL_LEG && !b->conn->leaving && (b->settled || !s->spread);
    if (!settled) {
        struct udptun_conn *best = s->spread ? leg_for_bulk(s) : least_loaded(s, false);
        if (!best)
            best = session_control(s);
        /* From the thin lane its datagrams may be on any leg, this one included. */
        if (best && (b->conn != best || (s->spread && !b->settled)))
            b->hold_us = b->written_us;
        b->conn = best;
        b->settled = s->spread;
    }
    if (b->conn && s->spread)
        b->conn->bulk_until_us = s->m->now_us + BULK_LEG_US;
    return b->conn;
}

bool route_writable(const struct udptun_conn *c)
{
    size_t limit = c->handed_out ? OUTPUT_BLOCKED_SIZE : OUTPUT_TURN_SIZE;
    size_t pending = conn_pending(c);
    return c->state == CONN_UP && pending < limit &&
           (pending <= c->out.capacity / 2 || share_has(c->share, c->out.capacity));
}

/* ---- regime and flush ------------------------------------------------------------------------ */

/* Sparse bytes a second against what the tokens carry, with hysteresis. */
static void choose_regime(struct udptun_session *s)
{
    uint64_t elapsed_us = s->m->now_us - s->rate_us;
    if (elapsed_us < REGIME_US)
        return;
    uint64_t rate = s->rate_size * S_US / elapsed_us;
    s->thin_rate = (s->thin_rate + rate) / 2;
    s->packet_rate = (uint32_t)((s->packet_rate + s->rate_packets * S_US / elapsed_us) / 2);
    s->rate_us = s->m->now_us;
    s->rate_size = s->rate_packets = 0;
    uint64_t round_us = route_min_rtt_us(s) + ACK_DELAY_US;
    uint64_t carries = (uint64_t)data_legs_up(s) * THIN_WRITE_SIZE * S_US / round_us;
    uint64_t demand = s->thin_rate * route_copies(s);
    s->streaming = s->streaming ? demand * 2 > carries : demand * 4 > carries * 3;
    session_wake(s, s->m->now_us); /* it may need another number of legs */
}

/* The thin lane ends: what waits there takes the ordinary way. */
static void leave_thin(struct udptun_session *s)
{
    sparse_drop_copies(s);
    while (!list_empty(&s->thin))
        queue_route(list_entry(s->thin.next, struct udptun_binding, in_waiting));
    queue_pump_all(s);
}

void route_update(struct udptun_session *s)
{
    bool spread = data_legs_up(s) >= 2 && (session_is_far(s) || route_copies(s) > 1);
    if (spread == s->spread)
        return;
    s->spread = spread;
    if (!spread)
        leave_thin(s);
}

void route_want_flush(struct udptun_session *s)
{
    if (s->spread && list_empty(&s->in_flush))
        list_append(&s->m->flush, &s->in_flush);
}

void route_flush(struct udptun_session *s)
{
    choose_regime(s);
    if (s->spread)
        sparse_flush(s);
}

unsigned route_legs_needed(const struct udptun_session *s)
{
    if (!session_is_far(s))
        return route_copies(s);
    uint64_t held_us = route_min_rtt_us(s) + DELAYED_ACK_US;
    uint64_t both_ways = 2 * (uint64_t)s->packet_rate;
    return 2 + (unsigned)(both_ways * held_us * route_copies(s) / S_US);
}
