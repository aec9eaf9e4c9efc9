/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alarms.h - alarms in order of time: a pairing heap (Fredman, Sedgewick, Sleator, Tarjan, 1986).
 *
 * An alarm is a member of what it wakes. Starting one costs constant time, and taking the first one
 * that is due a logarithm of their number; none of it needs memory. Those that rest cost nothing.
 */
#ifndef PROTO_UDPT_ALARMS_H
#define PROTO_UDPT_ALARMS_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/list.h"

struct alarm {
    uint64_t at_us;
    void (*fire)(struct alarm *t);
    /* In the heap: the first child, the next sibling, and the previous sibling or the parent. A
     * alarm that does not ring has itself for `prev`. */
    struct alarm *child, *next, *prev;
    struct list due; /* Among those that alarms_run() is about to fire. */
};

struct alarms {
    struct alarm *first; /* NULL: none runs */
};

void alarm_init(struct alarm *t, void (*fire)(struct alarm *t));
bool alarm_runs(const struct alarm *t);
/* It fires at `at_us` at the latest: one that runs and is earlier stays as it is. */
void alarm_wake(struct alarms *all, struct alarm *t, uint64_t at_us);
void alarm_stop(struct alarms *all, struct alarm *t);

/* When the first one is due; UDPTUN_MACHINE_NEVER: none runs. */
uint64_t alarms_next_us(const struct alarms *all);
/* Fires each that is due, once: one that starts again while it fires waits for the next call. A
 * alarm may stop any other. */
void alarms_run(struct alarms *all, uint64_t now_us);

#define alarm_entry(alarm, type, member) ((type *)(void *)((char *)(alarm)-offsetof(type, member)))

#endif
