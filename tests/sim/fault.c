/* SPDX-License-Identifier: Apache-2.0 */
/* fault.c - what goes wrong and when. */
#include "tests/sim/sim.h"

enum fault {
    FAULT_CUT,       /* one stream ends, both sides are told */
    FAULT_CUT_ALL,   /* all streams of one local */
    FAULT_HALF_OPEN, /* one stream swallows everything, nobody is told */
    FAULT_HALF_OPEN_ALL,
    FAULT_STALL, /* nothing moves on one stream for a while */
    FAULT_STALL_ALL,
    FAULT_CRASH_LOCAL,
    FAULT_CRASH_SERVER,
    FAULT_STOP_LOCAL, /* orderly */
    FAULT_STOP_SERVER,
    FAULT_END_SESSION, /* by the server's administrator */
    FAULT_NETWORK,     /* no fault, but the local is told that the network changed */
    FAULT_CONFIGURE,   /* no fault either: another number of connections, and of copies */
    FAULT_MOVE,        /* what is behind the proxy is another server, for one local */
    FAULT_MOVE_ALL,    /* for all of them */
    FAULT_COUNT,
    FAULT_SIMPLE_COUNT = FAULT_MOVE, /* those before need no second server */
};

static bool is_of(const struct stream *s, const struct node *local)
{
    return s->local.node == local && s->local.conn;
}

static struct stream *some_stream(struct world *w, const struct node *local)
{
    uint64_t count = 0;
    for (struct stream *s = w->streams; s; s = s->next)
        count += is_of(s, local);
    if (count == 0)
        return NULL;
    uint64_t skip = rng_between(&w->rng, 0, count - 1);
    for (struct stream *s = w->streams; s; s = s->next)
        if (is_of(s, local) && skip-- == 0)
            return s;
    return NULL;
}

static void hurt(struct world *w, struct stream *s, enum fault what, uint64_t until_us)
{
    if (what == FAULT_CUT || what == FAULT_CUT_ALL)
        stream_cut(w, s);
    else if (what == FAULT_HALF_OPEN || what == FAULT_HALF_OPEN_ALL) {
        s->half_open = true;
        w->last_silent_us = w->now_us;
    } else
        s->stalled_until_us = until_us;
}

static void hurt_streams(struct world *w, struct node *local, enum fault what)
{
    bool all = what == FAULT_CUT_ALL || what == FAULT_HALF_OPEN_ALL || what == FAULT_STALL_ALL;
    uint64_t until_us = w->now_us;
    if (what == FAULT_STALL || what == FAULT_STALL_ALL) {
        until_us += rng_between(&w->rng, SECOND_US / 10, 8 * SECOND_US);
        w->last_fault_us = until_us;
    }
    if (!all) {
        struct stream *s = some_stream(w, local);
        if (s)
            hurt(w, s, what, until_us);
        return;
    }
    for (struct stream *s = w->streams; s; s = s->next)
        if (is_of(s, local))
            hurt(w, s, what, until_us);
}

/* Its process ends, and the kernel says so to the peers; or the whole machine goes, unannounced. */
static void down(struct world *w, struct node *n, bool orderly)
{
    enum leaving how = !orderly ? LEAVE_CRASH : rng_once_in(&w->rng, 2) ? LEAVE_KEEP : LEAVE_END;
    bool silent = !orderly && rng_once_in(&w->rng, 3);
    for (struct stream *s = w->streams; silent && s; s = s->next)
        s->half_open |= s->server.node == n || is_of(s, n);
    if (silent)
        w->last_silent_us = w->now_us;
    uint64_t down_us = rng_between(&w->rng, 0, 5 * SECOND_US);
    node_leave(n, how, down_us);
    if (n->up_again_us > w->last_fault_us)
        w->last_fault_us = n->up_again_us;
}

static void end_session(struct world *w, const struct node *server)
{
    struct udptun_session *s = server->machine ? udptun_session_next(server->machine, NULL) : NULL;
    if (!s)
        return;
    w->closes = s;
    udptun_session_close(s, w->now_us);
    w->closes = NULL;
}

/*
 * A load balancer takes the local to another server: at once, or for a while some of its new
 * streams reach the one and some the other. That is the worse, for each of the two knows at most
 * the session of a moment ago. When it is over, what still reaches another server is cut.
 */
