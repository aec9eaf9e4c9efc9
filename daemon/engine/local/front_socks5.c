/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front_socks5.c - "socks5://": a SOCKS5 server (RFC 1928, RFC 1929).
 *
 * UDP ASSOCIATE goes into the tunnel (front_socks5_udp.c); CONNECT is relayed unchanged to tcpProxy
 * (relay.c); BIND is refused. A message is read to its last byte and no further, so that what a
 * client sends right behind it is still in the socket when the relay takes over.
 *
 *     GREETING ─▶ PASSWORD ─▶ REQUEST ─▶ ASSOCIATED            until the connection ends
 *            └──────────────────▲  ├───▶ DIALLING ─▶ RELAYING  until both directions ended
 *                                  └───▶ ENDING                refused: until the client has read
 * it
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/engine/local/front_socks5_udp.h"
#include "daemon/engine/streams/dialer.h"
#include "daemon/engine/streams/relay.h"
#include "daemon/platform/socket.h"
#include "proto/error.h"

enum {
    HANDSHAKE_US = 10 * 1000 * 1000,
    ENDING_US = 2 * 1000 * 1000,
    EVICT_IDLE_US = 5 * 1000 * 1000, /* one that is idle for less makes no room */
};

enum client_state {
    GREETING,   /* the methods it offers are awaited */
    PASSWORD,   /* ... user and password */
    REQUEST,    /* ... what it wants */
    ASSOCIATED, /* its datagrams are served; the connection only says how long */
    DIALLING,   /* tcpProxy is being asked; nothing is read */
    RELAYING,   /* the socket is the relay's */
    ENDING,     /* it was refused; what it still sends is thrown away */
};

struct socks5_client {
    struct list node; /* local.clients */
    struct tunnel *tunnel;
    enum client_state state;
    udptun_socket socket; /* NO_SOCKET: the relay's */
    struct udptun_endpoint peer;
    struct io_watch readable;
    struct timer timeout;
    struct association *association;
    struct dialer *dialer;
    struct relay *relay;
    size_t in_size;
    uint8_t in[SOCKS5_PASSWORD_SIZE]; /* the longest message of a client */
};

static uint64_t flow_timeout_us(const struct tunnel *t)
{
    return (uint64_t)t->config->given.flow_timeout_s * 1000000;
}

static void client_free(struct socks5_client *c)
{
    struct tunnel *t = c->tunnel;
    watch_stop(&c->readable);
    timer_stop(&c->timeout);
    association_close(c->association);
    dial_cancel(c->dialer);
    relay_stop(c->relay);
    if (c->socket != NO_SOCKET)
        socket_close(c->socket);
    list_remove(&c->node);
    t->local->client_count--;
    tunnel_touch(t);
    sodium_memzero(c->in, sizeof c->in);
    free(c);
}

/* A reply fits into an empty socket buffer; one that does not is a client that does not read. */
static bool front_socks5_reply(struct socks5_client *c, const struct writer *w)
{
    size_t sent;
    socket_write(c->socket, w->start, writer_size(w), &sent);
    return sent == writer_size(w);
}

/* Closing with bytes unread would reset the connection under the reply. */
static void front_socks5_end(struct socks5_client *c)
{
    c->state = ENDING;
    socket_end(c->socket);
    timer_start(&c->timeout, ENDING_US);
    watch_set(&c->readable, LOOP_READ);
}

static void front_socks5_refuse(struct socks5_client *c, enum socks5_reply code)
{
    uint8_t out[SOCKS5_REPLY_SIZE];
    struct writer w = writer_of(out, sizeof out);
    socks5_write_reply(&w, code, NULL);
    if (front_socks5_reply(c, &w))
        front_socks5_end(c);
    else
        client_free(c);
}

/* ---- requests -----------------------------------------------------------------------------------
 */

static bool may_relay(const struct socks5_client *c)
{
    return c->tunnel->config->tcp_proxy.kind != URL_NONE;
}

static void on_relayed(void *arg)
{
    struct socks5_client *c = (struct socks5_client *)arg;
    c->relay = NULL;
    client_free(c);
}

