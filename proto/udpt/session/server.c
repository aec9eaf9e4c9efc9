/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.c - a udp-server's side of the handshake, and sessions that outlive their legs.
 *
 * HELLO creates nothing and displaces nothing; CONFIRM does, once it is proven. So a recorded
 * HELLO played again gets a WELCOME and no more.
 */
#include <sodium.h>
#include <string.h>

#include "proto/error.h"
#include "proto/udpt/internal.h"

static bool matches_session(const struct table_node *node, const void *key)
{
    const struct udptun_session *s = table_entry(node, const struct udptun_session, in_by_session);
    return memcmp(s->id, key, UDPTUN_MACHINE_SESSION_ID_SIZE) == 0;
}

static struct udptun_session *find_session(struct udptun_machine *m, const uint8_t *id)
{
    struct table_node *node = table_find(
        &m->by_session, machine_hash(m, id, UDPTUN_MACHINE_SESSION_ID_SIZE), matches_session, id);
    return node ? table_entry(node, struct udptun_session, in_by_session) : NULL;
}

/* Whether one session more can be created: a detached one gives way if need be. */
static bool server_has_room(const struct udptun_machine *m)
{
    return m->session_count < m->config.max_sessions || !list_empty(&m->detached);
}

static void server_refuse(struct udptun_conn *c, enum refuse_reason reason)
{
    uint8_t *to = conn_reserve(c, HANDSHAKE_MAX_SIZE);
    if (!to)
        return;
    conn_commit(c, handshake_put_refuse(c->handshake, reason, to));
    conn_finish(c, refuse_text(reason));
}

void server_hello(struct udptun_conn *c)
{
    struct udptun_machine *m = c->m;
    const struct hello *hello = &c->handshake->hello;
    struct udptun_session *s = find_session(m, hello->session);
    uint8_t version =
        hello->version_high < UDPT_VERSION_MOST ? hello->version_high : UDPT_VERSION_MOST;
    if (version < hello->version_low || version < m->config.min_version) {
        server_refuse(c, REFUSE_VERSION);
        return;
    }
    if (hello->leg >= UDPTUN_MACHINE_MAX_LEGS) {
        server_refuse(c, REFUSE_LEG);
        return;
    }
    if (!s && !server_has_room(m)) {
        caps_note(m, CAP_SESSIONS);
        server_refuse(c, REFUSE_SESSIONS);
        return;
    }
    c->leg = hello->leg;
    c->generation = hello->generation;
    struct welcome welcome = {
        .version = version,
        .known = s != NULL,
        .epoch = m->epoch,
        .incarnation = s ? s->incarnation : ++m->next_incarnation,
        .params = {.resume_ms = m->config.resume_ms,
                   .max_flows = m->config.max_flows_per_session,
                   .flow_timeout_ms = m->config.flow_timeout_ms,
                   .max_queue_delay_ms = m->config.max_queue_delay_ms,
                   .max_legs = UDPTUN_MACHINE_MAX_LEGS - 1,
                   .capabilities = CAPABILITY_SOURCE_PORT | CAPABILITY_DONT_FRAGMENT},
    };
    machine_random(m, welcome.nonce, sizeof welcome.nonce);
    if (version >= UDPT_VERSION_SHARES && !s) { /* one that is only joined needs no share */
        uint8_t random[UDPT_SHARE_SIZE];
        memcpy(random, welcome.nonce, sizeof random);
        handshake_share(c->handshake, random, welcome.nonce);
        sodium_memzero(random, sizeof random);
    }
    uint8_t *to = conn_reserve(c, HANDSHAKE_MAX_SIZE);
    if (!to)
        return;
    conn_commit(c, handshake_put_welcome(c->handshake, &welcome, to));
    room_prove(c);
}

/* Bounds keep a strange client harmless. */
static uint64_t within(uint64_t value, uint64_t least, uint64_t most, uint64_t absent)
{
    if (value == 0)
        return absent;
    return value < least ? least : value > most ? most : value;
}

void server_agree(struct udptun_session *s, const struct udpt_params *wanted)
{
    s->settings_serial = wanted->settings_serial;
    struct udpt_params *p = &s->params;
    p->heartbeat_ms = within(wanted->heartbeat_ms, 100, 3600 * 1000, p->heartbeat_ms);
    p->dead_ms = within(wanted->dead_ms, 200, 86400 * 1000, p->dead_ms);
    p->redundancy = within(wanted->redundancy, 1, 3, p->redundancy);
    p->redundancy_max_size = within(wanted->redundancy_max_size, 1, UDPTUN_MACHINE_MAX_PAYLOAD_IP6,
                                    p->redundancy_max_size);
    for (unsigned i = 0; i < UDPTUN_MACHINE_MAX_LEGS; i++)
        if (s->legs[i].conn)
            conn_wake(s->legs[i].conn, s->m->now_us); /* it may be dead sooner */
}

bool server_is_older(const struct udptun_session *s, const struct udpt_params *wanted)
{
    return wanted->settings_serial < s->settings_serial;
}

/* With a HELLO all begins as this server is set to. */
static void server_agree_number(struct udptun_session *s, const struct hello *hello)
{
    if (server_is_older(s, &hello->params))
        return;
    const struct udptun_machine_config *config = &s->m->config;
    s->params = (struct udpt_params){.heartbeat_ms = config->heartbeat_ms,
                                     .dead_ms = config->dead_ms,
                                     .redundancy = config->redundancy,
                                     .redundancy_max_size = config->redundancy_max_size};
    server_agree(s, &hello->params);
}

static void detach(struct udptun_session *s)
{
    s->detached_us = s->m->now_us;
    list_move(&s->m->detached, &s->in_detached);
    session_wake(s, s->detached_us + s->m->config.resume_ms * MS_US);
}

