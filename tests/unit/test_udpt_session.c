/* SPDX-License-Identifier: Apache-2.0 */
/* test_udpt_session.c - the session machine, both ends in memory on a virtual clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "proto/error.h"
#include "tests/unit/udpt_pair.h"

#define S_US UINT64_C(1000000)

static int setup(void **state)
{
    struct pair *p = (struct pair *)malloc(sizeof *p);
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

static void start_both(struct pair *p)
{
    pair_start(p, SERVER);
    pair_start(p, LOCAL);
    pair_run(p, S_US);
    assert_int_equal(p->ends[LOCAL].state, UDPTUN_MACHINE_ESTABLISHED);
}

static void cut_all(struct pair *p)
{
    for (size_t i = 0; i < p->link_count; i++)
        pair_cut(p, i);
}

static struct udptun_binding *open_binding(struct pair *p, uint64_t label)
{
    int code;
    struct udptun_binding *b = udptun_binding_open(p->ends[LOCAL].m, label, p->now_us, &code);
    assert_non_null(b);
    assert_int_equal(code, UDPTUN_OK);
    return b;
}

static void send_number(struct pair *p, struct udptun_binding *b, const struct udptun_dest *to,
                        uint32_t number)
{
    assert_int_equal(udptun_binding_send(b, to, (const uint8_t *)&number, sizeof number, p->now_us),
                     UDPTUN_OK);
}

static struct udptun_dest dest_of_port(uint16_t port)
{
    struct udptun_endpoint ep = endpoint_ip4(198, 51, 100, 7, port);
    return udptun_dest_of(&ep);
}

/* Expects the numbers `from`.. in order at the server, and nothing else. */
static void expect_numbers(struct pair *p, uint32_t from, uint32_t count)
{
    assert_int_equal(p->received_count, count);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number;
        memcpy(&number, p->received[i].first, sizeof number);
        assert_true(p->received[i].at_server);
        assert_int_equal(number, from + i);
    }
    p->received_count = 0;
}

static void datagrams_arrive_in_order_with_their_destination(void **state)
{
    struct pair *p = (struct pair *)*state;
    start_both(p);
    struct udptun_binding *b = open_binding(p, 1);
    struct udptun_dest to = dest_of_port(5000);
    for (uint32_t i = 0; i < 20; i++) {
        send_number(p, b, &to, i);
        pair_run(p, 1000);
    }
    for (uint32_t i = 0; i < 20; i++)
        assert_true(endpoint_equal(&p->received[i].peer, &to.ep));
    expect_numbers(p, 0, 20);
}

static void any_size_survives_any_cutting(void **state)
{
    struct pair *p = (struct pair *)*state;
    static const size_t SIZES[] = {0, 1, 61, 62, 63, 1472, 9000, 16380, 16390, 65507};
    static const size_t CHUNKS[] = {1, 7, 1400, 65536};
    static uint8_t data[65507];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 31);
    p->echo = true;
    start_both(p);
    struct udptun_binding *b = open_binding(p, 1);
    struct udptun_dest to = dest_of_port(9);
    for (size_t c = 0; c < 4; c++) {
        p->chunk = CHUNKS[c];
        for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
            p->received_count = 0;
            assert_int_equal(udptun_binding_send(b, &to, data, SIZES[i], p->now_us), UDPTUN_OK);
            pair_run(p, 20000);
            assert_int_equal(p->received_count, 2);
            for (size_t r = 0; r < 2; r++) {
                assert_int_equal(p->received[r].size, SIZES[i]);
                assert_int_equal(p->received[r].digest, pair_digest(data, SIZES[i]));
            }
        }
    }
    assert_int_equal(udptun_binding_send(b, &to, data, 65508, p->now_us), UDPTUN_E_INVALID);
}

