/* SPDX-License-Identifier: Apache-2.0 */
/* test_udpt_dialling.c - how a local dials, and what a leg that comes up brings along. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/udpt/internal.h"
#include "tests/unit/udpt_pair.h"

static int setup(void **state)
{
    struct pair *p = (struct pair *)calloc(1, sizeof *p);
    assert_non_null(p);
    pair_init(p);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct pair *p = (struct pair *)*state;
    pair_fini(p);
    free(p);
    return 0;
}

/* Backed off to a second, each of the legs that are dialled comes once in that. */
static void expect_patience(struct pair *p, unsigned legs)
{
    pair_run(p, 5 * S_US);
    size_t before = p->link_count;
    pair_run(p, 10 * S_US);
    /* A quarter is left to chance. */
    assert_in_range(p->link_count - before, 5, legs * 10 * 4 / 3 + legs);
}

static void a_server_that_hangs_up_behind_the_handshake_is_dialled_with_patience(void **state)
{
    struct pair *p = (struct pair *)*state;
    p->server_writes = 1;
    pair_start(p, SERVER);
    pair_start(p, LOCAL);
    expect_patience(p, 1);
}

/* The first frame lets the other legs come; they end like the first. */
static void a_server_that_hangs_up_behind_a_frame_is_dialled_with_patience(void **state)
{
    struct pair *p = (struct pair *)*state;
    p->configs[LOCAL].connections = 2;
    p->server_writes = 2;
    pair_start(p, SERVER);
    pair_start(p, LOCAL);
    expect_patience(p, 3);
}

static void a_session_that_was_steady_is_dialled_at_once(void **state)
{
    struct pair *p = (struct pair *)*state;
    pair_start(p, SERVER);
    pair_start(p, LOCAL);
    for (unsigned i = 0; i < 4; i++) {
        pair_run(p, 4 * S_US);
        assert_int_equal(p->ends[LOCAL].state, UDPTUN_MACHINE_ESTABLISHED);
        for (size_t link = 0; link < p->link_count; link++)
            pair_cut(p, link);
        pair_run(p, 1000);
        assert_int_equal(p->ends[LOCAL].state, UDPTUN_MACHINE_ESTABLISHED);
    }
}

/* The control leg is away when a setting changes, and its next HELLO is older than the change. */
static void a_change_of_settings_is_said_again_when_the_control_leg_comes_up(void **state)
{
    struct pair *p = (struct pair *)*state;
    pair_start(p, SERVER);
    pair_start(p, LOCAL);
    pair_run(p, 4 * S_US);
    assert_true(p->links[0].conns[LOCAL]->leg == CONTROL_LEG);
    pair_cut(p, 0);
    p->server_mute = true;
    pair_run(p, 1000);
    p->configs[LOCAL].heartbeat_ms = 7777;
    udptun_machine_configure(p->ends[LOCAL].m, &p->configs[LOCAL], p->now_us);
    p->server_mute = false;
    pair_run(p, S_US);
    struct udptun_session *s = udptun_session_next(p->ends[SERVER].m, NULL);
    assert_int_equal(s->params.heartbeat_ms, 7777);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_server_that_hangs_up_behind_the_handshake_is_dialled_with_patience),
        TEST(a_server_that_hangs_up_behind_a_frame_is_dialled_with_patience),
        TEST(a_session_that_was_steady_is_dialled_at_once),
        TEST(a_change_of_settings_is_said_again_when_the_control_leg_comes_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
