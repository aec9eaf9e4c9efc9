/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim.c - the simulator: real session machines in a world of virtual time.
 *
 *     sim SEED [-v]       one history, printed with -v
 *     sim --seeds N       the histories of seeds 1 to N, or of A to B with A-B for N; the first
 *                         that fails is printed
 *     sim --bulk          a flow that offers more than the path carries, on several paths
 *     sim --split         a balancer that deals streams out to two servers
 *     sim --matrix [SEEDS [PART]]   what a load gets on many paths: a table, with limits
 *
 * A history has an active part, in which sources send, destinations reply and things go wrong, and
 * then a quiet part: nothing goes wrong any more, and when the settling time has passed (the dead
 * interval and 2 s) every local must be established; where nothing was half-open, it has a session
 * within 2.5 s. Then the second of two probes of each source must reach its destination and its
 * answer the source. Invariants at every step: what is delivered was sent, is unaltered, at the
 * right place, was not delivered before, and is not older than the deadline allows; in order inside
 * a bulk flow while all has been well for the settling time; the machine's accounts match its
 * host's and what it holds is within the caps; a deadline that was served moves on; a session
 * that was left behind at a server ends with the resume timeout. Half of the worlds have several
 * servers and a proxy that takes locals from one to another; each local must come to rest at the
 * one that it reaches in the end, in one session, and no server may keep another. At the end
 * every conn was hung up and every binding closed; leaks are AddressSanitizer's to find.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

#define MOST_STEPS 20000000
/* A session is back so soon after a fault that both ends know of: the promise is 2.5 s at 50 ms,
 * which has four trips for the handshake, and twice as many when Nagle is on the way. */
#define SOON_US    (2300 * 1000)
#define SOON_TRIPS 8

static void print_line(const struct world *w, const char *format, va_list args)
{
    printf("%llu %12.6f  ", (unsigned long long)w->seed, (double)w->now_us / 1e6);
    vprintf(format, args);
    putchar('\n');
}

void say(struct world *w, const char *format, ...)
{
    if (!w->verbose)
        return;
    va_list args;
    va_start(args, format);
    print_line(w, format, args);
    va_end(args);
}

void broken(struct world *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("BROKEN ", stdout);
    print_line(w, format, args);
    va_end(args);
    w->failed = true;
}

static unsigned node_count(const struct world *w)
{
    return w->server_count + w->local_count;
}

static struct node *node_of(struct world *w, unsigned i)
{
    return i < w->server_count ? &w->servers[i] : &w->locals[i - w->server_count];
}

/* ---- the plan of a seed --------------------------------------------------------------------- */

void plan_node(struct world *w, struct node *n, bool server, unsigned index)
{
    n->world = w;
    n->server = server;
    n->index = index;
    snprintf(n->name, sizeof n->name, "%s %u", server ? "server" : "local", index);
    n->reached = &w->servers[0];
    n->moves_until_us = UDPTUN_MACHINE_NEVER;
    udptun_machine_config_init(&n->config, server ? UDPTUN_MACHINE_SERVER : UDPTUN_MACHINE_LOCAL);
    n->config.binding_host_size = sizeof(struct binding_host);
    n->config.connections = (unsigned)rng_between(&w->rng, 1, 8);
    n->config.max_queue_delay_ms = (uint32_t)rng_between(&w->rng, 5, 10) * 100;
    if (rng_once_in(&w->rng, 4))
        n->config.max_queue_bytes = 80000;
    if (!server)
        node_plan_copies(n);
}

