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
 *     udpt_send ─▶ sticky: the leg's output, or the leg's `waiting` (queue.c)
 *               └▶ session.thin ─▶ route_flush() at the end of the turn ─▶ a leg's output
 *                                                        └▶ session.copies ─▶ another leg
 */
#include "proto/udpt/internal.h"

/* Below this round-trip time nothing is gained by spreading. */
#define FAR_US (2 * MS_US)
/* A segment of MTU 1500 less TLS and AEAD framing. */
#define THIN_WRITE_SIZE 1390
/* Sparse datagrams never wait longer for a token. */
#define THIN_WAIT_US (100 * MS_US)
/* A flow is bulk above the one rate, until it is below the other. */
#define BULK_RATE      (64 * 1024)
#define BULK_END_RATE  (32 * 1024)
#define BULK_BURST     (16 * 1024)
#define BULK_WINDOW_US (200 * MS_US)
/* A leg belongs to the bulk lane this long after its last bulk datagram. */
#define BULK_LEG_US S_US
#define REGIME_US   (250 * MS_US)
/* How long acknowledgements wait for data when tokens are scarce, and when there is none. */
#define ACK_SCARCE_US (30 * MS_US)
#define ACK_FORCED_US (60 * MS_US)

static struct udpt_conn *data_leg(const struct udpt_session *s, unsigned number)
{
    struct udpt_conn *c = s->legs[number].conn;
    return c && !c->leaving ? c : NULL;
}

unsigned route_copies(const struct udpt_session *s)
{
    uint64_t copies =
        s->m->config.role == UDPT_LOCAL ? s->m->config.redundancy : s->params.redundancy;
    return copies < 1 ? 1 : copies > 3 ? 3 : (unsigned)copies;
}

static size_t copy_max_size(const struct udpt_session *s)
{
    return s->m->config.role == UDPT_LOCAL ? s->m->config.redundancy_max_size
                                           : (size_t)s->params.redundancy_max_size;
}

bool session_is_far(const struct udpt_session *s)
{
    return s->min_rtt_us >= FAR_US;
}

static unsigned data_legs_up(const struct udpt_session *s)
{
    unsigned count = 0;
    for (unsigned i = CONTROL_LEG + 1; i < UDPT_MAX_LEGS; i++)
        count += data_leg(s, i) != NULL;
    return count;
}

/* ---- bulk or sparse -------------------------------------------------------------------------- */

void route_classify(struct udpt_binding *b, size_t size)
{
    struct udpt_session *s = b->session;
    uint64_t elapsed_us = s->m->now_us - b->window_us;
    bool was_bulk = b->bulk;
    s->rate_packets++;
    if (elapsed_us >= BULK_WINDOW_US) {
        uint64_t rate = b->window_size * S_US / elapsed_us;
        /* While some of a bulk flow waits, order is kept by its leg. */
        b->bulk = rate >= (b->bulk ? BULK_END_RATE : BULK_RATE) || (b->bulk && b->queue_first);
        b->window_us = s->m->now_us;
        b->window_size = 0;
    }
    b->window_size += (uint32_t)size;
    if (b->window_size > BULK_BURST)
        b->bulk = true;
    if (!b->bulk)
        s->rate_size += size;
    if (b->bulk && !was_bulk && b->queue_first) { /* what waits for a token waits for its leg now */
        queue_route(b);
        queue_pump_all(s); /* it may be free, and with nothing under way no ack comes to tell */
    }
}

bool route_is_thin(const struct udpt_binding *b)
{
    return b->session->spread && !b->bulk;
}

/* ---- the sticky lane ------------------------------------------------------------------------- */

static bool is_bulk_leg(const struct udpt_conn *c)
{
    return c->bulk_until_us > c->m->now_us;
}

static uint64_t load(const struct udpt_conn *c)
{
    return c->tx_counted - c->tx_acked;
}

/* The data leg with the least unacknowledged; `bulk_only`: of those that bulk flows use already.
 * NULL: there is none. */
static struct udpt_conn *least_loaded(const struct udpt_session *s, bool bulk_only)
{
    struct udpt_conn *best = NULL;
    for (unsigned i = CONTROL_LEG + 1; i < UDPT_MAX_LEGS; i++) {
        struct udpt_conn *c = data_leg(s, i);
        if (c && (!bulk_only || is_bulk_leg(c)) && (!best || load(c) < load(best)))
            best = c;
    }
    return best;
}

