/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timer.c - deadlines in a pairing heap (Fredman, Sedgewick, Sleator, Tarjan: "The Pairing Heap",
 * Algorithmica 1, 1986).
 *
 * The links are in the timers, so nothing is allocated. A timer that is put off keeps its place,
 * `place_us`, and moves when that time comes; most deadlines are put off many times before.
 */
#include <stddef.h>

#include "daemon/platform/clock.h"
#include "daemon/platform/loop_private.h"

/* ---- the heap ------------------------------------------------------------------------------ */

/* Two heaps, either of which may be empty, as one. */
static struct timer *timer_meld(struct timer *a, struct timer *b)
{
    if (!a || !b)
        return a ? a : b;
    if (b->place_us < a->place_us) {
        struct timer *swap = a;
        a = b;
        b = swap;
    }
    b->next = a->child;
    b->previous = a;
    if (a->child)
        a->child->previous = b;
    a->child = b;
    a->next = a->previous = NULL;
    return a;
}

/* Siblings as one heap: in pairs from the left, then the pairs from the right. */
static struct timer *timer_meld_siblings(struct timer *first)
{
    struct timer *pairs = NULL, *root = NULL;
    while (first) {
        struct timer *a = first, *b = a->next;
        first = b ? b->next : NULL;
        a->next = a->previous = NULL;
        if (b)
            b->next = b->previous = NULL;
        struct timer *pair = timer_meld(a, b);
        pair->next = pairs; /* a list of its own, the last pair first */
        pairs = pair;
    }
    while (pairs) {
        struct timer *pair = pairs;
        pairs = pair->next;
        pair->next = NULL;
        root = timer_meld(root, pair);
    }
    return root;
}

static void timer_insert(struct timer *t)
{
    t->place_us = t->at_us;
    t->child = t->next = t->previous = NULL;
    t->loop->timers = timer_meld(t->loop->timers, t);
}

static void cut(struct timer *t)
{
    struct loop *loop = t->loop;
    struct timer *below = timer_meld_siblings(t->child);
    t->child = NULL;
    if (!t->previous) {
        loop->timers = below;
        return;
    }
    if (t->previous->child == t)
        t->previous->child = t->next;
    else
        t->previous->next = t->next;
    if (t->next)
        t->next->previous = t->previous;
    t->next = t->previous = NULL;
    loop->timers = timer_meld(loop->timers, below);
}

/* ---- timers -------------------------------------------------------------------------------- */

void timer_init(struct timer *t, struct loop *loop, timer_due *due, void *arg)
{
    *t = (struct timer){.loop = loop, .due = due, .arg = arg};
}

void timer_start(struct timer *t, uint64_t after_us)
{
    struct loop *loop = t->loop;
    if (after_us == LOOP_NEVER_US) {
        timer_stop(t);
        return;
    }
    if (!loop->in_batch)
        loop_refresh(loop);
    uint64_t at_us = loop->now_us + after_us;
    if (loop->in_due && after_us == 0)
        at_us++; /* else timers_run() would not come to an end */
    if (at_us < after_us)
        at_us = LOOP_NEVER_US - 1;
    t->at_us = at_us;
    if (t->active && at_us >= t->place_us)
        return;
    if (t->active)
        cut(t);
    t->active = true;
    timer_insert(t);
    if (!loop->in_batch)
        loop_arm(loop);
}

void timer_stop(struct timer *t)
{
    if (!t->active)
        return;
    cut(t);
    t->active = false;
}

void timers_run(struct loop *loop)
{
    uint64_t now_us = loop->now_us;
    while (loop->timers && loop->timers->place_us <= now_us) {
        struct timer *t = loop->timers;
        cut(t);
        if (t->at_us > now_us) {
            timer_insert(t);
            continue;
        }
        t->active = false;
        t->due(t->arg);
    }
}
