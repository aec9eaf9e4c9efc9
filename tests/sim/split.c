/* SPDX-License-Identifier: Apache-2.0 */
/*
 * split.c - a balancer that deals the streams of four locals out to two servers, for ever.
 *
 * Each server has its own sessions. A local's session is at one of them, and half of the streams
 * that it opens reach the other. The local must stay in its session, get all its legs in the end,
 * and found few sessions. Nothing else goes wrong, except in every third run: all streams are cut
 * once.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/sim.h"

enum { LOCALS = 4, SERVERS = 2, RUNS = 12, SIZE = 100 };
/* A local has a session where its first stream led, and after a cut perhaps one at the other. */
#define MOST_SESSIONS (LOCALS * SERVERS)
#define FOUNDED_US    (10 * SECOND_US)
#define SETTLED_US    (50 * SECOND_US)
#define STEP_US       20000

static void plan(struct world *w, unsigned number)
{
    w->seed = number;
    w->rng = (struct rng){number};
    w->server_count = SERVERS;
    w->local_count = LOCALS;
    w->delay_us = rng_between(&w->rng, 100, 100000);
    w->bytes_per_s = 10000000;
    w->capacity = 1 << 20;
    w->largest_chunk = 16384;
    w->largest_payload = 1200;
    w->proxied = true;
    w->balancer = number % 2 ? BALANCER_TURNS : BALANCER_CHANCE;
    w->active_until_us = w->next_traffic_us = w->next_fault_us = UDPTUN_MACHINE_NEVER;
    for (unsigned i = 0; i < SERVERS; i++)
        plan_node(w, &w->servers[i], true, i);
    for (unsigned i = 0; i < LOCALS; i++) {
        plan_node(w, &w->locals[i], false, i);
        w->locals[i].config.redundancy = 1;
        w->locals[i].config.connections = 8;
    }
}

static void send_for(struct world *w, uint64_t for_us)
{
    uint64_t until_us = w->now_us + for_us;
    while (w->now_us < until_us && !w->failed) {
        for (unsigned i = 0; i < LOCALS; i++) {
            node_send(&w->locals[i], 0, 0, SIZE, false);
            node_run(&w->locals[i]);
        }
        run_until(w, w->now_us + STEP_US);
    }
}

static unsigned count_sessions(const struct world *w)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < SERVERS; i++) {
        struct udptun_machine_info info;
        udptun_machine_look(w->servers[i].machine, w->now_us, &info);
        count += info.sessions;
    }
    return (unsigned)count;
}

static void check_locals(struct world *w)
{
    for (unsigned i = 0; i < LOCALS; i++)
        if (w->locals[i].state != UDPTUN_MACHINE_ESTABLISHED)
            broken(w, "local %u has not all its legs", i);
}

/* Datagrams to the servers that did not arrive, of those sent from number `first` on. */
static uint64_t count_lost(const struct world *w, uint32_t first)
{
    uint64_t lost = 0;
    for (uint32_t i = first; i < w->sent_count; i++)
        lost += w->sent[i].direction == UP && !w->sent[i].delivered;
    return lost;
}

static bool run_split(unsigned number)
{
    struct world *w = calloc(1, sizeof *w);
    if (!w)
        abort();
    plan(w, number);
    run_until(w, SECOND_US);
    send_for(w, FOUNDED_US / 2);
    if (number % 3 == 0)
        for (struct stream *s = w->streams; s; s = s->next)
            stream_cut(w, s);
    send_for(w, FOUNDED_US / 2);
    unsigned sessions = count_sessions(w);
    if (sessions > MOST_SESSIONS)
        broken(w, "%u sessions for %u locals at %u servers", sessions, LOCALS, SERVERS);
    uint32_t first = w->sent_count;
    send_for(w, SETTLED_US);
    run_until(w, w->now_us + SECOND_US);
    check_locals(w);
    uint64_t lost = count_lost(w, first);
    if (lost > 0)
        broken(w, "%llu datagrams are lost", (unsigned long long)lost);
    if (count_sessions(w) > sessions)
        broken(w, "%u sessions more", count_sessions(w) - sessions);
    bool ok = world_end(w);
    printf("split %u: %u sessions, %u streams, %llu datagrams lost%s\n", number, sessions,
           w->next_stream, (unsigned long long)lost, ok ? "" : " FAILED");
    world_free(w);
    return ok;
}

bool run_splits(void)
{
    bool ok = true;
    for (unsigned i = 1; i <= RUNS; i++)
        ok &= run_split(i);
    return ok;
}
