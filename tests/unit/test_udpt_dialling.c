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

/* The proxy allows one stream; `p->links[0]` is up and is any leg. */
static void expect_life_on_one_leg(struct pair *p)
{
    pair_run(p, 60 * S_US);
    assert_int_equal(p->ends[LOCAL].state, UDPTUN_MACHINE_ESTABLISHED);
    size_t before = p->link_count;
    pair_run(p, 180 * S_US);
    assert_in_range(p->link_count - before, 3, 10); /* once a minute, or a little sooner */
    assert_int_equal(p->ends[LOCAL].state, UDPTUN_MACHINE_ESTABLISHED);
    struct udptun_machine_info info;
    udptun_machine_look(p->ends[LOCAL].m, p->now_us, &info);
    assert_in_range(info.refused, p->link_count - 10, p->link_count);

    int code;
    struct udptun_endpoint target = endpoint_ip4(10, 0, 0, 1, 53);
    struct udptun_dest dest = udptun_dest_of(&target);
    struct udptun_binding *b = udptun_binding_open(p->ends[LOCAL].m, 7, p->now_us, &code);
    assert_non_null(b);
    p->echo = true;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(udptun_binding_send(b, &dest, (const uint8_t *)"x", 1, p->now_us), 0);
        pair_run(p, S_US);
    }
    assert_int_equal(p->received_count, 20);
    struct udptun_binding_info look;
    udptun_binding_look(b, p->now_us, &look);
    assert_int_equal(look.external4.family, UDPTUN_ENDPOINT_IP4); /* by a control frame */
    unsigned closed = p->ends[SERVER].closed;
    udptun_binding_close(b, p->now_us);
    pair_run(p, 5 * S_US);
    assert_int_equal(p->ends[SERVER].closed, closed + 1);
}

static void a_proxy_that_allows_one_connection_gets_by_on_it(void **state)
{
    struct pair *p = (struct pair *)*state;
    p->most_links = 1;
    pair_start(p, SERVER);
    pair_start(p, LOCAL);
    expect_life_on_one_leg(p);
}

static void a_data_leg_alone_carries_control_frames(void **state)
{
    struct pair *p = (struct pair *)*state;
    p->configs[LOCAL].connections = 1;
    pair_start(p, SERVER);
    pair_start(p, LOCAL);
    pair_run(p, 4 * S_US);
    p->most_links = 1;
    for (size_t i = 0; i < p->link_count; i++)
        if (p->links[i].conns[LOCAL] && p->links[i].conns[LOCAL]->leg == CONTROL_LEG)
            pair_cut(p, i);
    pair_run(p, 10 * S_US);
    assert_null(udptun_session_next(p->ends[SERVER].m, NULL)->legs[CONTROL_LEG].conn);
    expect_life_on_one_leg(p);
    p->most_links = 0; /* the proxy is generous again */
    pair_run(p, 70 * S_US);
    assert_non_null(udptun_session_next(p->ends[SERVER].m, NULL)->legs[CONTROL_LEG].conn);
}

/* Tor takes 6 to 15 s. */
static void a_slow_proxy_is_waited_for(void **state)
{
    struct pair *p = (struct pair *)*state;
    p->configs[LOCAL].connections = 2;
    p->dial_takes_us = 15 * S_US;
    pair_start(p, SERVER);
    pair_start(p, LOCAL);
    pair_run(p, 15 * S_US + S_US / 2);
    assert_true(p->ends[LOCAL].state == UDPTUN_MACHINE_ESTABLISHED ||
                p->ends[LOCAL].state == UDPTUN_MACHINE_DEGRADED);
    pair_run(p, 120 * S_US);
    assert_int_equal(p->ends[LOCAL].state, UDPTUN_MACHINE_ESTABLISHED);
    struct udptun_session_info info;
    udptun_session_look(udptun_session_next(p->ends[LOCAL].m, NULL), p->now_us, &info);
    unsigned up = 0;
    for (size_t i = 0; i < info.leg_count; i++)
        up += info.legs[i].state == UDPTUN_LEG_UP;
    assert_true(up >= 2); /* beside a leg that is up attempts are given more time */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_server_that_hangs_up_behind_the_handshake_is_dialled_with_patience),
        TEST(a_server_that_hangs_up_behind_a_frame_is_dialled_with_patience),
        TEST(a_session_that_was_steady_is_dialled_at_once),
        TEST(a_proxy_that_allows_one_connection_gets_by_on_it),
        TEST(a_data_leg_alone_carries_control_frames),
        TEST(a_slow_proxy_is_waited_for),
        TEST(a_change_of_settings_is_said_again_when_the_control_leg_comes_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
