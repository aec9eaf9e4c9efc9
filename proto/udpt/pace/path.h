/* SPDX-License-Identifier: Apache-2.0 */
/*
 * path.h - what the congestion control knows of the path: its rate, its length, its waits.
 *
 * A model of three numbers, each measured from acknowledgements alone. Numbers only: no session, no
 * leg and no clock. credit.c feeds it, phases.c reads it.
 */
#ifndef PROTO_UDPT_PATH_H
#define PROTO_UDPT_PATH_H

#include <stdbool.h>
#include <stdint.h>

enum { PATH_RATES = 10 };

struct path {
    /* The least round trip in force, 0: none was measured. A shorter one takes its place at once.
     * It ages: path_renew() raises it when only longer ones have been seen for a while. */
    uint64_t min_rtt_us;
    uint64_t min_seen_us; /* When a round trip about as short as that was last seen. */
    uint64_t
        least_us[2]; /* The least of the present stretch of time and of the one before, 0: none. */
    uint64_t stretch_us;        /* When the present stretch began. */
    uint64_t last_rtt_us;       /* The newest sample, 0: none. */
    uint64_t ack_wait_us;       /* How long the far end holds an acknowledgement back, smoothed. */
    uint64_t rates[PATH_RATES]; /* Samples of the delivery rate, bytes a second, 0: none. */
    unsigned next_rate;
    uint64_t bandwidth; /* The greatest of them. */
};

void path_init(struct path *p, uint64_t now_us);
void path_rtt(struct path *p, uint64_t rtt_us, uint64_t now_us);
/* An acknowledgement had waited for `delay_us` at the far end. */
void path_waited(struct path *p, uint64_t delay_us);
/* A round delivered so many bytes a second. `full`: we sent as fast as allowed, so the path set the
 * rate. One that the app limited can only raise the estimate. */
void path_rate(struct path *p, uint64_t sample, bool full);
/* Forget all samples but this one: the path has changed. */
void path_only_rate(struct path *p, uint64_t sample);

/* Within this an idle path acknowledges. */
uint64_t path_round_us(const struct path *p);
/* A round trip longer than the least one by more than this has a queue in it. */
uint64_t path_queue_us(const struct path *p);

/* None as short as the least round trip was seen for so long. */
bool path_is_aged(const struct path *p, uint64_t for_us, uint64_t now_us);
/* Take the least of the last stretches, if the path was idle and none as short was seen. */
void path_renew(struct path *p, uint64_t now_us);
void path_set_min(struct path *p, uint64_t rtt_us, uint64_t now_us);

#endif
