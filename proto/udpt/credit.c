/* SPDX-License-Identifier: Apache-2.0 */
/*
 * credit.c - how many bytes a session may have under way.
 *
 * A proxy's socket buffers take seconds of data without a word. So what is unacknowledged end to
 * end, over all legs, is held near the bandwidth-delay product; what exceeds it waits in the
 * bindings' queues, where it can be overtaken and dropped by age. Bandwidth is the best of the
 * last windows of WINDOW_US: single acknowledgements come in clumps and would overstate it. The
 * budget is GAIN_TENTHS times bandwidth times the least round-trip time and the delay of
 * acknowledgements; with less the acknowledgements' own waiting would starve the link. Sparse
 * flows are exempt: they are what this is for.
 */
#include "proto/udpt/internal.h"

#define WINDOW_US    (250 * MS_US)
#define GAIN_TENTHS  20
#define FIRST_BUDGET (64 * 1024)
#define LEAST_BUDGET (16 * 1024)

void credit_init(struct credit *k, uint64_t now_us)
{
    *k = (struct credit){.window_us = now_us, .budget = FIRST_BUDGET};
}

static uint64_t best_rate(const struct credit *k)
{
    uint64_t best = 0;
    for (unsigned i = 0; i < CREDIT_WINDOWS; i++)
        if (k->rates[i] > best)
            best = k->rates[i];
    return best;
}

void credit_acked(struct udpt_session *s, uint64_t size)
{
    struct credit *k = &s->credit;
    uint64_t elapsed_us = s->m->now_us - k->window_us;
    k->under_way = k->under_way > size ? k->under_way - size : 0;
    k->window_acked += size;
    if (elapsed_us < WINDOW_US)
        return;
    uint64_t rate = k->window_acked * S_US / elapsed_us;
    /* A window that nothing held back says what the app sent, not what the path carries. */
    if (k->limited || rate > best_rate(k))
        k->rates[k->next_rate++ % CREDIT_WINDOWS] = rate;
    k->window_us = s->m->now_us;
    k->window_acked = 0;
    k->limited = false;
    uint64_t delay_us = s->min_rtt_us + ACK_DELAY_US;
    uint64_t budget = best_rate(k) * delay_us / S_US * GAIN_TENTHS / 10;
    k->budget = best_rate(k) == 0 ? FIRST_BUDGET : budget < LEAST_BUDGET ? LEAST_BUDGET : budget;
}

void credit_lost(struct udpt_session *s, uint64_t size)
{
    struct credit *k = &s->credit;
    k->under_way = k->under_way > size ? k->under_way - size : 0;
}

bool credit_allows(const struct udpt_conn *c, size_t size)
{
    struct udpt_session *s = c->session;
    struct credit *k = &s->credit;
    /* A leg with nothing under way may always send one frame. */
    if (!session_is_far(s) || c->tx_acked == c->tx_counted || k->under_way + size <= k->budget)
        return true;
    k->limited = true;
    return false;
}
