/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest.c - whether each local comes to rest at one server, and leaves none behind at another.
 *
 * A local whose streams reach several servers founds a session wherever it is not known. When all
 * of them reach the same one it has one session there, and stays in it. What it left behind is
 * detached and ends when its time is over, not before; no local takes it up again. No interface
 * shows all of this, so this looks inside.
 */
#include <string.h>

#include "proto/udpt/codec/handshake.h"
#include "proto/udpt/internal.h"
#include "tests/sim/sim.h"

static uint64_t expires_us(const struct node *server, const struct udptun_session *s)
{
    return s->detached_us == 0 ? UDPTUN_MACHINE_NEVER
                               : s->detached_us + server->config.resume_ms * MS_US;
}

void rest_session_ended(const struct node *server, const struct udptun_session *s)
{
    struct world *w = server->world;
    uint64_t until_us = expires_us(server, s);
    bool on_purpose = s->m->stopping || w->closes == s;
    if (until_us != UDPTUN_MACHINE_NEVER && w->now_us < until_us && !on_purpose)
        broken(w, "%s lets a session expire %.3f s too early", server->name,
               (double)(until_us - w->now_us) / 1e6);
}

void rest_hung_up(const struct node *server, const char *reason)
{
    /* They all are honest: who joins a session has its secret, wherever it was in between. */
    if (strcmp(reason, refuse_text(REFUSE_SESSION_PROOF)) == 0)
        broken(server->world, "a local takes a session of %s for its own", server->name);
}

void rest_check_server(const struct node *server)
{
    struct world *w = server->world;
    for (struct udptun_session *s = NULL; (s = udptun_session_next(server->machine, s));)
        if (expires_us(server, s) < w->now_us)
            broken(w, "%s keeps a session for longer than %u ms", server->name,
                   server->config.resume_ms);
}

static bool is_of(const struct udptun_session *s, const struct udptun_session_identity *identity)
{
    return memcmp(s->id, identity->session, sizeof s->id) == 0 &&
           memcmp(s->secret, identity->secret, sizeof s->secret) == 0;
}

static bool has_session(const struct node *server, const struct udptun_session_identity *identity)
{
    for (struct udptun_session *s = NULL; (s = udptun_session_next(server->machine, s));)
        if (is_of(s, identity))
            return true;
    return false;
}

void rest_begin(struct world *w)
{
    for (unsigned i = 0; i < w->local_count; i++) {
        struct node *n = &w->locals[i];
        const struct udptun_session *s = udptun_session_next(n->machine, NULL);
        for (unsigned leg = 0; leg < UDPTUN_MACHINE_MAX_LEGS; leg++) {
            const struct udptun_conn *c = s->legs[leg].conn;
            if (c && stream_server(c) != n->reached)
                broken(w, "leg %u of %s is at %s, its streams reach %s", leg, n->name,
                       stream_server(c)->name, n->reached->name);
        }
        if (!udptun_machine_identity(n->machine, &n->rests_in) ||
            !has_session(n->reached, &n->rests_in))
            broken(w, "%s has no session at %s", n->name, n->reached->name);
    }
}

/* Whether some local rests in this session of `server`. */
static bool is_rested_in(struct world *w, const struct node *server, const struct udptun_session *s)
{
    for (unsigned i = 0; i < w->local_count; i++)
        if (w->locals[i].reached == server && is_of(s, &w->locals[i].rests_in))
            return true;
    return false;
}

void rest_end(struct world *w)
{
    uint64_t longest_ms = 0;
    for (unsigned i = 0; i < w->server_count; i++)
        if (w->servers[i].config.resume_ms > longest_ms)
            longest_ms = w->servers[i].config.resume_ms;
    /* One whose streams are half-open is detached after the dead interval, within the settling. */
    uint64_t until_us = w->last_fault_us + w->settle_us + longest_ms * MS_US + SECOND_US;
    if (until_us > w->now_us && !run_until(w, until_us))
        return;
    for (unsigned i = 0; i < w->local_count; i++) {
        struct node *n = &w->locals[i];
        if (n->state != UDPTUN_MACHINE_ESTABLISHED ||
            !is_of(udptun_session_next(n->machine, NULL), &n->rests_in))
            broken(w, "%s did not stay in its session", n->name);
        if (!has_session(n->reached, &n->rests_in))
            broken(w, "%s did not keep the session of %s", n->reached->name, n->name);
    }
    for (unsigned i = 0; i < w->server_count; i++)
        for (struct udptun_session *s = NULL; (s = udptun_session_next(w->servers[i].machine, s));)
            if (!is_rested_in(w, &w->servers[i], s))
                broken(w, "%s has a session that no local is in", w->servers[i].name);
}