static void an_announced_flow_costs_few_bytes(void **state)
{
    struct pair *p = (struct pair *)*state;
    start_both(p);
    struct udptun_binding *b = open_binding(p, 1);
    struct udptun_dest to = dest_of_port(5000);
    for (uint32_t i = 0; i < 10; i++) {
        send_number(p, b, &to, i);
        pair_run(p, 100000);
    }
    struct udptun_session *s = udptun_session_next(p->ends[LOCAL].m, NULL);
    struct udptun_session_info before, after;
    udptun_session_look(s, p->now_us, &before);
    for (uint32_t i = 0; i < 100; i++)
        send_number(p, b, &to, i);
    pair_run(p, 1000);
    udptun_session_look(s, p->now_us, &after);
    uint64_t bytes = 0;
    for (size_t i = 0; i < after.leg_count; i++)
        bytes += after.legs[i].tx_bytes - before.legs[i].tx_bytes;
    /* Payload 4, header 2; and one CLOCK frame. */
    assert_in_range(bytes, 600, 620);
}

static void replies_reach_their_own_binding_with_the_true_source(void **state)
{
    struct pair *p = (struct pair *)*state;
    p->echo = true;
    start_both(p);
    struct udptun_binding *first = open_binding(p, 1);
    struct udptun_binding *second = open_binding(p, 2);
    for (uint32_t i = 0; i < 8; i++) {
        struct udptun_dest a = dest_of_port((uint16_t)(1000 + i)), b = dest_of_port(2000);
        send_number(p, first, &a, 100 + i);
        send_number(p, second, &b, 200 + i);
        pair_run(p, 1000);
    }
    unsigned replies = 0;
    for (size_t i = 0; i < p->received_count; i++) {
        const struct pair_datagram *d = &p->received[i];
        uint32_t number;
        memcpy(&number, d->first, sizeof number);
        replies += !d->at_server;
        assert_int_equal(d->binding, number < 200 ? 1 : 2);
        assert_int_equal(d->peer.port, number < 200 ? 1000 + number - 100 : 2000);
    }
    assert_int_equal(replies, 16);
}

static void a_name_travels_to_the_server(void **state)
{
    struct pair *p = (struct pair *)*state;
    start_both(p);
    struct udptun_binding *b = open_binding(p, 1);
    struct udptun_dest to = udptun_dest_of_name("example.org", 11, 53);
    for (uint32_t i = 0; i < 8; i++) {
        send_number(p, b, &to, i);
        pair_run(p, 50000);
    }
    assert_int_equal(p->received[7].peer.family, UDPTUN_ENDPOINT_NAME);
    assert_true(endpoint_equal(&p->received[7].peer, &to.ep));
    expect_numbers(p, 0, 8);
}

static void lost_legs_come_back_and_flows_go_on(void **state)
{
    struct pair *p = (struct pair *)*state;
    start_both(p);
    struct udptun_binding *b = open_binding(p, 1);
    struct udptun_dest to = dest_of_port(5000);
    send_number(p, b, &to, 0);
    pair_run(p, S_US);
    cut_all(p);
    assert_int_equal(p->ends[LOCAL].state, UDPTUN_MACHINE_RECONNECTING);
    assert_int_equal(p->ends[SERVER].state, UDPTUN_MACHINE_DETACHED);
    pair_run(p, S_US);
    assert_int_equal(p->ends[LOCAL].state, UDPTUN_MACHINE_ESTABLISHED);
    send_number(p, b, &to, 1);
    pair_run(p, S_US);
    expect_numbers(p, 0, 2);
    assert_int_equal(p->ends[SERVER].opened, 1); /* the same socket */
    struct udptun_machine_info info;
    udptun_machine_look(p->ends[SERVER].m, p->now_us, &info);
    assert_int_equal(info.resumed, 1);
}

