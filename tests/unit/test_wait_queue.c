/* SPDX-License-Identifier: Apache-2.0 */
/* test_wait_queue.c - datagrams that wait: what is sent, what gives way, what is too old. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/engine/core/wait_queue.h"

enum { DELAY_US = 500000 };

static struct loop loop;
static struct budget budget;
static struct wait_queue queue;
static unsigned stale, full;

static void on_timer(void *arg, uint64_t after_us)
{
    (void)arg;
    (void)after_us;
}

static void on_dropped(struct wait_queue *q, enum wait_drop why)
{
    assert_ptr_equal(q, &queue);
    *(why == WAIT_STALE ? &stale : &full) += 1;
}

static int setup(void **state)
{
    const struct udptun_loop table = {.size = sizeof table, .timer = on_timer};
    (void)state;
    loop_init(&loop, &table, NULL, NULL);
    loop_refresh(&loop);
    budget = (struct budget){.limit = 1 << 20};
    wait_queue_init(&queue, &loop, &budget, on_dropped);
    stale = full = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    wait_queue_clear(&queue);
    assert_int_equal(budget.used, 0);
    loop_fini(&loop);
    return 0;
}

static void add(uint32_t number, size_t size)
{
    const struct udptun_endpoint to = endpoint_ip4(192, 0, 2, 1, (uint16_t)number);
    uint8_t *data = (uint8_t *)calloc(1, size);
    assert_non_null(data);
    memcpy(data, &number, sizeof number);
    wait_queue_add(&queue, &to, data, size, DELAY_US);
    free(data);
}

static void assert_next(uint32_t number)
{
    struct waiting *w = wait_queue_take(&queue);
    assert_non_null(w);
    assert_memory_equal(w->data, &number, sizeof number);
    assert_int_equal(w->to.port, number);
    free(w);
}

static void oldest_comes_first(void **state)
{
    (void)state;
    for (uint32_t i = 1; i <= 3; i++)
        add(i, 100);
    assert_int_equal(budget.used, 300);
    for (uint32_t i = 1; i <= 3; i++)
        assert_next(i);
    assert_null(wait_queue_take(&queue));
    assert_int_equal(stale + full, 0);
}

static void too_old_is_never_taken(void **state)
{
    (void)state;
    add(1, 100);
    loop.now_us += DELAY_US - 1;
    add(2, 100);
    loop.now_us += 1;
    assert_next(2);
    assert_int_equal(stale, 1);
    assert_int_equal(full, 0);
}

static void too_old_is_dropped_without_anybody_asking(void **state)
{
    (void)state;
    const struct udptun_endpoint to = {0};
    for (int i = 0; i < 2; i++)
        wait_queue_add(&queue, &to, "old", 3, 1000);
    usleep(2000);
    loop_due(&loop);
    loop_turn(&loop);
    assert_int_equal(stale, 2);
    assert_int_equal(queue.count, 0);
    assert_int_equal(budget.used, 0);
}

static void oldest_makes_room(void **state)
{
    (void)state;
    for (uint32_t i = 1; i <= WAIT_MAX_COUNT + 2; i++)
        add(i, 100);
    assert_int_equal(full, 2);
    assert_next(3);
    add(99, WAIT_MAX_BYTES); /* alone */
    assert_int_equal(queue.count, 1);
    assert_next(99);
    assert_int_equal(stale, 0);
}

static void budget_of_all_leaves_one(void **state)
{
    (void)state;
    budget.limit = 150;
    add(1, 100);
    add(2, 100);
    add(3, 1000);
    assert_int_equal(full, 2);
    assert_int_equal(queue.count, 1);
    assert_next(3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(oldest_comes_first),
        TEST(too_old_is_never_taken),
        TEST(too_old_is_dropped_without_anybody_asking),
        TEST(oldest_makes_room),
        TEST(budget_of_all_leaves_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
