/* SPDX-License-Identifier: Apache-2.0 */
/* credit.c - whether one more bulk datagram may leave now (see credit.h). */
#include "proto/udpt/pace/credit.h"

#include "proto/udpt/core/units.h"
#include <udptun/machine.h>

/* A round lasts no longer than this and two round trips: what ends it may be held up by a loss. */
#define ROUND_MAX_US S_US
/* While the path is busy none as short as the least round trip may be seen for so long; while it is
 * not, the session is idle after so long. */
#define BUSY_AGE_US (10 * S_US)
#define IDLE_US     (3 * S_US)
/* How often a budget that time alone opens is looked at. */
#define LOOK_US        MS_US
#define DRAINED_MARGIN 3000

void credit_init(struct credit *k, uint32_t seed, uint64_t now_us)
{
    *k = (struct credit){.round_us = now_us};
    path_init(&k->path, now_us);
    phases_init(&k->phases, seed);
    pacer_init(&k->pacer, now_us);
}

static void set_rate(struct credit *k, uint64_t now_us)
{
    k->allowed = 0;
    pacer_set_rate(&k->pacer, phases_rate(&k->phases, &k->path), now_us);
}

static uint64_t budget(const struct credit *k, uint64_t now_us)
{
    bool overdue = k->round_leg && now_us - k->round_us > phases_overdue_us(&k->path);
    return phases_budget(&k->phases, &k->path, overdue);
}

/* Nothing but what is sent can change the answer at this time, so that what is left to send needs
 * no second look. */
static void allow(struct credit *k, uint64_t limit, uint64_t now_us)
{
    uint64_t tokens = k->pacer.rate == 0 ? limit : (uint64_t)k->pacer.tokens / S_US;
    k->allowed = (int64_t)min_u64(limit - k->under_way, tokens);
    k->allowed_us = now_us;
}

bool credit_allows(struct credit *k, bool leg_idle, uint64_t now_us, uint64_t *retry_us)
{
    *retry_us = UDPTUN_MACHINE_NEVER;
    if (!pacer_allows(&k->pacer, now_us, retry_us))
        return false;
    uint64_t limit = budget(k, now_us);
    if (k->under_way < limit) {
        allow(k, limit, now_us);
        return true;
    }
    /* A leg with nothing under way may always send one frame, and one may go beyond the budget: it
     * may be as large as that. */
    bool least = k->phases.phase == PHASE_LEAST;
    if (leg_idle && !least)
        return true;
    if (least)
        *retry_us = max_u64(k->phases.until_us, now_us + LOOK_US);
    return false;
}

void credit_blocked(struct credit *k, uint64_t now_us)
{
    if (k->blocked_us == 0)
        k->blocked_us = now_us;
}

void credit_unblocked(struct credit *k, uint64_t now_us)
{
    if (k->blocked_us == 0)
        return;
    k->blocked_for_us += now_us - max_u64(k->blocked_us, k->round_us);
    k->blocked_us = 0;
}

/* ---- rounds ---------------------------------------------------------------------------------- */

static void begin_round(struct credit *k, uint64_t now_us)
{
    k->round_us = now_us;
    k->round_delivered = k->delivered;
    k->round_sent = k->sent;
    k->blocked_for_us = 0;
    k->round_end = 0;
    k->round_leg = NULL;
}

void credit_begin_round(struct credit *k, const void *leg, uint64_t end, uint64_t now_us)
{
    if (k->under_way == 0) /* a pause of the app's is no time in which the path was slow */
        begin_round(k, now_us);
    k->round_leg = leg;
    k->round_end = end;
}

void credit_acked(struct credit *k, const void *leg, uint64_t end, uint64_t size, uint64_t delay_us)
{
    k->under_way -= min_u64(size, k->under_way);
    k->delivered += size;
    path_waited(&k->path, delay_us);
    if (k->round_leg == leg && end >= k->round_end)
        k->round_leg = NULL;
}

void credit_lost(struct credit *k, const void *leg, uint64_t size)
{
    k->under_way -= min_u64(size, k->under_way);
    if (k->round_leg == leg)
        k->round_leg = NULL;
}

