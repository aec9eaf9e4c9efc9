/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.c - a udp-local's session: which legs it wants, and dialling them.
 *
 * While no leg is up, one attempt at a time probes, on the control leg; the others follow when
 * the server has spoken on it, which proves that the session exists there. Each leg has its own
 * backoff, and forgets its failures only when it has been steady. A session that the server lost
 * is founded again by the leg that learned of it; its bindings stay and ask for their old ports.
 * A stream that reaches another server while the session is confirmed at the first is astray: it
 * is closed, and the leg is dialled again later.
 *
 * The session does without legs that are limited (dialling.c), and is established all the same.
 * Without a control leg control frames go on a data leg (session_speaker()), and without a data leg
 * datagrams on the control leg, so one leg of either kind is enough.
 */
#include <string.h>

#include "proto/error.h"
#include "proto/udpt/internal.h"

#define NEEDED_WINDOW_US (60 * S_US)
/* Datagrams wait this long without a pause: another data leg is worth its cost. */
#define PRESSURE_US (100 * MS_US)
/* A leg is steady when the server has sent a frame on it and it has lived this long. A leg forgets
 * its failures only then: a server that hangs up behind each handshake is dialled with backoff. */
#define STEADY_US (3 * S_US)

/* Data legs as the traffic needs them; given up again when a minute went by without. */
static void size_up(struct udptun_session *s)
{
    struct udptun_machine *m = s->m;
    unsigned most = m->config.connections;
    if (s->params.max_legs > 0 && s->params.max_legs < most)
        most = (unsigned)s->params.max_legs;
    unsigned needed = route_legs_needed(s);
    unsigned limited = client_first_limited(s);
    if (limited < UDPTUN_MACHINE_MAX_LEGS && needed > limited)
        needed = limited; /* more could not be connected, either */
    needed = needed < 1 ? 1 : needed > most ? most : needed;
    if (needed > s->needed_most)
        s->needed_most = needed;
    if (needed > s->wanted)
        s->wanted = needed;
    if (m->now_us < s->needed_us + NEEDED_WINDOW_US)
        return;
    s->wanted = s->needed_most > most ? most : s->needed_most;
    s->needed_most = needed;
    s->needed_us = m->now_us;
    for (unsigned i = s->wanted + 1; i < UDPTUN_MACHINE_MAX_LEGS; i++) {
        struct udptun_conn *c = s->legs[i].conn;
        if (c && !c->leaving && session_control(s)) {
            c->leaving = true;
            queue_reroute(s, c);
            control_leave(c);
        }
    }
}

static bool is_steady(const struct udptun_conn *c)
{
    return c->heard && c->m->now_us >= c->up_us + STEADY_US;
}

/* Legs that have become steady forget their failures, and with the first the outage is over. */
static void forget_failures(struct udptun_session *s)
{
    for (unsigned i = 0; i < UDPTUN_MACHINE_MAX_LEGS; i++) {
        struct leg *leg = &s->legs[i];
        if (!leg->conn || !leg->conn->heard || (leg->failures == 0 && s->outage_us == 0))
            continue;
        if (is_steady(leg->conn))
            leg->failures = 0, s->outage_us = 0;
        else
            session_wake(s, leg->conn->up_us + STEADY_US);
    }
}

void client_tick(struct udptun_session *s)
{
    if (s->m->stopping)
        return;
    forget_failures(s);
    if (session_legs_up(s) == 0) {
        client_probe(s);
        return;
    }
    client_want(s, CONTROL_LEG);
    if (!s->proven)
        return;
    size_up(s);
    session_wake(s, s->needed_us + NEEDED_WINDOW_US);
    unsigned limited = client_first_limited(s); /* one of these at a time */
    for (unsigned i = 1; i <= s->wanted; i++)
        if (i <= limited || !client_is_limited(&s->legs[i]))
            client_want(s, i);
}

void client_pressure(struct udptun_session *s)
{
    struct udptun_machine *m = s->m;
    if (s->queue_since_us == 0)
        s->queue_since_us = m->now_us;
    if (s->state != UDPTUN_MACHINE_ESTABLISHED || m->now_us - s->queue_since_us < PRESSURE_US)
        return;
    s->queue_since_us = m->now_us;
    if (s->wanted < m->config.connections && client_first_limited(s) == UDPTUN_MACHINE_MAX_LEGS) {
        s->wanted++;
        session_wake(s, m->now_us);
    }
}

/* Established: control and data, or as many legs as are allowed; degraded: a leg that is wanted was
 * lost, or has failed a few times. */
