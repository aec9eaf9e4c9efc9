/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_udpt_credit.c - the congestion control against a modelled path: one line with a rate, a
 * length and a queue without end. No machine, no leg: virtual time and bytes only.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/udpt/core/units.h"
#include "proto/udpt/pace/codel.h"
#include "proto/udpt/pace/credit.h"
#include <udptun/machine.h>

enum { SIZE = 1200, UNDER_WAY_MAX = 1 << 16 };
/* How often the far end acknowledges, and the sender looks. */
#define ACK_STEP_US (10 * MS_US)
#define STEP_US     MS_US

struct line {
    struct credit credit;
    uint64_t now_us, rate, rtt_us, free_us, offered;
    /* What is under way, oldest first: a ring. */
    struct {
        uint64_t sent_us, arrives_us;
    } sent[UNDER_WAY_MAX];
    size_t first, count;
    uint64_t written, acknowledged, delivered;
    uint64_t next_ack_us;
};

static struct line *line_new(uint64_t rate, uint64_t rtt_us)
{
    struct line *l = (struct line *)calloc(1, sizeof *l);
    assert_non_null(l);
    l->now_us = S_US;
    l->rate = rate;
    l->rtt_us = rtt_us;
    l->offered = UINT64_MAX;
    credit_init(&l->credit, 7, l->now_us);
    credit_rtt(&l->credit, rtt_us, l->now_us); /* the handshake's */
    return l;
}

static void line_write(struct line *l)
{
    uint64_t retry_us;
    while (l->offered >= SIZE) {
        if (!credit_allows(&l->credit, l->count == 0, l->now_us, &retry_us)) {
            credit_blocked(&l->credit, l->now_us);
            return;
        }
        l->free_us = max_u64(l->free_us, l->now_us) + SIZE * S_US / l->rate;
        size_t at = (l->first + l->count++) % UNDER_WAY_MAX;
        assert_true(l->count < UNDER_WAY_MAX);
        l->sent[at].sent_us = l->now_us;
        l->sent[at].arrives_us = l->free_us + l->rtt_us / 2;
        l->written += SIZE;
        credit_sent(&l->credit, l, l->written, SIZE, l->now_us);
        if (l->offered != UINT64_MAX)
            l->offered -= SIZE;
    }
    credit_unblocked(&l->credit, l->now_us);
}

/* One ACK frame: of what arrived at the far end half a round trip ago. */
static void line_acknowledge(struct line *l)
{
    uint64_t size = 0, sent_us = 0;
    while (l->count > 0 && l->sent[l->first].arrives_us + l->rtt_us / 2 <= l->now_us) {
        sent_us = l->sent[l->first].sent_us;
        size += SIZE;
        l->first = (l->first + 1) % UNDER_WAY_MAX;
        l->count--;
    }
    if (size == 0)
        return;
    l->acknowledged += size;
    l->delivered += size;
    credit_rtt(&l->credit, l->now_us - sent_us, l->now_us);
    credit_acked(&l->credit, l, l->acknowledged, size, ACK_STEP_US / 2);
    credit_acked_all(&l->credit, l->now_us);
}

static void line_run(struct line *l, uint64_t for_us)
{
    for (uint64_t until_us = l->now_us + for_us; l->now_us < until_us; l->now_us += STEP_US) {
        if (l->now_us >= l->next_ack_us) {
            line_acknowledge(l);
            l->next_ack_us = l->now_us + ACK_STEP_US;
        }
        credit_tick(&l->credit, l->now_us);
        line_write(l);
    }
}

/* Of what the line carried in this time, in percent. */
static uint64_t line_used(struct line *l, uint64_t for_us)
{
    uint64_t before = l->delivered;
    line_run(l, for_us);
    return (l->delivered - before) * 100 * S_US / for_us / l->rate;
}