/* Bulk keeps to one leg, to two where there are many. */
static struct udpt_conn *leg_for_bulk(const struct udpt_session *s)
{
    unsigned up = data_legs_up(s), bulk = 0;
    for (unsigned i = CONTROL_LEG + 1; i < UDPT_MAX_LEGS; i++)
        bulk += data_leg(s, i) && is_bulk_leg(data_leg(s, i));
    return least_loaded(s, bulk >= (up >= 4 ? 2u : 1u));
}

struct udpt_conn *route_sticky(struct udpt_binding *b)
{
    struct udpt_session *s = b->session;
    bool settled =
        b->conn && b->conn->leg != CONTROL_LEG && !b->conn->leaving && (b->settled || !s->spread);
    if (!settled) {
        struct udpt_conn *best = s->spread ? leg_for_bulk(s) : least_loaded(s, false);
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

bool route_writable(const struct udpt_conn *c)
{
    size_t limit = c->handed_out ? OUTPUT_BLOCKED_SIZE : OUTPUT_TURN_SIZE;
    return c->state == CONN_UP && conn_pending(c) < limit;
}

/* ---- the thin lane --------------------------------------------------------------------------- */

static bool is_usable(const struct udpt_conn *c)
{
    if (c->handed_out || conn_pending(c) > 0)
        return false;
    if (c->answered_here == c->tx_counted && !c->ack_last)
        return true;
    return c->tx_acked == c->tx_counted &&
           c->m->now_us >= c->last_tx_us + c->session->min_rtt_us + DELAYED_ACK_US;
}

static bool prefers(const struct udpt_conn *c, const struct udpt_conn *other)
{
    /* A leg whose far end waits for an answer is freed for it by our write. */
    if (c->ack_owed != other->ack_owed)
        return c->ack_owed;
    /* Ends that choose from legs of their own parity do not cross. */
    unsigned own = c->m->config.role == UDPT_LOCAL ? 0 : 1;
    bool mine = c->leg % 2 == own, others = other->leg % 2 == own;
    if (mine != others)
        return mine;
    return c->last_tx_us < other->last_tx_us;
}

/* Is there a copy that `c` has not carried? */
static bool has_copy_for(const struct udpt_session *s, const struct udpt_conn *c)
{
    LIST_FOREACH (node, &s->copies)
        if (!(list_entry(node, struct queued, in_copies)->legs & UINT64_C(1) << c->leg))
            return true;
    return false;
}

struct tokens {
    unsigned legs, usable;
    struct udpt_conn *best; /* usable */
    struct udpt_conn *idle; /* not usable, but idle longest */
    uint64_t next_us;       /* when time alone makes one usable */
};

/* `for_copies`: nothing but copies waits, and `best` is a leg that has not carried all of them. */
static struct tokens count_tokens(const struct udpt_session *s, bool for_copies)
{
    struct tokens t = {.next_us = UDPT_NEVER};
    for (unsigned i = CONTROL_LEG + 1; i < UDPT_MAX_LEGS; i++) {
        struct udpt_conn *c = data_leg(s, i);
        if (!c || is_bulk_leg(c))
            continue;
        t.legs++;
        if (is_usable(c)) {
            t.usable++;
            if ((!for_copies || has_copy_for(s, c)) && (!t.best || prefers(c, t.best)))
                t.best = c;
        } else if (!c->handed_out && conn_pending(c) == 0) {
            uint64_t at_us = c->last_tx_us + s->min_rtt_us + DELAYED_ACK_US;
            if (c->tx_acked == c->tx_counted && at_us < t.next_us)
                t.next_us = at_us;
            if (!t.idle || c->last_tx_us < t.idle->last_tx_us)
                t.idle = c;
        }
    }
    return t;
}

static uint64_t oldest_waiting(const struct udpt_session *s)
{
    uint64_t oldest_us = UDPT_NEVER;
    LIST_FOREACH (node, &s->thin) {
        const struct udpt_binding *b = list_entry(node, struct udpt_binding, in_waiting);
        if (b->queue_first->since_us < oldest_us)
            oldest_us = b->queue_first->since_us;
    }
    return oldest_us;
}

static bool fits(const struct udpt_conn *c, const struct queued *q, size_t limit)
{
    size_t header = 4 + frame_address_size(&q->dest) + 24;
    return conn_pending(c) == 0 || conn_pending(c) + header + queue_payload_size(q) <= limit;
}

/* Fresh datagrams onto `c`, up to `limit` bytes, bindings in turn. */
static bool write_fresh(struct udpt_session *s, struct udpt_conn *c, size_t limit)
{
    while (!list_empty(&s->thin) && route_writable(c)) {
        struct udpt_binding *b = list_entry(s->thin.next, struct udpt_binding, in_waiting);
        struct queued *q = b->queue_first;
        if (queue_drop_stale(b))
            continue;
        if (!fits(c, q, limit))
            break;
        unsigned copies = queue_payload_size(q) <= copy_max_size(s) ? route_copies(s) : 1;
        if (!binding_write_queued(b, c, q))
            return false;
        b->conn = c;
        b->settled = false;
        list_move(&s->thin, &b->in_waiting);
        queue_take(b); /* b leaves the list when it was its last */
        q->legs = UINT64_C(1) << c->leg;
        q->copies_left = copies - 1;
        if (q->copies_left > 0)
            list_append(&s->copies, &q->in_copies);
        else
            queue_free(q);
    }
    return true;
}

static bool write_copies(struct udpt_session *s, struct udpt_conn *c, size_t limit)
{
    LIST_FOREACH_SAFE (node, &s->copies) {
        struct queued *q = list_entry(node, struct queued, in_copies);
        if (q->legs & UINT64_C(1) << c->leg)
            continue;
        if (!fits(c, q, limit) || !route_writable(c))
            break;
        if (!binding_write_queued(q->binding, c, q))
            return false;
        q->legs |= UINT64_C(1) << c->leg;
        if (--q->copies_left == 0)
            queue_free(q);
    }
    return true;
}

/* Copies that found no leg in time are not worth one any more. */
static void drop_old_copies(struct udpt_session *s)
{
    LIST_FOREACH_SAFE (node, &s->copies) {
        struct queued *q = list_entry(node, struct queued, in_copies);
        if (s->m->now_us < q->since_us + 2 * THIN_WAIT_US)
            break;
        queue_free(q);
    }
}

static void flush_thin(struct udpt_session *s)
{
    struct udpt_machine *m = s->m;
    drop_old_copies(s);
    while (!list_empty(&s->thin) || !list_empty(&s->copies)) {
        bool fresh = !list_empty(&s->thin);
        struct tokens t = count_tokens(s, !fresh);
        uint64_t forced_us = fresh ? oldest_waiting(s) + THIN_WAIT_US : UDPT_NEVER;
        struct udpt_conn *c = t.best;
        if (c && t.usable * 4 < t.legs * 3) { /* scarce: spaced evenly over a round trip */
            uint64_t at_us = s->last_flush_us + s->min_rtt_us / t.legs;
            if (m->now_us < at_us) {
                machine_wake(m, at_us);
                return;
            }
        }
        if (!c && m->now_us >= forced_us)
            c = t.idle;
        if (!c) {
            machine_wake(m, t.next_us);
            machine_wake(m, forced_us > m->now_us ? forced_us : m->now_us + THIN_WAIT_US);
            return;
        }
        if (s->acks_owed)
            leg_send_acks(s, c);
        s->last_flush_us = m->now_us;
        if (!write_fresh(s, c, THIN_WRITE_SIZE) || !write_copies(s, c, THIN_WRITE_SIZE))
            return;
        if (conn_pending(c) == 0)
            return;
    }
}

/* ---- the streaming lane ---------------------------------------------------------------------- */

/* Its oldest byte waits much longer than a round trip: TCP is repairing a loss. */
static bool is_late(const struct udpt_conn *c)
{
    uint64_t since_us = leg_unacked_since(c);
    return since_us != 0 &&
           c->m->now_us - since_us > 3 * c->session->min_rtt_us + 2 * DELAYED_ACK_US;
}

static bool is_chosen(const struct udpt_session *s, const struct udpt_conn *c)
{
    return s->streams[0] == c || s->streams[1] == c || s->streams[2] == c;
}

static void choose_streams(struct udpt_session *s)
{
    unsigned wanted = route_copies(s);
    for (unsigned i = 0; i < 3; i++) {
        struct udpt_conn *now = s->streams[i];
        if (i < wanted && now && !now->leaving && !is_late(now) && !is_bulk_leg(now))
            continue;
        s->streams[i] = NULL;
        struct udpt_conn *best = NULL;
        for (unsigned k = CONTROL_LEG + 1; i < wanted && k < UDPT_MAX_LEGS; k++) {
            struct udpt_conn *c = data_leg(s, k);
            if (c && c != now && !is_bulk_leg(c) && !is_chosen(s, c) && !is_late(c) &&
                (!best || load(c) < load(best)))
                best = c;
        }
        s->streams[i] = best ? best : i < wanted ? now : NULL;
    }
}

static void flush_streaming(struct udpt_session *s)
{
    choose_streams(s);
    drop_old_copies(s);
    for (unsigned i = 0; i < 3; i++) {
        struct udpt_conn *c = s->streams[i];
        if (!c || c->state != CONN_UP)
            continue;
        if (!write_copies(s, c, OUTPUT_TURN_SIZE) || !write_fresh(s, c, OUTPUT_TURN_SIZE))
            return;
    }
    if (!list_empty(&s->thin))
        machine_wake(s->m, s->m->now_us + DELAYED_ACK_US);
}

/* ---- regime and flush ------------------------------------------------------------------------ */

/* Sparse bytes a second against what the tokens carry, with hysteresis. */
static void choose_regime(struct udpt_session *s)
{
    uint64_t elapsed_us = s->m->now_us - s->rate_us;
    if (elapsed_us < REGIME_US)
        return;
    uint64_t rate = s->rate_size * S_US / elapsed_us;
    s->thin_rate = (s->thin_rate + rate) / 2;
    s->packet_rate = (uint32_t)((s->packet_rate + s->rate_packets * S_US / elapsed_us) / 2);
    s->rate_us = s->m->now_us;
    s->rate_size = s->rate_packets = 0;
    uint64_t round_us = s->min_rtt_us + ACK_DELAY_US;
    uint64_t carries = (uint64_t)data_legs_up(s) * THIN_WRITE_SIZE * S_US / round_us;
    uint64_t demand = s->thin_rate * route_copies(s);
    s->streaming = s->streaming ? demand * 2 > carries : demand * 4 > carries * 3;
}

static void update_min_rtt(struct udpt_session *s)
{
    int64_t least = -1;
    for (unsigned i = 0; i < UDPT_MAX_LEGS; i++) {
        const struct udpt_conn *c = s->legs[i].conn;
        if (c && c->min_rtt_us >= 0 && (least < 0 || c->min_rtt_us < least))
            least = c->min_rtt_us;
    }
    if (least >= 0)
        s->min_rtt_us = (uint64_t)least;
}

void route_drop_copies(struct udpt_session *s)
{
    while (!list_empty(&s->copies))
        queue_free(list_entry(s->copies.next, struct queued, in_copies));
}

/* The thin lane ends: what waits there takes the ordinary way. */
static void leave_thin(struct udpt_session *s)
{
    route_drop_copies(s);
    while (!list_empty(&s->thin))
        queue_route(list_entry(s->thin.next, struct udpt_binding, in_waiting));
    for (unsigned i = 0; i < UDPT_MAX_LEGS; i++)
        if (s->legs[i].conn)
            queue_pump(s, s->legs[i].conn);
}

void route_update(struct udpt_session *s)
{
    update_min_rtt(s);
    bool spread = data_legs_up(s) >= 2 && (session_is_far(s) || route_copies(s) > 1);
    if (spread == s->spread)
        return;
    s->spread = spread;
    if (!spread)
        leave_thin(s);
}

void route_want_flush(struct udpt_session *s)
{
    if (s->spread && list_empty(&s->in_flush))
        list_append(&s->m->flush, &s->in_flush);
}

void route_flush(struct udpt_session *s)
{
    choose_regime(s);
    if (!s->spread)
        return;
    if (s->streaming)
        flush_streaming(s);
    else
        flush_thin(s);
}

void route_forget(struct udpt_session *s, const struct udpt_conn *c)
{
    for (unsigned i = 0; i < 3; i++)
        if (s->streams[i] == c)
            s->streams[i] = NULL;
    LIST_FOREACH (node, &s->copies)
        list_entry(node, struct queued, in_copies)->legs &= ~(UINT64_C(1) << c->leg);
}

struct udpt_conn *route_for_ack(struct udpt_session *s, struct udpt_conn *owing, uint64_t age_us,
                                uint64_t *retry_us)
{
    *retry_us = s->m->now_us + ACK_DELAY_US - age_us;
    if (age_us < ACK_DELAY_US)
        return NULL;
    if (!s->spread)
        return owing;
    /* An acknowledgement of its own takes a token from the datagrams. It has one to spare while
     * most are free; else it waits for data to ride on, though not for long. */
    struct tokens t = count_tokens(s, false);
    if (t.best && (t.usable * 2 > t.legs || age_us >= ACK_SCARCE_US))
        return t.best;
    if (age_us >= ACK_FORCED_US)
        return t.idle ? t.idle : owing;
    *retry_us = s->m->now_us + ACK_DELAY_US / 2;
    return NULL;
}

unsigned route_legs_needed(const struct udpt_session *s)
{
    if (!session_is_far(s))
        return route_copies(s);
    uint64_t held_us = s->min_rtt_us + DELAYED_ACK_US;
    uint64_t both_ways = 2 * (uint64_t)s->packet_rate;
    return 2 + (unsigned)(both_ways * held_us * route_copies(s) / S_US);
}
