/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_loop.c - watches, timers and batches: on a made-up host that the test drives, and on libev.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <udptun/error.h>

#include "daemon/platform/clock.h"
#include "daemon/platform/loop.h"

/* ---- a host of the test's ------------------------------------------------------------------ */

enum { MOST = 8 };

struct host {
    struct loop loop;
    struct {
        bool watched;
        unsigned events;
        void *token;
    } sockets[MOST]; /* by number */
    uint64_t timer_us;
    unsigned timers_set, turns;
    bool refuses;
};

static void *host_watch(void *arg, udptun_socket socket, unsigned events, void *token)
{
    struct host *h = (struct host *)arg;
    if (h->refuses)
        return NULL;
    assert_false(h->sockets[socket].watched);
    h->sockets[socket].watched = true;
    h->sockets[socket].events = events;
    h->sockets[socket].token = token;
    return &h->sockets[socket];
}

static void host_change(void *arg, void *watch, unsigned events)
{
    struct host *h = (struct host *)arg;
    for (size_t i = 0; i < MOST; i++)
        if (watch == &h->sockets[i])
            h->sockets[i].events = events;
}

static void host_unwatch(void *arg, void *watch)
{
    struct host *h = (struct host *)arg;
    for (size_t i = 0; i < MOST; i++)
        if (watch == &h->sockets[i])
            h->sockets[i].watched = false;
}

static void host_timer(void *arg, uint64_t after_us)
{
    struct host *h = (struct host *)arg;
    h->timer_us = after_us;
    h->timers_set++;
}

static void on_turn(void *arg)
{
    ((struct host *)arg)->turns++;
}

static struct host host;

static int setup(void **state)
{
    (void)state;
    const struct udptun_loop table = {.size = sizeof table,
                                      .arg = &host,
                                      .watch = host_watch,
                                      .change = host_change,
                                      .unwatch = host_unwatch,
                                      .timer = host_timer};
    memset(&host, 0, sizeof host);
    host.timer_us = UDPTUN_LOOP_NEVER;
    loop_init(&host.loop, &table, on_turn, &host);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    loop_fini(&host.loop);
    return 0;
}

/* What a host does when `after_us` have passed; the clock is the real one, so the loop's is turned
 * back in its place. */
static void pass_time(uint64_t until_us)
{
    host.loop.in_batch = true;
    host.loop.now_us = until_us;
    loop_due(&host.loop);
}

/* ---- watches ------------------------------------------------------------------------------- */

struct seen {
    struct io_watch watch;
    unsigned calls, events;
    struct seen *stops; /* another that it stops when it is called */
};

static void on_ready(void *arg, unsigned events)
{
    struct seen *s = (struct seen *)arg;
    s->calls++;
    s->events |= events;
    if (s->stops)
        watch_stop(&s->stops->watch);
}

static void only_what_is_asked_for_is_told(void **state)
{
    (void)state;
    struct seen s = {0};
    watch_init(&s.watch, &host.loop, on_ready, &s);
    assert_false(watch_is_on(&s.watch));
    assert_int_equal(watch_start(&s.watch, 3, LOOP_READ), UDPTUN_OK);
    assert_true(watch_is_on(&s.watch));
    assert_int_equal(host.sockets[3].events, LOOP_READ);
    loop_ready(&host.loop, host.sockets[3].token, LOOP_READ | LOOP_WRITE);
    assert_int_equal(s.events, LOOP_READ);
    watch_set(&s.watch, LOOP_WRITE);
    assert_int_equal(host.sockets[3].events, LOOP_WRITE);
    loop_ready(&host.loop, host.sockets[3].token, LOOP_READ); /* fetched before */
    assert_int_equal(s.calls, 1);
    watch_set(&s.watch, 0);
    loop_ready(&host.loop, host.sockets[3].token, LOOP_READ | LOOP_WRITE);
    assert_int_equal(s.calls, 1);
    watch_stop(&s.watch);
    watch_stop(&s.watch);
    assert_false(host.sockets[3].watched);
    loop_turn(&host.loop);
}

static void watch_that_was_stopped_in_the_batch_is_not_called(void **state)
{
    (void)state;
    struct seen *second = (struct seen *)calloc(1, sizeof *second);
    struct seen first = {.stops = second};
    assert_non_null(second);
    watch_init(&first.watch, &host.loop, on_ready, &first);
    watch_init(&second->watch, &host.loop, on_ready, second);
    assert_int_equal(watch_start(&first.watch, 1, LOOP_READ), UDPTUN_OK);
    assert_int_equal(watch_start(&second->watch, 2, LOOP_READ), UDPTUN_OK);
    void *tokens[] = {host.sockets[1].token, host.sockets[2].token};
    loop_ready(&host.loop, tokens[0], LOOP_READ);
    assert_false(host.sockets[2].watched);
    free(second); /* as its owner may */
    loop_ready(&host.loop, tokens[1], LOOP_READ);
    assert_int_equal(first.calls, 1);
    first.stops = NULL;
    loop_turn(&host.loop);
    watch_stop(&first.watch);
}

