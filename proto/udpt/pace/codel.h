/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codel.h - CoDel (RFC 8289): which heads of a flow's queue are dropped, so that it stays short.
 *
 * A flow that answers to losses then leaves no standing queue, and what else is inside it, a VPN's
 * voice say, stays alive. A flow that does not answer would outrun the control law; of one that is
 * being dropped from, heads older than an interval go at once.
 */
#ifndef PROTO_UDPT_CODEL_H
#define PROTO_UDPT_CODEL_H

#include <stdbool.h>
#include <stdint.h>

struct codel {
    uint64_t above_us; /* The wait has been too long for an interval at that time, 0: it is not. */
    uint64_t next_us;  /* While dropping: when the next is due. */
    uint32_t drops;    /* The control law's count. */
    bool dropping;
};

/* A head waited for `wait_us` and is to be sent. True: drop it instead. `last`: nothing is behind
 * it. `rtt_us`: a round trip, the least time in which the flow can answer. */
bool codel_drops(struct codel *c, uint64_t wait_us, bool last, uint64_t rtt_us, uint64_t now_us);

#endif
