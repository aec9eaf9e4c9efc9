/* SPDX-License-Identifier: Apache-2.0 */
/*
 * line_direction.c - one direction of a line (line_direction.h)
 *
 *   device ─▶ cut? ─▶ drop? ─▶ loss ─▶ rate with its queue ─▶ delay ─▶ cut? ─▶ device
 *
 * The queue of the rate holds no packets: it is a time, `free_ns`, at which the last bit that
 * waits will have left. A packet's way is known in full when it enters, so one ring in order of
 * arrival holds all that are under way.
 */
#include "tests/net/line_direction.h"

#include <stdlib.h>
#include <unistd.h>

#define BATCH 64 /* packets taken before what is due is looked after again */

bool direction_start(struct direction *d, int from, int to, uint64_t seed)
{
    d->from = from;
    d->to = to;
    /* Any seed is good, 0 and neighbours too: spread its bits, and never start at 0. */
    d->random = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
    d->ring = calloc(LINE_SLOTS, sizeof(*d->ring));
    return d->ring != NULL;
}

void direction_stop(struct direction *d)
{
    free(d->ring);
    d->ring = NULL;
}

/* 0 to 1, without 1 (xorshift64*, Vigna 2016). */
static double random_part(struct direction *d)
{
    d->random ^= d->random >> 12;
    d->random ^= d->random << 25;
    d->random ^= d->random >> 27;
    return (double)((d->random * UINT64_C(0x2545f4914f6cdd1d)) >> 11) / (double)(UINT64_C(1) << 53);
}

/* The flags of a TCP segment that starts in this packet, else 0. */
static uint8_t tcp_flags(const struct packet *p)
{
    size_t at = 0;
    if (p->size >= 20 && p->data[0] >> 4 == 4) {
        bool first = (p->data[6] & 0x1f) == 0 && p->data[7] == 0;
        at = p->data[9] == 6 && first ? (size_t)(p->data[0] & 0x0f) * 4 : 0;
    } else if (p->size >= 40 && p->data[0] >> 4 == 6) {
        at = p->data[6] == 6 ? 40 : 0;
    }
    return at && p->size > at + 13 ? p->data[at + 13] : 0;
}

/* Wait for the rate, too; false: its queue is full. */
static bool enter_queue(struct direction *d, uint64_t now_ns, uint32_t size, uint64_t *leaves_ns)
{
    *leaves_ns = now_ns;
    if (d->rate_bps <= 0) {
        return true;
    }
    double waits_ns = d->free_ns > now_ns ? (double)(d->free_ns - now_ns) : 0;
    double limit_ns = d->queue_bytes > 0 ? d->queue_bytes * 8e9 / d->rate_bps : d->queue_ns;
    if (waits_ns > limit_ns) {
        return false;
    }
    d->free_ns = now_ns + (uint64_t)(waits_ns + (double)size * 8e9 / d->rate_bps);
    *leaves_ns = d->free_ns;
    return true;
}

/* What a packet that has just been read into its slot meets; true: it is under way. */
static bool admit(struct direction *d, uint64_t now_ns, struct packet *p)
{
    uint64_t leaves_ns = now_ns;

    if (now_ns < d->cut_until_ns) {
        d->counts.cut++;
        return false;
    }
    if (tcp_flags(p) & d->drop_tcp_flags) {
        d->counts.filtered++;
        return false;
    }
    if (d->loss > 0 && random_part(d) < d->loss) {
        d->counts.lost++;
        return false;
    }
    if (!enter_queue(d, now_ns, p->size, &leaves_ns)) {
        d->counts.overflow++;
        return false;
    }
    p->due_ns = leaves_ns + d->delay_ns;
    if (d->jitter_ns > 0) {
        p->due_ns += (uint64_t)(random_part(d) * (double)d->jitter_ns);
    }
    if (p->due_ns < d->last_due_ns) {
        p->due_ns = d->last_due_ns;
    }
    d->last_due_ns = p->due_ns;
    return true;
}

void direction_take(struct direction *d, uint64_t now_ns)
{
    struct packet surplus; /* where a packet is read to that finds the ring full */

    for (int i = 0; i < BATCH; i++) {
        bool full = d->tail - d->head == LINE_SLOTS;
        struct packet *p = full ? &surplus : &d->ring[d->tail % LINE_SLOTS];
        ssize_t n = read(d->from, p->data, sizeof(p->data));
        if (n <= 0) {
            return;
        }
        p->size = (uint32_t)n;
        if (full) {
            d->counts.overflow++;
        } else if (admit(d, now_ns, p)) {
            d->tail++;
        }
    }
}

void direction_pass(struct direction *d, uint64_t now_ns)
{
    for (; d->head != d->tail; d->head++) {
        const struct packet *p = &d->ring[d->head % LINE_SLOTS];
        if (p->due_ns > now_ns) {
            return;
        }
        if (now_ns < d->cut_until_ns) {
            d->counts.cut++;
        } else if (write(d->to, p->data, p->size) == (ssize_t)p->size) {
            d->counts.passed++;
            d->counts.passed_bytes += p->size;
        } else {
            d->counts.overflow++; /* the device is down or without memory */
        }
    }
}

uint64_t direction_next_ns(const struct direction *d)
{
    return d->head == d->tail ? UINT64_MAX : d->ring[d->head % LINE_SLOTS].due_ns;
}