/* A session is detached until its first leg is up, so it ends in time whatever happens to that. */
static struct udptun_session *server_create(struct udptun_conn *c,
                                            const uint8_t secret[UDPT_SECRET_SIZE])
{
    struct udptun_machine *m = c->m;
    if (m->session_count >= m->config.max_sessions) {
        caps_note(m, CAP_SESSIONS);
        session_end(list_entry(m->detached.next, struct udptun_session, in_detached),
                    "it gave way to a new session");
    }
    struct udptun_session *s = session_new(m);
    if (!s)
        return NULL;
    memcpy(s->id, c->handshake->hello.session, sizeof s->id);
    uint64_t hash = machine_hash(m, s->id, sizeof s->id);
    if (table_insert(&m->by_session, &s->in_by_session, hash) != UDPTUN_OK) {
        session_abandon(s);
        return NULL;
    }
    detach(s);
    memcpy(s->secret, secret, sizeof s->secret);
    s->incarnation = c->handshake->welcome.incarnation;
    s->client_incarnation = c->handshake->hello.client_incarnation;
    return s;
}

/* Last words to a leg whose CONFIRM was in order but cannot be granted. */
static void refuse_late(struct udptun_conn *c, enum refuse_reason reason)
{
    control_refused(c, reason);
    if (c->state != CONN_DEAD)
        conn_finish(c, refuse_text(reason));
}

/* A later start of the client goes on with the session: all but the bindings begins again. */
static void restart_client(struct udptun_session *s, uint64_t incarnation)
{
    s->client_incarnation = incarnation;
    s->settings_serial = 0; /* it counts from the start again */
    session_drop_legs(s, "its client was restarted");
    for (unsigned i = 0; i < UDPTUN_MACHINE_MAX_LEGS; i++)
        s->legs[i].generation = 0;
    sparse_drop_copies(s);
    closing_clear(s);
    id_set_fini(&s->ended); /* its ids begin again, with higher ones */
    announce_reset(s);
    binding_orphan_all(s);
}

/* Takes the leg slot; false: it was refused. */
static bool take_leg(struct udptun_session *s, struct udptun_conn *c)
{
    struct leg *leg = &s->legs[c->leg];
    uint64_t incarnation = c->handshake->hello.client_incarnation;
    if (incarnation > s->client_incarnation)
        restart_client(s, incarnation);
    if (incarnation < s->client_incarnation || c->generation <= leg->generation) {
        refuse_late(c, REFUSE_SUPERSEDED);
        return false;
    }
    struct udptun_conn *old = leg->conn;
    conn_set_session(c, s);
    room_leave(&c->m->proved, c);
    server_agree_number(s, &c->handshake->hello);
    if (old) {
        /* Attached first, so that the session is not taken for detached in between. */
        leg->conn = NULL;
        leg_attach(c);
        conn_kill(old, "displaced by a newer connection of the same leg");
    } else {
        leg_attach(c);
    }
    return true;
}

void server_confirm(struct udptun_conn *c, const uint8_t *data, size_t size)
{
    struct udptun_machine *m = c->m;
    struct handshake *h = c->handshake;
    struct udptun_session *s = find_session(m, h->hello.session);
    enum confirm_intent intent;
    enum handshake_result result =
        handshake_get_confirm(h, data, size, s ? s->secret : NULL, &intent);
    if (result == HANDSHAKE_MALFORMED) {
        conn_kill(c, "its handshake is malformed");
        return;
    }
    if (result == HANDSHAKE_UNPROVEN) {
        if (intent == CONFIRM_JOIN) /* its HELLO did prove the key */
            refuse_late(c, s ? REFUSE_SESSION_PROOF : REFUSE_UNKNOWN_SESSION);
        else
            conn_kill(c, "handshake authentication failed (wrong key?)");
        return;
    }
    if (m->stopping) {
        refuse_late(c, REFUSE_STOPPING);
        return;
    }
    bool resumed = s && s->detached_us != 0;
    if (intent == CONFIRM_CREATE) {
        if (s || h->welcome.known) { /* created, or ended, meanwhile */
            refuse_late(c, REFUSE_SUPERSEDED);
            return;
        }
        if (!server_has_room(m)) {
            caps_note(m, CAP_SESSIONS);
            refuse_late(c, REFUSE_SESSIONS);
            return;
        }
        uint8_t secret[UDPT_SECRET_SIZE];
        if (!handshake_secret(h, HANDSHAKE_SERVER, secret)) {
            conn_kill(c, "its key share is not valid");
            return;
        }
        s = server_create(c, secret);
        sodium_memzero(secret, sizeof secret);
        if (!s) {
            refuse_late(c, REFUSE_RESOURCES);
            return;
        }
    }
    if (!take_leg(s, c) || c->state != CONN_UP)
        return;
    m->resumed += resumed;
    session_enter_state(s, UDPTUN_MACHINE_ESTABLISHED, resumed ? "resumed" : "");
}

void server_leg_lost(struct udptun_session *s)
{
    if (session_legs_up(s) > 0)
        return;
    detach(s);
    session_enter_state(s, UDPTUN_MACHINE_DETACHED, "every connection was lost");
}

void server_session_ended(struct udptun_session *s)
{
    table_remove(&s->m->by_session, &s->in_by_session);
    list_remove(&s->in_detached);
}

void server_tick(struct udptun_session *s)
{
    if (s->detached_us == 0)
        return;
    uint64_t until_us = s->detached_us + s->m->config.resume_ms * MS_US;
    if (s->m->now_us < until_us)
        session_wake(s, until_us);
    else
        session_end(s, "no connection came back in time");
}
