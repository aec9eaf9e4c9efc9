/* SPDX-License-Identifier: Apache-2.0 */
/* alarms.c - alarms in order of time (see alarms.h). */
#include "proto/udpt/core/alarms.h"

#include <stddef.h>

#include <udptun/machine.h>

void alarm_init(struct alarm *t, void (*fire)(struct alarm *t))
{
    *t = (struct alarm){.fire = fire, .prev = t};
    list_init(&t->due);
}

bool alarm_runs(const struct alarm *t)
{
    return t->prev != t;
}

/* Two heaps become one; the later root is the earlier one's first child. Either may be NULL. */
static struct alarm *alarms_meld(struct alarm *a, struct alarm *b)
{
    if (!a || !b)
        return a ? a : b;
    if (b->at_us < a->at_us) {
        struct alarm *swap = a;
        a = b;
        b = swap;
    }
    b->next = a->child;
    if (b->next)
        b->next->prev = b;
    b->prev = a;
    a->child = b;
    return a;
}

/* Siblings become one heap: in pairs from the front, then all from the back. */
static struct alarm *alarms_meld_siblings(struct alarm *first)
{
    struct alarm *pairs = NULL;
    while (first) {
        struct alarm *a = first, *b = a->next;
        first = b ? b->next : NULL;
        a->next = NULL;
        if (b)
            b->next = NULL;
        a = alarms_meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    struct alarm *root = NULL;
    while (pairs) {
        struct alarm *a = pairs;
        pairs = a->next;
        a->next = NULL;
        root = alarms_meld(root, a);
    }
    return root;
}

static void set_root(struct alarms *all, struct alarm *root)
{
    all->first = root;
    if (root)
        root->prev = NULL;
}

static void take_out(struct alarms *all, struct alarm *t)
{
    struct alarm *children = alarms_meld_siblings(t->child);
    if (all->first == t) {
        set_root(all, children);
    } else {
        if (t->prev->child == t)
            t->prev->child = t->next;
        else
            t->prev->next = t->next;
        if (t->next)
            t->next->prev = t->prev;
        set_root(all, alarms_meld(all->first, children));
    }
    t->child = t->next = NULL;
    t->prev = t;
}

void alarm_wake(struct alarms *all, struct alarm *t, uint64_t at_us)
{
    if (at_us == UDPTUN_MACHINE_NEVER || (alarm_runs(t) && t->at_us <= at_us))
        return;
    if (alarm_runs(t))
        take_out(all, t);
    t->at_us = at_us;
    set_root(all, alarms_meld(all->first, t));
}

void alarm_stop(struct alarms *all, struct alarm *t)
{
    list_remove(&t->due);
    if (alarm_runs(t))
        take_out(all, t);
}

uint64_t alarms_next_us(const struct alarms *all)
{
    return all->first ? all->first->at_us : UDPTUN_MACHINE_NEVER;
}

void alarms_run(struct alarms *all, uint64_t now_us)
{
    struct list due;
    list_init(&due);
    while (all->first && all->first->at_us <= now_us) {
        struct alarm *t = all->first;
        take_out(all, t);
        list_append(&due, &t->due);
    }
    while (!list_empty(&due)) {
        struct alarm *t = list_entry(due.next, struct alarm, due);
        list_remove(&t->due);
        t->fire(t);
    }
}
