/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handshake.h - the messages that open each leg: HELLO, WELCOME, CONFIRM, REFUSE.
 *
 *     client                                server
 *     HELLO    session, leg, nonce    ─▶    nothing is created
 *              known? epoch, nonce    ◀─    WELCOME   (or REFUSE)
 *     CONFIRM  create or join         ─▶    the session is created, or the leg joins it
 *
 * Every message ends with a MAC (BLAKE2b, 32 bytes) over all that was said so far on the leg. Its
 * key is the shared key, or 32 zero bytes where none is set. CONFIRM of a join is made with a key
 * derived from the shared key and the session's secret, so it proves both. The secret is derived
 * on both sides from the HELLO and WELCOME that founded the session and is never on the wire.
 * Both nonces are in every transcript that grants something: there is no replay to remember.
 *
 * Encoding and checking only; proto/udpt/legs/conn.c drives it.
 */
#ifndef PROTO_UDPT_HANDSHAKE_H
#define PROTO_UDPT_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/endpoint.h"
#include <udptun/machine.h>

#define HANDSHAKE_HEAD_SIZE  7 /* magic(4) size(u16) type(u8); size counts from type on */
#define HANDSHAKE_MAX_SIZE   512
#define HANDSHAKE_MAC_SIZE   32
#define HANDSHAKE_NONCE_SIZE 32
#define HANDSHAKE_TEXT_SIZE  128
#define UDPT_SECRET_SIZE     32
#define UDPT_SHARE_SIZE      32
#define UDPT_VERSION_LEAST   1
#define UDPT_VERSION_SHARES  2 /* from here on a nonce is an X25519 share */
#define UDPT_VERSION_MOST    2

enum handshake_type {
    HANDSHAKE_HELLO = 1,
    HANDSHAKE_WELCOME = 2,
    HANDSHAKE_CONFIRM = 3,
    HANDSHAKE_REFUSE = 4,
};

enum confirm_intent { CONFIRM_CREATE = 0, CONFIRM_JOIN = 1 };

/* Why a leg was refused; told only to a peer that proved the key. */
#define REFUSE_REASONS(X)                                                                          \
    X(REFUSE_VERSION, 1, "no version in common")                                                   \
    X(REFUSE_SESSIONS, 2, "the server has as many sessions as it may")                             \
    X(REFUSE_LEG, 3, "no such leg number")                                                         \
    X(REFUSE_UNKNOWN_SESSION, 4, "the session is not known")                                       \
    X(REFUSE_SUPERSEDED, 5, "a newer connection has taken the leg")                                \
    X(REFUSE_SESSION_PROOF, 6, "the session belongs to another client")                            \
    X(REFUSE_STOPPING, 7, "the server is stopping")                                                \
    X(REFUSE_RESOURCES, 8, "the server is out of memory")

enum refuse_reason {
#define REFUSE_ENUM(symbol, value, text) symbol = (value),
    REFUSE_REASONS(REFUSE_ENUM)
#undef REFUSE_ENUM
};

const char *refuse_text(uint64_t reason);

/* Parameters, (id(varint) size(varint) value(varint))*; an unknown id is skipped, an id twice is
 * an error. 0 stands for "not given". */
struct udpt_params {
    uint64_t heartbeat_ms;        /* 1, HELLO */
    uint64_t dead_ms;             /* 2, HELLO */
    uint64_t resume_ms;           /* 3, WELCOME */
    uint64_t max_flows;           /* 4, WELCOME */
    uint64_t flow_timeout_ms;     /* 5, both */
    uint64_t max_queue_delay_ms;  /* 6, both */
    uint64_t redundancy;          /* 7, HELLO */
    uint64_t redundancy_max_size; /* 8, HELLO */
    uint64_t max_legs;            /* 9, WELCOME: data legs that the server takes */
    uint64_t settings_serial;     /* 10, HELLO and SETTINGS: grows with each change of them */
    uint64_t capabilities;        /* 11, WELCOME: enum udpt_capability, what the client may use */
};

enum udpt_capability {
    CAPABILITY_SOURCE_PORT = 1,   /* the ports of sources, for the choice of external ports */
    CAPABILITY_DONT_FRAGMENT = 2, /* datagrams that are to pass whole or not at all */
};

