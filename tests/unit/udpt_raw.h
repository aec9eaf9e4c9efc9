/* SPDX-License-Identifier: Apache-2.0 */
/*
 * udpt_raw.h - a udp-server machine, and clients that say to it whatever a test wants.
 *
 * A raw client is one stream. Its handshake is that of proto/udpt/codec/handshake.h; behind it the
 * test writes the bytes itself. Nothing happens by chance, and time passes only in raw_run().
 */
#ifndef TESTS_UDPT_RAW_H
#define TESTS_UDPT_RAW_H

#include "proto/buffer.h"
#include "proto/udpt/codec/frame.h"
#include "proto/udpt/codec/handshake.h"
#include "proto/udpt/machine.h"

struct raw_server {
    struct udptun_machine_config config;
    struct udptun_machine *m;
    uint64_t now_us;
    uint64_t random; /* state of its generator */
    unsigned hangups, opened, datagrams;
    char reason[160]; /* of the last hangup */
};

enum { RAW_HEARD_SIZE = 4096 };

struct raw_client {
    struct raw_server *server;
    struct udptun_conn *conn; /* NULL: the server hung up */
    struct handshake handshake;
    struct hello hello;
    uint8_t secret[UDPT_SECRET_SIZE];
    bool reads;
    uint8_t
        heard[RAW_HEARD_SIZE]; /* the last bytes that the server sent, as far as there is room */
    size_t heard_size;
};

/* The caller has set `config`, for example by udptun_machine_config_init(). */
void raw_server_start(struct raw_server *s);
void raw_server_stop(struct raw_server *s);
unsigned raw_sessions(const struct raw_server *s);
/* Let `for_us` pass, with a tick at each deadline. */
void raw_run(struct raw_server *s, uint64_t for_us);

/* A stream is open; nothing is said. `number` makes session id and nonce. False: not accepted. */
bool raw_connect(struct raw_client *c, struct raw_server *s, uint32_t number);
/* Say HELLO as c->hello has it, and read the answer. True: it is WELCOME. */
bool raw_hello(struct raw_client *c);
/* Say CONFIRM. True: the stream is still open then. With CREATE the secret is that of this leg. */
bool raw_confirm(struct raw_client *c, enum confirm_intent intent);
/* All of the above; leg 0, generation 1, CREATE. */
bool raw_establish(struct raw_client *c, struct raw_server *s, uint32_t number);
/* Raw bytes, which the server takes at once. */
void raw_send(struct raw_client *c, const uint8_t *data, size_t size);
/* A control frame of this body. */
void raw_control(struct raw_client *c, const uint8_t *body, size_t size);
/* Take what the server has written to all streams that read. */
void raw_drain(struct raw_server *s);
/* The client ends its stream. */
void raw_close(struct raw_client *c);

#endif