static void host_that_cannot_watch_is_told_of(void **state)
{
    (void)state;
    struct seen s = {0};
    host.refuses = true;
    watch_init(&s.watch, &host.loop, on_ready, &s);
    assert_int_equal(watch_start(&s.watch, 1, LOOP_READ), UDPTUN_E_NOMEM);
    assert_false(watch_is_on(&s.watch));
    watch_stop(&s.watch);
}

/* ---- batches ------------------------------------------------------------------------------- */

static void what_is_left_outside_a_batch_gets_a_turn(void **state)
{
    (void)state;
    loop_turn_soon(&host.loop);
    loop_turn_soon(&host.loop);
    assert_int_equal(host.timer_us, 0);
    assert_int_equal(host.timers_set, 1);
    loop_due(&host.loop);
    loop_turn_soon(&host.loop); /* it comes anyway */
    loop_turn(&host.loop);
    assert_int_equal(host.turns, 1);
    assert_int_equal(host.timers_set, 1);
    loop_turn_soon(&host.loop);
    assert_int_equal(host.timers_set, 2);
}

static void batch_reads_the_clock_once(void **state)
{
    (void)state;
    struct seen s = {0};
    watch_init(&s.watch, &host.loop, on_ready, &s);
    assert_int_equal(watch_start(&s.watch, 1, LOOP_READ), UDPTUN_OK);
    host.loop.now_us = 1;
    loop_ready(&host.loop, host.sockets[1].token, LOOP_READ);
    uint64_t first_us = host.loop.now_us;
    assert_true(first_us > 1);
    usleep(2000);
    loop_ready(&host.loop, host.sockets[1].token, LOOP_READ);
    assert_true(host.loop.now_us == first_us);
    loop_turn(&host.loop);
    loop_ready(&host.loop, host.sockets[1].token, LOOP_READ);
    assert_true(host.loop.now_us >= first_us + 2000);
    watch_stop(&s.watch);
}

/* ---- timers -------------------------------------------------------------------------------- */

struct alarm {
    struct timer timer;
    unsigned rung;
    uint64_t again_us; /* not 0: start it again in its callback */
    struct alarm *stops;
};

static void on_due(void *arg)
{
    struct alarm *a = (struct alarm *)arg;
    a->rung++;
    if (a->again_us)
        timer_start(&a->timer, a->again_us - 1);
    if (a->stops)
        timer_stop(&a->stops->timer);
}

static void timer_rings_once_when_it_is_due(void **state)
{
    (void)state;
    struct alarm a = {0};
    timer_init(&a.timer, &host.loop, on_due, &a);
    timer_start(&a.timer, 1000);
    assert_true(timer_is_on(&a.timer));
    assert_in_range(host.timer_us, 0, 1000);
    uint64_t at_us = a.timer.at_us;
    pass_time(at_us - 1);
    assert_int_equal(a.rung, 0);
    pass_time(at_us);
    assert_int_equal(a.rung, 1);
    assert_false(timer_is_on(&a.timer));
    pass_time(at_us + 1000000);
    assert_int_equal(a.rung, 1);
}

static void timer_that_is_put_off_costs_the_host_nothing(void **state)
{
    (void)state;
    struct alarm a = {0};
    timer_init(&a.timer, &host.loop, on_due, &a);
    timer_start(&a.timer, 1000);
    uint64_t first_us = a.timer.at_us;
    unsigned set = host.timers_set;
    for (uint64_t i = 0; i < 100; i++)
        timer_start(&a.timer, 2000 + i);
    assert_int_equal(host.timers_set, set);
    pass_time(first_us);
    assert_int_equal(a.rung, 0);
    loop_turn(&host.loop);
    assert_int_equal(host.timers_set, set + 1); /* for the new time */
    pass_time(a.timer.at_us);
    assert_int_equal(a.rung, 1);
    timer_start(&a.timer, 1000);
    timer_start(&a.timer, 10); /* brought forward */
    uint64_t at_us = a.timer.at_us;
    pass_time(at_us);
    assert_int_equal(a.rung, 2);
}

static void timer_may_start_and_stop_in_a_callback(void **state)
{
    (void)state;
    struct alarm other = {0}, a = {.again_us = 1, .stops = &other};
    timer_init(&a.timer, &host.loop, on_due, &a);
    timer_init(&other.timer, &host.loop, on_due, &other);
    timer_start(&a.timer, 100);
    timer_start(&other.timer, 101);
    pass_time(other.timer.at_us);
    assert_int_equal(a.rung, 1); /* not again and again in the same pass */
    assert_int_equal(other.rung, 0);
    assert_true(timer_is_on(&a.timer));
    pass_time(a.timer.at_us);
    assert_int_equal(a.rung, 2);
    timer_stop(&a.timer);
    timer_stop(&a.timer);
    pass_time(UINT64_MAX - 1);
    assert_int_equal(a.rung, 2);
}