static void a_restarted_server_gets_the_same_flow_and_port(void **state)
{
    struct pair *p = (struct pair *)*state;
    p->echo = true;
    start_both(p);
    struct udptun_binding *b = open_binding(p, 1);
    struct udptun_dest to = dest_of_port(5000);
    for (uint32_t i = 0; i < 6; i++)
        send_number(p, b, &to, i);
    pair_run(p, S_US);
    struct udptun_binding_info before, after;
    udptun_binding_look(b, p->now_us, &before);
    pair_crash(p, SERVER);
    p->server_down = true;
    pair_run(p, 10 * S_US);
    assert_int_equal(p->ends[LOCAL].state, UDPTUN_MACHINE_RECONNECTING);
    p->server_down = false;
    pair_start(p, SERVER);
    pair_run(p, 2 * S_US);
    assert_int_equal(p->ends[LOCAL].state, UDPTUN_MACHINE_ESTABLISHED);
    p->received_count = 0;
    send_number(p, b, &to, 77);
    pair_run(p, S_US);
    assert_int_equal(p->received_count, 2);
    udptun_binding_look(b, p->now_us, &after);
    assert_int_equal(before.external4.family, UDPTUN_ENDPOINT_IP4);
    assert_true(endpoint_equal(&before.external4, &after.external4));
}

static void a_port_that_is_taken_is_said(void **state)
{
    struct pair *p = (struct pair *)*state;
    p->echo = true;
    start_both(p);
    struct udptun_binding *b = open_binding(p, 1);
    struct udptun_dest to = dest_of_port(5000);
    send_number(p, b, &to, 1);
    pair_run(p, S_US);
    pair_crash(p, SERVER);
    p->ports_taken = true;
    p->ends[SERVER].opened = 100;
    pair_start(p, SERVER);
    pair_run(p, 2 * S_US);
    p->received_count = 0;
    send_number(p, b, &to, 77);
    pair_run(p, S_US);
    assert_int_equal(p->received_count, 2);
    assert_non_null(strstr(p->ends[LOCAL].last_log, "is no longer available"));
}

static void a_restarted_local_founds_a_new_session(void **state)
{
    struct pair *p = (struct pair *)*state;
    start_both(p);
    pair_crash(p, LOCAL);
    pair_run(p, S_US);
    pair_start(p, LOCAL);
    pair_run(p, S_US);
    assert_int_equal(p->ends[LOCAL].state, UDPTUN_MACHINE_ESTABLISHED);
    struct udptun_machine_info info;
    udptun_machine_look(p->ends[SERVER].m, p->now_us, &info);
    assert_int_equal(info.sessions, 2); /* the old one waits for its resume timeout */
    pair_run(p, 181 * S_US);
    udptun_machine_look(p->ends[SERVER].m, p->now_us, &info);
    assert_int_equal(info.sessions, 1);
}

static void a_local_led_to_another_server_and_back_has_a_new_session_at_once(void **state)
{
    struct pair *p = (struct pair *)*state;
    start_both(p);
    struct udptun_machine *first = p->ends[SERVER].m;
    cut_all(p);
    pair_start(p, SERVER); /* another one, where the same address leads */
    pair_run(p, S_US);
    assert_int_equal(p->ends[LOCAL].state, UDPTUN_MACHINE_ESTABLISHED);
    cut_all(p);
    udptun_machine_free(p->ends[SERVER].m);
    p->ends[SERVER].m = first;
    unsigned hangups = p->ends[LOCAL].hangups;
    pair_run(p, S_US);
    assert_int_equal(p->ends[LOCAL].state, UDPTUN_MACHINE_ESTABLISHED);
    /* One stream told that the id is taken there; no other was refused. */
    assert_int_equal(p->ends[LOCAL].hangups, hangups + 1);
    struct udptun_machine_info info;
    udptun_machine_look(first, p->now_us, &info);
    assert_int_equal(info.sessions, 2);
    pair_run(p, 181 * S_US);
    udptun_machine_look(first, p->now_us, &info);
    assert_int_equal(info.sessions, 1);
}