static void move(struct world *w, struct node *local, struct node *server)
{
    static const unsigned percents[] = {20, 50, 80, 100};
    local->next_reached = server;
    local->next_percent = percents[rng_between(&w->rng, 0, 3)];
    uint64_t for_us = rng_once_in(&w->rng, 3) ? 0 : rng_between(&w->rng, 0, 8 * SECOND_US);
    local->moves_until_us = w->now_us + for_us;
    say(w, "%s is led to %s, with %u %% of its new streams for %.3f s", local->name, server->name,
        local->next_percent, (double)for_us / 1e6);
    if (local->moves_until_us > w->last_fault_us)
        w->last_fault_us = local->moves_until_us;
}

static struct node *another_server(struct world *w, const struct node *local)
{
    uint64_t on = rng_between(&w->rng, 1, w->server_count - 1);
    return &w->servers[(local->reached->index + on) % w->server_count];
}

static void moved(struct world *w, struct node *local)
{
    local->reached = local->next_reached;
    local->moves_until_us = UDPTUN_MACHINE_NEVER;
    say(w, "%s reaches %s alone now", local->name, local->reached->name);
    for (struct stream *s = w->streams; s; s = s->next)
        if (is_of(s, local) && s->server.node != local->reached)
            stream_cut(w, s);
}

void moves_run(struct world *w)
{
    for (unsigned i = 0; i < w->local_count; i++)
        if (w->locals[i].moves_until_us <= w->now_us)
            moved(w, &w->locals[i]);
}

uint64_t moves_next_us(const struct world *w)
{
    uint64_t next_us = UDPTUN_MACHINE_NEVER;
    for (unsigned i = 0; i < w->local_count; i++)
        if (w->locals[i].moves_until_us < next_us)
            next_us = w->locals[i].moves_until_us;
    return next_us;
}

static void configure(struct world *w, struct node *local)
{
    if (!local->machine)
        return;
    local->config.connections = (unsigned)rng_between(&w->rng, 1, 8);
    node_plan_copies(local);
    udptun_machine_configure(local->machine, &local->config, w->now_us);
}

static void happen(struct world *w, enum fault what)
{
    struct node *local = &w->locals[rng_between(&w->rng, 0, w->local_count - 1)];
    struct node *server = &w->servers[rng_between(&w->rng, 0, w->server_count - 1)];
    static const char *const names[FAULT_COUNT] = {
        "cut",         "cut all",         "half-open",    "half-open all", "stall",
        "stall all",   "crash local",     "crash server", "stop local",    "stop server",
        "end session", "network changed", "configure",    "move",          "move all"};
    say(w, "fault: %s, %s, %s", names[what], local->name, server->name);
    if (what != FAULT_NETWORK && what != FAULT_CONFIGURE) { /* all promises hold through those */
        w->faults++;
        if (w->last_fault_us < w->now_us)
            w->last_fault_us = w->now_us;
    }
    switch (what) {
    case FAULT_CUT:
    case FAULT_CUT_ALL:
    case FAULT_HALF_OPEN:
    case FAULT_HALF_OPEN_ALL:
    case FAULT_STALL:
    case FAULT_STALL_ALL:
        hurt_streams(w, local, what);
        break;
    case FAULT_CRASH_LOCAL:
        down(w, local, false);
        break;
    case FAULT_CRASH_SERVER:
        down(w, server, false);
        break;
    case FAULT_STOP_LOCAL:
        down(w, local, true);
        break;
    case FAULT_STOP_SERVER:
        down(w, server, true);
        break;
    case FAULT_END_SESSION:
        end_session(w, server);
        break;
    case FAULT_MOVE:
        move(w, local, another_server(w, local));
        break;
    case FAULT_MOVE_ALL:
        for (unsigned i = 0; i < w->local_count; i++)
            move(w, &w->locals[i], server);
        break;
    case FAULT_NETWORK:
        if (local->machine)
            udptun_machine_network_changed(local->machine, w->now_us);
        break;
    case FAULT_CONFIGURE:
        configure(w, local);
        break;
    case FAULT_COUNT:
        break;
    }
}

void fault_run(struct world *w)
{
    if (w->server_count > 1 && rng_once_in(&w->rng, 2)) /* what such a world is for */
        happen(w, rng_once_in(&w->rng, 2) ? FAULT_MOVE : FAULT_MOVE_ALL);
    else
        happen(w, (enum fault)rng_between(&w->rng, 0, FAULT_SIMPLE_COUNT - 1));
}

void fault_move_all(struct world *w)
{
    happen(w, FAULT_MOVE_ALL);
}
