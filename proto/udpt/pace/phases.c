/* SPDX-License-Identifier: Apache-2.0 */
/* phases.c - the congestion control's phases (see phases.h). */
#include "proto/udpt/pace/phases.h"

#include "proto/udpt/core/units.h"

#define FIRST_BUDGET 16384
#define LEAST_BUDGET 6000
/* How long a box with Nagle's algorithm may hold back the end of what was written, beside a round
 * trip: Linux's delayed acknowledgement at most, and a little. */
#define HELD_BACK_US (42 * MS_US)
/* A path that is emptying holds what it carries in a round trip and this. */
#define MARGIN_US (10 * MS_US)

#define START_PERCENT 250
#define AGAIN_PERCENT 150 /* of a later START: the bandwidth is roughly known */
#define DRAIN_PERCENT 75
/* CRUISE: a little less than the path carries, less when there is a queue, and a little more on a
 * long path without one, where rounds are long and probes therefore rare. */
#define CRUISE_PERCENT      98
#define CRUISE_LOW_PERCENT  92
#define CRUISE_FREE_PERCENT 103
#define FREE_PATH_US        (150 * MS_US)

/* START is over after so many full rounds without a quarter more, or round trips with a queue. */
#define PLATEAU_ROUNDS 2
#define START_QUEUED   8
#define DRAIN_ROUNDS   2
#define CRUISE_ROUNDS  4 /* and as many more at most, by chance: two ends must not probe in step */
/* The queue that a probe makes at most, where the bounds of its gain allow. */
#define PROBE_QUEUE_US (10 * MS_US)
#define PROBE_MAX      200
#define DOWN_MIN       50

#define ROUND_MIN_US  (40 * MS_US)
#define ROUND_LONG_US (250 * MS_US)
#define ROUND_BYTES   (16 * 1200)

void phases_init(struct phases *p, uint32_t seed)
{
    *p = (struct phases){.random = seed | 1};
}

/* ---- gain, rate and budget ------------------------------------------------------------------- */

static unsigned start_percent(const struct phases *p)
{
    return p->started ? AGAIN_PERCENT : START_PERCENT;
}

static unsigned cruise_percent(const struct phases *p, const struct path *path)
{
    uint64_t limit_us = path_queue_us(path);
    if (p->queue_us > limit_us / 3)
        return CRUISE_LOW_PERCENT;
    if (p->queue_us > limit_us / 8 || path_round_us(path) < FREE_PATH_US)
        return CRUISE_PERCENT;
    return CRUISE_FREE_PERCENT;
}

static unsigned gain_percent(const struct phases *p, const struct path *path)
{
    switch (p->phase) {
    case PHASE_START:
        return start_percent(p);
    case PHASE_DRAIN:
        return DRAIN_PERCENT;
    case PHASE_CRUISE:
        return cruise_percent(p, path);
    case PHASE_UP:
        return p->probe_percent;
    case PHASE_JUDGE:
        return 100;
    case PHASE_DOWN:
        return p->probe_percent > 200 - DOWN_MIN ? DOWN_MIN : 200 - p->probe_percent;
    case PHASE_LEAST:
        break;
    }
    return CRUISE_PERCENT;
}

uint64_t phases_rate(const struct phases *p, const struct path *path)
{
    if (path->bandwidth == 0)
        return 0;
    uint64_t round_us = path_round_us(path);
    uint64_t rate = path->bandwidth * gain_percent(p, path) / 100;
    if (p->phase == PHASE_START && !p->started)
        rate = max_u64(rate, 2 * FIRST_BUDGET * S_US / max_u64(round_us, MS_US));
    return max_u64(rate, LEAST_BUDGET * S_US / (round_us + HELD_BACK_US));
}

uint64_t phases_budget(const struct phases *p, const struct path *path, bool overdue)
{
    uint64_t round_us = path_round_us(path), time_us = 0, least = LEAST_BUDGET;
    switch (p->phase) {
    case PHASE_START:
        time_us = (round_us + HELD_BACK_US) * start_percent(p) / 100;
        least = p->started ? LEAST_BUDGET : FIRST_BUDGET;
        break;
    case PHASE_DRAIN:
        time_us = round_us + MARGIN_US;
        break;
    case PHASE_CRUISE:
    case PHASE_UP:
    case PHASE_JUDGE:
    case PHASE_DOWN:
        time_us = overdue ? round_us + MARGIN_US : 2 * round_us + HELD_BACK_US;
        break;
    case PHASE_LEAST:
        time_us = path->min_rtt_us / 2;
        break;
    }
    return max_u64(path->bandwidth * time_us / S_US, least);
}