static void on_dialled(void *arg, udptun_socket socket, const struct udptun_error *err)
{
    struct socks5_client *c = (struct socks5_client *)arg;
    struct tunnel *t = c->tunnel;
    c->dialer = NULL;
    if (socket == NO_SOCKET) {
        engine_log_gated(t->engine, &t->local->listen_gate, UDPTUN_LOG_INFO, "socks5",
                         "%s: CONNECT failed: %s", tunnel_name(t), err->message);
        front_socks5_refuse(c, (enum socks5_reply)dial_socks5_reply(err));
        return;
    }
    uint8_t out[SOCKS5_REPLY_SIZE];
    struct writer w = writer_of(out, sizeof out);
    socks5_write_reply(&w, SOCKS5_OK, NULL);
    if (!front_socks5_reply(c, &w)) {
        socket_close(socket);
        client_free(c);
        return;
    }
    c->state = RELAYING;
    udptun_socket own = c->socket;
    watch_stop(&c->readable);
    c->socket = NO_SOCKET;
    c->relay = relay_start(t->engine, own, socket, on_relayed, c);
    if (!c->relay)
        client_free(c);
}

static bool fill_host(struct host_port *host, const struct socks5_address *address)
{
    char text[ENDPOINT_TEXT_SIZE];
    if (address->name_len == 0)
        return host_port_parse(endpoint_format(&address->ep, text), false, host) == NULL;
    *host = (struct host_port){.port = address->port};
    memcpy(host->host, address->name, (size_t)address->name_len + 1);
    return true;
}

static void serve_connect(struct socks5_client *c, const struct socks5_address *address)
{
    struct tunnel *t = c->tunnel;
    struct dial_config dial = {
        .server = {.kind = URL_HOST_PORT},
        .via = t->config->tcp_proxy,
        .rules = tunnel_rules(t),
        .resolver = t->resolver,
    };
    dial.rules.leaves_spare = true;
    if (!may_relay(c) || !fill_host(&dial.server.host, address)) {
        front_socks5_refuse(c, SOCKS5_NOT_ALLOWED);
        return;
    }
    c->dialer = dial_start(&t->engine->loop, &dial, on_dialled, c);
    if (!c->dialer) {
        front_socks5_refuse(c, SOCKS5_FAILED);
        return;
    }
    c->state = DIALLING;
    timer_stop(&c->timeout);
    watch_set(&c->readable, 0);
}

static void serve_associate(struct socks5_client *c)
{
    struct tunnel *t = c->tunnel;
    struct udptun_endpoint own = socket_own(c->socket);
    struct udptun_endpoint bound;
    int failure;
    c->association = association_open(t, &c->peer, &own, &bound, &failure);
    if (!c->association) {
        char text[IO_TEXT_SIZE];
        if (io_of(failure) == IO_FULL)
            cap_descriptors(t->engine, &t->cap, "socks5", tunnel_name(t), "an association");
        else
            engine_log_gated(t->engine, &t->local->listen_gate, UDPTUN_LOG_WARN, "socks5",
                             "%s: no socket for an association: %s", tunnel_name(t),
                             io_text(failure, text));
        front_socks5_refuse(c, SOCKS5_FAILED);
        return;
    }
    uint8_t out[SOCKS5_REPLY_SIZE];
    struct writer w = writer_of(out, sizeof out);
    socks5_write_reply(&w, SOCKS5_OK, &bound);
    c->state = ASSOCIATED;
    timer_start(&c->timeout, flow_timeout_us(t));
    if (!front_socks5_reply(c, &w))
        client_free(c);
}

static void front_socks5_serve(struct socks5_client *c, const struct socks5_request *request)
{
    switch (request->command) {
    case SOCKS5_CONNECT:
        serve_connect(c, &request->address);
        return;
    case SOCKS5_UDP_ASSOCIATE:
        serve_associate(c);
        return;
    }
    front_socks5_refuse(c, SOCKS5_COMMAND_UNSUPPORTED);
}

/* ---- the handshake ------------------------------------------------------------------------------
 */

