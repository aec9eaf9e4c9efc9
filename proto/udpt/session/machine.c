/* SPDX-License-Identifier: Apache-2.0 */
/* machine.c - the UDPT/1 machine's life, its clock, and the list of conns with output. */
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/error.h"
#include "proto/udpt/internal.h"

void udptun_machine_config_init(struct udptun_machine_config *config, enum udptun_machine_role role)
{
    *config = (struct udptun_machine_config){
        .role = role,
        .connections = 8,
        .heartbeat_ms = 10 * 1000,
        .dead_ms = 30 * 1000,
        .resume_ms = 180 * 1000,
        .flow_timeout_ms = 300 * 1000,
        .dns_timeout_ms = 15 * 1000,
        .handshake_ms = 10 * 1000,
        .max_pending = 128,
        .max_sessions = 1024,
        .max_flows = 16384,
        .max_flows_per_session = 16384,
        .max_queue_delay_ms = 500,
        .max_queue_bytes = 1024 * 1024,
        .redundancy = 1,
        .redundancy_max_size = 400,
        .min_version = UDPT_VERSION_LEAST,
    };
}

void machine_random(struct udptun_machine *m, void *to, size_t size)
{
    m->ops->random(m->arg, to, size);
}

void machine_log(struct udptun_machine *m, enum udptun_machine_log level, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    m->ops->log(m->arg, level, text);
}

uint64_t machine_hash(const struct udptun_machine *m, const void *data, size_t size)
{
    uint64_t hash;
    crypto_shorthash((uint8_t *)&hash, (const uint8_t *)data, size, m->hash_key);
    return hash;
}

/* Multiplicative hashing (Dietzfelbinger et al. 1997) with a secret factor. The high bits depend on
 * all of the id; a table takes the low ones, so the bytes are turned round. */
uint64_t machine_hash_id(const struct udptun_machine *m, uint64_t id)
{
    return __builtin_bswap64(id * m->id_factor);
}

static void limit_memory(struct udptun_machine *m)
{
    uint64_t most = m->config.max_buffer_bytes;
    m->own_budget.limit = most != 0 ? most : UINT64_MAX;
}

struct udptun_machine *udptun_machine_new(const struct udptun_machine_config *config,
                                          const struct udptun_machine_ops *ops, void *arg,
                                          uint64_t now_us)
{
    struct udptun_machine *m = (struct udptun_machine *)calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->config = *config;
    m->ops = ops;
    m->arg = arg;
    m->now_us = now_us;
    m->bury_us = UDPTUN_MACHINE_NEVER;
    m->budget = config->budget ? config->budget : &m->own_budget;
    m->share.of = m->budget;
    limit_memory(m);
    list_init(&m->conns);
    list_init(&m->dead);
    list_init(&m->ready);
    list_init(&m->sessions);
    list_init(&m->dead_sessions);
    list_init(&m->flush);
    list_init(&m->detached);
    for (size_t i = 0; i < FLOW_CLASSES; i++)
        list_init(&m->by_flows[i]);
    machine_random(m, m->hash_key, sizeof m->hash_key);
    machine_random(m, &m->epoch, sizeof m->epoch);
    machine_random(m, &m->id_factor, sizeof m->id_factor);
    m->id_factor |= 1;
    struct udptun_session *s = config->role == UDPTUN_MACHINE_LOCAL ? session_new(m) : NULL;
    if (config->role == UDPTUN_MACHINE_LOCAL && !s) {
        free(m);
        return NULL;
    }
    if (s)
        session_wake(s, now_us);
    if (s && config->identity)
        client_resume(s, config->identity);
    m->config.identity = NULL;
    return m;
}