static uint64_t line_queue_us(const struct line *l)
{
    return l->free_us > l->now_us ? l->free_us - l->now_us : 0;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static uint64_t line_median_queue_us(struct line *l)
{
    enum { LOOKS = 501 };
    uint64_t looks[LOOKS];
    for (unsigned i = 0; i < LOOKS; i++) {
        line_run(l, 10 * MS_US);
        looks[i] = line_queue_us(l);
    }
    qsort(looks, LOOKS, sizeof *looks, compare);
    return looks[LOOKS / 2];
}

static const struct {
    uint64_t rate, rtt_us, queue_us;
} paths[] = {
    {125000, 500, 40 * MS_US},          {625000, 500, 12 * MS_US},
    {2500000, 5 * MS_US, 12 * MS_US},   {625000, 20 * MS_US, 12 * MS_US},
    {2500000, 50 * MS_US, 12 * MS_US},  {625000, 100 * MS_US, 30 * MS_US},
    {2500000, 200 * MS_US, 60 * MS_US},
};
enum { PATHS = sizeof paths / sizeof *paths };

static void a_path_of_any_length_is_used_and_has_hardly_a_queue(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PATHS; i++) {
        struct line *l = line_new(paths[i].rate, paths[i].rtt_us);
        line_run(l, 4 * S_US);
        uint64_t used = line_used(l, 6 * S_US), queue_us = line_median_queue_us(l);
        print_message("path %u: %llu %% used, queue %llu us\n", i, (unsigned long long)used,
                      (unsigned long long)queue_us);
        assert_true(used >= 90);
        assert_true(queue_us <= paths[i].queue_us);
        free(l);
    }
}

/* TCP's slow start doubles per round trip from ten segments. This one comes to 85 % of the line a
 * second later at the latest, and its queue is never longer than two round trips and 250 ms. */
static void a_start_comes_to_the_line_soon_and_makes_a_short_queue(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PATHS; i++) {
        struct line *l = line_new(paths[i].rate, paths[i].rtt_us);
        uint64_t window = 14600, trips = 1, most_us = 0;
        for (; window * S_US < paths[i].rate * paths[i].rtt_us; window *= 2)
            trips++;
        for (uint64_t us = 0; us < trips * paths[i].rtt_us + S_US; us += 10 * MS_US) {
            line_run(l, 10 * MS_US);
            most_us = max_u64(most_us, line_queue_us(l));
        }
        assert_true(line_used(l, 500 * MS_US) >= 85);
        assert_true(most_us <= 2 * paths[i].rtt_us + 250 * MS_US);
        free(l);
    }
}

static void a_path_that_gets_longer_and_shorter_is_used_again(void **state)
{
    (void)state;
    struct line *l = line_new(2500000, 20 * MS_US);
    line_run(l, 8 * S_US);
    l->rtt_us = 200 * MS_US;
    line_run(l, 2 * S_US);
    assert_true(line_used(l, 5 * S_US) >= 85);
    l->rtt_us = 20 * MS_US;
    line_run(l, 2 * S_US);
    assert_true(line_used(l, 5 * S_US) >= 85);
    assert_true(line_median_queue_us(l) <= 12 * MS_US);
    free(l);
}

static void a_path_that_gets_slower_and_faster_is_used_again(void **state)
{
    (void)state;
    struct line *l = line_new(2500000, 50 * MS_US);
    line_run(l, 8 * S_US);
    l->rate = 250000;
    line_run(l, 3 * S_US);
    assert_true(line_queue_us(l) <= 100 * MS_US);
    assert_true(line_used(l, 3 * S_US) >= 85);
    l->rate = 2500000;
    line_run(l, 3500 * MS_US);
    assert_true(line_used(l, 5 * S_US) >= 85);
    free(l);
}

static void an_app_that_sends_little_says_nothing_of_the_path(void **state)
{
    (void)state;
    struct line *l = line_new(2500000, 50 * MS_US);
    line_run(l, 5 * S_US);
    uint64_t bandwidth = l->credit.path.bandwidth;
    l->offered = 0;
    for (unsigned i = 0; i < 1000; i++) {
        l->offered += SIZE;
        line_run(l, 20 * MS_US);
    }
    assert_int_equal(l->credit.path.bandwidth, bandwidth);
    l->offered = UINT64_MAX;
    line_run(l, 500 * MS_US);
    assert_true(line_used(l, S_US) >= 90);
    free(l);
}

