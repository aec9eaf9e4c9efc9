/* SPDX-License-Identifier: Apache-2.0 */
/* node.c - the host of one machine: udptun_machine_ops, writing, starting and crashing, replies. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

#define FIRST_PORT 10000
/* Within a second: all legs at once and again, twice over. */
#define MOST_DIALS 40

static void on_random(void *arg, void *to, size_t size)
{
    struct node *n = arg;
    uint8_t *bytes = to;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)rng_u64(&n->rng);
}

/* Where the next stream leads. */
static struct node *balanced(struct node *n)
{
    struct world *w = n->world;
    if (w->balancer == BALANCER_TURNS)
        return &w->servers[w->next_stream % w->server_count];
    if (w->balancer == BALANCER_CHANCE)
        return &w->servers[rng_between(&w->rng, 0, w->server_count - 1)];
    bool to_next = n->moves_until_us != UDPTUN_MACHINE_NEVER &&
                   rng_between(&w->rng, 1, 100) <= n->next_percent;
    return to_next ? n->next_reached : n->reached;
}

/* Whatever goes wrong, a local does not dial like mad. */
static void count_dial(struct node *n)
{
    if (n->world->now_us >= n->dials_us + SECOND_US) {
        n->dials_us = n->world->now_us;
        n->dials = 0;
    }
    if (++n->dials == MOST_DIALS)
        broken(n->world, "%s dials %u times within a second", n->name, n->dials);
}

static void on_dial(void *arg, struct udptun_conn *conn)
{
    struct node *n = arg;
    count_dial(n);
    struct stream *s = stream_dial(n, balanced(n), conn);
    n->conns++;
    udptun_conn_set_host(conn, &s->local);
    say(n->world, "%s dials stream %u, to %s", n->name, s->number, s->server.node->name);
}

static void on_hangup(void *arg, struct udptun_conn *conn, const char *reason)
{
    struct node *n = arg;
    struct side *side = udptun_conn_host(conn);
    if (!side || side->conn != conn) {
        broken(n->world, "%s: ops.hangup for a conn that is not alive", n->name);
        return;
    }
    say(n->world, "%s hangs up stream %u: %s", n->name, side->stream->number, reason);
    if (n->server)
        rest_hung_up(n, reason);
    n->conns--;
    stream_hangup(n->world, side, rng_once_in(&n->world->rng, 2));
}

static void reply_now(struct world *w, const struct reply *r)
{
    struct udptun_binding *b = r->server->ports[r->port];
    if (!r->server->machine || r->server_incarnation != r->server->incarnation || !b)
        return;
    const struct binding_host *h = udptun_binding_host(b);
    if (h->owner != r->owner) /* the port is another's by now */
        return;
    bool own = r->dest >= SHARED_DESTS;
    size_t size = own && !r->probe ? (size_t)rng_between(&w->rng, 0, NUMBERED - 1)
                                   : (size_t)rng_between(&w->rng, NUMBERED, w->largest_payload);
    uint8_t *payload = malloc(size ? size : 1);
    if (!payload)
        abort();
    struct datagram d = {DOWN, (unsigned)r->owner, r->dest, h->serial, r->probe, payload, size};
    oracle_sent(w, &d);
    struct udptun_dest from = oracle_reply_from((unsigned)r->owner, r->dest);
    udptun_binding_send(b, &from, payload, size, w->now_us);
    oracle_classified(w, b, size);
    free(payload);
}

/* The destination answers, some of the time: at once, inside ops.datagram, or after a while. */
static void plan_replies(struct node *n, const struct binding_host *h, unsigned dest, bool probe)
{
    struct world *w = n->world;
    uint64_t count = probe ? 1 : rng_between(&w->rng, 0, 2);
    if (w->has_silent_dest && dest == w->silent_dest)
        return;
    for (uint64_t i = 0; i < count; i++) {
        struct reply reply = {.due_us = w->now_us + rng_between(&w->rng, 0, 50000),
                              .server = n,
                              .server_incarnation = n->incarnation,
                              .port = h->port,
                              .owner = h->owner,
                              .dest = (uint8_t)dest,
                              .probe = probe};
        if (rng_once_in(&w->rng, 8)) {
            reply_now(w, &reply);
            continue;
        }
        struct reply *r = malloc(sizeof *r);
        if (!r)
            abort();
        *r = reply;
        r->next = w->replies;
        w->replies = r;
    }
}