bool udptun_machine_identity(const struct udptun_machine *m,
                             struct udptun_session_identity *identity)
{
    const struct udptun_session *s = udptun_session_next(m, NULL);
    if (m->config.role != UDPTUN_MACHINE_LOCAL || !s->established)
        return false;
    *identity = (struct udptun_session_identity){.epoch = s->epoch,
                                                 .incarnation = s->incarnation,
                                                 .client_incarnation = s->client_incarnation};
    memcpy(identity->session, s->id, sizeof identity->session);
    memcpy(identity->secret, s->secret, sizeof identity->secret);
    return true;
}

void udptun_machine_stop(struct udptun_machine *m, enum udptun_machine_stop_kind how,
                         uint64_t now_us)
{
    enum goodbye_reason reason = how == UDPTUN_MACHINE_STOP_KEEP ? GOODBYE_BACK_SOON : GOODBYE_OVER;
    machine_enter(m, now_us);
    m->stopping = true;
    LIST_FOREACH (node, &m->sessions) {
        struct udptun_session *s = list_entry(node, struct udptun_session, in_machine);
        struct udptun_conn *c = session_best(s);
        if (c)
            control_goodbye(c, reason,
                            m->config.role == UDPTUN_MACHINE_LOCAL ? "the client is stopping"
                                                                   : "the server is stopping");
        s->ending = true;
    }
    machine_leave(m);
}

void udptun_machine_free(struct udptun_machine *m)
{
    if (!m)
        return;
    machine_enter(m, m->now_us);
    m->stopping = true;
    LIST_FOREACH_SAFE (node, &m->sessions)
        session_end(list_entry(node, struct udptun_session, in_machine), "the tunnel was closed");
    LIST_FOREACH_SAFE (node, &m->conns)
        conn_kill(list_entry(node, struct udptun_conn, in_machine), "the tunnel was closed");
    machine_leave(m);
    table_fini(&m->by_session);
    room_fini(&m->silent);
    room_fini(&m->proved);
    sodium_memzero(&m->config, sizeof m->config);
    free(m);
}

/* Timeouts are other ones now. */
static void wake_all(struct udptun_machine *m)
{
    LIST_FOREACH (node, &m->conns)
        conn_wake(list_entry(node, struct udptun_conn, in_machine), m->now_us);
    LIST_FOREACH (node, &m->sessions)
        session_wake(list_entry(node, struct udptun_session, in_machine), m->now_us);
}

void udptun_machine_configure(struct udptun_machine *m, const struct udptun_machine_config *config,
                              uint64_t now_us)
{
    machine_enter(m, now_us);
    enum udptun_machine_role role = m->config.role;
    size_t host_size = m->config.binding_host_size;
    m->config = *config;
    m->config.role = role;
    m->config.binding_host_size = host_size;
    limit_memory(m);
    LIST_FOREACH (node, &m->sessions) {
        struct udptun_session *s = list_entry(node, struct udptun_session, in_machine);
        if (role == UDPTUN_MACHINE_LOCAL && s->wanted > config->connections)
            s->wanted = config->connections;
        if (role == UDPTUN_MACHINE_LOCAL) {
            s->settings_serial++;
            control_settings(s);
        }
    }
    caps_keep(m);
    wake_all(m);
    machine_leave(m);
}

void machine_enter(struct udptun_machine *m, uint64_t now_us)
{
    m->depth++;
    if (now_us > m->now_us)
        m->now_us = now_us;
}

void machine_leave(struct udptun_machine *m)
{
    if (m->depth > 1) {
        m->depth--;
        return;
    }
    /* Callbacks of a burial may lead to more of them. */
    while (!list_empty(&m->dead))
        conn_bury(list_entry(m->dead.next, struct udptun_conn, in_machine));
    while (!list_empty(&m->dead_sessions))
        session_bury(list_entry(m->dead_sessions.next, struct udptun_session, in_machine));
    m->depth--;
}

void conn_wake(struct udptun_conn *c, uint64_t at_us)
{
    if (c->state != CONN_DEAD)
        alarm_wake(&c->m->alarms, &c->alarm, at_us);
}

