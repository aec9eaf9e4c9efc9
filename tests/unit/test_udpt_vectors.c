/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_udpt_vectors.c - the bytes that docs/protocol.md shows are the bytes that we make and read.
 *
 * The document's vectors stand in fenced blocks that open with "```vector NAME". Run with
 * "--print" to see what the code makes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/udpt/codec/frame.h"
#include "proto/udpt/codec/handshake.h"

enum { VECTOR_SIZE = 2048 };

struct vector {
    uint8_t bytes[VECTOR_SIZE];
    size_t size;
};

static bool print_only;

/* The hex of vector `name`; comments after '#' are skipped. */
static struct vector vector_of(const char *name)
{
    struct vector v = {.size = 0};
    char line[256], fence[80];
    snprintf(fence, sizeof fence, "```vector %s\n", name);
    FILE *f = fopen("docs/protocol.md", "r");
    assert_non_null(f);
    bool inside = false;
    while (fgets(line, sizeof line, f)) {
        if (!inside) {
            inside = strcmp(line, fence) == 0;
            continue;
        }
        if (strncmp(line, "```", 3) == 0)
            break;
        for (const char *at = line; *at && *at != '#'; at++) {
            if (!isxdigit((unsigned char)*at))
                continue;
            char digits[3] = {at[0], at[1], 0};
            assert_true(v.size < VECTOR_SIZE);
            v.bytes[v.size++] = (uint8_t)strtoul(digits, NULL, 16);
            at++;
        }
    }
    fclose(f);
    return v;
}

static void check(const char *name, const uint8_t *made, size_t size)
{
    if (print_only) {
        printf("```vector %s\n", name);
        for (size_t i = 0; i < size; i++)
            printf("%02x%s", made[i], i + 1 == size || i % 32 == 31 ? "\n" : i % 4 == 3 ? " " : "");
        printf("```\n");
        return;
    }
    struct vector v = vector_of(name);
    if (v.size == 0)
        fail_msg("docs/protocol.md has no vector %s", name);
    assert_int_equal(v.size, size);
    assert_memory_equal(v.bytes, made, size);
}

/* The handshake of docs/protocol.md: everything that is random there is counted up here. */
struct dialogue {
    struct handshake client, server;
    uint8_t hello[HANDSHAKE_MAX_SIZE], welcome[HANDSHAKE_MAX_SIZE];
    size_t hello_size, welcome_size;
};

static void count_up(uint8_t *to, size_t size, uint8_t from)
{
    for (size_t i = 0; i < size; i++)
        to[i] = (uint8_t)(from + i);
}

static void hold_dialogue_of(struct dialogue *d, bool has_key, uint8_t version)
{
    uint8_t key[UDPTUN_MACHINE_KEY_SIZE];
    count_up(key, sizeof key, 0x40);
    handshake_init(&d->client, has_key, key);
    handshake_init(&d->server, has_key, key);
    struct hello hello = {.version_low = 1,
                          .version_high = version,
                          .leg = 2,
                          .generation = 3,
                          .params = {.heartbeat_ms = 10000, .dead_ms = 30000}};
    count_up(hello.session, sizeof hello.session, 0);
    count_up(hello.nonce, sizeof hello.nonce, 0x80);
    if (version >= UDPT_VERSION_SHARES) {
        uint8_t random[UDPT_SHARE_SIZE];
        count_up(random, sizeof random, 0x80);
        handshake_share(&d->client, random, hello.nonce);
    }
    d->hello_size = handshake_put_hello(&d->client, &hello, d->hello);
    assert_int_equal(handshake_get_hello(&d->server, d->hello, d->hello_size), HANDSHAKE_GOOD);
    assert_int_equal(d->server.hello.leg, 2);
    assert_int_equal(d->server.hello.generation, 3);
    assert_int_equal(d->server.hello.params.dead_ms, 30000);
    struct welcome welcome = {.version = version,
                              .known = 0,
                              .epoch = 0x1122334455667788,
                              .incarnation = 1,
                              .params = {.resume_ms = 180000, .max_legs = 32}};
    count_up(welcome.nonce, sizeof welcome.nonce, 0xa0);
    if (version >= UDPT_VERSION_SHARES) {
        uint8_t random[UDPT_SHARE_SIZE];
        count_up(random, sizeof random, 0xa0);
        handshake_share(&d->server, random, welcome.nonce);
    }
    d->welcome_size = handshake_put_welcome(&d->server, &welcome, d->welcome);
    bool refused;
    struct refuse refuse;
    assert_int_equal(
        handshake_get_answer(&d->client, d->welcome, d->welcome_size, &refused, &refuse),
        HANDSHAKE_GOOD);
    assert_false(refused);
    assert_int_equal(d->client.welcome.epoch, 0x1122334455667788);
}

