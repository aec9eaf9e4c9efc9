/* SPDX-License-Identifier: Apache-2.0 */
/* test_udpt_hostile.c - peers with the key that do what no client of ours does, at a server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/udpt/internal.h"
#include "tests/unit/udpt_raw.h"

#define DAY_S UINT64_C(86400)

static int setup(void **state)
{
    struct raw_server *s = (struct raw_server *)calloc(1, sizeof *s);
    assert_non_null(s);
    udptun_machine_config_init(&s->config, UDPTUN_MACHINE_SERVER);
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

/* ---- what a peer may choose -------------------------------------------------------------- */

static void send_control(struct raw_client *c, const struct writer *w)
{
    assert_false(w->failed);
    raw_control(c, w->start, writer_size(w));
}

static void send_open(struct raw_client *c, uint64_t binding)
{
    uint8_t body[64];
    struct writer w = writer_of(body, sizeof body);
    writer_varint(&w, CONTROL_OPEN);
    writer_varint(&w, binding);
    writer_u64(&w, binding);
    writer_u16(&w, 0);
    writer_u16(&w, 0);
    send_control(c, &w);
}

static void send_close(struct raw_client *c, uint64_t binding)
{
    uint8_t body[64];
    struct writer w = writer_of(body, sizeof body);
    writer_varint(&w, CONTROL_CLOSE);
    writer_varint(&w, binding);
    writer_varint(&w, UDPTUN_CLOSE_IDLE);
    send_control(c, &w);
}

static void send_announce(struct raw_client *c, uint64_t id, uint64_t binding)
{
    uint8_t body[64];
    struct udptun_endpoint ep = endpoint_ip4(198, 51, 100, 7, 5000);
    struct udptun_dest dest = udptun_dest_of(&ep);
    struct writer w = writer_of(body, sizeof body);
    writer_varint(&w, CONTROL_ANNOUNCE);
    writer_varint(&w, id);
    writer_u8(&w, 0);
    writer_varint(&w, binding);
    frame_put_address(&w, &dest);
    send_control(c, &w);
}

static struct udptun_session *only_session(const struct raw_server *s)
{
    return udptun_session_next(s->m, NULL);
}

static size_t longest_chain(const struct table *t)
{
    size_t longest = 0;
    for (size_t i = 0; i < t->bucket_count; i++) {
        size_t length = 0;
        for (const struct table_node *node = t->buckets[i]; node; node = node->next)
            length++;
        if (length > longest)
            longest = length;
    }
    return longest;
}

/* The factor of a hash that everybody knows, and its inverse modulo 2^64. */
#define KNOWN_FACTOR  UINT64_C(0x9e3779b97f4a7c15)
#define KNOWN_INVERSE UINT64_C(0xf1de83e19937733d)

/* Where the hash is known, a peer picks ids that all fall into one bucket. */
static void binding_ids_of_the_peer_spread(void **state)
{
    struct raw_server *s = (struct raw_server *)*state;
    struct raw_client c;
    raw_server_start(s);
    assert_true(raw_establish(&c, s, 1));
    assert_true(KNOWN_FACTOR * KNOWN_INVERSE == 1);
    unsigned opened = 0;
    for (uint64_t i = 1; i < UINT64_C(1) << 14; i++) {
        uint64_t id = (i << 50) * KNOWN_INVERSE;
        if (id >= UINT64_C(1) << 62)
            continue;
        send_open(&c, id);
        raw_drain(s);
        opened++;
    }
    const struct table *t = &only_session(s)->by_id;
    assert_int_equal(t->count, opened);
    assert_in_range(opened, 1000, 16384);
    assert_in_range(longest_chain(t), 1, 16);
}

static void announced_ids_of_the_peer_spread(void **state)
{
    struct raw_server *s = (struct raw_server *)*state;
    struct raw_client c;
    raw_server_start(s);
    assert_true(raw_establish(&c, s, 1));
    send_open(&c, 1);
    unsigned announced = 0;
    for (uint64_t id = 2; announced < 2000; id += 2) {
        if ((id * KNOWN_FACTOR >> 20 & 0x3ff) != 0)
            continue;
        send_announce(&c, id, 1);
        raw_drain(s);
        announced++;
    }
    const struct table *t = &only_session(s)->rx_ids;
    assert_int_equal(t->count, announced);
    assert_in_range(longest_chain(t), 1, 16);
}

/* Nobody looks for the place of a new flow among the others: they stand in the order of arrival. */
static void flows_are_opened_in_any_order_at_the_same_cost(void **state)
{
    struct raw_server *s = (struct raw_server *)*state;
    struct raw_client c;
    enum { FLOWS = 5000 };
    raw_server_start(s);
    assert_true(raw_establish(&c, s, 1));
    for (uint64_t id = FLOWS; id > 0; id--) {
        send_open(&c, id);
        raw_drain(s);
    }
    uint64_t id = FLOWS;
    LIST_FOREACH (node, &only_session(s)->bindings)
        assert_int_equal(list_entry(node, struct udptun_binding, in_session)->id, id--);
    assert_int_equal(id, 0);
}

