/* SPDX-License-Identifier: Apache-2.0 */
/* load.c - voice, bulk, a responsive flow and a rival TCP on one local's line. */
#include "tests/sim/load.h"

#include <stdlib.h>

#define VOICE_STEP_US  20000
#define WINDOW_STEP_US 1000 /* how often windows are looked at */
#define RIVAL_QUEUE_US 100000
#define RIVAL_SEGMENT  1448
#define RIVAL_MOST     65536 /* segments under way */
#define GIVE_UP_US     SECOND_US
#define REORDERED      3 /* later acknowledgements that make a datagram lost */
#define SHRINK         0.7

void load_init(struct load *l, struct world *w)
{
    *l = (struct load){.w = w};
    l->own = l->other = (struct window){.size = 10, .threshold = 1e9};
    l->acks_us = calloc(RIVAL_MOST, sizeof *l->acks_us);
    if (!l->acks_us)
        abort();
}

void load_fini(struct load *l)
{
    free(l->tracked);
    free(l->settled);
    free(l->acks_us);
}

/* ---- windows ------------------------------------------------------------------------------- */

static void window_acked(struct window *v)
{
    v->under_way--;
    v->size += v->size < v->threshold ? 1 : 1 / v->size;
}

static void window_lost(struct window *v, uint64_t sent_us, uint64_t now_us)
{
    v->under_way--;
    if (sent_us < v->shrank_us)
        return;
    v->size = v->size * SHRINK < 2 ? 2 : v->size * SHRINK;
    v->threshold = v->size;
    v->shrank_us = now_us;
}

static void track(struct load *l)
{
    if (l->tracked_count == l->tracked_room) {
        l->tracked_room = 2 * l->tracked_room + 4096;
        l->tracked = realloc(l->tracked, l->tracked_room * sizeof *l->tracked);
        l->settled = realloc(l->settled, l->tracked_room);
        if (!l->tracked || !l->settled)
            abort();
    }
    l->tracked[l->tracked_count] = l->w->sent_count;
    l->settled[l->tracked_count++] = false;
}

/* Acknowledgements take the way back, outside the tunnel. From the newest to the oldest, so that
 * it is known how many later ones have come. */
static void settle(struct load *l)
{
    struct world *w = l->w;
    unsigned later = 0;
    for (size_t i = l->tracked_count; i-- > l->oldest;) {
        const struct sent *s = &w->sent[l->tracked[i]];
        bool acked = s->delivered && s->delivered_us + w->delay_us <= w->now_us;
        later += acked;
        if (l->settled[i])
            continue;
        if (acked)
            window_acked(&l->own);
        else if (later >= REORDERED || w->now_us - s->at_us > GIVE_UP_US + 4 * w->delay_us)
            window_lost(&l->own, s->at_us, w->now_us);
        else
            continue;
        l->settled[i] = true;
    }
    while (l->oldest < l->tracked_count && l->settled[l->oldest])
        l->oldest++;
}

static void run_responsive(struct load *l)
{
    settle(l);
    while (l->own.under_way < l->own.size) {
        track(l);
        l->own.under_way++;
        node_send(&l->w->locals[0], 0, BULK_DEST, BULK_SIZE, false);
    }
}

static void run_rival(struct load *l)
{
    struct world *w = l->w;
    uint64_t *free_us = &w->locals[0].line_free_us[UP];
    for (; l->ack_count > 0 && l->acks_us[l->ack_first] <= w->now_us; l->ack_count--) {
        l->ack_first = (l->ack_first + 1) % RIVAL_MOST;
        window_acked(&l->other);
    }
    while (l->other.under_way < l->other.size && l->ack_count < RIVAL_MOST) {
        if (*free_us < w->now_us)
            *free_us = w->now_us;
        l->other.under_way++;
        if (*free_us - w->now_us > RIVAL_QUEUE_US) {
            window_lost(&l->other, w->now_us, w->now_us + RIVAL_QUEUE_US + 2 * w->delay_us);
            return;
        }
        *free_us += RIVAL_SEGMENT * SECOND_US / w->bytes_per_s;
        l->acks_us[(l->ack_first + l->ack_count++) % RIVAL_MOST] = *free_us + 2 * w->delay_us;
    }
}

/* ---- what is sent -------------------------------------------------------------------------- */

static void send_voice(struct load *l)
{
    node_send(&l->w->locals[0], VOICE_SOURCE, VOICE_DEST, VOICE_SIZE, false);
    if (l->responsive)
        node_send(&l->w->locals[0], 0, INSIDE_DEST, VOICE_SIZE, false);
}

static void send_bulk(struct load *l, enum direction d)
{
    unsigned flow = l->next[d]++ % (d == UP ? l->up : l->down);
    if (d == UP)
        node_send(&l->w->locals[0], flow, BULK_DEST, BULK_SIZE, false);
    else
        node_send_down(&l->w->servers[0], flow, BULK_DEST, BULK_SIZE);
}

/* A server answers: it has a binding when the source has sent something. */
static void open_flows(struct load *l)
{
    for (unsigned i = 0; i < l->down; i++)
        node_send(&l->w->locals[0], i, BULK_DEST, NUMBERED, false);
}

static void send_what_is_due(struct load *l, bool bulk)
{
    uint64_t now_us = l->w->now_us;
    const unsigned flows[2] = {l->up, l->down};
    for (; l->voice_us <= now_us; l->voice_us += VOICE_STEP_US)
        send_voice(l);
    for (int d = UP; bulk && d <= DOWN; d++)
        for (; flows[d] > 0 && l->bulk_ns[d] <= now_us * 1000;
             l->bulk_ns[d] += UINT64_C(8000000000) * BULK_SIZE / l->offered_per_s / flows[d])
            send_bulk(l, (enum direction)d);
    if (!bulk || l->paced_us > now_us)
        return;
    l->paced_us = now_us + WINDOW_STEP_US;
    if (l->responsive)
        run_responsive(l);
    if (l->rival)
        run_rival(l);
}

static uint64_t earliest(const struct load *l, bool bulk, uint64_t until_us)
{
    uint64_t next_us = l->voice_us < until_us ? l->voice_us : until_us;
    const unsigned flows[2] = {l->up, l->down};
    for (int d = UP; bulk && d <= DOWN; d++)
        if (flows[d] > 0 && (l->bulk_ns[d] + 999) / 1000 < next_us)
            next_us = (l->bulk_ns[d] + 999) / 1000;
    if (bulk && (l->responsive || l->rival) && l->paced_us < next_us)
        next_us = l->paced_us;
    return next_us;
}

void load_run(struct load *l, uint64_t for_us, bool bulk)
{
    struct world *w = l->w;
    uint64_t until_us = w->now_us + for_us;
    uint64_t *clocks[] = {&l->voice_us, &l->paced_us};
    for (size_t i = 0; i < sizeof clocks / sizeof *clocks; i++)
        if (*clocks[i] < w->now_us)
            *clocks[i] = w->now_us;
    for (int d = UP; d <= DOWN; d++)
        if (l->bulk_ns[d] < w->now_us * 1000)
            l->bulk_ns[d] = w->now_us * 1000;
    if (bulk && l->down > 0 && l->next[DOWN] == 0)
        open_flows(l);
    while (w->now_us < until_us && !w->failed) {
        send_what_is_due(l, bulk);
        node_run(&w->locals[0]);
        node_run(&w->servers[0]);
        run_until(w, earliest(l, bulk, until_us));
    }
}
