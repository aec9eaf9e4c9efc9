/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pacer.h - a token bucket: bulk leaves at the rate of the path, so that it makes no queue there.
 *
 * The bucket may go negative: a datagram is sent whole, and sparse ones never wait for it.
 */
#ifndef PROTO_UDPT_PACER_H
#define PROTO_UDPT_PACER_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/udpt/core/units.h"

struct pacer {
    /* What may be sent at once, as of `filled_us`, and its bounds, in millionths of a byte. */
    int64_t tokens, most, least;
    uint64_t filled_us;
    uint64_t rate; /* Bytes a second, 0: not paced. */
};

void pacer_init(struct pacer *p, uint64_t now_us);
/* From now on this rate; 0: none. */
void pacer_set_rate(struct pacer *p, uint64_t rate, uint64_t now_us);
/* May one more be sent? If not, *retry_us is when. */
bool pacer_allows(struct pacer *p, uint64_t now_us, uint64_t *retry_us);
/* `size` bytes were sent, allowed or not. */
static inline void pacer_sent(struct pacer *p, uint64_t size)
{
    if (p->rate != 0)
        p->tokens = max_i64(p->tokens - (int64_t)(size * S_US), p->least);
}

#endif