static void a_local_that_kept_its_session_keeps_flows_and_ports(void **state)
{
    struct pair *p = (struct pair *)*state;
    p->echo = true;
    start_both(p);
    struct udptun_dest to = dest_of_port(5000);
    struct udptun_binding *other = open_binding(p, 6), *b = open_binding(p, 7);
    for (uint32_t i = 0; i < 6; i++) {
        send_number(p, other, &to, i);
        send_number(p, b, &to, i);
        pair_run(p, 50000);
    }
    struct udptun_binding_info before, after;
    udptun_binding_look(b, p->now_us, &before);
    struct udptun_session_identity identity;
    assert_true(udptun_machine_identity(p->ends[LOCAL].m, &identity));
    for (uint64_t start = 1; start <= 2; start++) {
        pair_crash(p, LOCAL);
        pair_run(p, S_US);
        identity.client_incarnation = 1700000000000 + start;
        p->configs[LOCAL].identity = &identity;
        pair_start(p, LOCAL);
        pair_run(p, S_US);
        assert_int_equal(p->ends[LOCAL].state, UDPTUN_MACHINE_ESTABLISHED);
        p->received_count = 0;
        b = open_binding(p, 7);
        send_number(p, b, &to, 77);
        pair_run(p, S_US);
        assert_int_equal(p->received_count, 2);
        udptun_binding_look(b, p->now_us, &after);
        assert_true(endpoint_equal(&before.external4, &after.external4));
    }
    assert_int_equal(p->ends[SERVER].opened, 2);
    struct udptun_machine_info info;
    udptun_machine_look(p->ends[SERVER].m, p->now_us, &info);
    assert_int_equal(info.sessions, 1);
    assert_int_equal(info.flows, 2);
}

static void nobody_takes_a_session_over_without_its_secret(void **state)
{
    struct pair *p = (struct pair *)*state;
    p->echo = true;
    start_both(p);
    struct udptun_dest to = dest_of_port(5000);
    send_number(p, open_binding(p, 7), &to, 1);
    pair_run(p, S_US);
    struct udptun_session_identity identity;
    assert_true(udptun_machine_identity(p->ends[LOCAL].m, &identity));
    /* A thief who knows all but the secret, while the owner is away. */
    pair_crash(p, LOCAL);
    identity.secret[5] ^= 1;
    identity.client_incarnation = 1700000000000;
    p->configs[LOCAL].identity = &identity;
    pair_start(p, LOCAL);
    pair_run(p, 5 * S_US);
    assert_int_equal(p->ends[LOCAL].state,
                     UDPTUN_MACHINE_ESTABLISHED); /* with a session of its own */
    p->received_count = 0;
    send_number(p, open_binding(p, 7), &to, 2);
    pair_run(p, S_US);
    assert_int_equal(p->received_count, 2);
    assert_int_equal(p->ends[SERVER].opened, 2);
    struct udptun_machine_info info;
    udptun_machine_look(p->ends[SERVER].m, p->now_us, &info);
    assert_int_equal(info.sessions, 2);
}

static void a_wrong_key_gets_nothing(void **state)
{
    struct pair *p = (struct pair *)*state;
    p->configs[SERVER].has_key = true;
    memset(p->configs[SERVER].key, 1, UDPTUN_MACHINE_KEY_SIZE);
    pair_start(p, SERVER);
    pair_start(p, LOCAL);
    pair_run(p, 5 * S_US);
    assert_int_equal(p->ends[LOCAL].state, UDPTUN_MACHINE_CONNECTING);
    assert_string_equal(p->ends[SERVER].reason, "handshake authentication failed (wrong key?)");
    struct udptun_machine_info info;
    udptun_machine_look(p->ends[SERVER].m, p->now_us, &info);
    assert_int_equal(info.sessions, 0);
    assert_true(p->link_count > 3); /* and the client goes on trying */
}

static void the_right_key_is_accepted(void **state)
{
    struct pair *p = (struct pair *)*state;
    for (int i = 0; i < 2; i++) {
        p->configs[i].has_key = true;
        memset(p->configs[i].key, 1, UDPTUN_MACHINE_KEY_SIZE);
    }
    start_both(p);
}

