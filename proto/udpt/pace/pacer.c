/* SPDX-License-Identifier: Apache-2.0 */
/* pacer.c - a token bucket for bulk (see pacer.h). */
#include "proto/udpt/pace/pacer.h"

#include "proto/udpt/core/units.h"

/* The bucket holds what the path carries in this time: hosts wake up no more often than each
 * millisecond, and late. */
#define BURST_US  (4 * MS_US)
#define BURST_MIN 600
#define WAKE_US   MS_US
/* Sparse traffic and large datagrams put the bucket into debt, no deeper than a tenth of a second.
 * More would hold a large datagram up for longer than it is worth; the budget bounds what it does
 * to the path. */
#define DEBT_PART 10
#define DEBT_MIN  1500

void pacer_init(struct pacer *p, uint64_t now_us)
{
    *p = (struct pacer){.filled_us = now_us};
}

/* Bytes that may be sent are counted in millionths, so that nothing is lost to rounding however
 * often the bucket is looked at. */
static int64_t pacer_scaled(uint64_t size)
{
    return (int64_t)(size * S_US);
}

static void pacer_fill(struct pacer *p, uint64_t now_us)
{
    uint64_t elapsed_us = min_u64(now_us - p->filled_us, S_US);
    p->filled_us = now_us;
    p->tokens += (int64_t)(p->rate * elapsed_us);
    if (p->tokens > p->most)
        p->tokens = p->most;
}

void pacer_set_rate(struct pacer *p, uint64_t rate, uint64_t now_us)
{
    if (rate == p->rate)
        return;
    if (p->rate == 0) /* nothing was counted until now */
        p->filled_us = now_us;
    pacer_fill(p, now_us);
    p->rate = rate;
    p->most = max_i64(pacer_scaled(BURST_MIN), (int64_t)(rate * BURST_US));
    p->least = -max_i64(pacer_scaled(DEBT_MIN), pacer_scaled(rate / DEBT_PART));
}

bool pacer_allows(struct pacer *p, uint64_t now_us, uint64_t *retry_us)
{
    if (p->rate == 0)
        return true;
    pacer_fill(p, now_us);
    if (p->tokens > 0)
        return true;
    uint64_t wait_us = (uint64_t)-p->tokens / p->rate + 1;
    *retry_us = now_us + max_u64(wait_us, WAKE_US);
    return false;
}