static void an_idle_path_that_gets_longer_is_measured_again(void **state)
{
    (void)state;
    struct path p;
    path_init(&p, 0);
    path_rtt(&p, 700, 0);
    for (uint64_t now_us = 0; now_us < 5 * S_US; now_us += 100 * MS_US) {
        path_rtt(&p, 50 * MS_US + now_us % 7000, now_us);
        path_renew(&p, now_us);
    }
    assert_in_range(p.min_rtt_us, 50 * MS_US, 51 * MS_US);
    path_rtt(&p, 20 * MS_US, 5 * S_US);
    assert_int_equal(p.min_rtt_us, 20 * MS_US);
}

static void a_large_datagram_is_not_held_up_by_the_pacing_for_long(void **state)
{
    (void)state;
    struct pacer p;
    uint64_t retry_us = 0;
    pacer_init(&p, 0);
    pacer_set_rate(&p, 60000, 0);
    pacer_sent(&p, 60000);
    assert_false(pacer_allows(&p, 0, &retry_us));
    assert_true(retry_us <= 110 * MS_US);
    assert_true(pacer_allows(&p, retry_us, &retry_us));
}

static void pacing_keeps_to_its_rate(void **state)
{
    (void)state;
    struct pacer p;
    uint64_t retry_us, sent = 0;
    pacer_init(&p, 0);
    pacer_set_rate(&p, 1000000, 0);
    for (uint64_t now_us = 0; now_us < 10 * S_US; now_us += 1300)
        for (; pacer_allows(&p, now_us, &retry_us); sent += SIZE)
            pacer_sent(&p, SIZE);
    assert_in_range(sent, 9980000, 10010000);
}

/* ---- CoDel ----------------------------------------------------------------------------------- */

static void a_short_wait_and_a_lone_datagram_are_never_dropped(void **state)
{
    (void)state;
    struct codel c = {0};
    for (uint64_t now_us = 0; now_us < 10 * S_US; now_us += 10 * MS_US) {
        assert_false(codel_drops(&c, 5 * MS_US, false, 50 * MS_US, now_us));
        assert_false(codel_drops(&c, S_US, true, 50 * MS_US, now_us));
    }
}

static void a_standing_queue_is_dropped_from_ever_faster(void **state)
{
    (void)state;
    struct codel c = {0};
    unsigned drops[4] = {0};
    for (uint64_t now_us = 0; now_us < 4 * S_US; now_us += MS_US)
        drops[now_us / S_US] += codel_drops(&c, 100 * MS_US, false, 50 * MS_US, now_us);
    assert_true(drops[0] >= 5);
    assert_true(drops[1] > drops[0] && drops[2] > drops[1] && drops[3] > drops[2]);
    assert_true(drops[3] < 100);
}

static void a_flood_waits_no_longer_than_an_interval(void **state)
{
    (void)state;
    struct codel c = {0};
    for (uint64_t now_us = 0; now_us < S_US; now_us += MS_US)
        codel_drops(&c, 400 * MS_US, false, 50 * MS_US, now_us);
    for (unsigned i = 0; i < 1000; i++)
        assert_true(codel_drops(&c, 151 * MS_US, false, 50 * MS_US, S_US));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_of_any_length_is_used_and_has_hardly_a_queue),
        cmocka_unit_test(a_start_comes_to_the_line_soon_and_makes_a_short_queue),
        cmocka_unit_test(a_path_that_gets_longer_and_shorter_is_used_again),
        cmocka_unit_test(a_path_that_gets_slower_and_faster_is_used_again),
        cmocka_unit_test(an_app_that_sends_little_says_nothing_of_the_path),
        cmocka_unit_test(an_idle_path_that_gets_longer_is_measured_again),
        cmocka_unit_test(a_large_datagram_is_not_held_up_by_the_pacing_for_long),
        cmocka_unit_test(pacing_keeps_to_its_rate),
        cmocka_unit_test(a_short_wait_and_a_lone_datagram_are_never_dropped),
        cmocka_unit_test(a_standing_queue_is_dropped_from_ever_faster),
        cmocka_unit_test(a_flood_waits_no_longer_than_an_interval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
