/* SPDX-License-Identifier: Apache-2.0 */
/* test_udpt_alarms.c - the heap of alarms, against a plain array of what should be due. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/udpt/core/alarms.h"
#include <udptun/machine.h>

enum { COUNT = 200 };

struct box {
    struct alarm alarm;
    struct alarms *all;
    unsigned fired;
    uint64_t again_us;   /* started again when it fires, 0: not */
    struct alarm *stops; /* stopped when it fires */
};

static void fire(struct alarm *t)
{
    struct box *box = alarm_entry(t, struct box, alarm);
    box->fired++;
    if (box->again_us != 0)
        alarm_wake(box->all, t, box->again_us);
    if (box->stops)
        alarm_stop(box->all, box->stops);
}

static uint32_t next(uint32_t *random)
{
    *random = *random * 1664525 + 1013904223;
    return *random >> 8;
}

static void those_due_fire_once_and_no_other(void **state)
{
    (void)state;
    struct alarms all = {0};
    static struct box boxes[COUNT];
    uint64_t due_us[COUNT];
    uint32_t random = 5;
    for (unsigned i = 0; i < COUNT; i++) {
        alarm_init(&boxes[i].alarm, fire);
        boxes[i].all = &all;
        due_us[i] = UDPTUN_MACHINE_NEVER;
    }
    for (uint64_t now_us = 1; now_us < 20000; now_us++) {
        unsigned i = next(&random) % COUNT;
        uint64_t at_us = now_us + next(&random) % 300;
        if (next(&random) % 4 == 0) {
            alarm_stop(&all, &boxes[i].alarm);
            due_us[i] = UDPTUN_MACHINE_NEVER;
        } else {
            alarm_wake(&all, &boxes[i].alarm, at_us);
            due_us[i] = at_us < due_us[i] ? at_us : due_us[i];
        }
        uint64_t first_us = UDPTUN_MACHINE_NEVER;
        for (unsigned k = 0; k < COUNT; k++)
            first_us = due_us[k] < first_us ? due_us[k] : first_us;
        assert_int_equal(alarms_next_us(&all), first_us);
        if (next(&random) % 5 != 0)
            continue;
        alarms_run(&all, now_us);
        for (unsigned k = 0; k < COUNT; k++) {
            assert_int_equal(boxes[k].fired, due_us[k] <= now_us);
            boxes[k].fired = 0;
            if (due_us[k] <= now_us)
                due_us[k] = UDPTUN_MACHINE_NEVER;
            assert_int_equal(alarm_runs(&boxes[k].alarm), due_us[k] != UDPTUN_MACHINE_NEVER);
        }
    }
}

static void one_that_starts_again_waits_for_the_next_call(void **state)
{
    (void)state;
    struct alarms all = {0};
    struct box box = {.all = &all, .again_us = 3};
    alarm_init(&box.alarm, fire);
    alarm_wake(&all, &box.alarm, 5);
    alarm_wake(&all, &box.alarm, UDPTUN_MACHINE_NEVER);
    alarms_run(&all, 4);
    assert_int_equal(box.fired, 0);
    alarms_run(&all, 5);
    assert_int_equal(box.fired, 1);
    alarms_run(&all, 5);
    assert_int_equal(box.fired, 2);
    alarm_stop(&all, &box.alarm);
    assert_int_equal(alarms_next_us(&all), UDPTUN_MACHINE_NEVER);
}

static void one_that_fires_may_stop_one_that_is_due_with_it(void **state)
{
    (void)state;
    struct alarms all = {0};
    struct box a = {.all = &all}, b = {.all = &all};
    alarm_init(&a.alarm, fire);
    alarm_init(&b.alarm, fire);
    a.stops = &b.alarm;
    b.stops = &a.alarm;
    alarm_wake(&all, &a.alarm, 1);
    alarm_wake(&all, &b.alarm, 2);
    alarms_run(&all, 9);
    assert_int_equal(a.fired + b.fired, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_due_fire_once_and_no_other),
        cmocka_unit_test(one_that_starts_again_waits_for_the_next_call),
        cmocka_unit_test(one_that_fires_may_stop_one_that_is_due_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