void client_update_state(struct udptun_session *s, const char *reason)
{
    unsigned up = session_legs_up(s);
    bool failing = false, limited = false;
    for (unsigned i = 0; i <= s->wanted; i++) {
        failing |= !s->legs[i].conn && s->legs[i].failures > 0 && !client_is_limited(&s->legs[i]);
        limited |= client_is_limited(&s->legs[i]);
    }
    bool has_data = up > (session_control(s) ? 1u : 0u) || limited;
    if (up == 0)
        session_enter_state(s, s->seen_up ? UDPTUN_MACHINE_RECONNECTING : UDPTUN_MACHINE_CONNECTING,
                            reason);
    else if (failing)
        session_enter_state(s, UDPTUN_MACHINE_DEGRADED, reason);
    else if (session_speaker(s) && has_data)
        session_enter_state(s, UDPTUN_MACHINE_ESTABLISHED, "");
}

static bool is_probing(const struct udptun_session *s)
{
    for (unsigned i = 0; i < UDPTUN_MACHINE_MAX_LEGS; i++)
        if (s->legs[i].attempt)
            return true;
    return false;
}

void client_attempt_ended(struct udptun_conn *c)
{
    struct udptun_session *s = c->session;
    struct leg *leg = &s->legs[c->leg];
    if (leg->attempt == c)
        leg->attempt = NULL;
    if (s->ending)
        return;
    if (!c->blameless && session_legs_up(s) > 0)
        s->m->refused++;
    if (c->blameless) {
        leg->retry_us = s->m->now_us;
        session_wake(s, leg->retry_us);
    } else {
        client_back_off(s, leg);
    }
    if (session_legs_up(s) == 0 && !is_probing(s))
        s->probe_us = leg->retry_us;
    if (c->leg == CONTROL_LEG && client_is_limited(leg))
        session_go_without_control(s);
    if (!c->blameless)
        client_update_state(s, c->reason);
}

void client_leg_lost(struct udptun_session *s, const struct udptun_conn *c)
{
    struct udptun_machine *m = s->m;
    struct leg *leg = &s->legs[c->leg];
    if (c->leg > s->wanted && session_legs_up(s) > 0)
        return; /* nobody misses it */
    /* The first attempt after a loss comes at once; those that fail back off. The loss of a leg
     * that was not steady counts as a failure. */
    if (leg->failures == 0 || is_steady(c)) {
        leg->failures = 1;
        leg->retry_us = m->now_us;
        session_wake(s, m->now_us);
    } else {
        client_back_off(s, leg);
    }
    if (session_legs_up(s) == 0) {
        s->probe_us = leg->retry_us;
        if (s->outage_us == 0)
            s->outage_us = m->now_us;
    }
    client_update_state(s, c->reason);
}

/* The far end has forgotten everything but what we tell it again. */
static void client_forget(struct udptun_session *s)
{
    s->established = s->proven = false;
    sparse_drop_copies(s);
    closing_clear(s);
    announce_reset(s);
    LIST_FOREACH (node, &s->bindings) {
        struct udptun_binding *b = list_entry(node, struct udptun_binding, in_session);
        b->confirmed = false;
        datagram_sequence_anew(b);
        b->awaits_port = b->external4.family != UDPTUN_ENDPOINT_NONE ||
                         b->external6.family != UDPTUN_ENDPOINT_NONE;
        b->awaits_until_us = s->m->now_us + s->m->config.max_queue_delay_ms * MS_US;
    }
}

/* Ids of bindings of one start of the client; those of a later start are higher. */
#define BINDINGS_BITS 20

void client_resume(struct udptun_session *s, const struct udptun_session_identity *identity)
{
    memcpy(s->id, identity->session, sizeof s->id);
    memcpy(s->secret, identity->secret, sizeof s->secret);
    s->epoch = identity->epoch;
    s->incarnation = identity->incarnation;
    s->client_incarnation = identity->client_incarnation;
    s->next_binding = ((s->client_incarnation << BINDINGS_BITS) & (VARINT_MAX >> 1)) + 1;
    s->established = s->proven = true;
}

void client_session_lost(struct udptun_session *s, const char *reason)
{
    machine_log(s->m, UDPTUN_MACHINE_LOG_INFO, "session lost: %s", reason);
    session_enter_state(s, UDPTUN_MACHINE_RECONNECTING, reason);
    session_drop_legs(s, reason);
    client_forget(s);
    machine_random(s->m, s->id, sizeof s->id);
    client_update_state(s, reason);
}

void client_refused(struct udptun_conn *c, uint64_t reason)
{
    struct udptun_session *s = c->session;
    if (reason == REFUSE_UNKNOWN_SESSION || reason == REFUSE_SESSION_PROOF)
        client_session_lost(s, refuse_text(reason));
}

static bool is_same_session(const struct udptun_session *s, const struct welcome *w)
{
    return w->known && w->epoch == s->epoch && w->incarnation == s->incarnation;
}