struct hello {
    uint8_t version_low, version_high;
    uint8_t session[UDPTUN_MACHINE_SESSION_ID_SIZE];
    uint8_t leg;
    uint32_t generation;         /* of the leg, from 1 on; a higher one displaces a lower one */
    uint64_t client_incarnation; /* grows with each start of a client that keeps its session */
    uint8_t nonce[HANDSHAKE_NONCE_SIZE];
    struct udpt_params params;
};

struct welcome {
    uint8_t version;
    uint8_t known;        /* 1: the server has this session; 0: it can be created */
    uint64_t epoch;       /* random at each start of the server */
    uint64_t incarnation; /* of the session at the server, 0 while it is not known */
    uint8_t nonce[HANDSHAKE_NONCE_SIZE];
    struct udpt_params params;
};

struct refuse {
    uint64_t reason;
    char text[HANDSHAKE_TEXT_SIZE];
};

/* What both sides heard on one leg, and the keys. Wiped by handshake_wipe(). */
struct handshake {
    uint8_t key[UDPTUN_MACHINE_KEY_SIZE];
    uint8_t scalar[UDPT_SHARE_SIZE];            /* of the share in our nonce */
    uint8_t transcript[2 * HANDSHAKE_MAX_SIZE]; /* HELLO, then WELCOME */
    size_t hello_size;
    size_t transcript_size;
    struct hello hello;
    struct welcome welcome;
};

void handshake_init(struct handshake *h, bool has_key, const uint8_t key[UDPTUN_MACHINE_KEY_SIZE]);
void handshake_wipe(struct handshake *h);

/* Make an X25519 share of 32 random bytes: its public half goes in the place of a nonce. */
void handshake_share(struct handshake *h, const uint8_t random[UDPT_SHARE_SIZE],
                     uint8_t nonce[HANDSHAKE_NONCE_SIZE]);

/* The whole size of the message at `data`, 0 when fewer than HANDSHAKE_HEAD_SIZE bytes are there.
 * False: these bytes are no handshake message, whatever follows. */
bool handshake_message_size(const uint8_t *data, size_t available, size_t *size);

/* Each encodes into `to` (HANDSHAKE_MAX_SIZE), notes what belongs to the transcript, and returns
 * the size of the message. */
size_t handshake_put_hello(struct handshake *h, const struct hello *hello, uint8_t *to);
size_t handshake_put_welcome(struct handshake *h, const struct welcome *welcome, uint8_t *to);
size_t handshake_put_confirm(struct handshake *h, enum confirm_intent intent,
                             const uint8_t secret[UDPT_SECRET_SIZE], uint8_t *to);
size_t handshake_put_refuse(struct handshake *h, enum refuse_reason reason, uint8_t *to);

enum handshake_result {
    HANDSHAKE_GOOD,
    HANDSHAKE_MALFORMED,
    HANDSHAKE_UNPROVEN, /* well-formed, but its MAC is not of our key */
};

/* Each takes one whole message. The server's two: */
enum handshake_result handshake_get_hello(struct handshake *h, const uint8_t *data, size_t size);
/* `secret` is that of the session when the server has it, else NULL (a join is UNPROVEN then). */
enum handshake_result handshake_get_confirm(struct handshake *h, const uint8_t *data, size_t size,
                                            const uint8_t *secret, enum confirm_intent *intent);
/* The client's: WELCOME (`*refused` false) or REFUSE (true, `refuse` filled). */
enum handshake_result handshake_get_answer(struct handshake *h, const uint8_t *data, size_t size,
                                           bool *refused, struct refuse *refuse);
/* The secret of the session that this leg founds. After WELCOME, at the end whose nonce `ours` is.
 * False: version 2, and the far end's share is not a valid one. */
enum handshake_end { HANDSHAKE_CLIENT, HANDSHAKE_SERVER };
bool handshake_secret(const struct handshake *h, enum handshake_end end,
                      uint8_t secret[UDPT_SECRET_SIZE]);

/* As a SETTINGS frame carries them. */
struct writer;
struct reader;
void params_put(struct writer *w, const struct udpt_params *params);
void params_get(struct reader *r, struct udpt_params *params);

#endif
