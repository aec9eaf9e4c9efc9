/* SPDX-License-Identifier: Apache-2.0 */
/*
 * closing.c - bindings that ended here and of which the far end has to hear.
 *
 * A CLOSE that is lost with the control leg would leave a flow with its sockets at the server, or
 * a source that sends into nothing at the client. So it is kept until CLOSED comes, and said
 * again on every new control leg; like an announcement it is absolute, and said twice it means
 * the same. It waits until what was written before it is acknowledged, or else it would overtake
 * the last datagrams of the flow, which travel on other legs.
 */
#include <stdlib.h>

#include "proto/udpt/internal.h"

/* CLOSE waits no longer than this for the datagrams before it. */
#define CLOSE_WAIT_US S_US

static bool closing_matches(const struct table_node *node, const void *key)
{
    return table_entry(node, const struct closing, node)->id == *(const uint64_t *)key;
}

static uint64_t oldest_unacked(const struct udptun_session *s)
{
    uint64_t oldest_us = UDPTUN_MACHINE_NEVER;
    for (unsigned i = 0; i < UDPTUN_MACHINE_MAX_LEGS; i++) {
        const struct udptun_conn *c = s->legs[i].conn;
        uint64_t since_us = c ? leg_unacked_since(c) : 0;
        if (since_us != 0 && since_us < oldest_us)
            oldest_us = since_us;
    }
    return oldest_us;
}

void closing_flush(struct udptun_session *s)
{
    struct udptun_machine *m = s->m;
    if (list_empty(&s->unsaid) || !session_speaker(s))
        return;
    uint64_t unacked_us = oldest_unacked(s);
    while (!list_empty(&s->unsaid)) {
        struct closing *closing = list_entry(s->unsaid.next, struct closing, in_session);
        uint64_t until_us = closing->since_us + CLOSE_WAIT_US;
        if (unacked_us <= closing->since_us && m->now_us < until_us) {
            session_wake(s, until_us);
            return;
        }
        list_move(&s->said, &closing->in_session);
        control_close(s, closing->id, closing->reason);
    }
}

static void closing_forget(struct udptun_session *s, struct closing *closing)
{
    list_remove(&closing->in_session);
    table_remove(&s->closings, &closing->node);
    free(closing);
}

void closing_add(struct udptun_session *s, uint64_t id, enum udptun_close_reason reason)
{
    /* Where none is acknowledged the oldest goes. At a server a datagram of it is answered with
     * another CLOSE; what a local has not said, ends at the server when it is idle. */
    if (s->closings.count >= ENDED_SPARE + (uint64_t)s->m->config.max_flows_per_session)
        closing_forget(s, list_entry(list_empty(&s->said) ? s->unsaid.next : s->said.next,
                                     struct closing, in_session));
    struct closing *closing = (struct closing *)malloc(sizeof *closing);
    if (!closing || table_insert(&s->closings, &closing->node, machine_hash_id(s->m, id)) != 0) {
        free(closing);
        control_close(s, id, reason);
        return;
    }
    closing->id = id;
    closing->reason = reason;
    closing->since_us = s->m->now_us;
    list_init(&closing->in_session);
    list_append(&s->unsaid, &closing->in_session);
    closing_flush(s);
}

void closing_control_up(struct udptun_session *s)
{
    /* In the order in which they ended: those said are older than those that were not. */
    while (!list_empty(&s->said)) {
        struct list *last = s->said.prev;
        list_remove(last);
        list_insert_before(s->unsaid.next, last);
    }
    closing_flush(s);
}

void closing_acked(struct udptun_session *s, uint64_t id)
{
    struct table_node *node =
        table_find(&s->closings, machine_hash_id(s->m, id), closing_matches, &id);
    if (node)
        closing_forget(s, table_entry(node, struct closing, node));
}

void closing_clear(struct udptun_session *s)
{
    while (!list_empty(&s->said))
        closing_forget(s, list_entry(s->said.next, struct closing, in_session));
    while (!list_empty(&s->unsaid))
        closing_forget(s, list_entry(s->unsaid.next, struct closing, in_session));
}
