/* SPDX-License-Identifier: Apache-2.0 */
/* test_udpt_versions.c - versions 1 and 2 of the handshake at a server, and between two ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/udpt/internal.h"
#include "tests/unit/udpt_pair.h"
#include "tests/unit/udpt_raw.h"

static int setup(void **state)
{
    struct raw_server *s = (struct raw_server *)calloc(1, sizeof *s);
    assert_non_null(s);
    udptun_machine_config_init(&s->config, UDPTUN_MACHINE_SERVER);
    s->config.has_key = true;
    s->config.key[3] = 7;
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

/* A stream of a client that speaks `low` to `high`, before its HELLO. */
static void connect_speaking(struct raw_client *c, struct raw_server *s, uint8_t low, uint8_t high)
{
    const uint8_t random[UDPT_SHARE_SIZE] = {1, 2, 3};
    assert_true(raw_connect(c, s, 1));
    c->hello.version_low = low;
    c->hello.version_high = high;
    if (high >= UDPT_VERSION_SHARES)
        handshake_share(&c->handshake, random, c->hello.nonce);
}

static void the_highest_version_of_both_is_taken(void **state)
{
    struct raw_server *s = (struct raw_server *)*state;
    static const uint8_t offers[][3] = {{1, 1, 1}, {1, 2, 2}, {2, 2, 2}, {1, 9, 2}};
    raw_server_start(s);
    for (size_t i = 0; i < sizeof offers / sizeof *offers; i++) {
        struct raw_client c;
        connect_speaking(&c, s, offers[i][0], offers[i][1]);
        assert_true(raw_hello(&c));
        assert_int_equal(c.handshake.welcome.version, offers[i][2]);
        raw_close(&c);
    }
    struct raw_client later;
    connect_speaking(&later, s, 3, 9);
    assert_false(raw_hello(&later));
    raw_run(s, 0);
    assert_string_equal(s->reason, refuse_text(REFUSE_VERSION));
}

static void a_server_of_version_2_refuses_version_1(void **state)
{
    struct raw_server *s = (struct raw_server *)*state;
    s->config.min_version = 2;
    raw_server_start(s);
    struct raw_client old, both;
    connect_speaking(&old, s, 1, 1);
    assert_false(raw_hello(&old));
    raw_run(s, 0);
    assert_string_equal(s->reason, refuse_text(REFUSE_VERSION));
    connect_speaking(&both, s, 1, 2);
    assert_true(raw_hello(&both));
    assert_true(raw_confirm(&both, CONFIRM_CREATE));
}

/* Whoever has the key and read the handshake makes the secret of version 1, not that of 2. */
static void the_key_does_not_make_the_secret_of_version_2(void **state)
{
    struct raw_server *s = (struct raw_server *)*state;
    raw_server_start(s);
    for (uint8_t version = 1; version <= 2; version++) {
        struct raw_client c;
        connect_speaking(&c, s, 1, version);
        c.hello.session[9] = version;
        assert_true(raw_hello(&c));
        struct handshake reader = c.handshake;
        memset(reader.scalar, 0x55, sizeof reader.scalar);
        assert_true(raw_confirm(&c, CONFIRM_CREATE));
        uint8_t secret[UDPT_SECRET_SIZE];
        assert_true(handshake_secret(&reader, HANDSHAKE_CLIENT, secret));
        struct raw_client thief;
        connect_speaking(&thief, s, 1, version);
        thief.hello.session[9] = version;
        thief.hello.generation = 2;
        memcpy(thief.secret, secret, sizeof secret);
        assert_true(raw_hello(&thief));
        raw_confirm(&thief, CONFIRM_JOIN);
        raw_run(s, 0);
        assert_true((thief.conn != NULL) == (version == 1));
    }
}

static void a_session_of_version_1_is_joined_with_version_2(void **state)
{
    struct raw_server *s = (struct raw_server *)*state;
    raw_server_start(s);
    struct raw_client old, new;
    connect_speaking(&old, s, 1, 1);
    assert_true(raw_hello(&old));
    assert_true(raw_confirm(&old, CONFIRM_CREATE));
    connect_speaking(&new, s, 1, 2);
    new.hello.generation = 2;
    new.hello.client_incarnation = 5; /* it was updated and started again */
    memcpy(new.secret, old.secret, sizeof new.secret);
    assert_true(raw_hello(&new));
    assert_int_equal(new.handshake.welcome.version, 2);
    assert_int_equal(new.handshake.welcome.known, 1);
    assert_true(raw_confirm(&new, CONFIRM_JOIN));
    assert_int_equal(raw_sessions(s), 1);
}