static void on_datagram(void *arg, struct udptun_binding *b, const struct udptun_dest *peer,
                        const uint8_t *data, size_t size)
{
    struct node *n = arg;
    struct binding_host *h = udptun_binding_host(b);
    int owner = n->server ? h->owner : (int)(n->index * SOURCES + h->source);
    bool probe;
    int dest = oracle_arrived(n, &owner, peer, data, size, &probe);
    if (!n->server || dest < 0)
        return;
    bool fresh = h->owner < 0;
    h->owner = owner;
    if (fresh) { /* its socket is opened now */
        struct udptun_endpoint external =
            endpoint_ip4(203, 0, 113, (uint8_t)n->index, (uint16_t)(FIRST_PORT + h->port));
        udptun_binding_external(b, &external, n->world->now_us);
    }
    if (rng_once_in(&n->world->rng, 50))
        udptun_binding_error(b, peer, UDPTUN_MACHINE_PORT_UNREACHABLE, 0, n->world->now_us);
    plan_replies(n, h, (unsigned)dest, probe);
}

static int on_binding_opened(void *arg, struct udptun_binding *b, uint16_t want4, uint16_t want6)
{
    struct node *n = arg;
    struct binding_host *h = udptun_binding_host(b);
    (void)want6;
    if (!oracle_is_calm(n->world) && n->world->now_us < n->world->active_until_us &&
        rng_once_in(&n->world->rng, 60)) {
        h->port = PORTS;
        return UDPTUN_MACHINE_LIMIT; /* no descriptor left, say */
    }
    unsigned port = want4 >= FIRST_PORT && want4 < FIRST_PORT + PORTS ? want4 - FIRST_PORT : PORTS;
    if (port == PORTS || n->ports[port])
        for (port = n->next_port; n->ports[port]; port = (port + 1) % PORTS)
            ;
    n->next_port = (port + 1) % PORTS;
    n->ports[port] = b;
    n->bindings++;
    *h = (struct binding_host){.port = port, .owner = -1, .serial = n->world->next_serial++};
    return 0;
}

static void on_binding_closed(void *arg, struct udptun_binding *b, enum udptun_close_reason reason)
{
    struct node *n = arg;
    struct binding_host *h = udptun_binding_host(b);
    if (n->server && h->port == PORTS) { /* refused by on_binding_opened() */
        if (reason != UDPTUN_CLOSE_LIMIT)
            broken(n->world, "%s: a refused binding ends for reason %d", n->name, (int)reason);
        return;
    }
    struct udptun_binding **place = n->server ? &n->ports[h->port] : &n->sources[h->source];
    if (reason < UDPTUN_CLOSE_IDLE || reason > UDPTUN_CLOSE_HOST)
        broken(n->world, "%s: close reason %d", n->name, (int)reason);
    if (*place != b) {
        broken(n->world, "%s: ops.binding_closed for a binding that is not open", n->name);
        return;
    }
    *place = NULL;
    n->bindings--;
}

static void on_error(void *arg, struct udptun_binding *b, const struct udptun_dest *peer,
                     enum udptun_machine_error code, uint32_t value)
{
    struct node *n = arg;
    const struct binding_host *h = udptun_binding_host(b);
    (void)peer;
    (void)value;
    if (n->sources[h->source] != b || code < UDPTUN_MACHINE_PORT_UNREACHABLE ||
        code > UDPTUN_MACHINE_LIMIT)
        broken(n->world, "%s: an error for nobody", n->name);
}

static void on_state(void *arg, struct udptun_session *s, enum udptun_machine_state state,
                     const char *reason)
{
    struct node *n = arg;
    n->state = state;
    if (n->server && state == UDPTUN_MACHINE_CLOSED)
        rest_session_ended(n, s);
    if (!n->server)
        n->established_us = state != UDPTUN_MACHINE_ESTABLISHED ? 0
                            : n->established_us                 ? n->established_us
                                                                : n->world->now_us;
    if (state != UDPTUN_MACHINE_ESTABLISHED && state != UDPTUN_MACHINE_DEGRADED)
        oracle_clocks_forgotten(n->world);
    say(n->world, "%s: state %d (%s)", n->name, (int)state, reason);
}

static void on_pong(void *arg, uint64_t token, uint64_t rtt_us)
{
    struct node *n = arg;
    n->pongs++;
    if (token > n->next_ping || rtt_us > n->world->now_us)
        broken(n->world, "%s: a pong for no ping", n->name);
}

