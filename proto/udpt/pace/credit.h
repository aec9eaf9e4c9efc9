/* SPDX-License-Identifier: Apache-2.0 */
/*
 * credit.h - one congestion control for a session: whether one more bulk datagram may leave now.
 *
 * A proxy's socket buffers take seconds of data without a word. So bulk is paced at the rate that
 * the path was measured to carry, and what is unacknowledged end to end, over all legs, has a
 * budget. What exceeds it waits in the bindings' queues, where sparse traffic overtakes it and age
 * drops it. Sparse flows are exempt, but counted.
 *
 * This part owns what the session counts: bytes under way, rounds and what waited in them. path.h
 * has the model of the path, phases.h what to do with it, pacer.h the token bucket. None of them
 * knows a session or a leg; a leg is named by any pointer that is its own.
 *
 * A *round* is about a round trip. It begins with a write and ends after the ACK frame that
 * acknowledges it: never inside one, which tells of several legs, for the first of them would be
 * counted and the rest not.
 */
#ifndef PROTO_UDPT_CREDIT_H
#define PROTO_UDPT_CREDIT_H

#include "proto/udpt/pace/pacer.h"
#include "proto/udpt/pace/path.h"
#include "proto/udpt/pace/phases.h"

struct credit {
    struct path path;
    struct phases phases;
    struct pacer pacer;
    uint64_t under_way;       /* Bytes unacknowledged, on all legs. */
    uint64_t sent, delivered; /* Bytes in all; both count up. */
    /* So many bytes may be sent at `allowed_us` without another look at budget and tokens; 0 or
     * less: look. */
    int64_t allowed;
    uint64_t allowed_us;
    /* The present round ends when `round_leg` has acknowledged `round_end` (0: nothing was written
     * in it yet); `round_leg` is NULL when it has, or when that leg is gone. */
    const void *round_leg;
    uint64_t round_end;
    uint64_t round_us;                    /* When it began. */
    uint64_t round_sent, round_delivered; /* `sent` and `delivered` then. */
    uint64_t round_least_us;              /* The least round trip seen in it, 0: none. */
    uint64_t sent_rate;                   /* What was sent in the round before, bytes a second. */
    uint64_t last_sample, shortfall;      /* Likewise: see struct round_result. */
    /* Something waits for credit or for a leg since then, 0: nothing does. */
    uint64_t blocked_us;
    uint64_t blocked_for_us; /* How long something did in this round, as far as it is over. */
    bool was_limited;        /* Something did for half of the round before. */
    uint64_t busy_us;        /* When a round last was as fast as the path, 0: never. */
};

void credit_init(struct credit *k, uint32_t seed, uint64_t now_us);

/* May one more bulk datagram leave? `leg_idle`: nothing on its leg is unacknowledged. If not,
 * *retry_us is when to ask again; UDPTUN_MACHINE_NEVER: when something is acknowledged. */
bool credit_allows(struct credit *k, bool leg_idle, uint64_t now_us, uint64_t *retry_us);
/* It said so at this time, and less has been sent since than it allowed then. */
static inline bool credit_has_allowed(const struct credit *k, uint64_t now_us)
{
    return k->allowed > 0 && k->allowed_us == now_us;
}

/* Something waits for the path; nothing does any more. */
void credit_blocked(struct credit *k, uint64_t now_us);
void credit_unblocked(struct credit *k, uint64_t now_us);

void credit_begin_round(struct credit *k, const void *leg, uint64_t end, uint64_t now_us);
/* `size` more bytes were written on `leg`, which makes `end` in all. */
static inline void credit_sent(struct credit *k, const void *leg, uint64_t end, uint64_t size,
                               uint64_t now_us)
{
    if (k->round_end == 0)
        credit_begin_round(k, leg, end, now_us);
    pacer_sent(&k->pacer, size);
    k->allowed -= (int64_t)size;
    k->under_way += size;
    k->sent += size;
}

/* `size` more bytes of `leg` are acknowledged, up to `end`; the oldest waited for `delay_us`. */
void credit_acked(struct credit *k, const void *leg, uint64_t end, uint64_t size,
                  uint64_t delay_us);
void credit_rtt(struct credit *k, uint64_t rtt_us, uint64_t now_us);
/* All that one ACK frame acknowledged was told. */
void credit_acked_all(struct credit *k, uint64_t now_us);
/* The leg is gone, and `size` bytes under way with it. */
void credit_lost(struct credit *k, const void *leg, uint64_t size);
/* Time has passed. */
void credit_tick(struct credit *k, uint64_t now_us);

#endif
