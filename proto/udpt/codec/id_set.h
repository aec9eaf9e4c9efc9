/* SPDX-License-Identifier: Apache-2.0 */
/*
 * id_set.h - a set of binding ids that only grows, for ids that are given out one after the other.
 *
 * Sorted ranges without a gap in between: ids that count up and are used up melt into one range,
 * so that the set needs memory for what is still missing in it, not for what is in it.
 */
#ifndef PROTO_UDPT_ID_SET_H
#define PROTO_UDPT_ID_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct id_set {
    struct id_range {
        uint64_t first, last;
    } * ranges; /* ascending; between two of them at least one id is missing */
    size_t count, capacity;
};

void id_set_fini(struct id_set *set); /* and it is empty again */
bool id_set_has(const struct id_set *set, uint64_t id);

/* `id` is below 2^62. Beyond `most` ranges (at least 2) the two lowest become one, so that what is
 * missing between them counts as in the set. False: out of memory, and `id` is not in it. */
bool id_set_add(struct id_set *set, uint64_t id, size_t most);

#endif