/* What both ends run with: the client's wishes, within the server's limits. */
static void client_agree(struct udptun_session *s, const struct hello *hello,
                         const struct welcome *w)
{
    s->params = hello->params;
    s->params.resume_ms = w->params.resume_ms;
    s->params.max_flows = w->params.max_flows;
    s->params.max_legs = w->params.max_legs;
    s->params.capabilities = w->params.capabilities;
}

void client_heard(struct udptun_conn *c)
{
    c->heard = true;
    c->session->proven = true;
    session_wake(c->session, c->m->now_us); /* the other legs may be dialled now */
}

/* Whether the session's server has shown, on a leg that is up, that it has the session. */
static bool is_confirmed(const struct udptun_session *s)
{
    for (unsigned i = 0; i < UDPTUN_MACHINE_MAX_LEGS; i++) {
        const struct udptun_conn *c = s->legs[i].conn;
        if (c && (c->joined || c->heard))
            return true;
    }
    return false;
}

/* A balancer has led the stream to another server than the session's. If that server is gone and
 * its streams only seem to be up, a PING finds out soon. */
static void go_astray(struct udptun_conn *c)
{
    for (unsigned i = 0; i < UDPTUN_MACHINE_MAX_LEGS; i++) {
        struct udptun_conn *other = c->session->legs[i].conn;
        if (other && other->ping_sent_us == 0)
            leg_heartbeat(other);
    }
    conn_kill(c, "it reached another udp-server than the session's other connections");
}

void client_welcomed(struct udptun_conn *c)
{
    struct udptun_session *s = c->session;
    struct handshake *h = c->handshake;
    struct leg *leg = &s->legs[c->leg];
    if (memcmp(h->hello.session, s->id, sizeof s->id) != 0) {
        /* The session ended while this was being dialled; the next one has another id. */
        c->blameless = true;
        conn_kill(c, "its session has ended meanwhile");
        return;
    }
    if (s->established && !is_same_session(s, &h->welcome)) {
        if (c->since_us < s->founded_us) {
            /* Its HELLO was under way when another leg founded the session; or this answer was, of
             * a server that has been restarted since. */
            c->blameless = true;
            conn_kill(c, "overtaken by another connection");
            return;
        }
        if (h->welcome.epoch != s->epoch && is_confirmed(s)) {
            go_astray(c);
            return;
        }
        /* This very leg founds the next one; its HELLO carries the old id, which is free. */
        uint8_t id[UDPTUN_MACHINE_SESSION_ID_SIZE];
        memcpy(id, s->id, sizeof id);
        leg->attempt = NULL;
        client_session_lost(s, h->welcome.epoch == s->epoch
                                   ? "the udp-server let it expire"
                                   : "the udp-server was restarted, or another one answers");
        if (h->welcome.known) {
            /* It knows this id, of a session that we had there before the streams were led to
             * another udp-server, say; the secret of that one is gone. */
            c->blameless = true;
            conn_kill(c, "the session id is taken");
            return;
        }
        memcpy(s->id, id, sizeof id);
    } else if (!s->established && h->welcome.known) {
        /* Founded by a CONFIRM whose leg died; its secret went with it. */
        machine_random(s->m, s->id, sizeof s->id);
        conn_kill(c, "the session id is taken");
        return;
    }
    enum confirm_intent intent = s->established ? CONFIRM_JOIN : CONFIRM_CREATE;
    if (intent == CONFIRM_CREATE) {
        if (!handshake_secret(h, HANDSHAKE_CLIENT, s->secret)) {
            conn_kill(c, "the udp-server's key share is not valid");
            return;
        }
        s->epoch = h->welcome.epoch;
        s->incarnation = h->welcome.incarnation;
        s->established = true;
        s->founded_us = s->m->now_us;
    }
    client_agree(s, &h->hello, &h->welcome);
    uint8_t *to = conn_reserve(c, HANDSHAKE_MAX_SIZE);
    if (!to)
        return;
    conn_commit(c, handshake_put_confirm(h, intent, s->secret, to));
    bool first = session_legs_up(s) == 0;
    bool resumed = first && intent == CONFIRM_JOIN;
    for (unsigned i = 0; first && i < UDPTUN_MACHINE_MAX_LEGS; i++)
        s->legs[i].retry_us = s->m->now_us; /* what failed did so because the far end was away */
    leg->attempt = NULL;
    c->up_us = s->m->now_us;
    c->joined = intent == CONFIRM_JOIN;
    leg_attach(c);
    if (c->state != CONN_UP)
        return;
    leg_heartbeat(c); /* its answer proves that CONFIRM came through */
    s->m->resumed += resumed;
    s->seen_up = true;
    client_update_state(s, "");
}