static void plan_world(struct world *w)
{
    struct rng *r = &w->rng;
    static const size_t chunks[] = {7, 1500, 16384, 65536};
    static const size_t payloads[] = {200, 1472, 9000, 65507};
    w->now_us = rng_between(r, 0, 1000 * SECOND_US);
    if (rng_once_in(r, 8)) /* CLOCK's 32 bits of milliseconds will not do */
        w->now_us = (UINT64_C(1) << 32) * 1000 - rng_between(r, 5, 60) * SECOND_US;
    w->server_count = rng_once_in(r, 2) ? (unsigned)rng_between(r, 2, MAX_SERVERS) : 1;
    w->local_count = (unsigned)rng_between(r, 1, rng_once_in(r, 3) ? MAX_LOCALS : 3);
    w->delay_us = rng_between(r, 50, 150000);
    w->bytes_per_s = rng_between(r, 2000000, 100000000);
    w->capacity = (size_t)rng_between(r, 16384, 1 << 20);
    w->largest_chunk = chunks[rng_between(r, 0, 3)];
    w->largest_payload = payloads[w->largest_chunk < 100 ? 0 : rng_between(r, 0, 3)];
    w->proxied = rng_once_in(r, 2);
    w->nagle = rng_once_in(r, 3);
    w->narrow = rng_once_in(r, 3);
    if (w->narrow)
        w->bytes_per_s = rng_between(r, 300000, 2000000);
    if (w->largest_chunk >= 1500 && rng_once_in(r, 3))
        w->lost_once_in = rng_between(r, 50, 1000);
    w->active_until_us = w->now_us + rng_between(r, 20, 150) * SECOND_US;
    w->next_traffic_us = w->now_us;
    w->next_fault_us = w->now_us + rng_between(r, 0, 10 * SECOND_US);

    bool keyed = rng_once_in(r, 2), quick = rng_once_in(r, 2), scarce = rng_once_in(r, 4);
    uint8_t key[UDPTUN_MACHINE_KEY_SIZE];
    for (unsigned i = 0; i < UDPTUN_MACHINE_KEY_SIZE; i++)
        key[i] = (uint8_t)rng_u64(r);
    for (unsigned i = 0; i < w->server_count; i++) {
        struct node *n = &w->servers[i];
        plan_node(w, n, true, i);
        n->config.has_key = keyed;
        memcpy(n->config.key, key, sizeof key);
        n->config.resume_ms = (uint32_t)rng_between(r, 0, 60000);
        if (scarce) /* each session makes room with its own flows, never with another's */
            n->config.max_flows_per_session = 4;
        if (rng_once_in(r, 4))
            n->config.flow_timeout_ms = 3000;
    }
    for (unsigned i = 0; i < w->local_count; i++) {
        struct node *n = &w->locals[i];
        plan_node(w, n, false, i);
        n->config.has_key = keyed;
        memcpy(n->config.key, key, sizeof key);
        n->reached = &w->servers[rng_between(r, 0, w->server_count - 1)];
        n->config.heartbeat_ms = quick ? 1000 : 10000;
        n->config.dead_ms = quick ? 3000 : 30000;
        if (rng_once_in(r, 4))
            n->config.max_flows = 3;
        if (rng_once_in(r, 4))
            n->config.flow_timeout_ms = 5000;
    }
    w->settle_us = (quick ? 3 : 30) * SECOND_US + 2 * SECOND_US;
    /* Either end may be there first. */
    for (unsigned i = 0; i < node_count(w); i++)
        node_of(w, i)->up_again_us = w->now_us + rng_between(r, 0, 3 * SECOND_US);
    w->last_fault_us = w->now_us + 3 * SECOND_US;
}

/* ---- what happens --------------------------------------------------------------------------- */

static void traffic_run(struct world *w)
{
    struct node *local = &w->locals[rng_between(&w->rng, 0, w->local_count - 1)];
    uint64_t burst = rng_once_in(&w->rng, 10) ? rng_between(&w->rng, 1, 20) : 1;
    unsigned source = (unsigned)rng_between(&w->rng, 0, SEED_SOURCES - 1);
    unsigned dest = (unsigned)rng_between(&w->rng, 0, DESTS - 1);
    for (uint64_t i = 0; local->machine && i < burst; i++) {
        size_t largest =
            rng_once_in(&w->rng, 4) || w->largest_payload < 1472 ? w->largest_payload : 1472;
        size_t size = dest >= SHARED_DESTS ? (size_t)rng_between(&w->rng, 0, NUMBERED - 1)
                                           : (size_t)rng_between(&w->rng, NUMBERED, largest);
        node_send(local, source, dest, size, false);
    }
    uint64_t pause_us = rng_between(&w->rng, 0, 60000);
    if (rng_once_in(&w->rng, 2000))
        pause_us = rng_between(&w->rng, SECOND_US, 60 * SECOND_US);
    w->next_traffic_us = w->now_us + pause_us;
    if (local->machine && rng_once_in(&w->rng, 100))
        udptun_machine_ping(local->machine, ++local->next_ping, w->now_us);
}

