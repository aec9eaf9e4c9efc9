/* SPDX-License-Identifier: Apache-2.0 */
/* udpt_raw.c - a udp-server machine, and clients that say to it whatever a test wants. */
#include "tests/unit/udpt_raw.h"

#include <stdio.h>
#include <string.h>

static void give_random(void *arg, void *to, size_t size)
{
    struct raw_server *s = (struct raw_server *)arg;
    for (size_t i = 0; i < size; i++) {
        s->random = s->random * UINT64_C(6364136223846793005) + 1442695040888963407;
        ((uint8_t *)to)[i] = (uint8_t)(s->random >> 56);
    }
}

static void hangup(void *arg, struct udptun_conn *conn, const char *reason)
{
    struct raw_server *s = (struct raw_server *)arg;
    struct raw_client *c = (struct raw_client *)udptun_conn_host(conn);
    s->hangups++;
    snprintf(s->reason, sizeof s->reason, "%s", reason);
    if (c)
        c->conn = NULL;
}

static void datagram(void *arg, struct udptun_binding *b, const struct udptun_dest *peer,
                     const uint8_t *data, size_t size)
{
    (void)b;
    (void)peer;
    (void)data;
    (void)size;
    ((struct raw_server *)arg)->datagrams++;
}

static int binding_opened(void *arg, struct udptun_binding *b, uint16_t want4, uint16_t want6)
{
    (void)b;
    (void)want4;
    (void)want6;
    ((struct raw_server *)arg)->opened++;
    return 0;
}

static void binding_closed(void *arg, struct udptun_binding *b, enum udptun_close_reason reason)
{
    (void)arg;
    (void)b;
    (void)reason;
}

static void state(void *arg, struct udptun_session *s, enum udptun_machine_state to,
                  const char *reason)
{
    (void)arg;
    (void)s;
    (void)to;
    (void)reason;
}

static void log_line(void *arg, enum udptun_machine_log level, const char *text)
{
    (void)arg;
    (void)level;
    (void)text;
}

static const struct udptun_machine_ops OPS = {
    .random = give_random,
    .hangup = hangup,
    .datagram = datagram,
    .binding_opened = binding_opened,
    .binding_closed = binding_closed,
    .state = state,
    .log = log_line,
};

void raw_server_start(struct raw_server *s)
{
    s->now_us = 1000000;
    s->random = 7;
    s->m = udptun_machine_new(&s->config, &OPS, s, s->now_us);
}

void raw_server_stop(struct raw_server *s)
{
    udptun_machine_free(s->m);
    s->m = NULL;
}

unsigned raw_sessions(const struct raw_server *s)
{
    struct udptun_machine_info info;
    udptun_machine_look(s->m, s->now_us, &info);
    return (unsigned)info.sessions;
}

void raw_run(struct raw_server *s, uint64_t for_us)
{
    uint64_t until_us = s->now_us + for_us;
    for (;;) {
        raw_drain(s);
        uint64_t next_us = udptun_machine_deadline(s->m);
        if (next_us > until_us)
            break;
        if (next_us > s->now_us)
            s->now_us = next_us;
        udptun_machine_tick(s->m, s->now_us);
    }
    s->now_us = until_us;
}

void raw_drain(struct raw_server *s)
{
    struct udptun_conn *conn;
    while ((conn = udptun_machine_next_ready(s->m)) != NULL) {
        struct udptun_span spans[2];
        struct raw_client *c = (struct raw_client *)udptun_conn_host(conn);
        while (c && c->reads && udptun_conn_output(conn, spans) > 0) {
            size_t room = sizeof c->heard - c->heard_size;
            size_t kept = spans[0].size < room ? spans[0].size : room;
            memcpy(c->heard + c->heard_size, spans[0].data, kept);
            c->heard_size += kept;
            udptun_conn_sent(conn, spans[0].size, s->now_us);
        }
    }
}

bool raw_connect(struct raw_client *c, struct raw_server *s, uint32_t number)
{
    *c = (struct raw_client){.server = s, .reads = true};
    c->hello = (struct hello){.version_low = 1, .version_high = 1, .generation = 1};
    memcpy(c->hello.session, &number, sizeof number);
    memcpy(c->hello.nonce, &number, sizeof number);
    handshake_init(&c->handshake, s->config.has_key, s->config.key);
    c->conn = udptun_machine_accept(s->m, "a raw client", s->now_us);
    if (c->conn)
        udptun_conn_set_host(c->conn, c);
    return c->conn != NULL;
}

void raw_send(struct raw_client *c, const uint8_t *data, size_t size)
{
    if (c->conn)
        udptun_conn_input(c->conn, data, size, c->server->now_us);
}

void raw_control(struct raw_client *c, const uint8_t *body, size_t size)
{
    uint8_t frame[12 + FRAME_MAX_CONTROL];
    size_t head = frame_put_header(frame, FRAME_CONTROL, size);
    memcpy(frame + head, body, size);
    raw_send(c, frame, head + size);
}

bool raw_hello(struct raw_client *c)
{
    uint8_t bytes[HANDSHAKE_MAX_SIZE];
    bool refused = false;
    struct refuse refuse;
    c->heard_size = 0;
    raw_send(c, bytes, handshake_put_hello(&c->handshake, &c->hello, bytes));
    raw_drain(c->server);
    bool good = handshake_get_answer(&c->handshake, c->heard, c->heard_size, &refused, &refuse) ==
                HANDSHAKE_GOOD;
    c->heard_size = 0;
    return good && !refused;
}

bool raw_confirm(struct raw_client *c, enum confirm_intent intent)
{
    uint8_t bytes[HANDSHAKE_MAX_SIZE];
    if (intent == CONFIRM_CREATE)
        (void)handshake_secret(&c->handshake, HANDSHAKE_CLIENT, c->secret);
    raw_send(c, bytes, handshake_put_confirm(&c->handshake, intent, c->secret, bytes));
    raw_drain(c->server);
    return c->conn != NULL;
}

bool raw_establish(struct raw_client *c, struct raw_server *s, uint32_t number)
{
    return raw_connect(c, s, number) && raw_hello(c) && raw_confirm(c, CONFIRM_CREATE);
}

void raw_close(struct raw_client *c)
{
    if (c->conn)
        udptun_conn_lost(c->conn, "", c->server->now_us);
}