static void idle_flows_end_a_lone_dns_exchange_sooner(void **state)
{
    struct pair *p = (struct pair *)*state;
    p->echo = true;
    start_both(p);
    struct udptun_dest dns = dest_of_port(53), game = dest_of_port(5000);
    send_number(p, open_binding(p, 1), &dns, 1);
    send_number(p, open_binding(p, 2), &game, 2);
    pair_run(p, 16 * S_US);
    assert_int_equal(p->ends[LOCAL].closed, 1);
    assert_int_equal(p->ends[SERVER].closed, 1);
    pair_run(p, 300 * S_US);
    assert_int_equal(p->ends[LOCAL].closed, 2);
    assert_int_equal(p->ends[SERVER].closed, 2);
}

static void caps_evict_the_least_recently_used(void **state)
{
    struct pair *p = (struct pair *)*state;
    p->configs[LOCAL].max_flows = 4;
    start_both(p);
    struct udptun_dest to = dest_of_port(5000);
    for (uint32_t i = 0; i < 10; i++) {
        send_number(p, open_binding(p, i), &to, i);
        pair_run(p, 1000);
    }
    struct udptun_machine_info info;
    udptun_machine_look(p->ends[LOCAL].m, p->now_us, &info);
    assert_int_equal(info.flows, 4);
    udptun_machine_look(p->ends[SERVER].m, p->now_us, &info);
    assert_int_equal(info.flows, 4);
    assert_string_equal(info.cap, ""); /* the client's cap is lower */
    assert_int_equal(p->ends[LOCAL].closed, 6);
    expect_numbers(p, 0, 10);
    udptun_machine_look(p->ends[LOCAL].m, p->now_us, &info);
    assert_non_null(strstr(info.cap, "maxFlows (4) is reached"));
    udptun_machine_look(p->ends[LOCAL].m, p->now_us + 61 * (uint64_t)S_US, &info);
    assert_string_equal(info.cap, "");
}

static void datagrams_wait_for_a_leg_but_not_for_long(void **state)
{
    struct pair *p = (struct pair *)*state;
    p->server_down = true;
    pair_start(p, LOCAL);
    pair_run(p, S_US);
    struct udptun_binding *b = open_binding(p, 1);
    struct udptun_dest to = dest_of_port(5000);
    send_number(p, b, &to, 1);
    pair_run(p, S_US);
    struct udptun_machine_info info;
    udptun_machine_look(p->ends[LOCAL].m, p->now_us, &info);
    assert_int_equal(info.counters.dropped[UDPTUN_MACHINE_DROP_STALE], 1);
    send_number(p, b, &to, 2);
    p->server_down = false;
    pair_start(p, SERVER);
    pair_run(p, 450000);
    if (p->received_count == 0) { /* the attempt came after the datagram's deadline */
        send_number(p, b, &to, 2);
        pair_run(p, S_US);
    }
    expect_numbers(p, 2, 1);
}

static void a_flow_that_floods_lets_others_pass(void **state)
{
    struct pair *p = (struct pair *)*state;
    enum { FLOOD = 750, SIZE = 1200 }; /* with what each costs, below maxQueueBytes */
    static const uint8_t data[SIZE];
    start_both(p);
    struct udptun_binding *bulk = open_binding(p, 1), *call = open_binding(p, 2);
    struct udptun_dest to = dest_of_port(5000);
    for (unsigned i = 0; i < FLOOD; i++)
        assert_int_equal(udptun_binding_send(bulk, &to, data, SIZE, p->now_us), UDPTUN_OK);
    send_number(p, call, &to, 1);
    pair_run(p, S_US);
    assert_int_equal(p->received_count, FLOOD + 1);
    /* Before it goes what was written into the leg's output already, and a round of the flood's. */
    size_t place = 0;
    while (p->received[place].size != sizeof(uint32_t))
        place++;
    assert_in_range(place, 1, 256 * 1024 / SIZE + 2);
}