/* Ids that end with gaps in between are ranges; their number bounds what a CLOSE costs. */
static void ends_with_gaps_stay_few_ranges(void **state)
{
    struct raw_server *s = (struct raw_server *)*state;
    struct raw_client c;
    raw_server_start(s);
    assert_true(raw_establish(&c, s, 1));
    for (uint64_t id = 60001; id > 2; id -= 2) {
        send_close(&c, id);
        raw_drain(s);
    }
    assert_in_range(only_session(s)->ended.count, 1, ENDED_RANGES);
    /* The newest is remembered still. */
    assert_true(id_set_has(&only_session(s)->ended, 60001));
    assert_false(id_set_has(&only_session(s)->ended, 60000));
}

static void the_end_of_a_flow_far_ahead_is_not_remembered(void **state)
{
    struct raw_server *s = (struct raw_server *)*state;
    struct raw_client c;
    raw_server_start(s);
    assert_true(raw_establish(&c, s, 1));
    send_open(&c, 5);
    send_close(&c, UINT64_C(1) << 40);
    send_close(&c, 6); /* it has overtaken the first datagram */
    send_open(&c, UINT64_C(1) << 40);
    send_open(&c, 6);
    raw_drain(s);
    assert_int_equal(s->opened, 2);
}

static void an_ack_is_one_in_any_encoding(void **state)
{
    struct raw_server *s = (struct raw_server *)*state;
    struct raw_client c;
    raw_server_start(s);
    assert_true(raw_establish(&c, s, 1));
    const uint8_t shortest[] = {CONTROL_ACK, 0}, two[] = {0x40, CONTROL_ACK, 0},
                  eight[] = {0xc0, 0, 0, 0, 0, 0, 0, CONTROL_ACK, 0};
    raw_control(&c, shortest, sizeof shortest);
    raw_control(&c, two, sizeof two);
    raw_control(&c, eight, sizeof eight);
    assert_non_null(c.conn);
    assert_int_equal(c.conn->rx_counted, 0);
}

static void send_settings(struct raw_client *c, uint64_t serial, uint64_t heartbeat_ms)
{
    uint8_t body[64];
    const struct udpt_params params = {.settings_serial = serial, .heartbeat_ms = heartbeat_ms};
    struct writer w = writer_of(body, sizeof body);
    writer_varint(&w, CONTROL_SETTINGS);
    params_put(&w, &params);
    send_control(c, &w);
}

/* HELLO of one leg is said before the settings change, its CONFIRM after. */
static void an_older_hello_does_not_undo_settings(void **state)
{
    struct raw_server *s = (struct raw_server *)*state;
    struct raw_client control, data;
    raw_server_start(s);
    assert_true(raw_establish(&control, s, 1));
    assert_true(raw_connect(&data, s, 1));
    data.hello.leg = 1;
    data.hello.params = (struct udpt_params){.settings_serial = 1, .heartbeat_ms = 1111};
    memcpy(data.secret, control.secret, sizeof data.secret);
    assert_true(raw_hello(&data));
    send_settings(&control, 2, 2222);
    assert_true(raw_confirm(&data, CONFIRM_JOIN));
    assert_int_equal(only_session(s)->params.heartbeat_ms, 2222);
    send_settings(&control, 1, 3333); /* it was overtaken */
    assert_int_equal(only_session(s)->params.heartbeat_ms, 2222);
    send_settings(&control, 3, 4444);
    assert_int_equal(only_session(s)->params.heartbeat_ms, 4444);
}

/* ---- too many ---------------------------------------------------------------------------- */

static void at_the_cap_the_session_detached_longest_gives_way(void **state)
{
    struct raw_server *s = (struct raw_server *)*state;
    struct raw_client c[5], again;
    s->config.max_sessions = 3;
    raw_server_start(s);
    for (uint32_t i = 0; i < 3; i++)
        assert_true(raw_establish(&c[i], s, i));
    assert_true(raw_connect(&c[3], s, 3));
    assert_false(raw_hello(&c[3])); /* all are in use */
    raw_close(&c[1]);
    raw_run(s, S_US);
    raw_close(&c[0]);
    raw_run(s, S_US);
    assert_true(raw_establish(&c[4], s, 4));
    assert_int_equal(raw_sessions(s), 3);
    /* Session 0 is there still, session 1 is not. */
    assert_true(raw_connect(&again, s, 0));
    again.hello.generation = 2;
    memcpy(again.secret, c[0].secret, sizeof again.secret);
    assert_true(raw_hello(&again));
    assert_int_equal(again.handshake.welcome.known, 1);
    assert_true(raw_confirm(&again, CONFIRM_JOIN));
    struct raw_client gone;
    assert_true(raw_connect(&gone, s, 1));
    assert_false(raw_hello(&gone)); /* it would be a new one, and all are in use */
    raw_close(&gone);
}

