/* SPDX-License-Identifier: Apache-2.0 */
/* handshake.c - encoding, decoding and proof of the messages that open a leg. */
#include "proto/udpt/codec/handshake.h"

#include <sodium.h>
#include <string.h>

#include "proto/buffer.h"

enum { PARAMS = 12 }; /* ids are below this */

static const uint8_t MAGIC[4] = {'U', 'D', 'P', 'T'};

/* The labels keep a MAC of one message from being taken for that of another. */
static const char LABEL_HELLO[] = "UDPT/1 hello";
static const char LABEL_WELCOME[] = "UDPT/1 welcome";
static const char LABEL_CONFIRM[] = "UDPT/1 confirm";
static const char LABEL_REFUSE[] = "UDPT/1 refuse";
static const char LABEL_SECRET[] = "UDPT/1 secret";
static const char LABEL_SECRET_SHARES[] = "UDPT/2 secret";
static const char LABEL_JOIN[] = "UDPT/1 join";

const char *refuse_text(uint64_t reason)
{
    switch (reason) {
#define REFUSE_TEXT(symbol, value, text)                                                           \
    case value:                                                                                    \
        return text;
        REFUSE_REASONS(REFUSE_TEXT)
#undef REFUSE_TEXT
    }
    return "refused for a reason unknown here";
}

void handshake_init(struct handshake *h, bool has_key, const uint8_t key[UDPTUN_MACHINE_KEY_SIZE])
{
    memset(h, 0, sizeof *h);
    if (has_key)
        memcpy(h->key, key, UDPTUN_MACHINE_KEY_SIZE);
}

void handshake_wipe(struct handshake *h)
{
    sodium_memzero(h, sizeof *h);
}

bool handshake_message_size(const uint8_t *data, size_t available, size_t *size)
{
    *size = 0;
    size_t magic = available < sizeof MAGIC ? available : sizeof MAGIC;
    if (memcmp(data, MAGIC, magic) != 0)
        return false;
    if (available < HANDSHAKE_HEAD_SIZE)
        return true;
    size_t rest = (size_t)data[4] << 8 | data[5];
    *size = HANDSHAKE_HEAD_SIZE - 1 + rest;
    return rest > HANDSHAKE_MAC_SIZE && *size <= HANDSHAKE_MAX_SIZE;
}

/* MAC over label, the first `heard` bytes of the transcript, and `size` bytes of a message. */
static void mac_of(const struct handshake *h, const uint8_t key[UDPTUN_MACHINE_KEY_SIZE],
                   const char *label, size_t heard, const uint8_t *message, size_t size,
                   uint8_t mac[HANDSHAKE_MAC_SIZE])
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, key, UDPTUN_MACHINE_KEY_SIZE, HANDSHAKE_MAC_SIZE);
    crypto_generichash_update(&state, (const uint8_t *)label, strlen(label));
    crypto_generichash_update(&state, h->transcript, heard);
    crypto_generichash_update(&state, message, size);
    crypto_generichash_final(&state, mac, HANDSHAKE_MAC_SIZE);
    sodium_memzero(&state, sizeof state);
}

static struct writer message_begin(uint8_t *to, enum handshake_type type)
{
    struct writer w = writer_of(to, HANDSHAKE_MAX_SIZE);
    /* Magic, the size, which message_end() fills in, and the type. */
    const uint8_t head[HANDSHAKE_HEAD_SIZE] = {'U', 'D', 'P', 'T', 0, 0, (uint8_t)type};
    writer_bytes(&w, head, sizeof head);
    return w;
}

static size_t message_end(const struct handshake *h, struct writer *w, const char *label,
                          const uint8_t key[UDPTUN_MACHINE_KEY_SIZE])
{
    uint8_t mac[HANDSHAKE_MAC_SIZE];
    size_t size = writer_size(w) + sizeof mac;
    size_t rest = size - HANDSHAKE_HEAD_SIZE + 1;
    w->start[4] = (uint8_t)(rest >> 8);
    w->start[5] = (uint8_t)rest;
    mac_of(h, key, label, h->transcript_size, w->start, writer_size(w), mac);
    writer_bytes(w, mac, sizeof mac);
    return size;
}