static void copies_go_on_legs_of_their_own_and_arrive_once(void **state)
{
    struct pair *p = (struct pair *)*state;
    p->configs[LOCAL].redundancy = 3;
    p->configs[LOCAL].redundancy_max_size = 100;
    p->echo = true;
    start_both(p);
    pair_run(p, S_US); /* three data legs come up */
    struct udptun_session_info before, after;
    struct udptun_session *s = udptun_session_next(p->ends[LOCAL].m, NULL);
    udptun_session_look(s, p->now_us, &before);
    assert_int_equal(before.leg_count, 4);
    struct udptun_binding *b = open_binding(p, 1);
    struct udptun_dest to = dest_of_port(5000);
    for (uint32_t i = 0; i < 50; i++) {
        send_number(p, b, &to, i);
        pair_run(p, 200000);
    }
    unsigned up = 0, down = 0;
    for (size_t i = 0; i < p->received_count; i++) {
        up += p->received[i].at_server;
        down += !p->received[i].at_server;
    }
    assert_int_equal(up, 50);
    assert_int_equal(down, 50);
    udptun_session_look(s, p->now_us, &after);
    for (size_t i = 0; i < after.leg_count; i++) {
        /* Every data leg had every datagram: 4 bytes, a sequence number and a header. */
        uint64_t out = after.legs[i].tx_bytes - before.legs[i].tx_bytes;
        uint64_t in = after.legs[i].rx_bytes - before.legs[i].rx_bytes;
        assert_true(after.legs[i].control || (out >= 50 * 10 && in >= 50 * 10));
    }
    /* What is larger goes once. */
    static const uint8_t large[101];
    udptun_session_look(s, p->now_us, &before);
    udptun_binding_send(b, &to, large, sizeof large, p->now_us);
    pair_run(p, 1000);
    udptun_session_look(s, p->now_us, &after);
    assert_in_range(after.tx_bytes - before.tx_bytes, 101, 101);
    uint64_t bytes = 0;
    for (size_t i = 0; i < after.leg_count; i++)
        bytes += after.legs[i].tx_bytes - before.legs[i].tx_bytes;
    assert_in_range(bytes, 101, 160);
}

static void a_network_that_came_back_is_tried_at_once(void **state)
{
    struct pair *p = (struct pair *)*state;
    p->server_down = true;
    pair_start(p, SERVER);
    pair_start(p, LOCAL);
    pair_run(p, 600 * S_US); /* attempts are half a minute apart by now */
    p->server_down = false;
    udptun_machine_network_changed(p->ends[LOCAL].m, p->now_us);
    pair_run(p, 10000);
    assert_int_equal(p->ends[LOCAL].state, UDPTUN_MACHINE_ESTABLISHED);
}

static void a_goodbye_ends_the_session_at_once(void **state)
{
    struct pair *p = (struct pair *)*state;
    start_both(p);
    open_binding(p, 1);
    udptun_machine_stop(p->ends[LOCAL].m, UDPTUN_MACHINE_STOP_END, p->now_us);
    pair_run(p, 1000);
    struct udptun_machine_info info;
    udptun_machine_look(p->ends[SERVER].m, p->now_us, &info);
    assert_int_equal(info.sessions, 0);
}

static uint64_t flows_at(struct pair *p, int end)
{
    struct udptun_machine_info info;
    udptun_machine_look(p->ends[end].m, p->now_us, &info);
    return info.flows;
}

/* What was sent is swallowed and every stream is cut; then the session comes back. */
static void lose_what_is_on_its_way(struct pair *p)
{
    for (int end = LOCAL; end <= SERVER; end++)
        for (struct udptun_conn *c; (c = udptun_machine_next_ready(p->ends[end].m));) {
            struct udptun_span spans[2];
            while (udptun_conn_output(c, spans) > 0)
                udptun_conn_sent(c, spans[0].size, p->now_us);
        }
    cut_all(p);
    pair_run(p, 2 * S_US);
    assert_int_equal(p->ends[LOCAL].state, UDPTUN_MACHINE_ESTABLISHED);
}

