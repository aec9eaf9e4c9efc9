/* SPDX-License-Identifier: Apache-2.0 */
/* id_set.c - a set of ids as sorted ranges. */
#include "proto/udpt/codec/id_set.h"

#include <stdlib.h>
#include <string.h>

void id_set_fini(struct id_set *set)
{
    free(set->ranges);
    *set = (struct id_set){0};
}

/* The first range that does not end before `id`; `count` when there is none. */
static size_t id_set_find(const struct id_set *set, uint64_t id)
{
    size_t low = 0, high = set->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (set->ranges[middle].last < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool id_set_has(const struct id_set *set, uint64_t id)
{
    size_t at = id_set_find(set, id);
    return at < set->count && set->ranges[at].first <= id;
}

static void remove_at(struct id_set *set, size_t at)
{
    set->count--;
    memmove(&set->ranges[at], &set->ranges[at + 1], (set->count - at) * sizeof *set->ranges);
}

static bool insert_at(struct id_set *set, size_t at, uint64_t id)
{
    if (set->count == set->capacity) {
        size_t capacity = set->capacity ? 2 * set->capacity : 4;
        struct id_range *ranges =
            (struct id_range *)realloc(set->ranges, capacity * sizeof *ranges);
        if (!ranges)
            return false;
        set->ranges = ranges;
        set->capacity = capacity;
    }
    memmove(&set->ranges[at + 1], &set->ranges[at], (set->count - at) * sizeof *set->ranges);
    set->ranges[at] = (struct id_range){id, id};
    set->count++;
    return true;
}

bool id_set_add(struct id_set *set, uint64_t id, size_t most)
{
    size_t at = id_set_find(set, id);
    struct id_range *next = at < set->count ? &set->ranges[at] : NULL;
    struct id_range *previous = at > 0 ? &set->ranges[at - 1] : NULL;
    if (next && next->first <= id)
        return true;
    bool joins_next = next && next->first == id + 1;
    bool joins_previous = previous && previous->last + 1 == id;
    if (joins_previous && joins_next) {
        previous->last = next->last;
        remove_at(set, at);
    } else if (joins_previous) {
        previous->last = id;
    } else if (joins_next) {
        next->first = id;
    } else if (!insert_at(set, at, id)) {
        return false;
    }
    if (set->count > most) {
        set->ranges[1].first = set->ranges[0].first;
        remove_at(set, 0);
    }
    return true;
}