static void transcript_add(struct handshake *h, const uint8_t *message, size_t size)
{
    memcpy(h->transcript + h->transcript_size, message, size);
    h->transcript_size += size;
}

/* One place that knows which parameter has which number. */
static void params_map(struct udpt_params *p, uint64_t *slots[PARAMS])
{
    slots[0] = NULL;
    slots[1] = &p->heartbeat_ms;
    slots[2] = &p->dead_ms;
    slots[3] = &p->resume_ms;
    slots[4] = &p->max_flows;
    slots[5] = &p->flow_timeout_ms;
    slots[6] = &p->max_queue_delay_ms;
    slots[7] = &p->redundancy;
    slots[8] = &p->redundancy_max_size;
    slots[9] = &p->max_legs;
    slots[10] = &p->settings_serial;
    slots[11] = &p->capabilities;
}

void params_put(struct writer *w, const struct udpt_params *params)
{
    struct udpt_params copy = *params;
    uint64_t *slots[PARAMS];
    params_map(&copy, slots);
    for (uint64_t id = 1; id < PARAMS; id++) {
        if (*slots[id] == 0)
            continue;
        writer_varint(w, id);
        writer_varint(w, varint_size(*slots[id]));
        writer_varint(w, *slots[id]);
    }
}

void params_get(struct reader *r, struct udpt_params *params)
{
    *params = (struct udpt_params){0};
    uint64_t *slots[PARAMS];
    params_map(params, slots);
    unsigned seen = 0;
    while (!r->failed && reader_left(r) > 0) {
        uint64_t id = reader_varint(r);
        uint64_t size = reader_varint(r);
        const uint8_t *bytes =
            reader_bytes(r, size > reader_left(r) ? reader_left(r) + 1 : (size_t)size);
        if (!bytes || id == 0 || id >= PARAMS)
            continue;
        struct reader value = reader_of(bytes, (size_t)size);
        *slots[id] = reader_varint(&value);
        if (!reader_done(&value) || seen & 1u << id)
            r->failed = true;
        seen |= 1u << id;
    }
}

size_t handshake_put_hello(struct handshake *h, const struct hello *hello, uint8_t *to)
{
    struct writer w = message_begin(to, HANDSHAKE_HELLO);
    writer_u8(&w, hello->version_low);
    writer_u8(&w, hello->version_high);
    writer_bytes(&w, hello->session, UDPTUN_MACHINE_SESSION_ID_SIZE);
    writer_u8(&w, hello->leg);
    writer_u32(&w, hello->generation);
    writer_u64(&w, hello->client_incarnation);
    writer_bytes(&w, hello->nonce, HANDSHAKE_NONCE_SIZE);
    params_put(&w, &hello->params);
    size_t size = message_end(h, &w, LABEL_HELLO, h->key);
    h->hello = *hello;
    h->hello_size = size;
    transcript_add(h, to, size);
    return size;
}

size_t handshake_put_welcome(struct handshake *h, const struct welcome *welcome, uint8_t *to)
{
    struct writer w = message_begin(to, HANDSHAKE_WELCOME);
    writer_u8(&w, welcome->version);
    writer_u8(&w, welcome->known);
    writer_u64(&w, welcome->epoch);
    writer_u64(&w, welcome->incarnation);
    writer_bytes(&w, welcome->nonce, HANDSHAKE_NONCE_SIZE);
    params_put(&w, &welcome->params);
    size_t size = message_end(h, &w, LABEL_WELCOME, h->key);
    h->welcome = *welcome;
    transcript_add(h, to, size);
    return size;
}

/* The key that proves the shared key and the session's secret at once. */
static void join_key(const struct handshake *h, const uint8_t secret[UDPT_SECRET_SIZE],
                     uint8_t key[UDPTUN_MACHINE_KEY_SIZE])
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, h->key, UDPTUN_MACHINE_KEY_SIZE, UDPTUN_MACHINE_KEY_SIZE);
    crypto_generichash_update(&state, (const uint8_t *)LABEL_JOIN, sizeof LABEL_JOIN - 1);
    crypto_generichash_update(&state, secret, UDPT_SECRET_SIZE);
    crypto_generichash_final(&state, key, UDPTUN_MACHINE_KEY_SIZE);
    sodium_memzero(&state, sizeof state);
}