/* What the path delivered in this round, bytes a second. */
static struct round_result measure(struct credit *k, uint64_t now_us)
{
    uint64_t elapsed_us = now_us - k->round_us;
    uint64_t came = (k->delivered - k->round_delivered) * S_US / elapsed_us;
    uint64_t went = (k->sent - k->round_sent) * S_US / elapsed_us;
    struct round_result r = {.last = k->last_sample, .least_us = k->round_least_us};
    /* Acknowledgements come in clumps, above all when TCP has repaired a loss: nothing is delivered
     * faster than it was sent. */
    r.sample = min_u64(came, max_u64(went, k->sent_rate));
    /* What the last round fell short of is acknowledged in this one. */
    if (k->phases.phase != PHASE_START)
        r.sample -= min_u64(k->shortfall, r.sample / 2);
    uint64_t due = min_u64(k->path.bandwidth, k->sent_rate);
    r.shortfall = due > came ? due - came : 0;
    uint64_t blocked_for_us = k->blocked_for_us;
    if (k->blocked_us != 0)
        blocked_for_us += now_us - max_u64(k->blocked_us, k->round_us);
    bool limited = blocked_for_us * 2 >= elapsed_us;
    r.full = limited && k->was_limited;
    r.busy = limited || r.sample * 2 >= k->path.bandwidth;
    k->sent_rate = went;
    k->shortfall = r.shortfall;
    k->last_sample = r.sample;
    k->was_limited = limited;
    return r;
}

/* What is delivered while less than the path holds is under way does not tell its rate. */
static bool tells_rate(const struct phases *p)
{
    return p->phase != PHASE_LEAST && !(p->phase == PHASE_DRAIN && p->rounds > 0);
}

static void end_round(struct credit *k, uint64_t now_us)
{
    struct round_result r = measure(k, now_us);
    if (r.busy)
        k->busy_us = now_us;
    if (tells_rate(&k->phases))
        path_rate(&k->path, r.sample, r.full);
    phases_step(&k->phases, &k->path, PHASE_ROUND, &r, now_us);
    k->round_least_us = 0;
    begin_round(k, now_us);
}

/* ---- round trips ----------------------------------------------------------------------------- */

void credit_rtt(struct credit *k, uint64_t rtt_us, uint64_t now_us)
{
    rtt_us = max_u64(rtt_us, 1);
    if (k->round_least_us == 0 || rtt_us < k->round_least_us)
        k->round_least_us = rtt_us;
    path_rtt(&k->path, rtt_us, now_us);
    phases_step(&k->phases, &k->path, PHASE_RTT, NULL, now_us);
    bool busy = k->busy_us != 0 && now_us - k->busy_us < IDLE_US;
    if (!busy) /* there is no queue of ours to blame: the path has become longer */
        path_renew(&k->path, now_us);
    else if (path_is_aged(&k->path, BUSY_AGE_US, now_us))
        phases_step(&k->phases, &k->path, PHASE_AGED, NULL, now_us);
}

void credit_acked_all(struct credit *k, uint64_t now_us)
{
    if (k->phases.phase == PHASE_LEAST && k->under_way <= budget(k, now_us) + DRAINED_MARGIN)
        phases_drained(&k->phases, &k->path, now_us);
    phases_step(&k->phases, &k->path, PHASE_TIME, NULL, now_us);
    uint64_t elapsed_us = now_us - k->round_us;
    if (k->round_end != 0 && elapsed_us >= phases_round_us(&k->phases, &k->path) &&
        (!k->round_leg || elapsed_us >= ROUND_MAX_US + 2 * k->path.min_rtt_us))
        end_round(k, now_us);
    set_rate(k, now_us);
}

void credit_tick(struct credit *k, uint64_t now_us)
{
    enum phase before = k->phases.phase;
    phases_step(&k->phases, &k->path, PHASE_TIME, NULL, now_us);
    if (k->phases.phase != before)
        set_rate(k, now_us);
}
