/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dialling.c - when a udp-local's legs are dialled, and for how long an attempt may hear nothing.
 *
 * A proxy may be slow (Tor answers after 6 to 15 s): the oldest attempt of an outage is kept beside
 * fresh ones. Or it may allow few connections: a leg that fails again and again beside others is
 * *limited*, and one such leg is tried ever more rarely.
 */
#include <limits.h>
#include <string.h>

#include "proto/udpt/internal.h"

/* Backoff: quick while an outage is young, patient later. */
#define RETRY_FIRST_US     (200 * MS_US)
#define RETRY_YOUNG_MAX_US S_US
#define RETRY_OLD_MAX_US   (30 * S_US)
/* Beside legs that are up nothing is urgent. */
#define RETRY_BESIDE_MAX_US (60 * S_US)
#define OUTAGE_YOUNG_US     (120 * S_US)
/* A connection through a proxy stands at once, whatever is behind it; so an attempt that hears
 * nothing is abandoned for a fresh one, with growing patience for paths that are merely slow. */
#define ATTEMPT_FIRST_US (4 * S_US)
#define ATTEMPT_STEP_US  S_US
#define ATTEMPT_MAX_US   (10 * S_US)
/* The oldest attempt of an outage, and each beside legs that are up, once it has failed before. */
#define ATTEMPT_HELD_US (30 * S_US)
#define PROBE_LEGS      5
/* A leg that failed so often in a row, while others are up, is limited. */
#define FAILURES_LIMITED 4

static uint64_t retry_delay(struct udptun_session *s, unsigned failures)
{
    struct udptun_machine *m = s->m;
    bool hurry = session_legs_up(s) == 0;
    bool old = s->outage_us != 0 && m->now_us - s->outage_us > OUTAGE_YOUNG_US;
    uint64_t most_us = !hurry ? RETRY_BESIDE_MAX_US : old ? RETRY_OLD_MAX_US : RETRY_YOUNG_MAX_US;
    uint64_t delay_us = RETRY_FIRST_US;
    for (unsigned i = 1; i < failures && delay_us < most_us; i++)
        delay_us += delay_us / 2;
    if (delay_us > most_us)
        delay_us = most_us;
    /* Up to a quarter less: many clients of one server must not come in step. Without hurry up to
     * three quarters: two clients in step may reach the wrong one of two servers by turns. */
    uint32_t random;
    machine_random(m, &random, sizeof random);
    return delay_us - random % (hurry ? delay_us / 4 : delay_us / 4 * 3);
}

void client_back_off(struct udptun_session *s, struct leg *leg)
{
    leg->failures++;
    leg->retry_us = s->m->now_us + retry_delay(s, leg->failures);
    session_wake(s, leg->retry_us);
}

/* How long an attempt may hear nothing. Beside legs that are up it doubles: 4, 8, 16, 30 s. */
static uint64_t patience(const struct udptun_session *s, const struct leg *leg)
{
    bool hurry = session_legs_up(s) == 0;
    uint64_t most_us = hurry ? ATTEMPT_MAX_US : ATTEMPT_HELD_US, patience_us = ATTEMPT_FIRST_US;
    for (unsigned i = 0; i < leg->failures && patience_us < most_us; i++)
        patience_us += hurry ? ATTEMPT_STEP_US : patience_us;
    return min_u64(patience_us, most_us);
}

static const struct udptun_conn *oldest_attempt(const struct udptun_session *s)
{
    const struct udptun_conn *oldest = NULL;
    for (unsigned i = 0; i < UDPTUN_MACHINE_MAX_LEGS; i++) {
        const struct udptun_conn *c = s->legs[i].attempt;
        if (c && (!oldest || c->since_us < oldest->since_us))
            oldest = c;
    }
    return oldest;
}

bool client_keeps_attempt(struct udptun_conn *c)
{
    const struct udptun_session *s = c->session;
    uint64_t until_us = c->since_us + ATTEMPT_HELD_US;
    if (session_legs_up(s) > 0 || s->m->now_us >= until_us || oldest_attempt(s) != c)
        return false;
    c->handshake_until_us = until_us;
    conn_wake(c, until_us);
    return true;
}

static void dial(struct udptun_session *s, unsigned number)
{
    struct udptun_machine *m = s->m;
    struct leg *leg = &s->legs[number];
    struct udptun_conn *c = conn_new(m, CONN_DIALLING);
    if (!c) {
        client_back_off(s, leg);
        return;
    }
    c->handshake_until_us = m->now_us + patience(s, leg);
    conn_wake(c, c->handshake_until_us);
    conn_set_session(c, s);
    c->leg = number;
    c->generation = ++s->next_generation;
    leg->attempt = c;
    if (leg->generation > 0) /* it was up before */
        m->reconnects++;
    m->ops->dial(m->arg, c);
}

/* Attempts of the network that was hang in backed-off timers; those of the new one begin now. */
void client_network_changed(struct udptun_session *s)
{
    for (unsigned i = 0; i < UDPTUN_MACHINE_MAX_LEGS; i++) {
        struct leg *leg = &s->legs[i];
        if (session_legs_up(s) == 0 && leg->attempt)
            conn_kill(leg->attempt, "the network has changed");
        leg->failures = leg->failures > 0 ? 1 : 0;
        leg->retry_us = s->m->now_us;
    }
    if (s->outage_us != 0)
        s->outage_us = s->m->now_us;
    s->probe_us = s->m->now_us;
    session_wake(s, s->m->now_us);
}

void client_want(struct udptun_session *s, unsigned number)
{
    struct leg *leg = &s->legs[number];
    if (leg->conn || leg->attempt)
        return;
    if (s->m->now_us >= leg->retry_us)
        dial(s, number);
    else
        session_wake(s, leg->retry_us);
}

/* An outage: attempts on several legs, begun one after the other. One that began while the path
 * was cut may hang in a proxy's backed-off timers; a younger one finds the healed path. */
void client_probe(struct udptun_session *s)
{
    struct udptun_machine *m = s->m;
    if (m->now_us < s->probe_us) {
        session_wake(s, s->probe_us);
        return;
    }
    for (unsigned i = 0; i < PROBE_LEGS; i++) {
        if (s->legs[i].attempt)
            continue;
        s->probe_us = m->now_us + retry_delay(s, UINT_MAX);
        session_wake(s, s->probe_us);
        dial(s, i);
        return;
    }
}

bool client_is_limited(const struct leg *leg)
{
    return !leg->conn && leg->failures >= FAILURES_LIMITED;
}

unsigned client_first_limited(const struct udptun_session *s)
{
    unsigned i = 0;
    while (i < UDPTUN_MACHINE_MAX_LEGS && !client_is_limited(&s->legs[i]))
        i++;
    return i;
}
