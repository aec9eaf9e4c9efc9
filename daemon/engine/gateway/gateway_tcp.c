/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway_tcp.c - the stream behind a TCP flow: dialled, then bytes both ways.
 *
 * Nothing is kept here: what the socket does not take stays with tun2socks, whose window closes;
 * what the app does not take stays in the socket, which is not read.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/engine/gateway/gateway.h"
#include "daemon/engine/streams/dialer.h"

struct gateway_stream {
    struct gateway *gateway;
    struct tun2socks_flow *flow;
    struct dialer *dialer; /* NULL: connected */
    udptun_socket socket;  /* NO_SOCKET: not connected */
    bool ended;            /* the app's end was passed on */
    struct path_guard guard;
    struct io_watch watch; /* LOOP_READ while there is room, LOOP_WRITE while it takes no more */
};

static void gateway_tcp_unwatch(struct gateway_stream *s, unsigned events)
{
    watch_set(&s->watch, s->watch.events & ~events);
}

static void gateway_tcp_read_some(struct gateway_stream *s)
{
    void *to;
    size_t got = 0;
    ssize_t room = tun2socks_buffer(s->flow, &to);
    if (room == 0) {
        gateway_tcp_unwatch(s, LOOP_READ);
        return;
    }
    enum io what = room > 0 ? io_of(socket_read(s->socket, to, (size_t)room, &got)) : IO_NO_MEMORY;
    bool is_taken = tun2socks_filled(s->flow, got);
    if (what == IO_OK && got == 0) {
        gateway_tcp_unwatch(s, LOOP_READ);
        tun2socks_ended(s->flow);
        return;
    }
    if ((what != IO_OK && what != IO_AGAIN) || !is_taken)
        tun2socks_failed(s->flow);
}

/* Each of the two may end the flow, and `s` with it: what else is ready is told again. */
static void on_ready(void *arg, unsigned events)
{
    struct gateway_stream *s = (struct gateway_stream *)arg;
    if (events & LOOP_WRITE) {
        gateway_tcp_unwatch(s, LOOP_WRITE);
        tun2socks_writable(s->flow);
    } else {
        gateway_tcp_read_some(s);
    }
}

static void on_address_gone(void *arg)
{
    tun2socks_failed(((struct gateway_stream *)arg)->flow);
}

static void on_dialled(void *arg, udptun_socket socket, const struct udptun_error *err)
{
    struct gateway_stream *s = (struct gateway_stream *)arg;
    struct gateway *t = s->gateway;
    s->dialer = NULL;
    if (socket == NO_SOCKET) {
        /* Through a proxy only what it reported about the target is the app's business alone. */
        bool is_full = io_of(err->sys_errno) == IO_FULL;
        if (is_full)
            gateway_lacks_socket(t, "a TCP flow");
        bool is_proxy = t->config->tcp == GATEWAY_SOCKS5 && !dial_is_of_target(err) && !is_full;
        gateway_far_end(t, GATEWAY_SIDE_TCP, is_proxy ? err->message : NULL);
        engine_log_gated(t->engine, &t->gate, is_proxy ? UDPTUN_LOG_WARN : UDPTUN_LOG_DEBUG,
                         "tun2socks", "%s: %s", gateway_name(t), err->message);
        tun2socks_refused(s->flow, io_of(err->sys_errno));
        return;
    }
    gateway_far_end(t, GATEWAY_SIDE_TCP, NULL);
    int most = INT_MAX; /* a bulk flow needs no short queue, as frames do */
    socket_limit_unsent(socket, most);
    s->socket = socket;
    watch_init(&s->watch, &t->engine->loop, on_ready, s);
    if (watch_start(&s->watch, socket, 0) < 0) {
        tun2socks_refused(s->flow, IO_NO_MEMORY);
        return;
    }
    path_guard_start(&s->guard, &t->engine->paths, socket, on_address_gone, s);
    tun2socks_connected(s->flow);
}

static enum io stream_open(void *arg, struct tun2socks_flow *flow,
                           const struct udptun_endpoint *source,
                           const struct udptun_endpoint *destination, void **stream)
{
    struct gateway *t = (struct gateway *)arg;
    (void)source;
    if (t->config->tcp == GATEWAY_REJECT || t->is_closing)
        return IO_REFUSED;
    struct gateway_stream *s = (struct gateway_stream *)calloc(1, sizeof *s);
    if (!s)
        return IO_NO_MEMORY;
    *s = (struct gateway_stream){.gateway = t, .flow = flow, .socket = NO_SOCKET};
    struct dial_config dial = {.rules = gateway_rules(t), .resolver = t->resolver};
    dial.server.kind = URL_HOST_PORT;
    dial.server.host.ep = *destination;
    dial.server.host.port = destination->port;
    if (t->dns && destination->port == DNS_PORT)
        dial.server.host = t->config->dns;
    if (t->config->tcp == GATEWAY_SOCKS5)
        dial.via = t->config->tcp_url;
    s->dialer = dial_start(&t->engine->loop, &dial, on_dialled, s);
    if (!s->dialer) {
        free(s);
        return IO_NO_MEMORY;
    }
    *stream = s;
    return IO_OK;
}

static ssize_t stream_write(void *stream, const struct io_span *parts, int count)
{
    struct gateway_stream *s = (struct gateway_stream *)stream;
    size_t offered = 0, sent;
    for (int i = 0; i < count; i++)
        offered += parts[i].size;
    enum io what = io_of(socket_write_spans(s->socket, parts, (size_t)count, &sent));
    if (what != IO_OK && what != IO_AGAIN)
        return -1;
    if (sent < offered)
        watch_set(&s->watch, s->watch.events | LOOP_WRITE);
    return (ssize_t)sent;
}

static void stream_end(void *stream)
{
    struct gateway_stream *s = (struct gateway_stream *)stream;
    s->ended = true;
    socket_end(s->socket);
}

static void stream_room(void *stream)
{
    struct gateway_stream *s = (struct gateway_stream *)stream;
    watch_set(&s->watch, s->watch.events | LOOP_READ);
}

static void stream_close(void *stream)
{
    struct gateway_stream *s = (struct gateway_stream *)stream;
    dial_cancel(s->dialer);
    watch_stop(&s->watch);
    path_guard_stop(&s->guard);
    if (s->socket != NO_SOCKET && s->ended)
        socket_close(s->socket);
    else if (s->socket != NO_SOCKET)
        socket_abort(s->socket); /* the app broke off; so does its stream */
    free(s);
}

const struct tun2socks_stream_host gateway_tcp_host = {
    .stream_open = stream_open,
    .stream_write = stream_write,
    .stream_end = stream_end,
    .stream_room = stream_room,
    .stream_close = stream_close,
};