static uint64_t next_us(struct world *w)
{
    uint64_t next = streams_next_us(w), others[] = {w->next_traffic_us, w->next_fault_us,
                                                    replies_next_us(w), moves_next_us(w)};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (others[i] < next)
            next = others[i];
    for (unsigned i = 0; i < node_count(w); i++) {
        const struct node *n = node_of(w, i);
        uint64_t us = n->machine ? udptun_machine_deadline(n->machine) : n->up_again_us;
        if (us < next)
            next = us;
    }
    return next > w->now_us ? next : w->now_us;
}

static void step(struct world *w)
{
    if (w->next_fault_us <= w->now_us) {
        fault_run(w);
        w->next_fault_us = w->now_us + rng_between(&w->rng, 0, 20 * SECOND_US);
        if (rng_once_in(&w->rng, 4)) /* time to settle in between */
            w->next_fault_us += 60 * SECOND_US;
    }
    for (unsigned i = 0; i < node_count(w); i++) {
        struct node *n = node_of(w, i);
        if (!n->machine && n->up_again_us <= w->now_us)
            node_start(n);
    }
    moves_run(w);
    streams_run(w);
    replies_run(w);
    if (w->next_traffic_us <= w->now_us)
        traffic_run(w);
    for (unsigned i = 0; i < node_count(w); i++)
        if (node_of(w, i)->machine)
            node_run(node_of(w, i));
    if (w->steps++ % 64 == 0)
        for (unsigned i = 0; i < node_count(w); i++)
            if (node_of(w, i)->machine)
                node_check(node_of(w, i));
    if (w->steps % 64 == 0)
        for (unsigned i = 0; i < w->local_count; i++)
            flows_check(&w->locals[i]);
}

bool run_until(struct world *w, uint64_t until_us)
{
    while (!w->failed) {
        uint64_t us = next_us(w);
        if (us > until_us) {
            w->now_us = until_us;
            return true;
        }
        w->now_us = us;
        step(w);
        if (w->steps > MOST_STEPS)
            broken(w, "more than %d steps", MOST_STEPS);
    }
    return false;
}

/* The active part. Where there are several servers it ends with a move: what the quiet part is to
 * show of such a world is how its locals come to rest. */
static bool run_active(struct world *w)
{
    if (!run_until(w, w->active_until_us) || w->server_count == 1)
        return !w->failed;
    w->next_fault_us = UDPTUN_MACHINE_NEVER;
    fault_move_all(w);
    return run_until(w, w->last_fault_us);
}

/* Where nothing is half-open, each local has a session again soon. */
static bool prompt_again(struct world *w)
{
    uint64_t soon_us = SOON_US + SOON_TRIPS * w->delay_us;
    if (w->lost_once_in != 0 || w->last_fault_us < w->last_silent_us + w->settle_us)
        return true;
    if (!run_until(w, w->last_fault_us + soon_us))
        return false;
    for (unsigned i = 0; i < w->local_count; i++) {
        enum udptun_machine_state state = w->locals[i].state;
        if (state != UDPTUN_MACHINE_ESTABLISHED && state != UDPTUN_MACHINE_DEGRADED)
            broken(w, "local %u has no session %.3f s after the last fault", i,
                   (double)soon_us / 1e6);
    }
    return true;
}

/* The quiet part. */
static void settle_and_probe(struct world *w)
{
    w->next_traffic_us = w->next_fault_us = UDPTUN_MACHINE_NEVER;
    if (w->last_fault_us < w->active_until_us)
        w->last_fault_us = w->active_until_us;
    if (!prompt_again(w) || !run_until(w, w->last_fault_us + w->settle_us + 1))
        return;
    for (unsigned i = 0; i < w->local_count; i++) {
        const struct node *n = &w->locals[i];
        if (n->state != UDPTUN_MACHINE_ESTABLISHED)
            broken(w, "local %u is not established %.0f s after the last fault", i,
                   (double)w->settle_us / 1e6);
        if (n->established_us > w->last_fault_us + w->slowest_us)
            w->slowest_us = n->established_us - w->last_fault_us;
    }
    /* A probe that is lost and comes late is dropped, and rightly so. */
    w->lost_once_in = 0;
    if (!run_until(w, w->now_us + 5 * SECOND_US))
        return;
    rest_begin(w);
    for (unsigned source = 0; source < SEED_SOURCES; source++) {
        for (unsigned i = 0; i < w->local_count; i++) {
            unsigned dest = (unsigned)rng_between(&w->rng, 0, SHARED_DESTS - 1);
            /* The one before may be lost: it may be what tells that the server has dropped the
             * flow and that the word of it was lost with a connection. */
            for (int attempt = 0; attempt < 2; attempt++) {
                node_send(&w->locals[i], source, dest, 100, attempt > 0);
                node_run(&w->locals[i]);
                if (!run_until(w, w->now_us + SECOND_US))
                    return;
            }
            /* One after the other: with few flows allowed, the next one takes this one's place. */
            if (!run_until(w, w->now_us + 2 * SECOND_US))
                return;
        }
    }
    rest_end(w);
}

