/* SPDX-License-Identifier: Apache-2.0 */
/*
 * announce.c - the short ids that stand for (binding, peer): ours and those of the far end.
 *
 * No order holds between legs, so an id must never mean two things. An announcement is absolute
 * and repeated on every new control leg until it is acknowledged; until then datagrams carry
 * their address inline. A retired id is used again only when the far end has said so and a
 * quarantine of twice the dead interval is over: by then no leg can still carry a datagram of its
 * old meaning.
 */
#include <stdlib.h>

#include "proto/error.h"
#include "proto/udpt/internal.h"

static uint64_t first_id(const struct udptun_session *s)
{
    return s->m->config.role == UDPTUN_MACHINE_LOCAL ? FRAME_FIRST_ANNOUNCED
                                                     : FRAME_FIRST_ANNOUNCED + 1;
}

static uint64_t wire_id(const struct udptun_session *s, uint32_t index)
{
    return first_id(s) + 2 * (uint64_t)index;
}

/* The slot that `id` names, or NULL when we never announced it. */
static struct tx_id *slot_of(struct udptun_session *s, uint64_t id)
{
    uint64_t first = first_id(s);
    if (id < first || (id - first) % 2 != 0 || (id - first) / 2 >= s->tx_ids.count)
        return NULL;
    return &s->tx_ids.slots[(id - first) / 2];
}

/* ---- peers: whom our datagrams name ---------------------------------------------------------- */

struct peer_key {
    struct udptun_endpoint ep;
    uint64_t binding;
};

static bool matches_peer(const struct table_node *node, const void *key)
{
    const struct peer *p = table_entry(node, const struct peer, node);
    const struct peer_key *k = (const struct peer_key *)key;
    return p->binding->id == k->binding && endpoint_equal(&p->dest.ep, &k->ep);
}

static struct peer *peer_new(struct udptun_binding *b, const struct udptun_dest *dest,
                             uint64_t hash)
{
    if (b->peer_count >= PEERS_MAX)
        peer_free(list_entry(b->peers.next, struct peer, in_binding));
    struct peer *p = (struct peer *)calloc(1, sizeof *p + dest->name_len);
    if (!p || table_insert(&b->session->peers, &p->node, hash) != UDPTUN_OK) {
        free(p);
        return NULL;
    }
    p->binding = b;
    p->dest = *dest;
    if (dest->name_len > 0) {
        memcpy(p + 1, dest->name, dest->name_len);
        p->dest.name = (const char *)(p + 1);
    }
    list_init(&p->in_binding);
    list_append(&b->peers, &p->in_binding);
    b->peer_count++;
    return p;
}

struct peer *peer_of(struct udptun_binding *b, const struct udptun_dest *dest)
{
    struct udptun_session *s = b->session;
    if (b->last_peer && endpoint_equal(&b->last_peer->dest.ep, &dest->ep))
        return b->last_peer;
    struct peer_key key = {.ep = dest->ep, .binding = b->id};
    uint64_t hash = machine_hash(s->m, &key, sizeof key);
    struct table_node *node = table_find(&s->peers, hash, matches_peer, &key);
    struct peer *p = node ? table_entry(node, struct peer, node) : peer_new(b, dest, hash);
    if (p)
        list_move(&b->peers, &p->in_binding);
    b->last_peer = p;
    return p;
}

static void retire(struct udptun_session *s, uint32_t index)
{
    struct tx_id *slot = &s->tx_ids.slots[index];
    if (slot->state == TX_ID_LIVE)
        s->tx_ids.pending++;
    slot->state = TX_ID_RETIRING;
    slot->peer = NULL;
    control_id(s, CONTROL_RETIRE, wire_id(s, index));
}

void peer_free(struct peer *p)
{
    struct udptun_binding *b = p->binding;
    if (p->tx_id != 0)
        retire(b->session, p->tx_id - 1);
    if (b->last_peer == p)
        b->last_peer = NULL;
    table_remove(&b->session->peers, &p->node);
    list_remove(&p->in_binding);
    b->peer_count--;
    free(p);
}

/* ---- our ids --------------------------------------------------------------------------------- */

bool announce_live(struct peer *p, bool sequenced, uint64_t *id)
{
    struct udptun_session *s = p->binding->session;
    if (p->tx_id == 0 || s->tx_ids.slots[p->tx_id - 1].state != TX_ID_LIVE)
        return false;
    if (s->tx_ids.slots[p->tx_id - 1].sequenced != sequenced) { /* `redundancy` was changed */
        retire(s, p->tx_id - 1);
        p->tx_id = 0;
        return false;
    }
    *id = wire_id(s, p->tx_id - 1);
    return true;
}