static bool same_secret(const char *given, size_t given_len, const char *wanted)
{
    size_t wanted_len = strlen(wanted);
    return given_len == wanted_len && sodium_memcmp(given, wanted, wanted_len) == 0;
}

static bool password_fits(const struct socks5_client *c, const struct socks5_password *p)
{
    const struct url *listen = &c->tunnel->config->listen;
    bool user = same_secret(p->user, p->user_len, listen->user);
    bool password = same_secret(p->password, p->password_len, listen->password);
    return user && password;
}

/* Each of these handles one whole message; false: the client is gone or awaits nothing more. */
static bool take_greeting(struct socks5_client *c, const struct socks5_greeting *greeting)
{
    bool wants_password = c->tunnel->config->listen.has_user;
    bool fits = wants_password ? greeting->password : greeting->none;
    uint8_t out[2];
    struct writer w = writer_of(out, sizeof out);
    if (!fits)
        socks5_write_method(&w, SOCKS5_METHOD_REFUSED);
    else
        socks5_write_method(&w, wants_password ? SOCKS5_METHOD_PASSWORD : SOCKS5_METHOD_NONE);
    c->state = wants_password ? PASSWORD : REQUEST;
    if (front_socks5_reply(c, &w) && fits)
        return true;
    front_socks5_end(c);
    return false;
}

static bool take_password(struct socks5_client *c, struct socks5_password *p)
{
    bool fits = password_fits(c, p);
    struct tunnel *t = c->tunnel;
    uint8_t out[2];
    struct writer w = writer_of(out, sizeof out);
    sodium_memzero(p, sizeof *p);
    socks5_write_password_reply(&w, fits);
    c->state = REQUEST;
    if (front_socks5_reply(c, &w) && fits)
        return true;
    char peer[ENDPOINT_TEXT_SIZE];
    engine_log_gated(t->engine, &t->local->listen_gate, UDPTUN_LOG_WARN, "socks5",
                     "%s: %s refused: wrong user or password", tunnel_name(t),
                     endpoint_format(&c->peer, peer));
    front_socks5_end(c);
    return false;
}

/* Decode what has come; `*need` is how many bytes there must be for more. */
static enum socks5_result front_socks5_decode(struct socks5_client *c, size_t *need, bool *go_on)
{
    struct reader r = reader_of(c->in, c->in_size);
    struct socks5_greeting greeting;
    struct socks5_password password;
    struct socks5_request request;
    const char *cause = "";
    uint8_t code = SOCKS5_FAILED;
    enum socks5_result result = SOCKS5_BAD;
    *go_on = false;
    if (c->state == GREETING) {
        result = socks5_read_greeting(&r, &greeting, need, &cause);
        if (result == SOCKS5_DONE)
            *go_on = take_greeting(c, &greeting);
    } else if (c->state == PASSWORD) {
        result = socks5_read_password(&r, &password, need, &cause);
        if (result == SOCKS5_DONE)
            *go_on = take_password(c, &password);
    } else {
        result = socks5_read_request(&r, &request, &code, need, &cause);
        if (result == SOCKS5_DONE)
            front_socks5_serve(c, &request);
        else if (result == SOCKS5_BAD)
            front_socks5_refuse(c, (enum socks5_reply)code);
        return result;
    }
    if (result == SOCKS5_BAD)
        front_socks5_end(c);
    return result;
}

static void handshake(struct socks5_client *c)
{
    for (;;) {
        size_t need = 1;
        bool go_on;
        enum socks5_result result = front_socks5_decode(c, &need, &go_on);
        if (result != SOCKS5_MORE && !go_on)
            return;
        if (result == SOCKS5_DONE) {
            c->in_size = 0;
            continue;
        }
        if (need > sizeof c->in || need <= c->in_size) {
            client_free(c);
            return;
        }
        size_t got;
        enum io result_of_read =
            io_of(socket_read(c->socket, c->in + c->in_size, need - c->in_size, &got));
        if (result_of_read == IO_AGAIN)
            return;
        if (got == 0) {
            client_free(c);
            return;
        }
        c->in_size += got;
    }
}

