/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_handshake.c - the messages that open a leg.
 *
 * Raw bytes first. No fuzzer finds a MAC, so the same bytes also become the fields of messages
 * that are made properly, which must then be understood as they were meant; and of those, one
 * byte is changed, which must be noticed.
 */
#include "proto/udpt/codec/handshake.h"

#include "proto/buffer.h"
#include "tests/fuzz/fuzz.h"

static const uint8_t key[UDPTUN_MACHINE_KEY_SIZE] = "a key for the fuzzer, 32 bytes.";

static void raw(const uint8_t *data, size_t size)
{
    size_t whole;
    if (!handshake_message_size(data, size, &whole) || whole == 0 || whole > size)
        return;
    MUST(whole >= HANDSHAKE_HEAD_SIZE && whole <= HANDSHAKE_MAX_SIZE);
    for (int keyed = 0; keyed < 2; keyed++) {
        struct handshake h;
        handshake_init(&h, keyed != 0, key);
        handshake_get_hello(&h, data, whole);
        handshake_wipe(&h);

        uint8_t out[HANDSHAKE_MAX_SIZE];
        struct hello hello = {.version_low = 1, .version_high = 1};
        struct refuse refuse;
        bool refused;
        handshake_init(&h, keyed != 0, key);
        handshake_put_hello(&h, &hello, out);
        handshake_get_answer(&h, data, whole, &refused, &refuse);
        handshake_wipe(&h);
    }
}

static struct udpt_params params_of(struct reader *r)
{
    return (struct udpt_params){
        .heartbeat_ms = reader_u32(r),
        .dead_ms = reader_u32(r),
        .flow_timeout_ms = reader_u32(r),
        .max_queue_delay_ms = reader_u16(r),
    };
}

static bool same_params(const struct udpt_params *a, const struct udpt_params *b)
{
    return a->heartbeat_ms == b->heartbeat_ms && a->dead_ms == b->dead_ms &&
           a->flow_timeout_ms == b->flow_timeout_ms &&
           a->max_queue_delay_ms == b->max_queue_delay_ms;
}

static void proper(const uint8_t *data, size_t size)
{
    struct reader r = reader_of(data, size);
    uint8_t change = reader_u8(&r);
    struct hello hello = {.version_low = 1, .version_high = (uint8_t)(1 + reader_u8(&r) % 4)};
    reader_copy(&r, hello.session, sizeof hello.session);
    hello.leg = reader_u8(&r) % UDPTUN_MACHINE_MAX_LEGS;
    hello.generation = reader_u32(&r);
    if (hello.generation == 0) /* malformed */
        hello.generation = 1;
    hello.client_incarnation = reader_u64(&r);
    hello.params = params_of(&r);
    uint8_t version =
        hello.version_high < UDPT_VERSION_MOST ? hello.version_high : UDPT_VERSION_MOST;
    struct welcome welcome = {
        .version = version, .known = reader_u8(&r) & 1, .epoch = reader_u64(&r)};
    welcome.incarnation = welcome.known ? reader_u32(&r) : 0;
    welcome.params = params_of(&r);
    if (r.failed)
        return;

    struct handshake client, server;
    uint8_t message[HANDSHAKE_MAX_SIZE];
    handshake_init(&client, true, key);
    handshake_init(&server, true, key);
    if (version >= UDPT_VERSION_SHARES) {
        uint8_t scalar[UDPT_SHARE_SIZE] = {1};
        memcpy(scalar + 1, hello.session, sizeof hello.session);
        handshake_share(&client, scalar, hello.nonce);
        handshake_share(&server, key, welcome.nonce);
    }
    size_t written = handshake_put_hello(&client, &hello, message);
    MUST(handshake_get_hello(&server, message, written) == HANDSHAKE_GOOD);
    MUST(server.hello.leg == hello.leg && server.hello.generation == hello.generation);
    MUST(server.hello.client_incarnation == hello.client_incarnation);
    MUST(memcmp(server.hello.session, hello.session, sizeof hello.session) == 0);
    MUST(same_params(&server.hello.params, &hello.params));

    written = handshake_put_welcome(&server, &welcome, message);
    bool refused;
    struct refuse refuse;
    struct handshake deceived = client;
    uint8_t changed[HANDSHAKE_MAX_SIZE];
    memcpy(changed, message, written);
    changed[change % written] ^= (uint8_t)(1 + change / 2);
    MUST(handshake_get_answer(&deceived, changed, written, &refused, &refuse) != HANDSHAKE_GOOD);
    MUST(handshake_get_answer(&client, message, written, &refused, &refuse) == HANDSHAKE_GOOD);
    MUST(!refused && client.welcome.epoch == welcome.epoch);
    MUST(client.welcome.known == welcome.known);
    MUST(same_params(&client.welcome.params, &welcome.params));

    uint8_t secret[UDPT_SECRET_SIZE], same[UDPT_SECRET_SIZE];
    MUST(handshake_secret(&client, HANDSHAKE_CLIENT, secret));
    MUST(handshake_secret(&server, HANDSHAKE_SERVER, same));
    MUST(memcmp(secret, same, sizeof secret) == 0);
    enum confirm_intent intent;
    written = handshake_put_confirm(&client, CONFIRM_JOIN, secret, message);
    MUST(handshake_get_confirm(&server, message, written, secret, &intent) == HANDSHAKE_GOOD);
    MUST(intent == CONFIRM_JOIN);
    same[0] ^= 1;
    MUST(handshake_get_confirm(&server, message, written, same, &intent) != HANDSHAKE_GOOD);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    raw(data, size);
    proper(data, size);
    return 0;
}