static void an_end_of_a_flow_is_heard_though_the_word_of_it_was_lost(void **state)
{
    struct pair *p = (struct pair *)*state;
    start_both(p);
    struct udptun_dest to = dest_of_port(5000);
    struct udptun_binding *b = open_binding(p, 1), *other = open_binding(p, 2);
    send_number(p, b, &to, 1);
    send_number(p, other, &to, 2);
    pair_run(p, S_US);
    udptun_binding_close(b, p->now_us);
    lose_what_is_on_its_way(p);
    assert_int_equal(flows_at(p, SERVER), 1);
    /* and the other way */
    struct udptun_session *s = udptun_session_next(p->ends[SERVER].m, NULL);
    udptun_binding_close(udptun_binding_after(s, 0), p->now_us);
    assert_int_equal(flows_at(p, LOCAL), 1);
    lose_what_is_on_its_way(p);
    assert_int_equal(flows_at(p, LOCAL), 0);
    assert_int_equal(flows_at(p, SERVER), 0);
}

static void the_last_datagram_of_a_flow_is_not_overtaken_by_its_end(void **state)
{
    struct pair *p = (struct pair *)*state;
    start_both(p);
    struct udptun_dest to = dest_of_port(5000);
    for (uint32_t i = 0; i < 50; i++) {
        /* The control leg, with the ping in front, is written before the datagram's. */
        assert_int_equal(udptun_machine_ping(p->ends[LOCAL].m, i, p->now_us), UDPTUN_OK);
        struct udptun_binding *b = open_binding(p, i);
        send_number(p, b, &to, i);
        udptun_binding_close(b, p->now_us);
        pair_run(p, S_US);
    }
    expect_numbers(p, 0, 50);
    assert_int_equal(flows_at(p, SERVER), 0);
}

static void a_local_that_will_be_back_finds_its_session(void **state)
{
    struct pair *p = (struct pair *)*state;
    p->echo = true;
    start_both(p);
    struct udptun_dest to = dest_of_port(5000);
    send_number(p, open_binding(p, 7), &to, 1);
    pair_run(p, S_US);
    struct udptun_session_identity identity;
    assert_true(udptun_machine_identity(p->ends[LOCAL].m, &identity));
    udptun_machine_stop(p->ends[LOCAL].m, UDPTUN_MACHINE_STOP_KEEP, p->now_us);
    pair_run(p, 1000); /* no stream has ended yet: it is the goodbye that tells */
    assert_int_equal(p->ends[SERVER].state, UDPTUN_MACHINE_DETACHED);
    assert_int_equal(flows_at(p, SERVER), 1);
    pair_crash(p, LOCAL);
    identity.client_incarnation = 1700000000000;
    p->configs[LOCAL].identity = &identity;
    pair_start(p, LOCAL);
    pair_run(p, S_US);
    p->received_count = 0;
    send_number(p, open_binding(p, 7), &to, 2);
    pair_run(p, S_US);
    assert_int_equal(p->received_count, 2);
    assert_int_equal(p->ends[SERVER].opened, 1);
}

