/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sparse.c - the lanes of sparse flows (see route.c): which leg is a token, what goes on it, and
 * the copies; and the legs that stand in when there is more than tokens carry.
 */
#include "proto/udpt/internal.h"

/* Sparse datagrams never wait longer for a token. */
#define THIN_WAIT_US (100 * MS_US)
/* How long acknowledgements wait for data when tokens are scarce, and when there is none. */
#define ACK_SCARCE_US (30 * MS_US)
#define ACK_FORCED_US (60 * MS_US)

static size_t copy_max_size(const struct udptun_session *s)
{
    return s->m->config.role == UDPTUN_MACHINE_LOCAL ? s->m->config.redundancy_max_size
                                                     : (size_t)s->params.redundancy_max_size;
}

/* ---- the thin lane --------------------------------------------------------------------------- */

static bool is_usable(const struct udptun_conn *c)
{
    if (c->handed_out || conn_pending(c) > 0)
        return false;
    if (c->answered_here == c->tx_counted && !c->ack_last)
        return true;
    return c->tx_acked == c->tx_counted &&
           c->m->now_us >= c->last_tx_us + route_min_rtt_us(c->session) + DELAYED_ACK_US;
}

static bool prefers(const struct udptun_conn *c, const struct udptun_conn *other)
{
    /* A leg whose far end waits for an answer is freed for it by our write. */
    if (c->ack_owed != other->ack_owed)
        return c->ack_owed;
    /* Ends that choose from legs of their own parity do not cross. */
    unsigned own = c->m->config.role == UDPTUN_MACHINE_LOCAL ? 0 : 1;
    bool mine = c->leg % 2 == own, others = other->leg % 2 == own;
    if (mine != others)
        return mine;
    return c->last_tx_us < other->last_tx_us;
}

/* Is there a copy that `c` has not carried? */
static bool has_copy_for(const struct udptun_session *s, const struct udptun_conn *c)
{
    LIST_FOREACH (node, &s->copies)
        if (!(list_entry(node, struct queued, in_copies)->legs & UINT64_C(1) << c->leg))
            return true;
    return false;
}

struct tokens {
    unsigned legs, usable;
    struct udptun_conn *best; /* usable */
    struct udptun_conn *idle; /* not usable, but idle longest */
    uint64_t next_us;         /* when time alone makes one usable */
};

/* `for_copies`: nothing but copies waits, and `best` is a leg that has not carried all of them. */
static struct tokens count_tokens(const struct udptun_session *s, bool for_copies)
{
    struct tokens t = {.next_us = UDPTUN_MACHINE_NEVER};
    for (unsigned i = CONTROL_LEG + 1; i < UDPTUN_MACHINE_MAX_LEGS; i++) {
        struct udptun_conn *c = route_data_leg(s, i);
        if (!c || route_is_bulk_leg(c))
            continue;
        t.legs++;
        if (is_usable(c)) {
            t.usable++;
            if ((!for_copies || has_copy_for(s, c)) && (!t.best || prefers(c, t.best)))
                t.best = c;
        } else if (!c->handed_out && conn_pending(c) == 0) {
            uint64_t at_us = c->last_tx_us + route_min_rtt_us(s) + DELAYED_ACK_US;
            if (c->tx_acked == c->tx_counted && at_us < t.next_us)
                t.next_us = at_us;
            if (!t.idle || c->last_tx_us < t.idle->last_tx_us)
                t.idle = c;
        }
    }
    return t;
}

static uint64_t oldest_waiting(const struct udptun_session *s)
{
    uint64_t oldest_us = UDPTUN_MACHINE_NEVER;
    LIST_FOREACH (node, &s->thin) {
        const struct udptun_binding *b = list_entry(node, struct udptun_binding, in_waiting);
        if (b->queue_first->since_us < oldest_us)
            oldest_us = b->queue_first->since_us;
    }
    return oldest_us;
}

static bool sparse_fits(const struct udptun_conn *c, const struct queued *q, size_t limit)
{
    size_t header = 4 + frame_address_size(&q->dest) + 24;
    return conn_pending(c) == 0 || conn_pending(c) + header + queue_payload_size(q) <= limit;
}

/* Fresh datagrams onto `c`, up to `limit` bytes, bindings in turn. */
static bool write_fresh(struct udptun_session *s, struct udptun_conn *c, size_t limit)
{
    while (!list_empty(&s->thin) && route_writable(c)) {
        struct udptun_binding *b = list_entry(s->thin.next, struct udptun_binding, in_waiting);
        struct queued *q = b->queue_first;
        if (queue_drop_stale(b))
            continue;
        if (!sparse_fits(c, q, limit))
            break;
        unsigned copies = queue_payload_size(q) <= copy_max_size(s) ? route_copies(s) : 1;
        if (!datagram_write_queued(b, c, q))
            return false;
        b->conn = c;
        b->settled = false;
        list_move(&s->thin, &b->in_waiting);
        queue_take(b); /* b leaves the list when it was its last */
        q->legs = UINT64_C(1) << c->leg;
        q->copies_left = copies - 1;
        if (q->copies_left > 0) {
            list_append(&s->copies, &q->in_copies);
            list_append(&b->copies, &q->in_binding_copies);
        } else {
            queue_free(q);
        }
    }
    return true;
}