enum { SILENT = 4096 };
#define SILENT_PER_S 700
#define RTT_US       (200 * MS_US)
#define STEP_US      (S_US / SILENT_PER_S)

/* Silent streams come and come while `for_us` pass; the array is used round. */
static void come_silently(struct raw_server *s, struct raw_client *silent, unsigned *next,
                          uint64_t for_us)
{
    for (uint64_t passed_us = 0; passed_us < for_us; passed_us += STEP_US) {
        struct raw_client *c = &silent[(*next)++ % SILENT];
        raw_close(c);
        assert_true(raw_connect(c, s, UINT32_MAX));
        raw_run(s, STEP_US);
    }
}

/* One attempt of an honest client: HELLO comes a hop behind the stream, as through a proxy, and
 * CONFIRM a round trip behind WELCOME. */
static bool gets_in(struct raw_server *s, struct raw_client *c, uint32_t number,
                    struct raw_client *silent, unsigned *next)
{
    assert_true(raw_connect(c, s, number));
    come_silently(s, silent, next, RTT_US / 2);
    if (!c->conn || !raw_hello(c))
        return false;
    come_silently(s, silent, next, RTT_US);
    return c->conn && raw_confirm(c, CONFIRM_CREATE);
}

/* Those that say nothing, 700 a second, keep no client out for longer than 3 s. */
static void silent_streams_keep_nobody_out(void **state)
{
    struct raw_server *s = (struct raw_server *)*state;
    enum { CLIENTS = 20 };
    raw_server_start(s);
    struct raw_client *silent = (struct raw_client *)calloc(SILENT, sizeof *silent);
    struct raw_client honest[CLIENTS];
    assert_non_null(silent);
    for (unsigned i = 0; i < SILENT; i++)
        silent[i].server = s;
    unsigned next = 0;
    come_silently(s, silent, &next, S_US);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        uint64_t since_us = s->now_us;
        while (!gets_in(s, &honest[i], i, silent, &next))
            assert_in_range(s->now_us - since_us, 0, 3 * S_US);
        assert_in_range(s->now_us - since_us, 0, 3 * S_US);
    }
    struct udptun_machine_info info;
    udptun_machine_look(s->m, s->now_us, &info);
    assert_in_range(info.pending, s->config.max_pending - 1, s->config.max_pending);
    assert_int_equal(raw_sessions(s), CLIENTS);
    raw_server_stop(s);
    free(silent);
}

/* ---- memory ------------------------------------------------------------------------------ */

enum { HOGS = 8, LIMIT = 4 << 20 };

static void send_many(struct raw_server *s, struct udptun_session *session, unsigned count)
{
    static const uint8_t payload[1200];
    struct udptun_endpoint ep = endpoint_ip4(198, 51, 100, 7, 5000);
    struct udptun_dest from = udptun_dest_of(&ep);
    LIST_FOREACH (node, &session->bindings)
        for (unsigned i = 0; i < count; i++)
            udptun_binding_send(list_entry(node, struct udptun_binding, in_session), &from, payload,
                                sizeof payload, s->now_us);
}

static struct udptun_session *session_of(const struct raw_client *c)
{
    return c->conn->session;
}

/* Clients that found a session and flows, and read nothing more. */
static void establish_hogs(struct raw_server *s, struct raw_client hogs[HOGS])
{
    for (uint32_t i = 0; i < HOGS; i++) {
        assert_true(raw_establish(&hogs[i], s, i));
        for (uint64_t id = 1; id <= 8; id++)
            send_open(&hogs[i], id);
        raw_drain(s);
        hogs[i].reads = false;
    }
}

/* They acknowledge whatever is written, so that credit does not stop the server. */
static void fake_acks(struct raw_client *c)
{
    uint8_t body[64];
    struct writer w = writer_of(body, sizeof body);
    writer_varint(&w, CONTROL_ACK);
    writer_varint(&w, 1);
    writer_varint(&w, 0);
    writer_varint(&w, c->conn->generation);
    writer_varint(&w, c->conn->tx_counted);
    writer_varint(&w, 0);
    send_control(c, &w);
}

