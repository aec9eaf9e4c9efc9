/* SPDX-License-Identifier: Apache-2.0 */
/* latency_near.h - what the near end keeps of each class, and the report of it */
#ifndef BENCH_LATENCY_NEAR_H
#define BENCH_LATENCY_NEAR_H

#include "tests/bench/latency.h"

#define LATENCY_MISSING UINT32_MAX

struct near_class {
    unsigned size;
    uint32_t sent, first_counted;
    uint64_t duplicates, reordered;
    uint32_t *rtts_us; /* by number; LATENCY_MISSING until it comes */
    uint32_t capacity;
    uint64_t oldest_back_ns; /* of the answers, on the way back only */
    uint32_t next[LATENCY_MAX_VOICE];
};

/* Print the report of the CLASS_COUNT classes, as a table or a line of JSON; sorts round trips. */
void latency_report(const struct near_options *o, struct near_class *classes);

#endif
