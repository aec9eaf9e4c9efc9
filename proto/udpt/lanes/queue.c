/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue.c - datagrams that wait.
 *
 * Each binding has a FIFO with a deadline: an old datagram is worthless, so the head goes first
 * when it is stale or when the cap is reached. CoDel keeps the FIFO of a bulk flow short.
 *
 * Bindings that wait take turns by deficit round robin (Shreedhar and Varghese, 1995) in two rings
 * of the session: all that is sparse before all that is bulk. The leg is chosen when the turn
 * comes. A turn that was broken for want of credit goes on where it ended, so that each flow gets
 * its share however small the credit. Where else a binding can wait:
 *
 *     leg.waiting       its leg's output is full
 *     session.waiting   no leg may take it yet: none is up, it moves to another one, or it waits
 * for its external port session.thin      the sparse lane's (sparse.c)
 */
#include <stdlib.h>

#include "proto/error.h"
#include "proto/udpt/internal.h"

/* How often stale heads are looked for while something waits. */
#define SWEEP_US (50 * MS_US)

/* How long what is written on `c` now may be on its way: half the least round trip, what the queues
 * on the way add to that at present, and its variation as in RFC 6298. */
static uint64_t way_us(const struct udptun_session *s, const struct udptun_conn *c)
{
    uint64_t way = route_min_rtt_us(s) / 2;
    if (c && c->rtt_us > (int64_t)route_min_rtt_us(s))
        way += (uint64_t)(c->rtt_us - (int64_t)route_min_rtt_us(s)) + 4 * (uint64_t)c->rtt_var_us;
    return way;
}

/* The bound is on the age at delivery, so the way there is taken off, as far as half of it: what
 * the receiver would drop need not travel. */
static bool queue_is_stale(const struct udptun_binding *b, const struct queued *q)
{
    const struct udptun_session *s = b->session;
    uint64_t most_us = s->m->config.max_queue_delay_ms * MS_US;
    uint64_t way = way_us(s, b->conn);
    most_us -= way < most_us / 2 ? way : most_us / 2;
    return s->m->now_us - q->since_us > most_us;
}

size_t queue_payload_size(const struct queued *q)
{
    return q->size - sizeof *q;
}

void queue_free(struct queued *q)
{
    list_remove(&q->in_copies);
    list_remove(&q->in_binding_copies);
    share_give(&q->binding->session->share, q->size);
    free(q);
}

struct queued *queue_take(struct udptun_binding *b)
{
    struct queued *q = b->queue_first;
    b->queue_first = q->next;
    if (!b->queue_first)
        b->queue_last = NULL;
    b->queue_size -= (uint32_t)q->size;
    b->session->queue_total -= q->size;
    if (!b->queue_first) {
        b->deficit = 0;
        b->in_turn = false;
        list_remove(&b->in_waiting);
        if (b->session->queue_total == 0)
            b->session->queue_since_us = 0;
    }
    return q;
}

static void queue_pop(struct udptun_binding *b)
{
    queue_free(queue_take(b));
}

void queue_clear(struct udptun_binding *b)
{
    while (b->queue_first) {
        udptun_machine_count_drop(b->session->m, b, UDPTUN_MACHINE_DROP_NO_FLOW);
        queue_pop(b);
    }
    while (!list_empty(&b->copies))
        queue_free(list_entry(b->copies.next, struct queued, in_binding_copies));
}

bool queue_drop_stale(struct udptun_binding *b)
{
    if (!queue_is_stale(b, b->queue_first))
        return false;
    udptun_machine_count_drop(b->session->m, b, UDPTUN_MACHINE_DROP_STALE);
    queue_pop(b);
    return true;
}

static void queue_drop_old_heads(struct udptun_binding *b)
{
    while (b->queue_first && queue_drop_stale(b))
        ;
}

/* Zero-length datagrams count too, or a flood of them would be free. */
static size_t cost(size_t size)
{
    return size + sizeof(struct queued);
}

