/* SPDX-License-Identifier: Apache-2.0 */
/* codel.c - which heads of a flow's queue are dropped (see codel.h). */
#include "proto/udpt/pace/codel.h"

#include "proto/udpt/core/units.h"

#define INTERVAL_US (100 * MS_US)
/* A wait below this part of the interval is fine. */
#define TARGET_PART 8
/* Dropping that begins again within so many intervals goes on nearly as fast as it ended. */
#define RECENT_INTERVALS 16

/* The control law: the interval divided by the root of the number of drops. */
static uint64_t law_us(uint64_t interval_us, uint32_t drops)
{
    uint64_t root = 1;
    while ((root + 1) * (root + 1) <= drops)
        root++;
    return interval_us / root;
}

bool codel_drops(struct codel *c, uint64_t wait_us, bool last, uint64_t rtt_us, uint64_t now_us)
{
    uint64_t interval_us = INTERVAL_US + rtt_us;
    if (wait_us < interval_us / TARGET_PART || last) {
        c->above_us = 0;
        c->dropping = false;
        return false;
    }
    if (c->above_us == 0) {
        c->above_us = now_us + interval_us;
        return false;
    }
    if (!c->dropping) {
        if (now_us < c->above_us)
            return false;
        bool recent = c->drops > 2 && now_us - c->next_us < RECENT_INTERVALS * interval_us;
        c->drops = recent ? c->drops - 2 : 1;
        c->dropping = true;
    } else if (now_us >= c->next_us) {
        c->drops++;
    } else if (wait_us <= interval_us) {
        return false;
    }
    c->next_us = now_us + law_us(interval_us, c->drops);
    return true;
}
