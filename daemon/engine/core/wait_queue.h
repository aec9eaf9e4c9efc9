/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wait_queue.h - datagrams that wait until they can be sent: for a name, or for an association.
 *
 * What waits longer than the queue's delay is dropped at once, by a timer, and is never sent. When
 * the queue is full the oldest make room, since the newest are worth most. Every drop is told.
 */
#ifndef ENGINE_WAIT_QUEUE_H
#define ENGINE_WAIT_QUEUE_H

#include <stddef.h>

#include "daemon/platform/loop.h"
#include "proto/budget.h"
#include "proto/endpoint.h"
#include "proto/list.h"

enum wait_drop {
    WAIT_STALE, /* it waited too long */
    WAIT_FULL,  /* it made room, or there was none */
};

struct wait_queue;
typedef void wait_dropped(struct wait_queue *q, enum wait_drop why);

struct waiting {
    struct list node;
    uint64_t due_us;           /* dropped then */
    struct udptun_endpoint to; /* where its owner wants to send it */
    size_t size;
    uint8_t data[];
};

struct wait_queue {
    struct list items; /* struct waiting.node, the oldest first */
    size_t count, bytes;
    struct budget *budget; /* counts `bytes` */
    wait_dropped *dropped;
    struct timer expiry; /* when the oldest is due */
};

/* Of one queue; the least is one datagram. */
enum { WAIT_MAX_COUNT = 32, WAIT_MAX_BYTES = 128 * 1024 };

void wait_queue_init(struct wait_queue *q, struct loop *loop, struct budget *budget,
                     wait_dropped *dropped);
/* Free what waits, untold. Harmless on one that was not used. */
void wait_queue_clear(struct wait_queue *q);

/* Copy a datagram into the queue, for `delay_us` at most. It is dropped, and told, when there
 * is no memory. */
void wait_queue_add(struct wait_queue *q, const struct udptun_endpoint *to, const void *data,
                    size_t size, uint64_t delay_us);
/* The oldest that may still be sent, which is the caller's to free(). NULL: none waits. */
struct waiting *wait_queue_take(struct wait_queue *q);
/* Drop the oldest, as `why`. */
void wait_queue_drop(struct wait_queue *q, enum wait_drop why);

#endif
