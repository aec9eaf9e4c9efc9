/* SPDX-License-Identifier: Apache-2.0 */
/*
 * phases.h - the congestion control's phases: how fast bulk goes, and how much is under way.
 *
 * THEORY OF OPERATION
 *
 *     START ──▶ DRAIN ──▶ CRUISE ──▶ UP ──▶ JUDGE ──▶ DOWN ──▶ CRUISE
 *                │ ▲         ▲        ▲───────┘ it brought more
 *                ▼ └─ a queue, from any of the four on the right
 *               LEAST ──▶ CRUISE
 *
 * Each phase has a gain, by which the rate of bulk exceeds the path's bandwidth, and a budget, the
 * bytes that may be unacknowledged. Pacing by the gain keeps queues short; the budget is the
 * backstop for when the path has become slower than its estimate.
 *
 * phases_step() has every transition. It is told of four kinds of event; all else here is a pure
 * function of the phase and the path.
 */
#ifndef PROTO_UDPT_PHASES_H
#define PROTO_UDPT_PHASES_H

#include "proto/udpt/pace/path.h"

#define PHASES(X)                                                                                  \
    X(PHASE_START)  /* Each round faster than the one before, until that brings nothing more. */   \
    X(PHASE_DRAIN)  /* A queue was seen: no more is under way than the path itself holds. */       \
    X(PHASE_CRUISE) /* As fast as the path was seen to be. */                                      \
    X(PHASE_UP)     /* One round of more, to see whether the path carries it. */                   \
    X(PHASE_JUDGE)  /* The round in which that is acknowledged. */                                 \
    X(PHASE_DOWN)   /* One round of less: what UP added leaves the path. */                        \
    X(PHASE_LEAST)  /* Half of what the path holds, so that the least round trip can be measured.  \
                     */

enum phase {
#define PHASE_ENUM(symbol) symbol,
    PHASES(PHASE_ENUM)
#undef PHASE_ENUM
};

struct phases {
    enum phase phase;
    unsigned rounds;        /* Rounds since the phase began. */
    unsigned cruise_rounds; /* CRUISE lasts so many. */
    unsigned probe_percent; /* The gain of UP. */
    bool started;           /* The first START is over. */
    bool from_start;        /* DRAIN came after START. */
    unsigned plateau;       /* START: rounds in a row that brought little more. */
    unsigned start_queued;  /* START: round trips in a row with a queue in them. */
    /* START: the last bandwidth that was well above the one before. UP and JUDGE: that before UP.
     */
    uint64_t grown_rate;
    uint64_t before;       /* The bandwidth before a queue was seen, 0: none was. */
    uint64_t queue_us;     /* The queue that the last round saw. */
    unsigned queue_rounds; /* Rounds in a row that saw one. */
    /* LEAST: when it ends, when what was under way had drained (0: not yet), the least round trip
     * since (0: none). */
    uint64_t until_us, drained_us, least_us;
    uint32_t random; /* The state of the generator that makes CRUISE last. */
};

/* What a round that has ended tells. */
struct round_result {
    uint64_t sample;    /* What it delivered, bytes a second. */
    uint64_t last;      /* The same of the round before. */
    uint64_t shortfall; /* It delivered so much less than was sent in the round before. */
    uint64_t least_us;  /* The least round trip seen in it, 0: none. */
    bool full;          /* The path set the rate, in it and in the round before. */
    bool busy;          /* It did for half of this one, or the rate is near that of the path. */
};

#define PHASE_EVENTS(X)                                                                            \
    X(PHASE_ROUND) /* A round has ended; the only event with a result. */                          \
    X(PHASE_RTT)   /* A round trip was measured: path.last_rtt_us. */                              \
    X(PHASE_AGED)  /* None as short as the least has been seen for long, while we were busy. */    \
    X(PHASE_TIME)  /* Time has passed. */

enum phase_event {
#define PHASE_EVENT_ENUM(symbol) symbol,
    PHASE_EVENTS(PHASE_EVENT_ENUM)
#undef PHASE_EVENT_ENUM
};

void phases_init(struct phases *p, uint32_t seed);
void phases_step(struct phases *p, struct path *path, enum phase_event event,
                 const struct round_result *round, uint64_t now_us);
/* LEAST: what was under way has drained; the least round trip is measured from now on. */
void phases_drained(struct phases *p, const struct path *path, uint64_t now_us);

/* Bytes a second at which bulk may leave, 0: nothing is known yet, the budget alone bounds it. */
uint64_t phases_rate(const struct phases *p, const struct path *path);
/* Bytes that may be under way. `overdue`: the present round should have ended by now. */
uint64_t phases_budget(const struct phases *p, const struct path *path, bool overdue);
/* The shortest round, so that a few datagrams more or less make no difference. */
uint64_t phases_round_us(const struct phases *p, const struct path *path);
/* A round that lasts longer than this is overdue: the path is slower or longer than it was. */
uint64_t phases_overdue_us(const struct path *path);

#endif
