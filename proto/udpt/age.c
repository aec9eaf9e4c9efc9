/* SPDX-License-Identifier: Apache-2.0 */
/*
 * age.c - how late a datagram is, from the sender's clock that goes along.
 *
 * The clocks of the two ends have nothing in common but their pace. The least difference of
 * (our time - the sender's) seen in the last one to two minutes belongs to the promptest frames;
 * whatever differs more was held up on its way. A path that heals delivers what TCP had kept for
 * half a minute: that is dropped here.
 */
#include "proto/udpt/internal.h"

#define BASE_WINDOW_US (60 * S_US)

void age_reset(struct age *a)
{
    *a = (struct age){0};
}

static void note(struct age *a, int64_t offset_ms, uint64_t now_us)
{
    if (!a->known || now_us - a->window_us > 2 * BASE_WINDOW_US) {
        *a = (struct age){.known = true, .window_us = now_us, .past_ms = offset_ms};
        a->present_ms = offset_ms;
        return;
    }
    if (now_us - a->window_us > BASE_WINDOW_US) {
        a->past_ms = a->present_ms;
        a->present_ms = offset_ms;
        a->window_us = now_us;
    }
    if (offset_ms < a->present_ms)
        a->present_ms = offset_ms;
}

void age_heard(struct udpt_conn *c, uint32_t clock_ms)
{
    struct udpt_session *s = c->session;
    /* The clock has 32 bits, and all legs tell the same one: unfolded around the last one heard on
     * any. */
    int64_t last_ms = s->age.known ? s->age.clock_ms : clock_ms;
    c->peer_clock_ms = last_ms + (int32_t)(clock_ms - (uint32_t)last_ms);
    c->has_peer_clock = true;
    note(&s->age, (int64_t)(s->m->now_us / MS_US) - c->peer_clock_ms, s->m->now_us);
    s->age.clock_ms = c->peer_clock_ms;
}

bool age_is_stale(const struct udpt_conn *c)
{
    const struct udpt_session *s = c->session;
    const struct age *a = &s->age;
    if (!c->has_peer_clock || !a->known)
        return false;
    int64_t base_ms = a->past_ms < a->present_ms ? a->past_ms : a->present_ms;
    int64_t late_ms = (int64_t)(s->m->now_us / MS_US) - c->peer_clock_ms - base_ms;
    return late_ms > (int64_t)s->m->config.max_queue_delay_ms;
}