size_t handshake_put_confirm(struct handshake *h, enum confirm_intent intent,
                             const uint8_t secret[UDPT_SECRET_SIZE], uint8_t *to)
{
    struct writer w = message_begin(to, HANDSHAKE_CONFIRM);
    writer_u8(&w, (uint8_t)intent);
    uint8_t key[UDPTUN_MACHINE_KEY_SIZE];
    if (intent == CONFIRM_JOIN)
        join_key(h, secret, key);
    else
        memcpy(key, h->key, sizeof key);
    size_t size = message_end(h, &w, LABEL_CONFIRM, key);
    sodium_memzero(key, sizeof key);
    return size;
}

size_t handshake_put_refuse(struct handshake *h, enum refuse_reason reason, uint8_t *to)
{
    const char *text = refuse_text(reason);
    struct writer w = message_begin(to, HANDSHAKE_REFUSE);
    writer_varint(&w, reason);
    writer_bytes(&w, text, strlen(text));
    return message_end(h, &w, LABEL_REFUSE, h->key);
}

/* Checks head and MAC; `r` then reads what stands between them. */
static enum handshake_result message_open(const struct handshake *h, const uint8_t *data,
                                          size_t size, const char *label,
                                          const uint8_t key[UDPTUN_MACHINE_KEY_SIZE],
                                          struct reader *r)
{
    size_t whole;
    if (size < HANDSHAKE_HEAD_SIZE + HANDSHAKE_MAC_SIZE ||
        !handshake_message_size(data, size, &whole) || whole != size)
        return HANDSHAKE_MALFORMED;
    uint8_t mac[HANDSHAKE_MAC_SIZE];
    size_t covered = size - sizeof mac;
    mac_of(h, key, label, h->transcript_size, data, covered, mac);
    *r = reader_of(data + HANDSHAKE_HEAD_SIZE, covered - HANDSHAKE_HEAD_SIZE);
    bool proven = sodium_memcmp(mac, data + covered, sizeof mac) == 0;
    return proven ? HANDSHAKE_GOOD : HANDSHAKE_UNPROVEN;
}

enum handshake_result handshake_get_hello(struct handshake *h, const uint8_t *data, size_t size)
{
    struct reader r;
    if (size < HANDSHAKE_HEAD_SIZE || data[6] != HANDSHAKE_HELLO)
        return HANDSHAKE_MALFORMED;
    enum handshake_result result = message_open(h, data, size, LABEL_HELLO, h->key, &r);
    if (result != HANDSHAKE_GOOD)
        return result;
    struct hello *hello = &h->hello;
    hello->version_low = reader_u8(&r);
    hello->version_high = reader_u8(&r);
    reader_copy(&r, hello->session, UDPTUN_MACHINE_SESSION_ID_SIZE);
    hello->leg = reader_u8(&r);
    hello->generation = reader_u32(&r);
    hello->client_incarnation = reader_u64(&r);
    reader_copy(&r, hello->nonce, HANDSHAKE_NONCE_SIZE);
    params_get(&r, &hello->params);
    if (!reader_done(&r) || hello->version_low > hello->version_high || hello->generation == 0)
        return HANDSHAKE_MALFORMED;
    h->hello_size = size;
    transcript_add(h, data, size);
    return HANDSHAKE_GOOD;
}

enum handshake_result handshake_get_confirm(struct handshake *h, const uint8_t *data, size_t size,
                                            const uint8_t *secret, enum confirm_intent *intent)
{
    if (size <= HANDSHAKE_HEAD_SIZE || data[6] != HANDSHAKE_CONFIRM ||
        data[HANDSHAKE_HEAD_SIZE] > CONFIRM_JOIN)
        return HANDSHAKE_MALFORMED;
    *intent = (enum confirm_intent)data[HANDSHAKE_HEAD_SIZE];
    if (*intent == CONFIRM_JOIN && !secret)
        return HANDSHAKE_UNPROVEN;
    uint8_t key[UDPTUN_MACHINE_KEY_SIZE];
    if (*intent == CONFIRM_JOIN)
        join_key(h, secret, key);
    else
        memcpy(key, h->key, sizeof key);
    struct reader r;
    enum handshake_result result = message_open(h, data, size, LABEL_CONFIRM, key, &r);
    sodium_memzero(key, sizeof key);
    if (result == HANDSHAKE_GOOD && reader_left(&r) != 1)
        return HANDSHAKE_MALFORMED;
    return result;
}

