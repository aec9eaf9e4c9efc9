/* SPDX-License-Identifier: Apache-2.0 */
/*
 * binding.c - flows: one local source and the UDP sockets that stand for it at the server
 * (RFC 4787: endpoint-independent mapping). Their life; datagram.c has what they carry.
 */
#include <stdlib.h>

#include "proto/error.h"
#include "proto/udpt/internal.h"

static bool matches_id(const struct table_node *node, const void *key)
{
    const struct udptun_binding *b = table_entry(node, const struct udptun_binding, node);
    return b->id == *(const uint64_t *)key;
}

struct udptun_binding *binding_find(struct udptun_session *s, uint64_t id)
{
    struct table_node *node = table_find(&s->by_id, machine_hash_id(s->m, id), matches_id, &id);
    return node ? table_entry(node, struct udptun_binding, node) : NULL;
}

/* The timeout of a flow that served a single DNS exchange, and of a new one. */
static uint64_t lone_ms(const struct udptun_machine *m)
{
    return min_u64(m->config.dns_timeout_ms, m->config.flow_timeout_ms);
}

struct udptun_binding *binding_new(struct udptun_session *s, uint64_t id, uint64_t label)
{
    struct udptun_machine *m = s->m;
    struct udptun_binding *b =
        (struct udptun_binding *)calloc(1, sizeof *b + m->config.binding_host_size);
    if (!b || table_insert(&s->by_id, &b->node, machine_hash_id(m, id)) != UDPTUN_OK) {
        free(b);
        return NULL;
    }
    b->session = s;
    b->id = id;
    if (id > s->highest_binding)
        s->highest_binding = id;
    b->label = label;
    b->created_us = b->used_us = b->window_us = m->now_us;
    b->dns_only = true;
    list_init(&b->peers);
    list_init(&b->rx_ids);
    list_init(&b->in_waiting);
    list_init(&b->copies);
    list_init(&b->in_session);
    list_init(&b->in_idle);
    list_append(&s->bindings, &b->in_session);
    list_append(&s->lone, &b->in_idle);
    session_wake(s, m->now_us + lone_ms(m) * MS_US);
    s->binding_count++;
    m->binding_count++;
    caps_count(s);
    return b;
}

void binding_free(struct udptun_binding *b, enum udptun_close_reason reason, bool tell)
{
    struct udptun_session *s = b->session;
    struct udptun_machine *m = s->m;
    /* Of one that never sent anything the server has not heard. */
    if (tell && (m->config.role == UDPTUN_MACHINE_SERVER || b->written_us != 0))
        closing_add(s, b->id, reason);
    binding_end(s, b->id);
    queue_clear(b);
    while (!list_empty(&b->peers))
        peer_free(list_entry(b->peers.next, struct peer, in_binding));
    while (!list_empty(&b->rx_ids))
        rx_id_free(list_entry(b->rx_ids.next, struct rx_id, in_binding));
    table_remove(&s->by_id, &b->node);
    list_remove(&b->in_session);
    list_remove(&b->in_idle);
    if (b->orphan)
        table_remove(&s->orphans, &b->in_orphans);
    s->binding_count--;
    m->binding_count--;
    caps_count(s);
    m->ops->binding_closed(m->arg, b, reason);
    free(b->rx_window);
    free(b);
}

struct udptun_binding *udptun_binding_open(struct udptun_machine *m, uint64_t label,
                                           uint64_t now_us, int *code)
{
    struct udptun_session *s = udptun_session_next(m, NULL);
    machine_enter(m, now_us);
    struct udptun_binding *b = NULL;
    *code = UDPTUN_E_LIMIT;
    if (caps_make_room(s)) {
        b = binding_new(s, s->next_binding, label);
        *code = b ? UDPTUN_OK : UDPTUN_E_NOMEM;
        s->next_binding += b != NULL;
    }
    machine_leave(m);
    return b;
}

bool binding_has_ended(const struct udptun_session *s, uint64_t id)
{
    return id_set_has(&s->ended, id);
}

void binding_end(struct udptun_session *s, uint64_t id)
{
    /* A gap is a flow that has not ended. One that is here is found before this set is asked; one
     * that is not may still be on its way, and that is so for the newest only. So few ranges will
     * do, and adding to them costs little. Without memory a late datagram opens a new flow. */
    if (s->m->config.role == UDPTUN_MACHINE_SERVER)
        id_set_add(&s->ended, id, ENDED_RANGES);
}

static uint64_t label_hash(const struct udptun_session *s, uint64_t label)
{
    return machine_hash(s->m, &label, sizeof label); /* the client chose it */
}

static bool matches_label(const struct table_node *node, const void *key)
{
    const struct udptun_binding *b = table_entry(node, const struct udptun_binding, in_orphans);
    return b->label == *(const uint64_t *)key;
}

void binding_orphan_all(struct udptun_session *s)
{
    LIST_FOREACH (node, &s->bindings) {
        struct udptun_binding *b = list_entry(node, struct udptun_binding, in_session);
        b->told_generation = 0;
        /* One without a label, or without memory for it, is idle until it expires. */
        if (!b->orphan && b->label != 0)
            b->orphan = table_insert(&s->orphans, &b->in_orphans, label_hash(s, b->label)) == 0;
    }
}

/* The binding that the client had for this source before it was restarted, under its new id. */
static struct udptun_binding *binding_adopt(struct udptun_session *s, uint64_t id, uint64_t label)
{
    struct table_node *node = table_find(&s->orphans, label_hash(s, label), matches_label, &label);
    if (!node)
        return NULL;
    struct udptun_binding *b = table_entry(node, struct udptun_binding, in_orphans);
    table_remove(&s->orphans, node);
    b->orphan = false;
    while (!list_empty(&b->peers)) /* they are found by the id, which changes */
        peer_free(list_entry(b->peers.next, struct peer, in_binding));
    table_remove(&s->by_id, &b->node);
    b->id = id;
    if (id > s->highest_binding)
        s->highest_binding = id;
    /* The table stands: this cannot fail. */
    table_insert(&s->by_id, &b->node, machine_hash_id(s->m, id));
    list_move(&s->bindings, &b->in_session);
    datagram_sequence_anew(b);
    binding_tell_external(b);
    return b;
}