static void peers_that_do_not_read_leave_memory_for_others(void **state)
{
    struct raw_server *s = (struct raw_server *)*state;
    struct raw_client hogs[HOGS], honest;
    s->config.max_buffer_bytes = LIMIT;
    raw_server_start(s);
    establish_hogs(s, hogs);
    for (unsigned round = 0; round < 40; round++)
        for (unsigned i = 0; i < HOGS; i++) {
            send_many(s, session_of(&hogs[i]), 25);
            fake_acks(&hogs[i]);
        }
    uint64_t used = s->m->budget->used;
    assert_in_range(used, LIMIT / 2, LIMIT);
    for (unsigned i = 0; i < HOGS; i++) /* one's share, and what it had before there were more */
        assert_in_range(session_of(&hogs[i])->share.held, 1, LIMIT / 2);
    assert_true(raw_establish(&honest, s, HOGS));
    send_open(&honest, 1);
    raw_drain(s);
    send_many(s, session_of(&honest), 50);
    assert_int_equal(s->m->counters.dropped[UDPTUN_MACHINE_DROP_QUEUE] > 0, 1);
    const struct udptun_binding *b =
        list_entry(session_of(&honest)->bindings.next, struct udptun_binding, in_session);
    assert_int_equal(b->dropped[UDPTUN_MACHINE_DROP_QUEUE], 0);
}

/* The start of the longest frame, again and again, on each leg of each session. */
static void unfinished_frames_keep_to_the_share(void **state)
{
    struct raw_server *s = (struct raw_server *)*state;
    enum { LEGS = 16, PART = 60000 };
    struct raw_client hogs[HOGS][LEGS];
    static uint8_t part[PART];
    s->config.max_buffer_bytes = LIMIT;
    raw_server_start(s);
    frame_put_header(part, FRAME_INLINE, FRAME_MAX_SIZE - 64);
    for (uint32_t i = 0; i < HOGS; i++)
        for (unsigned leg = 0; leg < LEGS; leg++) {
            struct raw_client *c = &hogs[i][leg];
            if (leg == 0) {
                assert_true(raw_establish(c, s, i));
            } else {
                assert_true(raw_connect(c, s, i));
                c->hello.leg = (uint8_t)leg;
                memcpy(c->secret, hogs[i][0].secret, sizeof c->secret);
                assert_true(raw_hello(c));
                assert_true(raw_confirm(c, CONFIRM_JOIN));
            }
            raw_send(c, part, PART);
            raw_drain(s);
        }
    assert_in_range(s->m->budget->used, LIMIT / 4, LIMIT + HOGS * SHARE_LEAST);
    assert_int_equal(s->hangups > 0, 1);
    for (uint32_t i = 0; i < HOGS; i++)
        for (unsigned leg = 0; leg < LEGS; leg++)
            raw_close(&hogs[i][leg]);
    raw_run(s, DAY_S * S_US);
    assert_int_equal(s->m->budget->used, 0);
}

/* Whatever order a peer acknowledges in, nobody looks through those that wait for it. */
static void ends_are_acknowledged_in_any_order(void **state)
{
    struct raw_server *s = (struct raw_server *)*state;
    struct raw_client c;
    enum { FLOWS = 500 };
    raw_server_start(s);
    assert_true(raw_establish(&c, s, 1));
    for (uint64_t id = 1; id <= FLOWS; id++) {
        send_open(&c, id);
        raw_drain(s);
    }
    struct udptun_session *session = session_of(&c);
    while (!list_empty(&session->bindings))
        udptun_binding_close(list_entry(session->bindings.next, struct udptun_binding, in_session),
                             s->now_us);
    raw_run(s, 2 * S_US); /* CLOSE waits for what was written before */
    assert_int_equal(session->closings.count, FLOWS);
    for (uint64_t id = FLOWS; id > 0; id--) {
        uint8_t body[64];
        struct writer w = writer_of(body, sizeof body);
        writer_varint(&w, CONTROL_CLOSED);
        writer_varint(&w, id);
        send_control(&c, &w);
    }
    assert_int_equal(session->closings.count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(generation_0_leaves_no_session),
        TEST(sessions_end_when_their_founders_go),
        TEST(binding_ids_of_the_peer_spread),
        TEST(announced_ids_of_the_peer_spread),
        TEST(flows_are_opened_in_any_order_at_the_same_cost),
        TEST(ends_with_gaps_stay_few_ranges),
        TEST(the_end_of_a_flow_far_ahead_is_not_remembered),
        TEST(an_ack_is_one_in_any_encoding),
        TEST(an_older_hello_does_not_undo_settings),
        TEST(at_the_cap_the_session_detached_longest_gives_way),
        TEST(peers_that_do_not_read_leave_memory_for_others),
        TEST(unfinished_frames_keep_to_the_share),
        TEST(ends_are_acknowledged_in_any_order),
        TEST(silent_streams_keep_nobody_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
