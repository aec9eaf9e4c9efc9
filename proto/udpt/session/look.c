/* SPDX-License-Identifier: Apache-2.0 */
/* look.c - what status and listings show of a machine. */
#include "proto/udpt/internal.h"

struct udptun_session *udptun_session_next(const struct udptun_machine *m,
                                           const struct udptun_session *s)
{
    const struct list *at = s ? s->in_machine.next : m->sessions.next;
    return at == &m->sessions ? NULL : list_entry(at, struct udptun_session, in_machine);
}

static int64_t best_rtt(const struct udptun_session *s)
{
    int64_t best = -1;
    for (unsigned i = 0; i < UDPTUN_MACHINE_MAX_LEGS; i++) {
        const struct udptun_conn *c = s->legs[i].conn;
        if (c && c->rtt_us >= 0 && (best < 0 || c->rtt_us < best))
            best = c->rtt_us;
    }
    return best;
}

void udptun_machine_look(const struct udptun_machine *m, uint64_t now_us,
                         struct udptun_machine_info *info)
{
    const struct udptun_session *s = udptun_session_next(m, NULL);
    *info = (struct udptun_machine_info){
        .state = s ? s->state : UDPTUN_MACHINE_CONNECTING,
        .sessions = m->session_count,
        .flows = m->binding_count,
        .reconnects = m->reconnects,
        .refused = m->refused,
        .resumed = m->resumed,
        .pending = room_count(m),
        .rtt_us = s ? best_rtt(s) : -1,
        .counters = m->counters,
    };
    caps_show(m, now_us, info->cap, sizeof info->cap);
    if (m->config.role == UDPTUN_MACHINE_LOCAL && s && !s->established)
        info->sessions = 0;
}

static void look_leg(const struct udptun_conn *c, uint64_t now_us, struct udptun_leg_info *info)
{
    uint64_t since_us = leg_unacked_since(c);
    *info = (struct udptun_leg_info){
        .control = c->leg == CONTROL_LEG,
        .state = c->state == CONN_UP         ? UDPTUN_LEG_UP
                 : c->state == CONN_DIALLING ? UDPTUN_LEG_DIALLING
                                             : UDPTUN_LEG_HANDSHAKE,
        .rtt_us = c->rtt_us,
        .queue_us = since_us != 0 && now_us > since_us ? now_us - since_us : 0,
        .tx_bytes = c->tx_bytes,
        .rx_bytes = c->rx_bytes,
    };
}

void udptun_session_look(const struct udptun_session *s, uint64_t now_us,
                         struct udptun_session_info *info)
{
    *info = (struct udptun_session_info){
        .state = s->state,
        .peer = s->peer,
        .flows = s->binding_count,
        .tx_bytes = s->tx_bytes,
        .rx_bytes = s->rx_bytes,
        .age_us = now_us - s->created_us,
    };
    memcpy(info->id, s->id, sizeof info->id);
    for (unsigned i = 0; i < UDPTUN_MACHINE_MAX_LEGS; i++) {
        const struct udptun_conn *c = s->legs[i].conn ? s->legs[i].conn : s->legs[i].attempt;
        if (c)
            look_leg(c, now_us, &info->legs[info->leg_count++]);
    }
}

struct udptun_binding *udptun_binding_after(const struct udptun_session *s, uint64_t after)
{
    /* Walking on from the one just listed is the usual case. They are in the order in which they
     * came to be, which at a server is nearly that of their ids. */
    struct udptun_binding *last = binding_find((struct udptun_session *)s, after);
    const struct list *at = last ? last->in_session.next : s->bindings.next;
    for (; at != &s->bindings; at = at->next) {
        struct udptun_binding *b = list_entry(at, struct udptun_binding, in_session);
        if (b->id > after)
            return b;
    }
    return NULL;
}

void udptun_binding_look(const struct udptun_binding *b, uint64_t now_us,
                         struct udptun_binding_info *info)
{
    *info = (struct udptun_binding_info){
        .id = b->id,
        .session = b->session,
        .external4 = b->external4,
        .external6 = b->external6,
        .peers = b->peer_count,
        .bulk = b->bulk,
        .idle_us = now_us > b->used_us ? now_us - b->used_us : 0,
        .age_us = now_us > b->created_us ? now_us - b->created_us : 0,
        .counters = {.tx_packets = b->tx_packets,
                     .rx_packets = b->rx_packets,
                     .tx_bytes = b->tx_bytes,
                     .rx_bytes = b->rx_bytes},
    };
    for (unsigned i = 0; i < UDPTUN_MACHINE_DROP_CAUSES; i++)
        info->counters.dropped[i] = b->dropped[i];
}

struct udptun_session *udptun_binding_session(const struct udptun_binding *b)
{
    return b->session;
}