static void never_is_no_timer(void **state)
{
    (void)state;
    struct alarm a = {0};
    timer_init(&a.timer, &host.loop, on_due, &a);
    timer_start(&a.timer, LOOP_NEVER_US);
    assert_false(timer_is_on(&a.timer));
    timer_start(&a.timer, LOOP_NEVER_US - 1);
    assert_true(timer_is_on(&a.timer));
    timer_start(&a.timer, LOOP_NEVER_US);
    assert_false(timer_is_on(&a.timer));
}

/* A few hundred timers, started, put off, brought forward and stopped at random, against a plain
 * list of deadlines. */
static void many_timers_ring_as_a_plain_list_says(void **state)
{
    (void)state;
    enum { TIMERS = 200, STEPS = 20000 };
    static struct alarm alarms[TIMERS];
    static uint64_t due_us[TIMERS]; /* 0: off */
    static unsigned rung[TIMERS];
    memset(alarms, 0, sizeof alarms);
    memset(due_us, 0, sizeof due_us);
    memset(rung, 0, sizeof rung);
    for (size_t i = 0; i < TIMERS; i++)
        timer_init(&alarms[i].timer, &host.loop, on_due, &alarms[i]);
    srandom(7);
    uint64_t now_us = 1000;
    for (unsigned step = 0; step < STEPS; step++) {
        size_t i = (size_t)random() % TIMERS;
        uint64_t after_us = 1 + (uint64_t)random() % 5000;
        host.loop.in_batch = true;
        host.loop.now_us = now_us;
        if (random() % 4 == 0) {
            timer_stop(&alarms[i].timer);
            due_us[i] = 0;
        } else {
            timer_start(&alarms[i].timer, after_us);
            due_us[i] = now_us + after_us;
        }
        now_us += (uint64_t)random() % 20;
        pass_time(now_us);
        for (size_t j = 0; j < TIMERS; j++) {
            if (due_us[j] && due_us[j] <= now_us) {
                due_us[j] = 0;
                rung[j]++;
            }
            assert_int_equal(alarms[j].rung, rung[j]);
            assert_int_equal(timer_is_on(&alarms[j].timer), due_us[j] != 0);
        }
    }
    for (size_t i = 0; i < TIMERS; i++)
        timer_stop(&alarms[i].timer);
    assert_null(host.loop.timers);
}

/* ---- on libev ------------------------------------------------------------------------------ */

struct live {
    struct loop loop;
    struct io_watch watch;
    struct timer timer;
    int pair[2];
    unsigned turns, reads;
    uint64_t due_us;
};

static void on_live_turn(void *arg)
{
    ((struct live *)arg)->turns++;
}

static void on_live_ready(void *arg, unsigned events)
{
    struct live *l = (struct live *)arg;
    char byte;
    if (events & LOOP_WRITE) {
        watch_set(&l->watch, LOOP_READ);
        assert_int_equal(write(l->pair[1], "x", 1), 1);
        return;
    }
    assert_int_equal(read(l->pair[0], &byte, 1), 1);
    l->reads++;
    timer_start(&l->timer, 20000);
    l->due_us = clock_us() + 20000;
}

static void on_live_due(void *arg)
{
    struct live *l = (struct live *)arg;
    assert_true(clock_us() >= l->due_us - 1000); /* it counts from the start of the batch */
    loop_stop(&l->loop);
}

static void libev_brings_sockets_and_time(void **state)
{
    (void)state;
    struct live l = {0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, l.pair), 0);
    assert_int_equal(loop_init_own(&l.loop, on_live_turn, &l), UDPTUN_OK);
    watch_init(&l.watch, &l.loop, on_live_ready, &l);
    timer_init(&l.timer, &l.loop, on_live_due, &l);
    assert_int_equal(watch_start(&l.watch, l.pair[0], LOOP_WRITE), UDPTUN_OK);
    loop_run(&l.loop);
    assert_int_equal(l.reads, 1);
    assert_true(l.turns >= 3);
    watch_stop(&l.watch);
    loop_fini(&l.loop);
    close(l.pair[0]);
    close(l.pair[1]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(only_what_is_asked_for_is_told),
        TEST(watch_that_was_stopped_in_the_batch_is_not_called),
        TEST(host_that_cannot_watch_is_told_of),
        TEST(what_is_left_outside_a_batch_gets_a_turn),
        TEST(batch_reads_the_clock_once),
        TEST(timer_rings_once_when_it_is_due),
        TEST(timer_that_is_put_off_costs_the_host_nothing),
        TEST(timer_may_start_and_stop_in_a_callback),
        TEST(never_is_no_timer),
        TEST(many_timers_ring_as_a_plain_list_says),
        cmocka_unit_test(libev_brings_sockets_and_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