static void on_log(void *arg, enum udptun_machine_log level, const char *text)
{
    struct node *n = arg;
    say(n->world, "%s: log %d: %s", n->name, (int)level, text);
}

static const struct udptun_machine_ops local_ops = {
    .random = on_random,
    .dial = on_dial,
    .hangup = on_hangup,
    .datagram = on_datagram,
    .binding_closed = on_binding_closed,
    .error = on_error,
    .state = on_state,
    .pong = on_pong,
    .log = on_log,
};

static const struct udptun_machine_ops server_ops = {
    .random = on_random,
    .hangup = on_hangup,
    .datagram = on_datagram,
    .binding_opened = on_binding_opened,
    .binding_closed = on_binding_closed,
    .state = on_state,
    .log = on_log,
};

/* ---- life ----------------------------------------------------------------------------------- */

void node_plan_copies(struct node *local)
{
    struct rng *r = &local->world->rng;
    local->config.redundancy = rng_once_in(r, 3) ? (unsigned)rng_between(r, 2, 3) : 1;
    local->config.redundancy_max_size = (uint32_t)rng_between(r, 0, 1500);
}

void node_start(struct node *n)
{
    struct world *w = n->world;
    n->rng = (struct rng){rng_u64(&w->rng)};
    n->state = UDPTUN_MACHINE_CONNECTING;
    n->incarnation++;
    n->established_us = 0;
    oracle_clocks_forgotten(w);
    n->identity.client_incarnation = w->now_us / 1000;
    n->config.identity = n->has_identity ? &n->identity : NULL;
    n->machine = udptun_machine_new(&n->config, n->server ? &server_ops : &local_ops, n, w->now_us);
    if (!n->machine)
        abort();
    say(w, "%s starts", n->name);
}

void node_leave(struct node *n, enum leaving how, uint64_t down_us)
{
    static const char *const words[] = {"crashes", "stops for good", "stops and will be back"};
    if (!n->machine)
        return;
    say(n->world, "%s %s", n->name, words[how]);
    /* It was kept when the session came to be; now and then the disk is new, too. */
    n->has_identity = !n->server && how != LEAVE_END && !rng_once_in(&n->world->rng, 4) &&
                      udptun_machine_identity(n->machine, &n->identity);
    if (how != LEAVE_CRASH) {
        udptun_machine_stop(n->machine,
                            how == LEAVE_KEEP ? UDPTUN_MACHINE_STOP_KEEP : UDPTUN_MACHINE_STOP_END,
                            n->world->now_us);
        node_run(n);
    }
    udptun_machine_free(n->machine);
    n->machine = NULL;
    n->up_again_us = n->world->now_us + down_us;
    if (n->conns || n->bindings)
        broken(n->world, "%s: %u conns and %u bindings outlive the machine", n->name, n->conns,
               n->bindings);
}

void node_run(struct node *n)
{
    struct udptun_conn *c;
    for (unsigned turns = 0; udptun_machine_deadline(n->machine) <= n->world->now_us; turns++) {
        if (turns == 100) {
            broken(n->world, "%s: its deadline does not move on", n->name);
            return;
        }
        udptun_machine_tick(n->machine, n->world->now_us);
    }
    while ((c = udptun_machine_next_ready(n->machine))) {
        struct side *side = udptun_conn_host(c);
        if (!side || side->conn != c) {
            broken(n->world, "%s: a conn is ready that is not alive", n->name);
            return;
        }
        stream_write(n->world, side);
    }
}

void node_check(struct node *n)
{
    struct udptun_machine_info info;
    udptun_machine_look(n->machine, n->world->now_us, &info);
    if (info.flows != n->bindings)
        broken(n->world, "%s: %llu flows counted, %u open", n->name, (unsigned long long)info.flows,
               n->bindings);
    unsigned walked = 0;
    for (struct udptun_session *s = NULL; (s = udptun_session_next(n->machine, s));) {
        uint64_t after = 0;
        for (struct udptun_binding *b; (b = udptun_binding_after(s, after)); walked++) {
            struct udptun_binding_info look;
            udptun_binding_look(b, n->world->now_us, &look);
            /* At a server a flow may come to be before one of a lower id. */
            if (!n->server && walked && look.id <= after)
                broken(n->world, "%s: bindings out of order", n->name);
            after = look.id;
        }
    }
    if (walked > n->bindings)
        broken(n->world, "%s: %u bindings listed, %u open", n->name, walked, n->bindings);
    memory_check(n);
    if (n->server)
        rest_check_server(n);
}