bool world_end(struct world *w)
{
    for (unsigned i = 0; i < node_count(w); i++) {
        if (node_of(w, i)->machine)
            node_describe(node_of(w, i));
        node_leave(node_of(w, i), LEAVE_CRASH, 0);
    }
    while (w->replies) {
        struct reply *r = w->replies;
        w->replies = r->next;
        free(r);
    }
    stream_free_all(w);
    return !w->failed;
}

void world_free(struct world *w)
{
    free(w->sent);
    free(w);
}

static bool run_seed(uint64_t seed, bool verbose)
{
    struct world *w = calloc(1, sizeof *w);
    if (!w)
        abort();
    w->seed = seed;
    w->rng = (struct rng){seed};
    w->verbose = verbose;
    plan_world(w);
    if (run_active(w))
        settle_and_probe(w);
    if (!w->failed)
        oracle_verdict(w);
    bool ok = world_end(w);
    if (verbose || !ok)
        printf(
            "seed %llu: %s; %u faults, %llu up, %llu down, %llu of a known age, %llu lost while "
            "all "
            "was well, established after %.3f s, %llu steps, history %016llx\n",
            (unsigned long long)seed, ok ? "ok" : "FAILED", w->faults,
            (unsigned long long)w->delivered[UP], (unsigned long long)w->delivered[DOWN],
            (unsigned long long)w->aged, (unsigned long long)w->calm_lost,
            (double)w->slowest_us / 1e6, (unsigned long long)w->steps, (unsigned long long)w->hash);
    world_free(w);
    return ok;
}

static int usage(void)
{
    fputs(
        "usage: sim SEED [-v] | sim --seeds COUNT | sim --seeds FIRST-LAST | sim --bulk | sim "
        "--split | sim --matrix [SEEDS [PART]]\n",
        stderr);
    return 2;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return usage();
    setvbuf(stdout, NULL, _IOLBF, 0); /* the history so far is there when it is interrupted */
    if (strcmp(argv[1], "--bulk") == 0 && argc == 2) {
        unsigned bad = 0;
        for (unsigned i = 0; i < bulk_paths(); i++)
            bad += !run_bulk(i, false);
        return bad ? 1 : 0;
    }
    if (strcmp(argv[1], "--split") == 0 && argc == 2)
        return run_splits() ? 0 : 1;
    if (strcmp(argv[1], "--matrix") == 0 && argc <= 4) {
        unsigned long seeds = argc > 2 ? strtoul(argv[2], NULL, 10) : 5;
        if (seeds < 1 || seeds > 99)
            return usage();
        return run_matrix((unsigned)seeds, argc > 3 ? argv[3] : NULL) ? 0 : 1;
    }
    bool many = strcmp(argv[1], "--seeds") == 0;
    if (many ? argc != 3 : argc > 3 || (argc == 3 && strcmp(argv[2], "-v") != 0))
        return usage();
    char *rest;
    uint64_t number = strtoull(argv[many ? 2 : 1], &rest, 10);
    if (!many)
        return run_seed(number, argc == 3) ? 0 : 1;
    uint64_t first = *rest == '-' ? number : 1, failed = 0;
    uint64_t last = *rest == '-' ? strtoull(rest + 1, NULL, 10) : number;
    for (uint64_t seed = first; seed <= last; seed++) {
        if (run_seed(seed, false))
            continue;
        if (failed++ == 0) /* once more, with its history */
            run_seed(seed, true);
    }
    printf("%llu seeds, %llu failed\n", (unsigned long long)(last - first + 1),
           (unsigned long long)failed);
    return failed ? 1 : 0;
}
