/* SPDX-License-Identifier: Apache-2.0 */
/*
 * budget.h - bytes that many owners may hold together.
 *
 * Whoever keeps bytes for a flow counts them here and asks before it takes more. The limit is kept
 * by those that ask: each flow may have a little in any case, so that none stands still for good.
 * On one thread.
 */
#ifndef PROTO_BUDGET_H
#define PROTO_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct budget {
    uint64_t limit; /* bytes */
    uint64_t used;
    uint64_t peak;    /* most that were used since its reader last set it */
    uint64_t refused; /* times that budget_has() said no */
};

/* Without effect on NULL, which has room for anything. */
static inline void budget_take(struct budget *b, size_t size)
{
    if (!b)
        return;
    b->used += size;
    if (b->used > b->peak)
        b->peak = b->used;
}

static inline void budget_give(struct budget *b, size_t size)
{
    if (b)
        b->used -= size;
}

static inline bool budget_has(struct budget *b, size_t size)
{
    bool has = !b || (b->used <= b->limit && size <= b->limit - b->used);
    if (!has)
        b->refused++;
    return has;
}

/* One owner's part of a budget. What it may hold depends on what is free at that moment (Choudhury
 * and Hahne, "Dynamic queue length thresholds", 1998): one that takes all that it can get ends with
 * half of the limit, n such owners with a part of 1/(n + 1) each, and one such part stays free for
 * those who come. A little it may hold in any case. */
struct share {
    struct budget *of;
    uint64_t held; /* bytes */
};

enum { SHARE_LEAST = 128 * 1024 };

static inline void share_take(struct share *s, size_t size)
{
    s->held += size;
    budget_take(s->of, size);
}

static inline void share_give(struct share *s, size_t size)
{
    s->held -= size;
    budget_give(s->of, size);
}

static inline bool share_has(const struct share *s, size_t size)
{
    uint64_t wanted = s->held + size;
    return wanted <= SHARE_LEAST ||
           (s->of->used <= s->of->limit && wanted <= s->of->limit - s->of->used);
}

#endif
