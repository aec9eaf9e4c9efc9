/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load.h - what one local of a world sends beside faults: voice, bulk of many flows in both
 * directions, a responsive flow, and a TCP of somebody else on the same line.
 *
 * Voice is 172 bytes each 20 ms, from a source of its own; its destination answers. A bulk flow
 * offers a multiple of the line, whatever becomes of it. The responsive flow is source 0: a
 * window that grows and, once a round trip, shrinks at a loss; a second voice is inside its
 * binding, as in a VPN. The rival is a TCP with no stream in the simulator: it takes its turns on
 * the narrow line, and loses a segment when the line's queue is RIVAL_QUEUE_US long.
 */
#ifndef SIM_LOAD_H
#define SIM_LOAD_H

#include "tests/sim/sim.h"

enum { BULK_FLOWS = 8, BULK_SIZE = 1200, VOICE_SIZE = 172 };
enum { BULK_DEST, VOICE_DEST, INSIDE_DEST = 3, VOICE_SOURCE = BULK_FLOWS };

struct window {
    double size, threshold; /* datagrams */
    unsigned under_way;
    uint64_t shrank_us; /* at the last loss; what was sent before it shrinks it no more */
};

struct load {
    struct world *w;
    unsigned up, down;      /* bulk flows */
    uint64_t offered_per_s; /* bits, by each of them */
    bool responsive, rival;
    /* the rest is load.c's */
    uint64_t voice_us, bulk_ns[2], paced_us;
    unsigned next[2]; /* the flow whose turn it is */
    struct window own, other;
    uint32_t *tracked; /* numbers of the responsive flow's datagrams, oldest first */
    uint8_t *settled;  /* of each: acknowledged or given up */
    size_t oldest, tracked_count, tracked_room;
    uint64_t *acks_us; /* when the rival's segments are acknowledged, a ring */
    size_t ack_first, ack_count;
};

void load_init(struct load *l, struct world *w);
void load_fini(struct load *l);
/* For `for_us`; without `bulk` the voice alone. */
void load_run(struct load *l, uint64_t for_us, bool bulk);

#endif
