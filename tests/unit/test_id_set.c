/* SPDX-License-Identifier: Apache-2.0 */
/* test_id_set.c - ids as ranges, against a plain array of what is in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/udpt/codec/id_set.h"

enum { IDS = 300, MANY = 1000 };

static void expect_same(const struct id_set *set, const bool in[IDS])
{
    size_t ranges = 0;
    for (uint64_t id = 0; id < IDS; id++) {
        assert_int_equal(id_set_has(set, id), in[id]);
        ranges += in[id] && (id == 0 || !in[id - 1]);
    }
    assert_int_equal(set->count, ranges);
}

static void it_has_what_was_added_and_no_gap_twice(void **state)
{
    (void)state;
    uint32_t random = 1;
    for (unsigned round = 0; round < 50; round++) {
        struct id_set set = {0};
        bool in[IDS] = {false};
        for (unsigned i = 0; i < IDS; i++) {
            random = random * 1664525 + 1013904223;
            uint64_t id = (random >> 8) % IDS;
            in[id] = true;
            assert_true(id_set_add(&set, id, MANY));
            expect_same(&set, in);
        }
        id_set_fini(&set);
    }
}

static void ids_that_count_up_are_one_range(void **state)
{
    (void)state;
    struct id_set set = {0};
    for (uint64_t id = UINT64_C(1) << 61; id < (UINT64_C(1) << 61) + 100000; id += 2)
        assert_true(id_set_add(&set, id + 1, MANY * MANY));
    for (uint64_t id = UINT64_C(1) << 61; id < (UINT64_C(1) << 61) + 100000; id += 2)
        assert_true(id_set_add(&set, id, MANY * MANY));
    assert_int_equal(set.count, 1);
    assert_false(id_set_has(&set, (UINT64_C(1) << 61) - 1));
    id_set_fini(&set);
}

static void beyond_the_cap_the_oldest_gap_counts_as_in(void **state)
{
    (void)state;
    struct id_set set = {0};
    for (uint64_t id = 10; id <= 50; id += 10)
        assert_true(id_set_add(&set, id, 4));
    assert_int_equal(set.count, 4);
    assert_true(id_set_has(&set, 15));
    assert_false(id_set_has(&set, 9));
    assert_false(id_set_has(&set, 25));
    assert_true(id_set_has(&set, 50));
    id_set_fini(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_has_what_was_added_and_no_gap_twice),
        cmocka_unit_test(ids_that_count_up_are_one_range),
        cmocka_unit_test(beyond_the_cap_the_oldest_gap_counts_as_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