void session_wake(struct udptun_session *s, uint64_t at_us)
{
    if (!s->ending)
        alarm_wake(&s->m->alarms, &s->alarm, at_us);
}

void lanes_wake(struct udptun_session *s, uint64_t at_us)
{
    if (!s->ending)
        alarm_wake(&s->m->alarms, &s->lanes_alarm, at_us);
}

uint64_t udptun_machine_deadline(const struct udptun_machine *m)
{
    return min_u64(m->bury_us, alarms_next_us(&m->alarms));
}

/* A handshake or a farewell that takes too long. */
static void tick_unjoined(struct udptun_conn *c)
{
    struct udptun_machine *m = c->m;
    bool is_attempt = c->state == CONN_DIALLING || c->state == CONN_AWAIT_WELCOME;
    if (m->now_us < c->handshake_until_us)
        conn_wake(c, c->handshake_until_us);
    else if (is_attempt && client_keeps_attempt(c))
        return;
    else if (c->state == CONN_CLOSING)
        conn_kill(c, "%s", c->reason);
    else if (c->state == CONN_DIALLING)
        conn_kill(c, "%s", UDPTUN_MACHINE_REASON_NOT_OPENED);
    else
        conn_kill(c, "no %s in time",
                  c->state == CONN_AWAIT_WELCOME ? "answer from the udp-server" : "handshake");
}

void machine_conn_due(struct alarm *t)
{
    struct udptun_conn *c = alarm_entry(t, struct udptun_conn, alarm);
    if (c->state == CONN_UP)
        leg_tick(c);
    else
        tick_unjoined(c);
}

void udptun_machine_tick(struct udptun_machine *m, uint64_t now_us)
{
    machine_enter(m, now_us);
    m->bury_us = UDPTUN_MACHINE_NEVER;
    alarms_run(&m->alarms, m->now_us);
    machine_leave(m);
}

void udptun_machine_network_changed(struct udptun_machine *m, uint64_t now_us)
{
    machine_enter(m, now_us);
    LIST_FOREACH (node, &m->sessions) {
        struct udptun_session *s = list_entry(node, struct udptun_session, in_machine);
        if (m->config.role == UDPTUN_MACHINE_LOCAL)
            client_network_changed(s);
    }
    machine_leave(m);
}

/* The end of a turn: what waited for more of its kind goes out. */
static void flush_thin_lanes(struct udptun_machine *m)
{
    m->depth++;
    while (!list_empty(&m->flush)) {
        struct udptun_session *s = list_entry(m->flush.next, struct udptun_session, in_flush);
        list_remove(&s->in_flush);
        route_flush(s);
    }
    m->depth--;
}

struct udptun_conn *udptun_machine_next_ready(struct udptun_machine *m)
{
    flush_thin_lanes(m);
    while (!list_empty(&m->ready)) {
        struct udptun_conn *c = list_entry(m->ready.next, struct udptun_conn, in_ready);
        list_remove(&c->in_ready);
        if (conn_pending(c) == 0)
            continue;
        /* What is written anyway carries the acknowledgements of all legs. */
        if (c->state == CONN_UP && c->session->acks_owed)
            leg_send_acks(c->session, c);
        if (c->state == CONN_DEAD) /* no memory for an acknowledgement */
            continue;
        list_remove(&c->in_ready);
        c->handed_out = true;
        return c;
    }
    return NULL;
}

int udptun_machine_ping(struct udptun_machine *m, uint64_t token, uint64_t now_us)
{
    struct udptun_session *s = udptun_session_next(m, NULL);
    struct udptun_conn *c = s ? session_best(s) : NULL;
    if (!c)
        return UDPTUN_E_UNREACHABLE;
    machine_enter(m, now_us);
    struct ping *ping = &s->pings[s->next_ping % PINGS];
    *ping = (struct ping){.wire = ++s->next_ping, .token = token, .sent_us = m->now_us};
    control_token(c, CONTROL_PING, ping->wire);
    machine_leave(m);
    return UDPTUN_OK;
}