static void hold_dialogue(struct dialogue *d, bool has_key)
{
    hold_dialogue_of(d, has_key, 1);
}

static void handshake_with_a_key(void **state)
{
    (void)state;
    struct dialogue d;
    hold_dialogue(&d, true);
    check("hello", d.hello, d.hello_size);
    check("welcome", d.welcome, d.welcome_size);
    uint8_t secret[UDPT_SECRET_SIZE], server_secret[UDPT_SECRET_SIZE];
    assert_true(handshake_secret(&d.client, HANDSHAKE_CLIENT, secret));
    assert_true(handshake_secret(&d.server, HANDSHAKE_SERVER, server_secret));
    assert_memory_equal(secret, server_secret, sizeof secret);
    check("secret", secret, sizeof secret);
    uint8_t confirm[HANDSHAKE_MAX_SIZE];
    enum confirm_intent intent;
    size_t size = handshake_put_confirm(&d.client, CONFIRM_CREATE, NULL, confirm);
    check("confirm-create", confirm, size);
    assert_int_equal(handshake_get_confirm(&d.server, confirm, size, NULL, &intent),
                     HANDSHAKE_GOOD);
    assert_int_equal(intent, CONFIRM_CREATE);
    size = handshake_put_confirm(&d.client, CONFIRM_JOIN, secret, confirm);
    check("confirm-join", confirm, size);
    assert_int_equal(handshake_get_confirm(&d.server, confirm, size, secret, &intent),
                     HANDSHAKE_GOOD);
    secret[0] ^= 1;
    assert_int_equal(handshake_get_confirm(&d.server, confirm, size, secret, &intent),
                     HANDSHAKE_UNPROVEN);
    assert_int_equal(handshake_get_confirm(&d.server, confirm, size, NULL, &intent),
                     HANDSHAKE_UNPROVEN);
}

static void handshake_with_shares(void **state)
{
    (void)state;
    struct dialogue d;
    hold_dialogue_of(&d, true, 2);
    check("hello-2", d.hello, d.hello_size);
    check("welcome-2", d.welcome, d.welcome_size);
    uint8_t secret[UDPT_SECRET_SIZE], server_secret[UDPT_SECRET_SIZE];
    assert_true(handshake_secret(&d.client, HANDSHAKE_CLIENT, secret));
    assert_true(handshake_secret(&d.server, HANDSHAKE_SERVER, server_secret));
    assert_memory_equal(secret, server_secret, sizeof secret);
    check("secret-2", secret, sizeof secret);
    uint8_t confirm[HANDSHAKE_MAX_SIZE];
    enum confirm_intent intent;
    size_t size = handshake_put_confirm(&d.client, CONFIRM_CREATE, NULL, confirm);
    check("confirm-create-2", confirm, size);
    size = handshake_put_confirm(&d.client, CONFIRM_JOIN, secret, confirm);
    check("confirm-join-2", confirm, size);
    assert_int_equal(handshake_get_confirm(&d.server, confirm, size, secret, &intent),
                     HANDSHAKE_GOOD);
    /* All that went over the wire, and the key, do not make the secret. */
    struct handshake reader = d.client;
    memset(reader.scalar, 0, sizeof reader.scalar);
    assert_true(handshake_secret(&reader, HANDSHAKE_CLIENT, server_secret));
    assert_memory_not_equal(secret, server_secret, sizeof secret);
}