static void end_quarantines(struct udptun_session *s)
{
    struct tx_ids *ids = &s->tx_ids;
    while (ids->quarantine_first != 0) {
        uint32_t at = ids->quarantine_first;
        struct tx_id *slot = &ids->slots[at - 1];
        if (slot->until_us > s->m->now_us)
            return;
        ids->quarantine_first = slot->next;
        if (slot->next == 0)
            ids->quarantine_last = 0;
        slot->state = TX_ID_FREE;
        slot->next = ids->free_first;
        ids->free_first = at;
    }
}

/* A free slot as index + 1, or 0: there is none. */
static uint32_t take_slot(struct udptun_session *s)
{
    struct tx_ids *ids = &s->tx_ids;
    end_quarantines(s);
    if (ids->free_first != 0) {
        uint32_t at = ids->free_first;
        ids->free_first = ids->slots[at - 1].next;
        return at;
    }
    if (ids->count == ids->capacity) {
        uint64_t most = 4 * (uint64_t)s->m->config.max_flows_per_session;
        uint32_t capacity = ids->capacity ? 2 * ids->capacity : 8;
        if (ids->count >= most || wire_id(s, capacity) >= FRAME_ID_LIMIT)
            return 0;
        struct tx_id *slots = (struct tx_id *)realloc(ids->slots, capacity * sizeof *slots);
        if (!slots)
            return 0;
        ids->slots = slots;
        ids->capacity = capacity;
    }
    return ++ids->count;
}

static bool take_token(struct udptun_session *s)
{
    uint64_t elapsed_us = s->m->now_us - s->announce_us;
    uint64_t earned = elapsed_us * ANNOUNCE_RATE / S_US;
    if (earned > 0) {
        uint64_t tokens = s->announce_tokens + earned;
        s->announce_tokens = tokens > ANNOUNCE_RATE ? ANNOUNCE_RATE : (uint32_t)tokens;
        s->announce_us = s->m->now_us;
    }
    if (s->announce_tokens == 0)
        return false;
    s->announce_tokens--;
    return true;
}

void announce_used(struct peer *p)
{
    struct udptun_session *s = p->binding->session;
    /* Before OPENED the server may not have the binding: the datagrams are on other legs. */
    if (s->m->config.role == UDPTUN_MACHINE_LOCAL && !p->binding->confirmed)
        return;
    if (p->tx_id != 0 || ++p->datagrams < ANNOUNCE_FROM || !take_token(s))
        return;
    p->tx_id = take_slot(s);
    if (p->tx_id == 0)
        return;
    s->tx_ids.slots[p->tx_id - 1] =
        (struct tx_id){.state = TX_ID_ANNOUNCING, .peer = p, .sequenced = route_copies(s) > 1};
    s->tx_ids.pending++;
    control_announce(s, wire_id(s, p->tx_id - 1), p);
}

void announce_control_up(struct udptun_session *s)
{
    struct tx_ids *ids = &s->tx_ids;
    for (uint32_t i = 0; i < ids->count && ids->pending > 0; i++) {
        const struct tx_id *slot = &ids->slots[i];
        if (slot->state == TX_ID_ANNOUNCING)
            control_announce(s, wire_id(s, i), slot->peer);
        else if (slot->state == TX_ID_RETIRING)
            control_id(s, CONTROL_RETIRE, wire_id(s, i));
    }
    if (s->m->config.role != UDPTUN_MACHINE_LOCAL)
        return;
    LIST_FOREACH (node, &s->bindings) {
        struct udptun_binding *b = list_entry(node, struct udptun_binding, in_session);
        if (b->awaits_port)
            control_open(b);
    }
}

void announce_acked(struct udptun_session *s, uint64_t id)
{
    struct tx_id *slot = slot_of(s, id);
    if (!slot || slot->state != TX_ID_ANNOUNCING)
        return;
    slot->state = TX_ID_LIVE;
    s->tx_ids.pending--;
}

