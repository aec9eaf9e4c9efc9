/* SPDX-License-Identifier: Apache-2.0 */
/*
 * age.c - how late a datagram is, from the sender's clock that goes along.
 *
 * The clocks of the two ends have nothing in common but their pace. The least difference of
 * (our time - the sender's) seen in the last one to two minutes belongs to the promptest frames;
 * whatever differs more was held up on its way. A path that heals delivers what TCP had kept for
 * half a minute: that is dropped here. A path that has become longer delivers late, too, but
 * evenly: it gets a new base within two seconds.
 */
#include <string.h>

#include "proto/udpt/internal.h"

#define BASE_WINDOW_US (60 * S_US)
/* The path has become longer when in each of AGE_STRETCHES successive stretches of time nothing was
 * prompt, and all by about the same. What TCP kept during an outage is late by less and less; what
 * is late by more than LATENESS_MAX_MS is not taken for a path. */
#define STRETCH_US      (500 * MS_US)
#define FLAT_MS         50
#define LATENESS_MAX_MS 3000

void age_reset(struct age *a)
{
    *a = (struct age){0};
}

static void age_note(struct age *a, int64_t offset_ms, uint64_t now_us)
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

static int64_t base_ms(const struct age *a)
{
    return a->past_ms < a->present_ms ? a->past_ms : a->present_ms;
}

static void judge_stretches(struct age *a, int64_t limit_ms, uint64_t now_us)
{
    int64_t least = a->stretch_ms[0], most = a->stretch_ms[0];
    for (unsigned i = 1; i < AGE_STRETCHES; i++) {
        least = a->stretch_ms[i] < least ? a->stretch_ms[i] : least;
        most = a->stretch_ms[i] > most ? a->stretch_ms[i] : most;
    }
    int64_t late = least - base_ms(a);
    if (late <= limit_ms || late >= LATENESS_MAX_MS || most - least > FLAT_MS)
        return;
    a->past_ms = a->present_ms = least;
    a->window_us = now_us;
}

static void age_note_stretch(struct age *a, int64_t offset_ms, int64_t limit_ms, uint64_t now_us)
{
    if (a->stretches > 0 && now_us - a->stretch_us < STRETCH_US) {
        int64_t *newest = &a->stretch_ms[a->stretches - 1];
        *newest = offset_ms < *newest ? offset_ms : *newest;
        return;
    }
    if (a->stretches == AGE_STRETCHES) {
        memmove(a->stretch_ms, a->stretch_ms + 1, (AGE_STRETCHES - 1) * sizeof *a->stretch_ms);
        a->stretches--;
    }
    a->stretch_ms[a->stretches++] = offset_ms;
    a->stretch_us = now_us;
    if (a->stretches == AGE_STRETCHES)
        judge_stretches(a, limit_ms, now_us);
}

void age_heard(struct udptun_conn *c, uint32_t clock_ms)
{
    struct udptun_session *s = c->session;
    /* The clock has 32 bits, and all legs tell the same one: unfolded around the last one heard on
     * any. */
    int64_t last_ms = s->age.known ? s->age.clock_ms : clock_ms;
    c->peer_clock_ms = last_ms + (int32_t)(clock_ms - (uint32_t)last_ms);
    c->has_peer_clock = true;
    int64_t offset_ms = (int64_t)(s->m->now_us / MS_US) - c->peer_clock_ms;
    age_note(&s->age, offset_ms, s->m->now_us);
    age_note_stretch(&s->age, offset_ms, (int64_t)s->m->config.max_queue_delay_ms, s->m->now_us);
    s->age.clock_ms = c->peer_clock_ms;
}

bool age_is_stale(const struct udptun_conn *c)
{
    const struct udptun_session *s = c->session;
    const struct age *a = &s->age;
    if (!c->has_peer_clock || !a->known)
        return false;
    int64_t late_ms = (int64_t)(s->m->now_us / MS_US) - c->peer_clock_ms - base_ms(a);
    return late_ms > (int64_t)s->m->config.max_queue_delay_ms;
}