static void a_server_that_will_be_back_is_asked_for_the_same_session_and_ports(void **state)
{
    struct pair *p = (struct pair *)*state;
    p->echo = true;
    start_both(p);
    struct udptun_dest to = dest_of_port(5000);
    struct udptun_binding *b = open_binding(p, 7);
    send_number(p, b, &to, 1);
    pair_run(p, S_US);
    struct udptun_binding_info before, after;
    struct udptun_session_info session, again;
    udptun_binding_look(b, p->now_us, &before);
    udptun_session_look(udptun_session_next(p->ends[SERVER].m, NULL), p->now_us, &session);
    p->server_down = true;
    udptun_machine_stop(p->ends[SERVER].m, UDPTUN_MACHINE_STOP_KEEP, p->now_us);
    pair_run(p, 1000);
    assert_int_equal(p->ends[LOCAL].state, UDPTUN_MACHINE_RECONNECTING);
    pair_crash(p, SERVER);
    p->ends[SERVER].opened = 100;
    p->server_down = false;
    pair_start(p, SERVER);
    pair_run(p, 2 * S_US);
    p->received_count = 0;
    send_number(p, b, &to, 2);
    pair_run(p, S_US);
    assert_int_equal(p->received_count, 2);
    udptun_binding_look(b, p->now_us, &after);
    assert_true(endpoint_equal(&before.external4, &after.external4));
    udptun_session_look(udptun_session_next(p->ends[SERVER].m, NULL), p->now_us, &again);
    assert_memory_equal(session.id, again.id, sizeof session.id);
}

static void errors_travel_back(void **state)
{
    struct pair *p = (struct pair *)*state;
    start_both(p);
    struct udptun_binding *b = open_binding(p, 1);
    struct udptun_dest to = dest_of_port(5000);
    send_number(p, b, &to, 1);
    pair_run(p, 1000);
    struct udptun_binding *remote =
        udptun_binding_after(udptun_session_next(p->ends[SERVER].m, NULL), 0);
    udptun_binding_error(remote, &to, UDPTUN_MACHINE_PORT_UNREACHABLE, 0, p->now_us);
    pair_run(p, 1000);
    assert_int_equal(p->ends[LOCAL].errors, 1);
    assert_int_equal(p->ends[LOCAL].last_error, UDPTUN_MACHINE_PORT_UNREACHABLE);
}

static void idle_sessions_stay_up_on_heartbeats(void **state)
{
    struct pair *p = (struct pair *)*state;
    start_both(p);
    unsigned states = p->ends[LOCAL].states;
    pair_run(p, 3600 * S_US);
    assert_int_equal(p->ends[LOCAL].states, states);
    assert_int_equal(udptun_machine_ping(p->ends[LOCAL].m, 5, p->now_us), UDPTUN_OK);
    pair_run(p, 1000);
    assert_int_equal(p->ends[LOCAL].pongs, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(datagrams_arrive_in_order_with_their_destination),
        TEST(any_size_survives_any_cutting),
        TEST(an_announced_flow_costs_few_bytes),
        TEST(replies_reach_their_own_binding_with_the_true_source),
        TEST(a_name_travels_to_the_server),
        TEST(lost_legs_come_back_and_flows_go_on),
        TEST(a_restarted_server_gets_the_same_flow_and_port),
        TEST(a_port_that_is_taken_is_said),
        TEST(a_restarted_local_founds_a_new_session),
        TEST(a_local_led_to_another_server_and_back_has_a_new_session_at_once),
        TEST(a_local_that_kept_its_session_keeps_flows_and_ports),
        TEST(nobody_takes_a_session_over_without_its_secret),
        TEST(a_wrong_key_gets_nothing),
        TEST(the_right_key_is_accepted),
        TEST(idle_flows_end_a_lone_dns_exchange_sooner),
        TEST(caps_evict_the_least_recently_used),
        TEST(datagrams_wait_for_a_leg_but_not_for_long),
        TEST(a_flow_that_floods_lets_others_pass),
        TEST(copies_go_on_legs_of_their_own_and_arrive_once),
        TEST(a_network_that_came_back_is_tried_at_once),
        TEST(a_goodbye_ends_the_session_at_once),
        TEST(an_end_of_a_flow_is_heard_though_the_word_of_it_was_lost),
        TEST(the_last_datagram_of_a_flow_is_not_overtaken_by_its_end),
        TEST(a_local_that_will_be_back_finds_its_session),
        TEST(a_server_that_will_be_back_is_asked_for_the_same_session_and_ports),
        TEST(errors_travel_back),
        TEST(idle_sessions_stay_up_on_heartbeats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