static void queue_make_room(struct udptun_binding *b, size_t size)
{
    struct udptun_session *s = b->session;
    uint64_t most = s->m->config.max_queue_bytes;
    while (b->queue_first &&
           (b->queue_size + size > most || s->queue_total + size > most * SESSION_QUEUE_FACTOR ||
            !share_has(&s->share, size))) {
        udptun_machine_count_drop(s->m, b, UDPTUN_MACHINE_DROP_QUEUE);
        queue_pop(b);
    }
}

int queue_put(struct udptun_binding *b, const struct udptun_dest *dest, const uint8_t *data,
              size_t size)
{
    struct udptun_session *s = b->session;
    struct udptun_machine *m = s->m;
    queue_drop_old_heads(b);
    queue_make_room(b, cost(size));
    if (s->queue_total + cost(size) > (uint64_t)m->config.max_queue_bytes * SESSION_QUEUE_FACTOR ||
        !share_has(&s->share, cost(size))) {
        udptun_machine_count_drop(m, b, UDPTUN_MACHINE_DROP_QUEUE);
        return UDPTUN_E_LIMIT;
    }
    struct queued *q = (struct queued *)malloc(sizeof *q + size + dest->name_len);
    if (!q) {
        udptun_machine_count_drop(m, b, UDPTUN_MACHINE_DROP_QUEUE);
        return UDPTUN_E_NOMEM;
    }
    *q = (struct queued){.since_us = m->now_us, .size = cost(size), .binding = b, .dest = *dest};
    list_init(&q->in_copies);
    list_init(&q->in_binding_copies);
    if (size > 0)
        memcpy(q->data, data, size);
    if (dest->name_len > 0) {
        memcpy(q->data + size, dest->name, dest->name_len);
        q->dest.name = (const char *)q->data + size;
    }
    if (b->queue_last)
        b->queue_last->next = q;
    else
        b->queue_first = q;
    b->queue_last = q;
    b->queue_size += (uint32_t)q->size;
    s->queue_total += q->size;
    share_take(&s->share, q->size);
    if (b->queue_first == q)
        queue_route(b);
    lanes_wake(s, m->now_us + SWEEP_US);
    if (m->config.role == UDPTUN_MACHINE_LOCAL)
        client_pressure(s);
    return UDPTUN_OK;
}

/* ---- turns ----------------------------------------------------------------------------------- */

static struct list *ring_of(const struct udptun_binding *b)
{
    return b->bulk ? &b->session->bulk_ring : &b->session->sparse_ring;
}

void queue_route(struct udptun_binding *b)
{
    struct udptun_session *s = b->session;
    bool held = datagram_held(b);
    if (route_is_thin(b) && !held) {
        list_move(&s->thin, &b->in_waiting);
        route_want_flush(s);
        return;
    }
    list_move(held || session_legs_up(s) == 0 ? &s->waiting : ring_of(b), &b->in_waiting);
}

bool queue_look_for_credit(struct udptun_session *s, const struct udptun_conn *c)
{
    uint64_t retry_us;
    if (credit_allows(&s->credit, c->tx_acked == c->tx_counted, s->m->now_us, &retry_us))
        return true;
    credit_blocked(&s->credit, s->m->now_us);
    lanes_wake(s, retry_us);
    return false;
}

/* A start finds out what the path carries; until then a wait tells nothing of the flow. */
static bool is_managed(const struct udptun_binding *b)
{
    return b->bulk && b->session->credit.phases.phase != PHASE_START;
}

static bool drop_managed(struct udptun_binding *b, const struct queued *q)
{
    struct udptun_session *s = b->session;
    if (!is_managed(b) || !codel_drops(&b->codel, s->m->now_us - q->since_us, !q->next,
                                       route_min_rtt_us(s), s->m->now_us))
        return false;
    udptun_machine_count_drop(s->m, b, UDPTUN_MACHINE_DROP_STALE);
    queue_pop(b);
    return true;
}

enum turn {
    TURN_OVER,   /* The binding sent its share, or has nothing left, or waits for its leg. */
    TURN_BROKEN, /* The session takes no more at present: the turn goes on later. */
};

