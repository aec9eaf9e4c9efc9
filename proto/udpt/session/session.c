/* SPDX-License-Identifier: Apache-2.0 */
/* session.c - what both ends' sessions share: their life, their legs, and which leg is used. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/error.h"
#include "proto/udpt/internal.h"

static void roll_id(struct udptun_session *s)
{
    machine_random(s->m, s->id, sizeof s->id);
}

struct udptun_session *session_new(struct udptun_machine *m)
{
    struct udptun_session *s = (struct udptun_session *)calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->m = m;
    s->share.of = m->budget;
    s->state = UDPTUN_MACHINE_CONNECTING;
    s->created_us = s->announce_us = m->now_us;
    s->announce_tokens = ANNOUNCE_RATE;
    s->next_binding = 1;
    s->wanted = 1;
    for (unsigned i = 0; i < UDPTUN_MACHINE_MAX_LEGS; i++)
        list_init(&s->legs[i].waiting);
    list_init(&s->bindings);
    list_init(&s->idle);
    list_init(&s->lone);
    list_init(&s->waiting);
    list_init(&s->sparse_ring);
    list_init(&s->bulk_ring);
    list_init(&s->in_flush);
    list_init(&s->thin);
    list_init(&s->copies);
    list_init(&s->unsaid);
    list_init(&s->said);
    s->rate_us = m->now_us;
    uint32_t seed;
    machine_random(m, &seed, sizeof seed);
    credit_init(&s->credit, seed, m->now_us);
    alarm_init(&s->alarm, session_due);
    alarm_init(&s->lanes_alarm, session_lanes_due);
    list_init(&s->in_detached);
    list_init(&s->in_by_flows);
    list_init(&s->in_machine);
    list_append(&m->sessions, &s->in_machine);
    m->session_count++;
    if (m->config.role == UDPTUN_MACHINE_LOCAL) {
        roll_id(s);
        s->outage_us = m->now_us;
    }
    return s;
}

void session_end(struct udptun_session *s, const char *reason)
{
    struct udptun_machine *m = s->m;
    s->ending = true;
    for (unsigned i = 0; i < UDPTUN_MACHINE_MAX_LEGS; i++) {
        if (s->legs[i].conn)
            conn_kill(s->legs[i].conn, "%s", reason);
        if (s->legs[i].attempt)
            conn_kill(s->legs[i].attempt, "%s", reason);
    }
    while (!list_empty(&s->bindings))
        binding_free(list_entry(s->bindings.next, struct udptun_binding, in_session),
                     UDPTUN_CLOSE_SESSION, false);
    list_remove(&s->in_flush);
    alarm_stop(&m->alarms, &s->alarm);
    alarm_stop(&m->alarms, &s->lanes_alarm);
    if (m->config.role == UDPTUN_MACHINE_SERVER)
        server_session_ended(s);
    list_move(&m->dead_sessions, &s->in_machine);
    m->session_count--;
    session_enter_state(s, UDPTUN_MACHINE_CLOSED, reason);
}

void session_abandon(struct udptun_session *s)
{
    alarm_stop(&s->m->alarms, &s->alarm);
    alarm_stop(&s->m->alarms, &s->lanes_alarm);
    s->m->session_count--;
    session_bury(s);
}

void session_bury(struct udptun_session *s)
{
    announce_fini(s);
    closing_clear(s);
    id_set_fini(&s->ended);
    table_fini(&s->closings);
    table_fini(&s->by_id);
    table_fini(&s->orphans);
    table_fini(&s->peers);
    table_fini(&s->rx_ids);
    list_remove(&s->in_machine);
    sodium_memzero(s->secret, sizeof s->secret);
    free(s);
}

void session_enter_state(struct udptun_session *s, enum udptun_machine_state state,
                         const char *reason)
{
    if (s->state == state)
        return;
    s->state = state;
    s->m->ops->state(s->m->arg, s, state, reason);
}

void session_timers(const struct udptun_session *s, uint64_t *heartbeat_us, uint64_t *dead_us)
{
    *heartbeat_us = s->params.heartbeat_ms * MS_US;
    *dead_us = s->params.dead_ms * MS_US;
}

void udptun_session_close(struct udptun_session *s, uint64_t now_us)
{
    struct udptun_machine *m = s->m;
    machine_enter(m, now_us);
    struct udptun_conn *c = session_best(s);
    if (c) {
        control_goodbye(c, GOODBYE_OVER, "the session was closed by the server's operator");
        if (c->state == CONN_UP)
            conn_finish(c, "the session was closed");
    }
    session_end(s, "the session was closed");
    machine_leave(m);
}

/* ---- legs ----------------------------------------------------------------------------------- */