static enum handshake_result get_welcome(struct handshake *h, struct reader *r)
{
    struct welcome *welcome = &h->welcome;
    welcome->version = reader_u8(r);
    welcome->known = reader_u8(r);
    welcome->epoch = reader_u64(r);
    welcome->incarnation = reader_u64(r);
    reader_copy(r, welcome->nonce, HANDSHAKE_NONCE_SIZE);
    params_get(r, &welcome->params);
    bool good = reader_done(r) && welcome->known <= 1 && welcome->version >= h->hello.version_low &&
                welcome->version <= h->hello.version_high;
    return good ? HANDSHAKE_GOOD : HANDSHAKE_MALFORMED;
}

static enum handshake_result get_refuse(struct reader *r, struct refuse *refuse)
{
    refuse->reason = reader_varint(r);
    size_t size = reader_left(r);
    if (size >= sizeof refuse->text)
        size = sizeof refuse->text - 1;
    const uint8_t *text = reader_bytes(r, size);
    for (size_t i = 0; text && i < size; i++) /* it goes to a log: printable ASCII only */
        refuse->text[i] = text[i] >= ' ' && text[i] <= '~' ? (char)text[i] : '?';
    refuse->text[size] = '\0';
    return r->failed ? HANDSHAKE_MALFORMED : HANDSHAKE_GOOD;
}

enum handshake_result handshake_get_answer(struct handshake *h, const uint8_t *data, size_t size,
                                           bool *refused, struct refuse *refuse)
{
    if (size < HANDSHAKE_HEAD_SIZE || (data[6] != HANDSHAKE_WELCOME && data[6] != HANDSHAKE_REFUSE))
        return HANDSHAKE_MALFORMED;
    *refused = data[6] == HANDSHAKE_REFUSE;
    struct reader r;
    enum handshake_result result =
        message_open(h, data, size, *refused ? LABEL_REFUSE : LABEL_WELCOME, h->key, &r);
    if (result != HANDSHAKE_GOOD)
        return result;
    if (*refused)
        return get_refuse(&r, refuse);
    result = get_welcome(h, &r);
    if (result == HANDSHAKE_GOOD)
        transcript_add(h, data, size);
    return result;
}

void handshake_share(struct handshake *h, const uint8_t random[UDPT_SHARE_SIZE],
                     uint8_t nonce[HANDSHAKE_NONCE_SIZE])
{
    _Static_assert(crypto_scalarmult_SCALARBYTES == UDPT_SHARE_SIZE &&
                       crypto_scalarmult_BYTES == HANDSHAKE_NONCE_SIZE,
                   "a share takes the place of a nonce");
    memcpy(h->scalar, random, sizeof h->scalar);
    crypto_scalarmult_base(nonce, h->scalar);
}

bool handshake_secret(const struct handshake *h, enum handshake_end end,
                      uint8_t secret[UDPT_SECRET_SIZE])
{
    if (h->welcome.version < UDPT_VERSION_SHARES) {
        mac_of(h, h->key, LABEL_SECRET, h->transcript_size, NULL, 0, secret);
        return true;
    }
    const uint8_t *theirs = end == HANDSHAKE_CLIENT ? h->welcome.nonce : h->hello.nonce;
    uint8_t shared[crypto_scalarmult_BYTES];
    if (crypto_scalarmult(shared, h->scalar, theirs) != 0) /* all zero, whatever the scalar */
        return false;
    mac_of(h, h->key, LABEL_SECRET_SHARES, h->transcript_size, shared, sizeof shared, secret);
    sodium_memzero(shared, sizeof shared);
    return true;
}