/* What comes on a connection that has nothing more to say is thrown away; only its end counts. */
static void discard(struct socks5_client *c)
{
    uint8_t waste[1024];
    size_t got;
    if (io_of(socket_read(c->socket, waste, sizeof waste, &got)) != IO_AGAIN && got == 0)
        client_free(c);
}

static void on_readable(void *arg, unsigned events)
{
    (void)events;
    struct socks5_client *c = (struct socks5_client *)arg;
    switch (c->state) {
    case GREETING:
    case PASSWORD:
    case REQUEST:
        handshake(c);
        return;
    case ASSOCIATED:
    case ENDING:
        discard(c);
        return;
    case DIALLING:
    case RELAYING:
        return;
    }
}

/* An association that carried no datagram by now was opened for nothing. One that did is kept as
 * long as its connection, since its client counts on the port; it makes room when that is scarce.
 */
static void on_timeout(void *arg)
{
    struct socks5_client *c = (struct socks5_client *)arg;
    if (c->state != ASSOCIATED || !association_is_used(c->association))
        client_free(c);
}

/* ---- the listener -------------------------------------------------------------------------------
 */

/* The idlest association ends for a new client, and what it lacked is told. False: none has been
 * idle for a while. */
static bool front_socks5_evict(struct tunnel *t)
{
    struct socks5_client *idlest = NULL;
    uint64_t idle_us = flow_timeout_us(t) < EVICT_IDLE_US ? flow_timeout_us(t) : EVICT_IDLE_US;
    uint64_t active_us = t->engine->loop.now_us - idle_us;
    LIST_FOREACH (node, &t->local->clients) {
        struct socks5_client *c = list_entry(node, struct socks5_client, node);
        if (c->state != ASSOCIATED || association_active_us(c->association) > active_us)
            continue;
        active_us = association_active_us(c->association);
        idlest = c;
    }
    if (!idlest)
        return false;
    client_free(idlest);
    return true;
}

/* Whether there is room for one more client. Streams and commands keep some descriptors. */
static bool front_socks5_make_room(struct tunnel *t, udptun_socket socket)
{
    int64_t most = t->config->given.max_flows;
    if (t->local->client_count >= (size_t)most)
        cap_reached(t->engine, &t->cap, "socks5", tunnel_name(t),
                    "socks5: maxFlows (%d) connections are open; for a new one the idlest "
                    "association ends",
                    (int)most);
    else if (socket_is_spare(socket))
        cap_descriptors(t->engine, &t->cap, "socks5", tunnel_name(t), "a SOCKS5 client");
    else
        return true;
    return front_socks5_evict(t);
}

static void front_socks5_taken(void *arg, udptun_socket socket, const struct udptun_endpoint *from)
{
    struct tunnel *t = (struct tunnel *)arg;
    struct udp_local *local = t->local;
    bool room = front_socks5_make_room(t, socket);
    struct socks5_client *c = room ? (struct socks5_client *)calloc(1, sizeof *c) : NULL;
    if (c)
        watch_init(&c->readable, &t->engine->loop, on_readable, c);
    if (!c || watch_start(&c->readable, socket, LOOP_READ) < 0) {
        engine_log_gated(t->engine, &local->listen_gate, UDPTUN_LOG_WARN, "socks5",
                         "%s: a client was refused: %s", tunnel_name(t),
                         room ? "out of memory" : t->cap.text);
        socket_close(socket);
        free(c);
        return;
    }
    socket_tune(socket);
    c->tunnel = t;
    c->socket = socket;
    c->peer = endpoint_unmapped(from);
    list_init(&c->node);
    list_append(&local->clients, &c->node);
    local->client_count++;
    timer_init(&c->timeout, &t->engine->loop, on_timeout, c);
    timer_start(&c->timeout, HANDSHAKE_US);
}

void front_socks5_init(struct tunnel *t)
{
    acceptor_init(&t->local->acceptor, t->engine, tunnel_module(t), tunnel_name(t), &t->cap,
                  front_socks5_taken, t);
}

void front_socks5_drop_clients(struct tunnel *t)
{
    struct list *clients = &t->local->clients;
    while (!list_empty(clients))
        client_free(list_entry(clients->next, struct socks5_client, node));
}