uint64_t phases_round_us(const struct phases *p, const struct path *path)
{
    if (p->phase == PHASE_START || path->bandwidth == 0)
        return ROUND_MIN_US;
    return max_u64(ROUND_MIN_US, min_u64(ROUND_LONG_US, ROUND_BYTES * S_US / path->bandwidth));
}

uint64_t phases_overdue_us(const struct path *path)
{
    return 2 * path_round_us(path) + HELD_BACK_US + path_queue_us(path);
}

/* ---- transitions ----------------------------------------------------------------------------- */

static void enter(struct phases *p, enum phase phase)
{
    p->phase = phase;
    p->rounds = 0;
}

static unsigned chance(struct phases *p, unsigned most)
{
    p->random = p->random * 1664525 + 1013904223; /* Knuth vol. 2, 3.3.4, table 1 */
    return (p->random >> 16) % (most + 1);
}

/* By how much the first UP exceeds the bandwidth: 10 to 25 %. */
static unsigned first_probe(const struct path *path)
{
    uint64_t percent = PROBE_QUEUE_US * 100 / max_u64(path_round_us(path), ROUND_MIN_US);
    return 100 + (unsigned)max_u64(10, min_u64(25, percent));
}

static void enter_least(struct phases *p, const struct path *path, uint64_t now_us)
{
    p->least_us = p->drained_us = 0;
    p->until_us = now_us + 4 * max_u64(path->last_rtt_us, path->min_rtt_us) + S_US;
    enter(p, PHASE_LEAST);
}

void phases_drained(struct phases *p, const struct path *path, uint64_t now_us)
{
    if (p->phase != PHASE_LEAST || p->drained_us != 0)
        return;
    p->drained_us = now_us;
    p->until_us =
        now_us + max_u64(path->last_rtt_us, path->min_rtt_us) + path->ack_wait_us + 2 * MARGIN_US;
}

/* The least round trip is known again. If it is much longer, then what looked like a queue was the
 * path, and its bandwidth is what it was before. */
static void leave_least(struct phases *p, struct path *path, uint64_t now_us)
{
    bool longer = p->least_us > path->min_rtt_us + path->min_rtt_us / 4 + 15 * MS_US;
    if (p->least_us != 0)
        path_set_min(path, p->least_us, now_us);
    else
        path->min_seen_us = now_us;
    if (longer) {
        path_only_rate(path, max_u64(path->bandwidth, p->before));
        p->cruise_rounds = 1;
    }
    p->from_start = false;
    p->started = true;
    p->queue_rounds = 0;
    p->before = 0;
    enter(p, PHASE_CRUISE);
}

static void drain_start(struct phases *p)
{
    p->from_start = true;
    enter(p, PHASE_DRAIN);
}

/* After a start, on as fast as was seen. Else that may be too little, for less than the path holds
 * was under way; if it is less than half of what it was, then a start from there. */
static void leave_drain(struct phases *p, const struct path *path)
{
    bool again = !p->from_start && p->before > 2 * path->bandwidth;
    p->from_start = false;
    p->started = true;
    p->before = 0;
    p->cruise_rounds = 1;
    p->grown_rate = path->bandwidth;
    p->plateau = p->start_queued = 0;
    enter(p, again ? PHASE_START : PHASE_CRUISE);
}

/* The path carries no more than this at present. */
static void cut_rate(struct phases *p, struct path *path, const struct round_result *r)
{
    p->before = max_u64(p->before, path->bandwidth);
    path_only_rate(path, max_u64(r->sample, r->last));
}

static void start_round(struct phases *p, const struct path *path, const struct round_result *r)
{
    if (path->bandwidth >= p->grown_rate + p->grown_rate / 4) {
        p->grown_rate = path->bandwidth;
        p->plateau = 0;
    } else if (r->full && ++p->plateau >= PLATEAU_ROUNDS) {
        drain_start(p);
    }
}