struct udptun_conn *session_control(const struct udptun_session *s)
{
    return s->legs[CONTROL_LEG].conn;
}

struct udptun_conn *session_speaker(const struct udptun_session *s)
{
    struct udptun_conn *speaker = session_control(s);
    for (unsigned i = CONTROL_LEG + 1;
         !speaker && s->without_control && i < UDPTUN_MACHINE_MAX_LEGS; i++)
        speaker = route_data_leg(s, i);
    return speaker;
}

/* What was not acknowledged may have been lost with the leg that spoke before. */
static void say_again(struct udptun_session *s)
{
    /* From a data leg the server learns by this where to answer. */
    if (s->without_control && s->m->config.role == UDPTUN_MACHINE_LOCAL)
        control_settings(s);
    announce_control_up(s);
    closing_control_up(s);
}

void session_go_without_control(struct udptun_session *s)
{
    if (s->without_control || session_control(s))
        return;
    s->without_control = true;
    say_again(s);
}

unsigned session_legs_up(const struct udptun_session *s)
{
    unsigned count = 0;
    for (unsigned i = 0; i < UDPTUN_MACHINE_MAX_LEGS; i++)
        count += s->legs[i].conn != NULL;
    return count;
}

struct udptun_conn *session_best(const struct udptun_session *s)
{
    struct udptun_conn *best = session_control(s);
    for (unsigned i = CONTROL_LEG + 1; !best && i < UDPTUN_MACHINE_MAX_LEGS; i++)
        best = s->legs[i].conn;
    return best;
}

void session_leg_up(struct udptun_session *s, struct udptun_conn *c)
{
    if (*c->peer)
        snprintf(s->peer, sizeof s->peer, "%s", c->peer);
    list_remove(&s->in_detached);
    if (s->detached_us != 0)
        age_reset(&s->age); /* the far end may be another one, with another clock */
    s->detached_us = 0;
    if (c->leg == CONTROL_LEG)
        s->without_control = false;
    if (session_speaker(s) == c)
        say_again(s);
    /* Its HELLO may be older than a change that was said meanwhile, or could not be said. */
    if (s->m->config.role == UDPTUN_MACHINE_LOCAL && c->settings_serial != s->settings_serial)
        control_settings(s);
    route_update(s);
    queue_pump_held(s);
}

void session_leg_down(struct udptun_session *s, struct udptun_conn *c)
{
    struct leg *leg = &s->legs[c->leg];
    if (!s->ending && session_legs_up(s) == 0)
        s->detached_us = s->m->now_us;
    LIST_FOREACH (node, &s->bindings) {
        struct udptun_binding *b = list_entry(node, struct udptun_binding, in_session);
        if (b->conn == c)
            b->conn = NULL;
    }
    LIST_FOREACH_SAFE (node, &leg->waiting)
        list_move(&s->waiting, node);
    sparse_forget(s, c);
    credit_lost(&s->credit, c, c->tx_counted - c->tx_acked);
    if (s->ending)
        return;
    route_update(s);
    const struct udptun_conn *speaker = session_speaker(s);
    if (speaker && speaker->leg > c->leg) /* it was `c` before */
        say_again(s);
    queue_pump_held(s);
    if (s->m->config.role == UDPTUN_MACHINE_LOCAL)
        client_leg_lost(s, c);
    else
        server_leg_lost(s);
}

void session_drop_legs(struct udptun_session *s, const char *reason)
{
    for (unsigned i = 0; i < UDPTUN_MACHINE_MAX_LEGS; i++)
        if (s->legs[i].conn)
            conn_kill(s->legs[i].conn, "%s", reason);
}

/* Its alarm: what happens rarely. */
void session_due(struct alarm *t)
{
    struct udptun_session *s = alarm_entry(t, struct udptun_session, alarm);
    if (s->ending)
        return;
    binding_expire(s);
    closing_flush(s);
    route_update(s);
    if (s->m->config.role == UDPTUN_MACHINE_LOCAL)
        client_tick(s);
    else
        server_tick(s);
}

/* The alarm of the lanes: a datagram is due, or too old. */
void session_lanes_due(struct alarm *t)
{
    struct udptun_session *s = alarm_entry(t, struct udptun_session, lanes_alarm);
    if (s->ending)
        return;
    queue_expire(s);
    credit_tick(&s->credit, s->m->now_us);
    queue_pump_all(s);
    route_want_flush(s);
}
