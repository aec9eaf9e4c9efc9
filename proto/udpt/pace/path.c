/* SPDX-License-Identifier: Apache-2.0 */
/* path.c - what the congestion control knows of the path (see path.h). */
#include "proto/udpt/pace/path.h"

#include <string.h>

#include "proto/udpt/core/units.h"

/* While the path is idle, the least round trip is of the last one to two of these. */
#define STRETCH_US      (1500 * MS_US)
#define ACK_WAIT_MAX_US (200 * MS_US)
/* What makes a round trip longer without a queue: the far end's timers and ours, a box with Nagle's
 * algorithm, and that a datagram must be sent whole before the next. */
#define JITTER_US      (15 * MS_US)
#define TWO_DATAGRAMS  3000
#define SENDING_MAX_US (200 * MS_US)

void path_init(struct path *p, uint64_t now_us)
{
    *p = (struct path){.stretch_us = now_us};
}

void path_set_min(struct path *p, uint64_t rtt_us, uint64_t now_us)
{
    p->min_rtt_us = rtt_us;
    p->min_seen_us = p->stretch_us = now_us;
    p->least_us[0] = p->least_us[1] = 0;
}

/* A round trip up to so long is as short as the least one. */
static uint64_t about_least_us(const struct path *p)
{
    return p->min_rtt_us + max_u64(p->min_rtt_us / 16, MS_US);
}

static void path_note_stretch(struct path *p, uint64_t rtt_us, uint64_t now_us)
{
    if (now_us - p->stretch_us > STRETCH_US) {
        p->least_us[1] = p->least_us[0];
        p->least_us[0] = 0;
        p->stretch_us = now_us;
    }
    if (p->least_us[0] == 0 || rtt_us < p->least_us[0])
        p->least_us[0] = rtt_us;
}

void path_rtt(struct path *p, uint64_t rtt_us, uint64_t now_us)
{
    p->last_rtt_us = rtt_us;
    if (p->min_rtt_us == 0 || rtt_us < p->min_rtt_us)
        path_set_min(p, rtt_us, now_us);
    else if (rtt_us <= about_least_us(p))
        p->min_seen_us = now_us;
    path_note_stretch(p, rtt_us, now_us);
}

void path_waited(struct path *p, uint64_t delay_us)
{
    p->ack_wait_us = (p->ack_wait_us * 7 + min_u64(delay_us, ACK_WAIT_MAX_US)) / 8;
}

void path_rate(struct path *p, uint64_t sample, bool full)
{
    if (!full && sample <= p->bandwidth)
        return;
    p->rates[p->next_rate] = sample;
    if (full)
        p->next_rate = (p->next_rate + 1) % PATH_RATES;
    p->bandwidth = 0;
    for (unsigned i = 0; i < PATH_RATES; i++)
        p->bandwidth = max_u64(p->bandwidth, p->rates[i]);
}

void path_only_rate(struct path *p, uint64_t sample)
{
    memset(p->rates, 0, sizeof p->rates);
    p->rates[0] = p->bandwidth = max_u64(sample, 1);
    p->next_rate = 1;
}

uint64_t path_round_us(const struct path *p)
{
    return p->min_rtt_us + p->ack_wait_us;
}

uint64_t path_queue_us(const struct path *p)
{
    uint64_t sending_us = p->bandwidth > 0 ? TWO_DATAGRAMS * S_US / p->bandwidth : 0;
    return JITTER_US + p->min_rtt_us / 8 + p->ack_wait_us / 2 + min_u64(sending_us, SENDING_MAX_US);
}

bool path_is_aged(const struct path *p, uint64_t for_us, uint64_t now_us)
{
    return now_us - p->min_seen_us > for_us;
}

void path_renew(struct path *p, uint64_t now_us)
{
    uint64_t least_us = min_u64(p->least_us[0], p->least_us[1]);
    /* One of them may be older than the last that was as short. */
    if (least_us > about_least_us(p) && path_is_aged(p, 2 * STRETCH_US, now_us))
        path_set_min(p, least_us, now_us);
}