static bool write_copies(struct udptun_session *s, struct udptun_conn *c, size_t limit)
{
    LIST_FOREACH_SAFE (node, &s->copies) {
        struct queued *q = list_entry(node, struct queued, in_copies);
        if (q->legs & UINT64_C(1) << c->leg)
            continue;
        if (!sparse_fits(c, q, limit) || !route_writable(c))
            break;
        if (!datagram_write_queued(q->binding, c, q))
            return false;
        q->legs |= UINT64_C(1) << c->leg;
        if (--q->copies_left == 0)
            queue_free(q);
    }
    return true;
}

/* Copies that found no leg in time are not worth one any more. */
static void drop_old_copies(struct udptun_session *s)
{
    LIST_FOREACH_SAFE (node, &s->copies) {
        struct queued *q = list_entry(node, struct queued, in_copies);
        if (s->m->now_us < q->since_us + 2 * THIN_WAIT_US)
            break;
        queue_free(q);
    }
}

static void flush_thin(struct udptun_session *s)
{
    struct udptun_machine *m = s->m;
    drop_old_copies(s);
    while (!list_empty(&s->thin) || !list_empty(&s->copies)) {
        bool fresh = !list_empty(&s->thin);
        struct tokens t = count_tokens(s, !fresh);
        uint64_t forced_us = fresh ? oldest_waiting(s) + THIN_WAIT_US : UDPTUN_MACHINE_NEVER;
        struct udptun_conn *c = t.best;
        if (c && t.usable * 4 < t.legs * 3) { /* scarce: spaced evenly over a round trip */
            uint64_t at_us = s->last_flush_us + route_min_rtt_us(s) / t.legs;
            if (m->now_us < at_us) {
                lanes_wake(s, at_us);
                return;
            }
        }
        if (!c && m->now_us >= forced_us)
            c = t.idle;
        if (!c) {
            lanes_wake(s, t.next_us);
            lanes_wake(s, forced_us > m->now_us ? forced_us : m->now_us + THIN_WAIT_US);
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
static bool is_late(const struct udptun_conn *c)
{
    uint64_t since_us = leg_unacked_since(c);
    return since_us != 0 &&
           c->m->now_us - since_us > 3 * route_min_rtt_us(c->session) + 2 * DELAYED_ACK_US;
}

static bool is_chosen(const struct udptun_session *s, const struct udptun_conn *c)
{
    return s->streams[0] == c || s->streams[1] == c || s->streams[2] == c;
}

static void choose_streams(struct udptun_session *s)
{
    unsigned wanted = route_copies(s);
    for (unsigned i = 0; i < 3; i++) {
        struct udptun_conn *now = s->streams[i];
        if (i < wanted && now && !now->leaving && !is_late(now) && !route_is_bulk_leg(now))
            continue;
        s->streams[i] = NULL;
        struct udptun_conn *best = NULL;
        for (unsigned k = CONTROL_LEG + 1; i < wanted && k < UDPTUN_MACHINE_MAX_LEGS; k++) {
            struct udptun_conn *c = route_data_leg(s, k);
            if (c && c != now && !route_is_bulk_leg(c) && !is_chosen(s, c) && !is_late(c) &&
                (!best || route_load(c) < route_load(best)))
                best = c;
        }
        s->streams[i] = best ? best : i < wanted ? now : NULL;
    }
}

static void flush_streaming(struct udptun_session *s)
{
    choose_streams(s);
    drop_old_copies(s);
    for (unsigned i = 0; i < 3; i++) {
        struct udptun_conn *c = s->streams[i];
        if (!c || c->state != CONN_UP)
            continue;
        if (!write_copies(s, c, OUTPUT_TURN_SIZE) || !write_fresh(s, c, OUTPUT_TURN_SIZE))
            return;
    }
    if (!list_empty(&s->thin) || !list_empty(&s->copies))
        lanes_wake(s, s->m->now_us + DELAYED_ACK_US);
}

void sparse_flush(struct udptun_session *s)
{
    if (s->streaming)
        flush_streaming(s);
    else
        flush_thin(s);
}

/* ---- copies and acknowledgements ------------------------------------------------------------- */

void sparse_drop_copies(struct udptun_session *s)
{
    while (!list_empty(&s->copies))
        queue_free(list_entry(s->copies.next, struct queued, in_copies));
}

void sparse_forget(struct udptun_session *s, const struct udptun_conn *c)
{
    for (unsigned i = 0; i < 3; i++)
        if (s->streams[i] == c)
            s->streams[i] = NULL;
    LIST_FOREACH (node, &s->copies)
        list_entry(node, struct queued, in_copies)->legs &= ~(UINT64_C(1) << c->leg);
}

struct udptun_conn *sparse_for_ack(struct udptun_session *s, struct udptun_conn *owing,
                                   uint64_t age_us, uint64_t *retry_us)
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
