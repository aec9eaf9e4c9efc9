/* SPDX-License-Identifier: Apache-2.0 */
/* test_udpt_hostile.c - peers with the key that do what no client of ours does, at a server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/udpt_raw.h"

#define S_US  UINT64_C(1000000)
#define DAY_S UINT64_C(86400)

static int setup(void **state)
{
    struct raw_server *s = (struct raw_server *)calloc(1, sizeof *s);
    assert_non_null(s);
    udpt_config_init(&s->config, UDPT_SERVER);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct raw_server *s = (struct raw_server *)*state;
    raw_server_stop(s);
    free(s);
    return 0;
}

/* A leg of generation 0 is above none: it never comes up, and a session without a leg must not
 * stay. */
static void generation_0_leaves_no_session(void **state)
{
    struct raw_server *s = (struct raw_server *)*state;
    raw_server_start(s);
    for (uint32_t i = 0; i < s->config.max_sessions; i++) {
        struct raw_client c;
        if (!raw_connect(&c, s, i))
            fail();
        c.hello.generation = 0;
        if (raw_hello(&c))
            raw_confirm(&c, CONFIRM_CREATE);
        raw_close(&c);
        raw_run(s, 0);
    }
    raw_run(s, DAY_S * S_US);
    assert_int_equal(raw_sessions(s), 0);
    struct raw_client honest;
    assert_true(raw_establish(&honest, s, s->config.max_sessions));
    assert_int_equal(raw_sessions(s), 1);
}

/* Each way to found a session and be gone at once: after a day nothing is left. */
static void sessions_end_when_their_founders_go(void **state)
{
    struct raw_server *s = (struct raw_server *)*state;
    raw_server_start(s);
    for (uint32_t i = 0; i < 400; i++) {
        struct raw_client c;
        if (!raw_connect(&c, s, i))
            fail();
        c.hello.leg = (uint8_t)(i % 34); /* 33 does not exist */
        c.hello.generation = i % 4 == 3 ? UINT32_MAX : i % 4;
        c.hello.client_incarnation = i % 2 ? UINT64_MAX : 0;
        if (raw_hello(&c))
            raw_confirm(&c, CONFIRM_CREATE);
        const uint8_t back_soon[] = {CONTROL_GOODBYE, 1};
        if (i % 5 == 0)
            raw_control(&c, back_soon, sizeof back_soon);
        raw_close(&c);
        raw_run(s, 0);
    }
    raw_run(s, DAY_S * S_US);
    assert_int_equal(raw_sessions(s), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(generation_0_leaves_no_session),
        TEST(sessions_end_when_their_founders_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