void announce_retired(struct udptun_session *s, uint64_t id)
{
    struct tx_ids *ids = &s->tx_ids;
    struct tx_id *slot = slot_of(s, id);
    if (slot && slot->state == TX_ID_LIVE) { /* unasked: the far end does not know it */
        slot->peer->tx_id = 0;
        slot->peer->datagrams = 0;
        slot->peer->binding->confirmed = false; /* nor, it seems, the binding */
        slot->state = TX_ID_RETIRING;
        ids->pending++;
    }
    if (!slot || slot->state != TX_ID_RETIRING)
        return;
    uint64_t heartbeat_us, dead_us;
    session_timers(s, &heartbeat_us, &dead_us);
    uint32_t at = (uint32_t)(slot - ids->slots) + 1;
    *slot = (struct tx_id){.state = TX_ID_QUARANTINE, .until_us = s->m->now_us + 2 * dead_us};
    ids->pending--;
    if (ids->quarantine_last != 0)
        ids->slots[ids->quarantine_last - 1].next = at;
    else
        ids->quarantine_first = at;
    ids->quarantine_last = at;
}

bool announce_may_complain(struct udptun_session *s)
{
    if (s->m->now_us < s->unknown_us + UNKNOWN_PAUSE_US)
        return false;
    s->unknown_us = s->m->now_us;
    return true;
}

void announce_unknown(struct udptun_session *s, uint64_t id)
{
    if (announce_may_complain(s))
        control_id(s, CONTROL_RETIRED, id);
}

void announce_fini(struct udptun_session *s)
{
    free(s->tx_ids.slots);
    s->tx_ids = (struct tx_ids){0};
}

void announce_reset(struct udptun_session *s)
{
    announce_fini(s);
    LIST_FOREACH (node, &s->bindings) {
        struct udptun_binding *b = list_entry(node, struct udptun_binding, in_session);
        LIST_FOREACH (at, &b->peers) {
            struct peer *p = list_entry(at, struct peer, in_binding);
            p->tx_id = 0;
            p->datagrams = 0;
        }
        while (!list_empty(&b->rx_ids))
            rx_id_free(list_entry(b->rx_ids.next, struct rx_id, in_binding));
    }
}

/* ---- the far end's ids ----------------------------------------------------------------------- */

static bool matches_rx(const struct table_node *node, const void *key)
{
    return table_entry(node, const struct rx_id, node)->id == *(const uint64_t *)key;
}

struct rx_id *announce_lookup(struct udptun_session *s, uint64_t id)
{
    struct table_node *node = table_find(&s->rx_ids, machine_hash_id(s->m, id), matches_rx, &id);
    return node ? table_entry(node, struct rx_id, node) : NULL;
}

void rx_id_free(struct rx_id *rx)
{
    struct udptun_session *s = rx->binding->session;
    for (unsigned i = 0; i < UDPTUN_MACHINE_MAX_LEGS; i++)
        if (s->legs[i].conn && s->legs[i].conn->last_rx_id == rx)
            s->legs[i].conn->last_rx_id = NULL;
    table_remove(&s->rx_ids, &rx->node);
    list_remove(&rx->in_binding);
    free(rx);
}

void announce_heard(struct udptun_session *s, uint64_t id, uint8_t flags, struct udptun_binding *b,
                    const struct udptun_dest *dest)
{
    struct rx_id *rx = announce_lookup(s, id);
    bool same =
        rx && rx->binding == b && rx->flags == flags && endpoint_equal(&rx->dest.ep, &dest->ep);
    if (!same) {
        if (rx) /* announcements are absolute: the last one holds */
            rx_id_free(rx);
        /* Beyond the cap, or without memory, it is not acknowledged and its datagrams go on
         * carrying their address. */
        if (s->rx_ids.count >= 4 * (uint64_t)s->m->config.max_flows_per_session)
            return;
        rx = (struct rx_id *)calloc(1, sizeof *rx + dest->name_len);
        if (!rx || table_insert(&s->rx_ids, &rx->node, machine_hash_id(s->m, id)) != UDPTUN_OK) {
            free(rx);
            return;
        }
        rx->binding = b;
        rx->id = id;
        rx->flags = flags;
        rx->dest = *dest;
        if (dest->name_len > 0) {
            memcpy(rx + 1, dest->name, dest->name_len);
            rx->dest.name = (const char *)(rx + 1);
        }
        list_init(&rx->in_binding);
        list_append(&b->rx_ids, &rx->in_binding);
    }
    control_id(s, CONTROL_ANNOUNCED, id);
}

void announce_retire_heard(struct udptun_session *s, uint64_t id)
{
    struct rx_id *rx = announce_lookup(s, id);
    if (rx)
        rx_id_free(rx);
    control_id(s, CONTROL_RETIRED, id);
}