struct udptun_binding *binding_remote(struct udptun_session *s, uint64_t id, uint64_t label,
                                      uint16_t source_port, uint16_t want4, uint16_t want6)
{
    struct udptun_machine *m = s->m;
    struct udptun_binding *b = s->orphans.count > 0 ? binding_adopt(s, id, label) : NULL;
    if (b)
        return b;
    if (caps_make_room(s))
        b = binding_new(s, id, label);
    if (!b) {
        binding_end(s, id);
        closing_add(s, id, UDPTUN_CLOSE_LIMIT);
        return NULL;
    }
    b->source_port = source_port;
    if (m->ops->binding_opened(m->arg, b, want4, want6) != 0) {
        binding_free(b, UDPTUN_CLOSE_LIMIT, true);
        return NULL;
    }
    return b;
}

void udptun_binding_close(struct udptun_binding *b, uint64_t now_us)
{
    struct udptun_machine *m = b->session->m;
    machine_enter(m, now_us);
    binding_free(b, UDPTUN_CLOSE_HOST, true);
    machine_leave(m);
}

void udptun_binding_set_source_port(struct udptun_binding *b, uint16_t port)
{
    b->source_port = port;
}

uint16_t udptun_binding_source_port(const struct udptun_binding *b)
{
    return b->source_port;
}

void *udptun_binding_host(struct udptun_binding *b)
{
    return b->host;
}

void binding_tell_external(struct udptun_binding *b)
{
    const struct udptun_conn *speaker = session_speaker(b->session);
    b->told_generation = speaker ? speaker->generation : 0;
    if (b->external4.family != UDPTUN_ENDPOINT_NONE)
        control_opened(b, &b->external4);
    if (b->external6.family != UDPTUN_ENDPOINT_NONE)
        control_opened(b, &b->external6);
}

void udptun_binding_external(struct udptun_binding *b, const struct udptun_endpoint *external,
                             uint64_t now_us)
{
    struct udptun_machine *m = b->session->m;
    machine_enter(m, now_us);
    if (external->family == UDPTUN_ENDPOINT_IP4)
        b->external4 = *external;
    else
        b->external6 = *external;
    binding_tell_external(b);
    machine_leave(m);
}

void udptun_binding_error(struct udptun_binding *b, const struct udptun_dest *peer,
                          enum udptun_machine_error code, uint32_t value, uint64_t now_us)
{
    binding_count_error(b, code);
    udptun_binding_warn(b, peer, code, value, now_us);
}

void udptun_binding_warn(struct udptun_binding *b, const struct udptun_dest *peer,
                         enum udptun_machine_error code, uint32_t value, uint64_t now_us)
{
    struct udptun_machine *m = b->session->m;
    machine_enter(m, now_us);
    control_error(b, peer, code, value);
    machine_leave(m);
}

void binding_count_error(struct udptun_binding *b, enum udptun_machine_error code)
{
    struct udptun_machine *m = b->session->m;
    switch (code) {
    case UDPTUN_MACHINE_PORT_UNREACHABLE: /* it arrived; nobody wanted it */
        return;
    case UDPTUN_MACHINE_HOST_UNREACHABLE:
        udptun_machine_count_drop(m, b, UDPTUN_MACHINE_DROP_ERROR);
        return;
    case UDPTUN_MACHINE_TOO_BIG:
        udptun_machine_count_drop(m, b, UDPTUN_MACHINE_DROP_OVERSIZE);
        return;
    case UDPTUN_MACHINE_POLICY:
        udptun_machine_count_drop(m, b, UDPTUN_MACHINE_DROP_POLICY);
        return;
    case UDPTUN_MACHINE_LIMIT:
        udptun_machine_count_drop(m, b, UDPTUN_MACHINE_DROP_NO_FLOW);
        return;
    }
}

void udptun_machine_count_drop(struct udptun_machine *m, struct udptun_binding *b,
                               enum udptun_machine_drop cause)
{
    m->counters.dropped[cause]++;
    if (b)
        b->dropped[cause]++;
}

/* ---- idle ----------------------------------------------------------------------------------- */

/* RFC 4787 REQ-5 lets the mapping of a well-known port expire sooner; one that served a single
 * DNS exchange will hardly be used again. */
static bool is_lone_dns(const struct udptun_binding *b)
{
    return b->dns_only && b->tx_packets <= 1 && b->rx_packets <= 1;
}

void binding_touch(struct udptun_binding *b)
{
    struct udptun_session *s = b->session;
    b->used_us = s->m->now_us;
    list_move(is_lone_dns(b) ? &s->lone : &s->idle, &b->in_idle);
}

static void binding_expire_one(struct udptun_session *s, struct list *head, uint64_t timeout_us)
{
    while (!list_empty(head)) {
        struct udptun_binding *b = list_entry(head->next, struct udptun_binding, in_idle);
        if (s->m->now_us < b->used_us + timeout_us) {
            session_wake(s, b->used_us + timeout_us);
            return;
        }
        binding_free(b, UDPTUN_CLOSE_IDLE, true);
    }
}

void binding_expire(struct udptun_session *s)
{
    binding_expire_one(s, &s->lone, lone_ms(s->m) * MS_US);
    binding_expire_one(s, &s->idle, s->m->config.flow_timeout_ms * MS_US);
}
