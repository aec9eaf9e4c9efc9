/* SPDX-License-Identifier: Apache-2.0 */
/* line_direction.h - what happens to the packets of one direction of a line (line.c) */
#ifndef LINE_DIRECTION_H
#define LINE_DIRECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/net/line_tun.h"

#define LINE_SLOTS 16384 /* packets under way; a power of two */

/* Why a packet did not arrive, and how many did. */
struct direction_counts {
    uint64_t passed, passed_bytes;
    uint64_t lost;     /* by chance */
    uint64_t overflow; /* the queue of the rate, or the ring, was full */
    uint64_t cut;
    uint64_t filtered; /* `drop` */
};

struct packet {
    uint64_t due_ns;
    uint32_t size;
    uint8_t data[LINE_MTU];
};

/*
 * Settings may change at any time and hold for the packets that come from then on. Order is always
 * kept: no packet overtakes one that came before it.
 */
struct direction {
    uint64_t delay_ns, jitter_ns;
    double loss;            /* 0 to 1 */
    double rate_bps;        /* 0: no limit */
    double queue_ns;        /* what may wait for the rate, in time ... */
    double queue_bytes;     /* ... or in bytes; the other one is 0 */
    uint64_t cut_until_ns;  /* nothing enters and nothing leaves before */
    uint8_t drop_tcp_flags; /* TCP segments with one of these are dropped */

    int from, to;     /* descriptors of the two devices */
    uint64_t random;  /* state of the generator, not 0 */
    uint64_t free_ns; /* when the rate has sent all that waits for it */
    uint64_t last_due_ns;
    struct packet *ring;
    uint32_t head, tail; /* count up for ever; head is the oldest */
    struct direction_counts counts;
};

/* With the settings that it has. false: no memory. */
bool direction_start(struct direction *d, int from, int to, uint64_t seed);
void direction_stop(struct direction *d);

/* Take what has come to `from`, at most a batch; the time is `now_ns`. */
void direction_take(struct direction *d, uint64_t now_ns);

/* Pass on what is due. */
void direction_pass(struct direction *d, uint64_t now_ns);

/* When the next packet is due; UINT64_MAX: none is under way. */
uint64_t direction_next_ns(const struct direction *d);

#endif