/* RFC 7748, section 6: with a share of low order the result is all zero. */
static void a_share_of_low_order_is_rejected(void **state)
{
    (void)state;
    static const uint8_t low[][UDPT_SHARE_SIZE] = {
        {0},
        {1},
        {0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3,
         0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32,
         0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
    };
    struct dialogue d;
    hold_dialogue_of(&d, true, 2);
    uint8_t secret[UDPT_SECRET_SIZE];
    for (size_t i = 0; i < sizeof low / sizeof *low; i++) {
        memcpy(d.client.welcome.nonce, low[i], sizeof low[i]);
        assert_false(handshake_secret(&d.client, HANDSHAKE_CLIENT, secret));
        memcpy(d.server.hello.nonce, low[i], sizeof low[i]);
        assert_false(handshake_secret(&d.server, HANDSHAKE_SERVER, secret));
    }
}

static void a_refusal(void **state)
{
    (void)state;
    struct dialogue d;
    hold_dialogue(&d, true);
    struct handshake server;
    handshake_init(&server, true, d.server.key);
    assert_int_equal(handshake_get_hello(&server, d.hello, d.hello_size), HANDSHAKE_GOOD);
    uint8_t message[HANDSHAKE_MAX_SIZE];
    size_t size = handshake_put_refuse(&server, REFUSE_SESSIONS, message);
    check("refuse", message, size);
    struct handshake client = d.client;
    client.transcript_size = client.hello_size;
    bool refused;
    struct refuse refuse;
    assert_int_equal(handshake_get_answer(&client, message, size, &refused, &refuse),
                     HANDSHAKE_GOOD);
    assert_true(refused);
    assert_int_equal(refuse.reason, REFUSE_SESSIONS);
}

/* Any bit turned over anywhere: the message does not get through. */
static void a_changed_bit_is_noticed(void **state)
{
    (void)state;
    struct dialogue d;
    hold_dialogue(&d, true);
    for (size_t bit = 0; bit < d.hello_size * 8; bit++) {
        struct handshake server;
        handshake_init(&server, true, d.server.key);
        d.hello[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(handshake_get_hello(&server, d.hello, d.hello_size), HANDSHAKE_GOOD);
        d.hello[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void cut_messages_are_malformed(void **state)
{
    (void)state;
    struct dialogue d;
    hold_dialogue(&d, false);
    for (size_t size = 0; size < d.hello_size; size++) {
        struct handshake server;
        uint8_t *exact = (uint8_t *)malloc(size ? size : 1); /* for the address sanitizer */
        memcpy(exact, d.hello, size);
        handshake_init(&server, false, NULL);
        assert_int_equal(handshake_get_hello(&server, exact, size), HANDSHAKE_MALFORMED);
        free(exact);
    }
}

static size_t put_frame(uint8_t *to, uint64_t id, const uint8_t *body, size_t size)
{
    size_t head = frame_put_header(to, id, size);
    memcpy(to + head, body, size);
    return head + size;
}

static void inline_frames(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint8_t flags;
        bool v6, by_name;
    } CASES[] = {
        {"inline-ip4", 0, false, false},
        {"inline-ip6-label", INLINE_LABEL, true, false},
        {"inline-name-sequence", INLINE_SEQUENCE, false, true},
        {"inline-port", INLINE_LABEL | INLINE_PORT, false, false},
        {"inline-whole", INLINE_WHOLE, false, false},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct udptun_endpoint ep = {
            .family = UDPTUN_ENDPOINT_IP4, .port = 53, .ip = {192, 0, 2, 1}};
        if (CASES[i].v6)
            ep = (struct udptun_endpoint){
                .family = UDPTUN_ENDPOINT_IP6, .port = 443, .ip = {0x20, 1, 0x0d, 0xb8, [15] = 1}};
        struct inline_header h = {.flags = CASES[i].flags,
                                  .binding = 7,
                                  .label = 0x0102030405060708,
                                  .port = 40001,
                                  .sequence = 9,
                                  .dest = CASES[i].by_name
                                              ? udptun_dest_of_name("example.org", 11, 5000)
                                              : udptun_dest_of(&ep)};
        uint8_t body[512], frame[600];
        struct writer w = writer_of(body, sizeof body);
        frame_put_inline(&w, &h);
        assert_int_equal(writer_size(&w), frame_inline_size(&h));
        writer_bytes(&w, "hello", 5);
        size_t size = put_frame(frame, FRAME_INLINE, body, writer_size(&w));
        check(CASES[i].name, frame, size);

        uint64_t id;
        struct reader r;
        size_t whole;
        struct inline_header got;
        assert_int_equal(frame_parse(frame, size, &id, &r, &whole), FRAME_WHOLE);
        assert_int_equal(whole, size);
        assert_int_equal(id, FRAME_INLINE);
        frame_get_inline(&r, &got);
        assert_int_equal(reader_left(&r), 5);
        assert_int_equal(got.binding, 7);
        assert_int_equal(got.port, h.flags & INLINE_PORT ? h.port : 0);
        assert_int_equal(got.dest.dont_fragment, (h.flags & INLINE_WHOLE) != 0);
        assert_true(endpoint_equal(&got.dest.ep, &h.dest.ep));
        for (size_t cut = 0; cut < size; cut++)
            assert_int_equal(frame_parse(frame, cut, &id, &r, &whole), FRAME_PARTIAL);
    }
}

static void an_announced_datagram(void **state)
{
    (void)state;
    uint8_t frame[32];
    size_t size = put_frame(frame, 4, (const uint8_t *)"hello", 5);
    check("announced", frame, size);
}

static void control_frames(void **state)
{
    (void)state;
    struct udptun_endpoint ep = {.family = UDPTUN_ENDPOINT_IP4, .port = 53, .ip = {192, 0, 2, 1}};
    struct udptun_dest dest = udptun_dest_of(&ep);
    uint8_t body[64], frame[80];
    struct writer w = writer_of(body, sizeof body);
    writer_varint(&w, CONTROL_ANNOUNCE);
    writer_varint(&w, 4);
    writer_u8(&w, 0);
    writer_varint(&w, 7);
    frame_put_address(&w, &dest);
    check("announce", frame, put_frame(frame, FRAME_CONTROL, body, writer_size(&w)));
    w = writer_of(body, sizeof body);
    writer_varint(&w, CONTROL_ACK);
    writer_varint(&w, 1);
    writer_varint(&w, 2);
    writer_varint(&w, 3);
    writer_varint(&w, 20000);
    writer_varint(&w, 1500);
    check("ack", frame, put_frame(frame, FRAME_CONTROL, body, writer_size(&w)));
    w = writer_of(body, sizeof body);
    writer_varint(&w, CONTROL_CLOCK);
    writer_u32(&w, 123456);
    check("clock", frame, put_frame(frame, FRAME_CONTROL, body, writer_size(&w)));
    w = writer_of(body, sizeof body);
    writer_varint(&w, CONTROL_CLOSE);
    writer_varint(&w, 7);
    writer_varint(&w, UDPTUN_CLOSE_IDLE);
    check("close", frame, put_frame(frame, FRAME_CONTROL, body, writer_size(&w)));
    w = writer_of(body, sizeof body);
    writer_varint(&w, CONTROL_CLOSED);
    writer_varint(&w, 7);
    check("closed", frame, put_frame(frame, FRAME_CONTROL, body, writer_size(&w)));
    w = writer_of(body, sizeof body);
    writer_varint(&w, CONTROL_GOODBYE);
    writer_varint(&w, GOODBYE_BACK_SOON);
    writer_bytes(&w, "the server is stopping", 22);
    check("goodbye", frame, put_frame(frame, FRAME_CONTROL, body, writer_size(&w)));
}

static void lengths_that_no_frame_has(void **state)
{
    (void)state;
    uint64_t id;
    struct reader r;
    size_t whole;
    static const uint8_t EMPTY[] = {0x00};
    static const uint8_t EIGHT[] = {0xc0, 0, 0, 0, 0, 0, 0, 2, 4, 'x'}; /* longer than need be */
    static const uint8_t LONG[] = {0x80, 0x01, 0x01, 0x24};             /* FRAME_MAX_LENGTH + 1 */
    static const uint8_t MOST[] = {0x80, 0x01, 0x01, 0x23};
    static const uint8_t NO_ID[] = {0x01, 0x40};
    assert_int_equal(frame_parse(EMPTY, sizeof EMPTY, &id, &r, &whole), FRAME_BROKEN);
    for (size_t i = 0; i < sizeof EIGHT; i++)
        assert_int_equal(frame_parse(EIGHT, i, &id, &r, &whole), FRAME_PARTIAL);
    assert_int_equal(frame_parse(EIGHT, sizeof EIGHT, &id, &r, &whole), FRAME_WHOLE);
    assert_int_equal(frame_parse(LONG, sizeof LONG, &id, &r, &whole), FRAME_BROKEN);
    assert_int_equal(frame_parse(MOST, sizeof MOST, &id, &r, &whole), FRAME_PARTIAL);
    assert_int_equal(frame_parse(NO_ID, sizeof NO_ID, &id, &r, &whole), FRAME_BROKEN);
}

int main(int argc, char **argv)
{
    print_only = argc > 1 && strcmp(argv[1], "--print") == 0;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handshake_with_a_key),
        cmocka_unit_test(handshake_with_shares),
        cmocka_unit_test(a_share_of_low_order_is_rejected),
        cmocka_unit_test(a_refusal),
        cmocka_unit_test(a_changed_bit_is_noticed),
        cmocka_unit_test(cut_messages_are_malformed),
        cmocka_unit_test(inline_frames),
        cmocka_unit_test(an_announced_datagram),
        cmocka_unit_test(control_frames),
        cmocka_unit_test(lengths_that_no_frame_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