static void a_share_of_low_order_founds_nothing(void **state)
{
    struct raw_server *s = (struct raw_server *)*state;
    raw_server_start(s);
    struct raw_client c;
    connect_speaking(&c, s, 2, 2);
    memset(c.hello.nonce, 0, sizeof c.hello.nonce);
    assert_true(raw_hello(&c));
    raw_confirm(&c, CONFIRM_CREATE);
    raw_run(s, 0);
    assert_null(c.conn);
    assert_int_equal(raw_sessions(s), 0);
    assert_non_null(strstr(s->reason, "share"));
}

/* The server answered for a session that it had; meanwhile that ended. */
static void nothing_is_founded_behind_a_welcome_that_knew_the_session(void **state)
{
    struct raw_server *s = (struct raw_server *)*state;
    raw_server_start(s);
    struct raw_client owner, late;
    connect_speaking(&owner, s, 2, 2);
    assert_true(raw_hello(&owner));
    assert_true(raw_confirm(&owner, CONFIRM_CREATE));
    connect_speaking(&late, s, 2, 2);
    assert_true(raw_hello(&late));
    udptun_session_close(udptun_session_next(s->m, NULL), s->now_us);
    raw_confirm(&late, CONFIRM_CREATE);
    raw_run(s, 0);
    assert_int_equal(raw_sessions(s), 0);
}

static void our_ends_found_their_session_in_version_2(void **state)
{
    (void)state;
    struct pair *p = (struct pair *)calloc(1, sizeof *p);
    assert_non_null(p);
    pair_init(p);
    p->configs[LOCAL].min_version = p->configs[SERVER].min_version = 2;
    pair_start(p, SERVER);
    pair_start(p, LOCAL);
    pair_run(p, S_US);
    assert_int_equal(p->ends[LOCAL].state, UDPTUN_MACHINE_ESTABLISHED);
    const struct udptun_session *ours = udptun_session_next(p->ends[LOCAL].m, NULL);
    const struct udptun_session *theirs = udptun_session_next(p->ends[SERVER].m, NULL);
    assert_memory_equal(ours->secret, theirs->secret, sizeof ours->secret);
    pair_fini(p);
    free(p);
}

/* Ten datagrams to one peer, the even ones not to be fragmented; by then it is announced. */
static void send_ten(struct pair *p, struct udptun_binding *b)
{
    static const uint8_t data[] = "datagram";
    struct udptun_endpoint ep = {.family = UDPTUN_ENDPOINT_IP4, .port = 53, .ip = {192, 0, 2, 1}};
    struct udptun_dest peer = udptun_dest_of(&ep);
    for (int i = 0; i < 10; i++) {
        peer.dont_fragment = i % 2 == 0;
        assert_int_equal(udptun_binding_send(b, &peer, data, sizeof data, p->now_us), UDPTUN_OK);
        pair_run(p, S_US / 10);
    }
}

/* The server offers `capabilities` alone. */
static void use(uint64_t capabilities)
{
    struct pair *p = (struct pair *)calloc(1, sizeof *p);
    int code;
    assert_non_null(p);
    pair_init(p);
    pair_start(p, SERVER);
    pair_start(p, LOCAL);
    pair_run(p, S_US);
    udptun_session_next(p->ends[LOCAL].m, NULL)->params.capabilities &= capabilities;
    struct udptun_binding *b = udptun_binding_open(p->ends[LOCAL].m, 1, p->now_us, &code);
    udptun_binding_set_source_port(b, 40001);
    send_ten(p, b);
    const struct udptun_session *theirs = udptun_session_next(p->ends[SERVER].m, NULL);
    assert_int_equal(udptun_binding_source_port(udptun_binding_after(theirs, 0)),
                     capabilities & CAPABILITY_SOURCE_PORT ? 40001 : 0);
    assert_int_equal(p->received_count, 10);
    for (int i = 0; i < 10; i++)
        assert_int_equal(p->received[i].dont_fragment,
                         i % 2 == 0 && (capabilities & CAPABILITY_DONT_FRAGMENT) != 0);
    assert_int_equal(p->ends[LOCAL].hangups, 0);
    pair_fini(p);
    free(p);
}

static void capabilities_are_used_where_they_are_offered(void **state)
{
    (void)state;
    use(0);
    use(CAPABILITY_SOURCE_PORT);
    use(CAPABILITY_DONT_FRAGMENT);
    use(CAPABILITY_SOURCE_PORT | CAPABILITY_DONT_FRAGMENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_highest_version_of_both_is_taken),
        TEST(a_server_of_version_2_refuses_version_1),
        TEST(the_key_does_not_make_the_secret_of_version_2),
        TEST(a_session_of_version_1_is_joined_with_version_2),
        TEST(a_share_of_low_order_founds_nothing),
        TEST(nothing_is_founded_behind_a_welcome_that_knew_the_session),
        cmocka_unit_test(our_ends_found_their_session_in_version_2),
        cmocka_unit_test(capabilities_are_used_where_they_are_offered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
