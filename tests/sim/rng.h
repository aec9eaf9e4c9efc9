/* SPDX-License-Identifier: Apache-2.0 */
/* rng.h - the simulator's own source of chance: one seed, one history, on every machine. */
#ifndef SIM_RNG_H
#define SIM_RNG_H

#include <stdbool.h>
#include <stdint.h>

struct rng {
    uint64_t state;
};

/* splitmix64 (Steele, Lea, Flood 2014): every seed is a good one, 0 included. */
static inline uint64_t rng_u64(struct rng *r)
{
    uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* A number from `low` to `high`, both included. */
static inline uint64_t rng_between(struct rng *r, uint64_t low, uint64_t high)
{
    return low + rng_u64(r) % (high - low + 1);
}

/* True once in `times`. */
static inline bool rng_once_in(struct rng *r, uint64_t times)
{
    return rng_u64(r) % times == 0;
}

#endif
