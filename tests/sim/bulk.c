/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bulk.c - one flow that offers more than the path carries, beside one that is sparse.
 *
 * No fault here, but paths of several lengths and widths, each with a box with Nagle's algorithm on
 * it. The credit must come to what the path carries: neither may the bulk flow starve, by a budget
 * that is too small for its acknowledgements or by an age at which the receiver drops, nor may the
 * sparse one lose a datagram to the queue that the bulk flow makes. Silences of the app before it
 * say nothing of the path.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/sim.h"

enum { BULK_SIZE = 1200, SPARSE_SIZE = 172, BULK_DEST = 0, SPARSE_DEST = 1 };
#define SPARSE_STEP_US 20000
#define START_US       (5 * SECOND_US)
#define MEASURED_US    (10 * SECOND_US)
#define BURST_US       (SECOND_US * 3 / 10)
#define PAUSE_US       (9 * SECOND_US)
/* Of what the line carries; its framing, and that of the sparse flow, is in it. */
#define LEAST_PERCENT 85

static const struct path {
    uint64_t delay_us, bytes_per_s;
    unsigned pauses; /* bursts with a silence after each, before all else */
} paths[] = {{10000, 125000, 0},  {10000, 625000, 0},  {10000, 2500000, 0}, {25000, 625000, 0},
             {50000, 1250000, 0}, {100000, 125000, 0}, {100000, 625000, 0}, {100000, 2500000, 0},
             {10000, 2500000, 3}, {100000, 2500000, 3}};

static void plan(struct world *w, const struct path *p, uint64_t seed)
{
    w->seed = seed;
    w->rng = (struct rng){seed};
    w->server_count = w->local_count = 1;
    w->delay_us = p->delay_us;
    w->bytes_per_s = p->bytes_per_s;
    w->capacity = 1 << 20;
    w->largest_chunk = 16384;
    w->largest_payload = SPARSE_SIZE;
    w->silent_dest = BULK_DEST;
    w->has_silent_dest = w->proxied = w->nagle = w->narrow = true;
    w->active_until_us = w->next_traffic_us = w->next_fault_us = UDPTUN_MACHINE_NEVER;
    plan_node(w, &w->servers[0], true, 0);
    plan_node(w, &w->locals[0], false, 0);
    w->locals[0].config.redundancy = 1;
    w->locals[0].config.connections = 8;
    w->servers[0].config.max_queue_delay_ms = w->locals[0].config.max_queue_delay_ms = 500;
    w->servers[0].config.max_queue_bytes = w->locals[0].config.max_queue_bytes = 1 << 20;
}

/* Twice what the line carries, for as long as `for_us`. */
static void offer(struct world *w, uint64_t for_us, bool bulk)
{
    uint64_t until_us = w->now_us + for_us, sparse_us = w->now_us, bulk_us = w->now_us;
    while (w->now_us < until_us && !w->failed) {
        if (sparse_us <= w->now_us) {
            node_send(&w->locals[0], 1, SPARSE_DEST, SPARSE_SIZE, false);
            sparse_us += SPARSE_STEP_US;
        }
        for (; bulk && bulk_us <= w->now_us; bulk_us += BULK_SIZE * SECOND_US / w->bytes_per_s / 2)
            node_send(&w->locals[0], 0, BULK_DEST, BULK_SIZE, false);
        node_run(&w->locals[0]);
        run_until(w, bulk && bulk_us < sparse_us ? bulk_us : sparse_us);
    }
}

bool run_bulk(unsigned number, bool verbose)
{
    struct world *w = calloc(1, sizeof *w);
    if (!w)
        abort();
    const struct path *p = &paths[number];
    plan(w, p, 1 + number);
    w->verbose = verbose;
    run_until(w, 3 * SECOND_US);
    offer(w, 2 * SECOND_US, false);
    for (unsigned i = 0; i < p->pauses; i++) {
        offer(w, BURST_US, true);
        run_until(w, w->now_us + PAUSE_US);
    }
    offer(w, START_US, true);
    uint32_t first = w->sent_count;
    uint64_t from_us = w->now_us, size = 0, lost = 0;
    offer(w, MEASURED_US, true);
    uint64_t took_us = w->now_us - from_us;
    run_until(w, w->now_us + SECOND_US);
    for (uint32_t i = first; i < w->sent_count; i++) {
        const struct sent *s = &w->sent[i];
        if (s->dest == BULK_DEST)
            size += s->delivered ? s->size : 0;
        else if (s->direction == UP)
            lost += !s->delivered;
    }
    uint64_t percent = size * SECOND_US / took_us * 100 / p->bytes_per_s;
    if (percent < LEAST_PERCENT)
        broken(w, "a bulk flow gets %llu %% of the line", (unsigned long long)percent);
    if (lost > 0)
        broken(w, "%llu datagrams of the sparse flow are lost", (unsigned long long)lost);
    bool ok = world_end(w);
    printf("bulk at %.0f ms, %.0f Mbit/s%s: %llu %% of the line, %llu sparse datagrams lost%s\n",
           (double)p->delay_us / 500, (double)p->bytes_per_s * 8 / 1e6,
           p->pauses > 0 ? ", after pauses" : "", (unsigned long long)percent,
           (unsigned long long)lost, ok ? "" : " FAILED");
    world_free(w);
    return ok;
}

unsigned bulk_paths(void)
{
    return sizeof paths / sizeof *paths;
}
