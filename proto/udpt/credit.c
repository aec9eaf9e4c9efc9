/* SPDX-License-Identifier: Apache-2.0 */
/*
 * credit.c - how many bytes a session may have under way.
 *
 * A proxy's socket buffers take seconds of data without a word. So what is unacknowledged end to
 * end, over all legs, is held near the bandwidth-delay product; what exceeds it waits in the
 * bindings' queues, where it can be overtaken and dropped by age. Sparse flows are exempt: they are
 * what this is for.
 *
 * The budget is a gain times bandwidth times the time in which an unloaded path acknowledges: the
 * least round trip, the wait of an acknowledgement for data to ride on, and what a box with Nagle's
 * algorithm holds the last bytes back. Without those two the budget falls short of what is under
 * way when nothing queues, each estimate of the bandwidth is lower than the one before, and a short
 * path ends at LEAST_BUDGET.
 *
 * Bandwidth is the mean of the last windows. A window begins where something is written, lasts
 * WINDOW_US, and until the first of what was written in it is acknowledged: acknowledgements come
 * in clumps, above all when TCP has repaired a loss. The clump without the wait before it, or the
 * best of several windows, would overstate the bandwidth, and with it the budget, and make for more
 * losses. At first the gain is larger, until the bandwidth grows no more by it, as in TCP's slow
 * start.
 */
#include "proto/udpt/internal.h"

#define WINDOW_US          (250 * MS_US)
#define GAIN_PERCENT       130
#define START_GAIN_PERCENT 200
#define FIRST_BUDGET       (16 * 1024)
#define LEAST_BUDGET       (8 * 1024)
/* The start is over when the rate was not well above that of before in so many windows. */
#define PLATEAU_WINDOWS 2

void credit_init(struct credit *k, uint64_t now_us)
{
    *k = (struct credit){.window_us = now_us, .budget = FIRST_BUDGET};
}

/* What the path carried in the windows that are remembered, bytes a second. */
static uint64_t bandwidth(const struct credit *k)
{
    uint64_t size = 0, time_us = 0;
    for (unsigned i = 0; i < CREDIT_WINDOWS; i++) {
        size += k->windows[i].size;
        time_us += k->windows[i].time_us;
    }
    return time_us == 0 ? 0 : size * S_US / time_us;
}

/* The start: each window that grew is the estimate, until PLATEAU_WINDOWS have not. */
static void note_start(struct credit *k, uint64_t rate)
{
    if (rate >= k->grown_rate + k->grown_rate / 4) {
        k->grown_rate = rate;
        k->plateau = 0;
        memset(k->windows, 0, sizeof k->windows);
    } else if (k->limited) {
        k->started = ++k->plateau == PLATEAU_WINDOWS;
    }
}

/* A window that nothing held back says what the app sent, not what the path carries. */
static void note_window(struct credit *k, uint64_t time_us)
{
    uint64_t rate = k->window_acked * S_US / time_us;
    if (!k->started)
        note_start(k, rate);
    if (!k->limited && rate <= bandwidth(k))
        return;
    k->windows[k->next_window].size = k->window_acked;
    k->windows[k->next_window].time_us = time_us;
    k->next_window = (k->next_window + 1) % CREDIT_WINDOWS;
}

void credit_acked(struct udpt_conn *c, uint64_t size)
{
    struct udpt_session *s = c->session;
    struct credit *k = &s->credit;
    uint64_t elapsed_us = s->m->now_us - k->window_us;
    k->under_way = k->under_way > size ? k->under_way - size : 0;
    k->window_acked += size;
    if (k->round == c && c->tx_acked >= k->round_end)
        k->round = NULL;
    if (elapsed_us < WINDOW_US || k->round)
        return;
    note_window(k, elapsed_us);
    k->window_us = s->m->now_us;
    k->window_acked = k->round_end = 0;
    k->limited = false;
    uint64_t least = k->started ? LEAST_BUDGET : FIRST_BUDGET;
    uint64_t delay_us = s->min_rtt_us + ACK_DELAY_US + DELAYED_ACK_US;
    uint64_t gain = k->started ? GAIN_PERCENT : START_GAIN_PERCENT;
    uint64_t budget = bandwidth(k) * delay_us / S_US * gain / 100;
    k->budget = budget < least ? least : budget;
}

void credit_lost(struct udpt_conn *c)
{
    struct credit *k = &c->session->credit;
    uint64_t size = c->tx_counted - c->tx_acked;
    k->under_way = k->under_way > size ? k->under_way - size : 0;
    if (k->round == c)
        k->round = NULL;
}

bool credit_allows(const struct udpt_conn *c)
{
    struct udpt_session *s = c->session;
    struct credit *k = &s->credit;
    /* A leg with nothing under way may always send one frame, and one may go beyond the budget: it
     * may be as large as that. */
    if (session_is_far(s) && c->tx_acked != c->tx_counted && k->under_way >= k->budget) {
        k->limited = true;
        return false;
    }
    if (k->round_end == 0) {
        /* A pause of the app's before it is no time in which the path carried nothing. */
        if (s->m->now_us - k->window_us >= WINDOW_US) {
            k->window_us = s->m->now_us;
            k->window_acked = 0;
        }
        k->round = c;
        k->round_end = c->tx_counted + 1;
    }
    return true;
}