/* One binding's turn: a quantum, and what an earlier one left of its own. */
static enum turn queue_serve(struct udptun_binding *b, struct udptun_conn *c)
{
    struct udptun_session *s = b->session;
    if (!b->in_turn)
        b->deficit += QUEUE_QUANTUM;
    b->in_turn = true;
    while (b->queue_first) {
        struct queued *q = b->queue_first;
        if (queue_drop_stale(b))
            continue;
        if (q->size > b->deficit)
            break;
        if (!route_writable(c)) {
            credit_blocked(&s->credit, s->m->now_us);
            list_move(&s->legs[c->leg].waiting, &b->in_waiting);
            return TURN_OVER;
        }
        if (b->bulk && !queue_has_credit(s, c))
            return TURN_BROKEN;
        if (drop_managed(b, q))
            continue;
        if (!datagram_write_queued(b, c, q))
            return TURN_BROKEN;
        b->deficit -= (uint32_t)q->size;
        queue_pop(b);
    }
    b->in_turn = false;
    if (b->queue_first)
        list_move(ring_of(b), &b->in_waiting);
    return TURN_OVER;
}

static void pump_ring(struct udptun_session *s, struct list *ring)
{
    while (!list_empty(ring)) {
        struct udptun_binding *b = list_entry(ring->next, struct udptun_binding, in_waiting);
        if (route_is_thin(b)) {
            queue_route(b);
            continue;
        }
        struct udptun_conn *c = datagram_held(b) ? NULL : route_sticky(b);
        if (!c || datagram_held(b) || c->state != CONN_UP) /* it moves to another leg, not done */
            list_move(&s->waiting, &b->in_waiting);
        else if (queue_serve(b, c) == TURN_BROKEN)
            return;
    }
}

static bool waits_for_leg(const struct udptun_session *s)
{
    for (unsigned i = 0; i < UDPTUN_MACHINE_MAX_LEGS; i++)
        if (!list_empty(&s->legs[i].waiting))
            return true;
    return false;
}

void queue_pump_all(struct udptun_session *s)
{
    pump_ring(s, &s->sparse_ring);
    pump_ring(s, &s->bulk_ring);
    if (s->credit.blocked_us != 0 && list_empty(&s->bulk_ring) && !waits_for_leg(s))
        credit_unblocked(&s->credit, s->m->now_us);
}

void queue_unblocked(struct udptun_conn *c)
{
    struct udptun_session *s = c->session;
    if (route_writable(c))
        LIST_FOREACH_SAFE (node, &s->legs[c->leg].waiting)
            queue_route(list_entry(node, struct udptun_binding, in_waiting));
    queue_pump_all(s);
}

void queue_reroute(struct udptun_session *s, struct udptun_conn *c)
{
    LIST_FOREACH_SAFE (node, &s->legs[c->leg].waiting)
        list_move(&s->waiting, node);
    route_update(s);
    queue_pump_held(s);
}

void queue_pump_held(struct udptun_session *s)
{
    /* Aside first: what no leg takes is put behind the same list again. */
    struct list held;
    list_init(&held);
    while (!list_empty(&s->waiting))
        list_move(&held, s->waiting.next);
    while (!list_empty(&held))
        queue_route(list_entry(held.next, struct udptun_binding, in_waiting));
    queue_pump_all(s);
}

static void sweep(struct list *waiting)
{
    LIST_FOREACH_SAFE (node, waiting)
        queue_drop_old_heads(list_entry(node, struct udptun_binding, in_waiting));
}

void queue_expire(struct udptun_session *s)
{
    if (s->queue_total == 0)
        return;
    if (s->m->now_us < s->sweep_us) {
        lanes_wake(s, s->sweep_us);
        return;
    }
    s->sweep_us = s->m->now_us + SWEEP_US;
    sweep(&s->waiting);
    sweep(&s->thin);
    sweep(&s->sparse_ring);
    sweep(&s->bulk_ring);
    for (unsigned i = 0; i < UDPTUN_MACHINE_MAX_LEGS; i++)
        sweep(&s->legs[i].waiting);
    if (!list_empty(&s->waiting))
        queue_pump_held(s); /* one that waited for its port may have waited long enough */
    if (s->queue_total > 0)
        lanes_wake(s, s->sweep_us);
}