void node_describe(const struct node *n)
{
    struct world *w = n->world;
    for (struct udptun_session *s = NULL; (s = udptun_session_next(n->machine, s));) {
        struct udptun_session_info info;
        udptun_session_look(s, w->now_us, &info);
        for (size_t i = 0; i < info.leg_count; i++)
            say(w,
                "%s: %s leg, state %d, rtt %lld us, unacknowledged for %llu us, %llu out, %llu in",
                n->name, info.legs[i].control ? "control" : "data", (int)info.legs[i].state,
                (long long)info.legs[i].rtt_us, (unsigned long long)info.legs[i].queue_us,
                (unsigned long long)info.legs[i].tx_bytes,
                (unsigned long long)info.legs[i].rx_bytes);
    }
    struct udptun_machine_info info;
    udptun_machine_look(n->machine, w->now_us, &info);
    const uint64_t *dropped = info.counters.dropped;
    say(w,
        "%s: %llu flows, dropped %llu stale, %llu queue, %llu oversize, %llu policy, %llu no flow",
        n->name, (unsigned long long)info.flows,
        (unsigned long long)dropped[UDPTUN_MACHINE_DROP_STALE],
        (unsigned long long)dropped[UDPTUN_MACHINE_DROP_QUEUE],
        (unsigned long long)dropped[UDPTUN_MACHINE_DROP_OVERSIZE],
        (unsigned long long)dropped[UDPTUN_MACHINE_DROP_POLICY],
        (unsigned long long)dropped[UDPTUN_MACHINE_DROP_NO_FLOW]);
}

/* ---- datagrams ------------------------------------------------------------------------------ */

void node_send(struct node *local, unsigned source, unsigned dest, size_t size, bool probe)
{
    struct world *w = local->world;
    unsigned owner = local->index * SOURCES + source;
    struct udptun_binding *b = local->sources[source];
    if (!b) {
        int code = 0;
        b = udptun_binding_open(local->machine, UINT64_C(0x1abe1) << 32 | owner, w->now_us, &code);
        if (!b) {
            broken(w, "%s: no binding, code %d", local->name, code);
            return;
        }
        local->sources[source] = b;
        local->bindings++;
        *(struct binding_host *)udptun_binding_host(b) =
            (struct binding_host){.source = source, .serial = w->next_serial++};
    }
    uint8_t *payload = malloc(size ? size : 1);
    if (!payload)
        abort();
    const struct binding_host *h = udptun_binding_host(b);
    struct datagram d = {UP, owner, dest, h->serial, probe, payload, size};
    oracle_sent(w, &d);
    struct udptun_dest to = oracle_dest(owner, dest);
    udptun_binding_send(b, &to, payload, size, w->now_us);
    oracle_classified(w, b, size);
    free(payload);
}

void replies_run(struct world *w)
{
    for (struct reply **at = &w->replies; *at;) {
        struct reply *r = *at;
        if (r->due_us > w->now_us) {
            at = &r->next;
            continue;
        }
        *at = r->next;
        reply_now(w, r);
        free(r);
    }
}

uint64_t replies_next_us(const struct world *w)
{
    uint64_t next_us = UDPTUN_MACHINE_NEVER;
    for (const struct reply *r = w->replies; r; r = r->next)
        if (r->due_us < next_us)
            next_us = r->due_us;
    return next_us;
}

static struct udptun_binding *binding_of(const struct node *server, unsigned source)
{
    for (unsigned i = 0; i < server->next_port && i < PORTS; i++) {
        const struct binding_host *h =
            server->ports[i] ? udptun_binding_host(server->ports[i]) : NULL;
        if (h && h->owner == (int)source)
            return server->ports[i];
    }
    return NULL;
}

void node_send_down(struct node *server, unsigned source, unsigned dest, size_t size)
{
    struct world *w = server->world;
    struct udptun_binding *b = binding_of(server, source);
    if (!b)
        return;
    uint8_t *payload = malloc(size);
    if (!payload)
        abort();
    const struct binding_host *h = udptun_binding_host(b);
    struct datagram d = {DOWN, source, dest, h->serial, false, payload, size};
    oracle_sent(w, &d);
    struct udptun_dest from = oracle_reply_from(source, dest);
    udptun_binding_send(b, &from, payload, size, w->now_us);
    oracle_classified(w, b, size);
    free(payload);
}
