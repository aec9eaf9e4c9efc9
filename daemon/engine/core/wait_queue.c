/* SPDX-License-Identifier: Apache-2.0 */
/* wait_queue.c - datagrams that wait until they can be sent. */
#include "daemon/engine/core/wait_queue.h"

#include <stdlib.h>
#include <string.h>

static struct waiting *wait_queue_oldest(const struct wait_queue *q)
{
    return list_empty(&q->items) ? NULL : list_entry(q->items.next, struct waiting, node);
}

static struct waiting *unlink_oldest(struct wait_queue *q)
{
    struct waiting *w = wait_queue_oldest(q);
    list_remove(&w->node);
    q->count--;
    q->bytes -= w->size;
    budget_give(q->budget, w->size);
    if (list_empty(&q->items))
        timer_stop(&q->expiry);
    return w;
}

void wait_queue_drop(struct wait_queue *q, enum wait_drop why)
{
    free(unlink_oldest(q));
    q->dropped(q, why);
}

static void wait_queue_drop_stale(struct wait_queue *q)
{
    while (q->count && wait_queue_oldest(q)->due_us <= q->expiry.loop->now_us)
        wait_queue_drop(q, WAIT_STALE);
}

static void on_expiry(void *arg)
{
    struct wait_queue *q = (struct wait_queue *)arg;
    wait_queue_drop_stale(q);
    if (q->count)
        timer_start(&q->expiry, wait_queue_oldest(q)->due_us - q->expiry.loop->now_us);
}

void wait_queue_init(struct wait_queue *q, struct loop *loop, struct budget *budget,
                     wait_dropped *dropped)
{
    *q = (struct wait_queue){.budget = budget, .dropped = dropped};
    list_init(&q->items);
    timer_init(&q->expiry, loop, on_expiry, q);
}

void wait_queue_clear(struct wait_queue *q)
{
    while (q->count)
        free(unlink_oldest(q));
}

/* One datagram has room in any case, so that no flow stands still for good. */
static void wait_queue_make_room(struct wait_queue *q, size_t size)
{
    while (q->count >= WAIT_MAX_COUNT || (q->count && q->bytes + size > WAIT_MAX_BYTES))
        wait_queue_drop(q, WAIT_FULL);
    while (q->count && !budget_has(q->budget, size))
        wait_queue_drop(q, WAIT_FULL);
}

void wait_queue_add(struct wait_queue *q, const struct udptun_endpoint *to, const void *data,
                    size_t size, uint64_t delay_us)
{
    wait_queue_drop_stale(q);
    wait_queue_make_room(q, size);
    struct waiting *w = (struct waiting *)malloc(sizeof *w + size);
    if (!w) {
        q->dropped(q, WAIT_FULL);
        return;
    }
    w->due_us = q->expiry.loop->now_us + delay_us;
    w->to = *to;
    w->size = size;
    if (size)
        memcpy(w->data, data, size);
    list_init(&w->node);
    list_append(&q->items, &w->node);
    q->count++;
    q->bytes += size;
    budget_take(q->budget, size);
    if (!timer_is_on(&q->expiry))
        timer_start(&q->expiry, delay_us);
}

struct waiting *wait_queue_take(struct wait_queue *q)
{
    wait_queue_drop_stale(q);
    return q->count ? unlink_oldest(q) : NULL;
}