static void drain_round(struct phases *p, struct path *path, const struct round_result *r,
                        uint64_t now_us)
{
    bool queued = p->queue_rounds > 0;
    if (r->least_us != 0 && p->queue_us <= path_queue_us(path) / 2) {
        leave_drain(p, path);
    } else if (p->rounds == 1 && queued) {
        cut_rate(p, path, r);
    } else if (p->rounds >= DRAIN_ROUNDS) {
        if (queued)
            enter_least(p, path, now_us);
        else
            leave_drain(p, path);
    }
}

static void cruise_round(struct phases *p, const struct path *path, const struct round_result *r)
{
    if (p->rounds < p->cruise_rounds || !r->full)
        return;
    unsigned probe = first_probe(path);
    /* What this round fell short of would come in the next, and look as if UP had brought it. */
    if (r->shortfall * 400 > path->bandwidth * (probe - 100) &&
        p->rounds < p->cruise_rounds + CRUISE_ROUNDS)
        return;
    p->cruise_rounds = CRUISE_ROUNDS + chance(p, CRUISE_ROUNDS);
    p->probe_percent = probe;
    p->grown_rate = path->bandwidth;
    enter(p, PHASE_UP);
}

static void judge_round(struct phases *p, const struct path *path, const struct round_result *r)
{
    uint64_t wanted = p->grown_rate + p->grown_rate * (p->probe_percent - 100) / 200;
    if (!r->full || p->queue_rounds > 0 || r->sample < wanted) {
        enter(p, PHASE_DOWN);
        return;
    }
    p->grown_rate = path->bandwidth;
    p->probe_percent = (unsigned)min_u64(PROBE_MAX, 100 + 2 * (p->probe_percent - 100));
    enter(p, PHASE_UP);
}

/* The round's queue is noted, and whether the phases that should have none must give way to it. */
static bool must_drain(struct phases *p, const struct path *path, const struct round_result *r)
{
    uint64_t limit_us = path_queue_us(path);
    if (r->least_us != 0)
        p->queue_us = r->least_us > path->min_rtt_us ? r->least_us - path->min_rtt_us : 0;
    bool queued = r->least_us != 0 && p->queue_us > limit_us;
    p->queue_rounds = queued ? p->queue_rounds + 1 : 0;
    return r->busy && r->least_us != 0 &&
           (p->queue_rounds >= 2 || p->queue_us > 4 * limit_us + path->min_rtt_us);
}

static void step_round(struct phases *p, struct path *path, const struct round_result *r,
                       uint64_t now_us)
{
    bool drain = must_drain(p, path, r);
    p->rounds++;
    switch (p->phase) {
    case PHASE_START:
        start_round(p, path, r);
        return;
    case PHASE_DRAIN:
        drain_round(p, path, r, now_us);
        return;
    case PHASE_LEAST:
        return;
    case PHASE_CRUISE:
    case PHASE_UP:
    case PHASE_JUDGE:
    case PHASE_DOWN:
        break;
    }
    if (drain) {
        cut_rate(p, path, r);
        enter(p, PHASE_DRAIN);
    } else if (p->phase == PHASE_CRUISE) {
        cruise_round(p, path, r);
    } else if (p->phase == PHASE_UP) {
        enter(p, PHASE_JUDGE);
    } else if (p->phase == PHASE_JUDGE) {
        judge_round(p, path, r);
    } else {
        enter(p, PHASE_CRUISE);
    }
}

static void step_rtt(struct phases *p, const struct path *path)
{
    uint64_t rtt_us = path->last_rtt_us;
    if (p->phase == PHASE_START) {
        bool queued = rtt_us > path->min_rtt_us + path_queue_us(path);
        p->start_queued = queued ? p->start_queued + 1 : 0;
        if (p->start_queued >= START_QUEUED && path->bandwidth > 0 && p->rounds > 0)
            drain_start(p);
    } else if (p->phase == PHASE_LEAST && (p->least_us == 0 || rtt_us < p->least_us)) {
        p->least_us = rtt_us;
    }
}

void phases_step(struct phases *p, struct path *path, enum phase_event event,
                 const struct round_result *round, uint64_t now_us)
{
    switch (event) {
    case PHASE_ROUND:
        step_round(p, path, round, now_us);
        break;
    case PHASE_RTT:
        step_rtt(p, path);
        break;
    case PHASE_AGED:
        if (p->phase != PHASE_START && p->phase != PHASE_LEAST)
            enter_least(p, path, now_us);
        break;
    case PHASE_TIME:
        if (p->phase == PHASE_LEAST && now_us >= p->until_us)
            leave_least(p, path, now_us);
        break;
    }
}
