/* SPDX-License-Identifier: Apache-2.0 */
/*
 * carrier_socket.c - a conn over a socket.
 *
 * Reading is bounded per turn, so that one busy stream does not starve the others; writing goes
 * on until the socket is full, and only then is its writability watched.
 */
#include <stdlib.h>

#include "daemon/engine/tunnel/carrier.h"
#include "daemon/platform/socket.h"

/* System calls per conn and turn. */
enum { MAX_READS = 4, MAX_WRITES = 16 };

struct socket_carrier {
    struct carrier base;
    udptun_socket socket;
    struct io_watch watch; /* LOOP_WRITE only while the socket is full */
};

static struct socket_carrier *carrier_socket_of(struct carrier *c)
{
    return (struct socket_carrier *)c;
}

static void carrier_socket_lost(struct socket_carrier *s, int failure)
{
    struct tunnel *t = s->base.tunnel;
    char text[IO_TEXT_SIZE];
    /* That the peer ended it means more to the machine, who knows how far things were. */
    const char *reason = failure ? io_text(failure, text) : "";
    udptun_conn_lost(s->base.conn, reason, t->engine->loop.now_us);
    tunnel_touch(t);
}

/* False: the carrier is gone. */
static bool carrier_socket_read_some(struct socket_carrier *s)
{
    uint8_t *buffer = s->base.tunnel->engine->read_buffer;
    for (int i = 0; i < MAX_READS; i++) {
        size_t got;
        int failure = socket_read(s->socket, buffer, ENGINE_READ_SIZE, &got);
        if (failure && io_of(failure) == IO_AGAIN)
            return true;
        if (got == 0) {
            carrier_socket_lost(s, failure);
            return false;
        }
        if (!carrier_input(&s->base, buffer, got))
            return false;
        if (got < ENGINE_READ_SIZE)
            return true;
    }
    return true;
}

static void carrier_socket_flush(struct carrier *c)
{
    struct socket_carrier *s = carrier_socket_of(c);
    uint64_t now_us = c->tunnel->engine->loop.now_us;
    unsigned events = LOOP_READ | LOOP_WRITE;
    for (int i = 0; i < MAX_WRITES; i++) {
        struct udptun_span out[2];
        struct io_span spans[2];
        size_t sent;
        int count = udptun_conn_output(c->conn, out);
        if (count == 0) {
            events = LOOP_READ;
            break;
        }
        for (int j = 0; j < count; j++)
            spans[j] = (struct io_span){out[j].data, out[j].size};
        int failure = socket_write_spans(s->socket, spans, (size_t)count, &sent);
        if (failure && io_of(failure) != IO_AGAIN) {
            carrier_socket_lost(s, failure);
            return;
        }
        if (sent == 0)
            break;
        udptun_conn_sent(c->conn, sent, now_us);
    }
    watch_set(&s->watch, events);
}

static void on_ready(void *arg, unsigned events)
{
    struct socket_carrier *s = (struct socket_carrier *)arg;
    struct tunnel *t = s->base.tunnel;
    if ((events & LOOP_READ) && !carrier_socket_read_some(s))
        return;
    if (events & LOOP_WRITE) {
        carrier_socket_flush(&s->base);
        tunnel_touch(t);
    }
}

static void carrier_socket_close_socket(struct carrier *c)
{
    struct socket_carrier *s = carrier_socket_of(c);
    watch_stop(&s->watch);
    socket_close(s->socket);
    free(s);
}

static const struct carrier_ops socket_ops = {.flush = carrier_socket_flush,
                                              .close = carrier_socket_close_socket};

bool carrier_attach_socket(struct tunnel *t, struct udptun_conn *conn, udptun_socket socket)
{
    struct socket_carrier *s = (struct socket_carrier *)calloc(1, sizeof *s);
    if (s)
        watch_init(&s->watch, &t->engine->loop, on_ready, s);
    if (!s || watch_start(&s->watch, socket, LOOP_READ) < 0) {
        free(s);
        socket_close(socket);
        return false;
    }
    s->socket = socket;
    carrier_init(&s->base, &socket_ops, t, conn);
    return true;
}
