/* SPDX-License-Identifier: Apache-2.0 */
/* units.h - units of time, and the lesser and the greater of two. */
#ifndef PROTO_UDPT_UNITS_H
#define PROTO_UDPT_UNITS_H

#include <stdint.h>

#define MS_US UINT64_C(1000)
#define S_US  UINT64_C(1000000)

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static inline int64_t max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

#endif
