/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway_tcp.c - the stream behind a TCP flow: dialled, then bytes both ways.
 *
 * Nothing is kept here: what the socket does not take stays with tun2socks, whose window closes;
 * what the app does not take stays in the socket, which is not read.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/engine/gateway/gateway.h"
#include "daemon/engine/streams/dialer.h"

struct gateway_stream {
    struct gateway *gateway;
    struct tun2socks_flow *flow;
    struct dialer *dialer; /* NULL: connected */
    int fd;                /* -1: not connected */
    bool ended;            /* the app's end was passed on */
    ev_io readable;        /* active while there is room */
    ev_io writable;        /* active while it takes no more */
};

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct gateway_stream *s = (struct gateway_stream *)watcher->data;
    void *to;
    (void)events;
    ssize_t room = tun2socks_buffer(s->flow, &to);
    if (room == 0) {
        ev_io_stop(loop, watcher);
        return;
    }
    ssize_t got = room > 0 ? recv(s->fd, to, (size_t)room, 0) : -1;
    bool is_broken = got < 0 && (room < 0 || (errno != EAGAIN && errno != EINTR));
    bool is_taken = tun2socks_filled(s->flow, got > 0 ? (size_t)got : 0);
    if (got == 0) {
        ev_io_stop(loop, watcher);
        tun2socks_ended(s->flow);
        return;
    }
    if (is_broken || !is_taken)
        tun2socks_failed(s->flow);
}

static void on_writable(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct gateway_stream *s = (struct gateway_stream *)watcher->data;
    (void)events;
    ev_io_stop(loop, watcher);
    tun2socks_writable(s->flow);
}

static void on_dialled(void *arg, int fd, const struct udptun_error *err)
{
    struct gateway_stream *s = (struct gateway_stream *)arg;
    struct gateway *t = s->gateway;
    s->dialer = NULL;
    if (fd < 0) {
        /* Through a proxy only what it reported about the target is the app's business alone. */
        bool is_proxy = t->config->tcp == GATEWAY_SOCKS5 && !dial_is_of_target(err);
        gateway_far_end(t, GATEWAY_SIDE_TCP, is_proxy ? err->message : NULL);
        engine_log_gated(t->engine, &t->gate, is_proxy ? UDPTUN_LOG_WARN : UDPTUN_LOG_DEBUG,
                         "tun2socks", "%s: %s", gateway_name(t), err->message);
        tun2socks_refused(s->flow, err->sys_errno);
        return;
    }
    gateway_far_end(t, GATEWAY_SIDE_TCP, NULL);
    int most = INT_MAX; /* a bulk flow needs no short queue, as frames do */
    socket_limit_unsent(fd, most);
    s->fd = fd;
    ev_io_init(&s->readable, on_readable, fd, EV_READ);
    ev_io_init(&s->writable, on_writable, fd, EV_WRITE);
    s->readable.data = s;
    s->writable.data = s;
    tun2socks_connected(s->flow);
}

static int stream_open(void *arg, struct tun2socks_flow *flow, const struct endpoint *source,
                       const struct endpoint *destination, void **stream)
{
    struct gateway *t = (struct gateway *)arg;
    (void)source;
    if (t->config->tcp == GATEWAY_REJECT || t->is_closing)
        return -ECONNREFUSED;
    struct gateway_stream *s = (struct gateway_stream *)calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    *s = (struct gateway_stream){.gateway = t, .flow = flow, .fd = -1};
    struct dial_config dial = {.rules = gateway_rules(t), .resolver = t->resolver};
    dial.server.kind = URL_HOST_PORT;
    dial.server.host.ep = *destination;
    dial.server.host.port = destination->port;
    if (t->config->tcp == GATEWAY_SOCKS5)
        dial.via = t->config->tcp_url;
    s->dialer = dial_start(t->engine->loop, &dial, on_dialled, s);
    if (!s->dialer) {
        free(s);
        return -ENOMEM;
    }
    *stream = s;
    return 0;
}

static ssize_t stream_write(void *stream, const struct iovec *parts, int count)
{
    struct gateway_stream *s = (struct gateway_stream *)stream;
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)parts,
                             .msg_iovlen = (size_t)count};
    size_t offered = 0;
    for (int i = 0; i < count; i++)
        offered += parts[i].iov_len;
    ssize_t sent = sendmsg(s->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN && errno != EINTR)
        return -1;
    if (sent < 0)
        sent = 0;
    if ((size_t)sent < offered)
        ev_io_start(s->gateway->engine->loop, &s->writable);
    return sent;
}

static void stream_end(void *stream)
{
    struct gateway_stream *s = (struct gateway_stream *)stream;
    s->ended = true;
    shutdown(s->fd, SHUT_WR);
}

static void stream_room(void *stream)
{
    struct gateway_stream *s = (struct gateway_stream *)stream;
    ev_io_start(s->gateway->engine->loop, &s->readable);
}

static void stream_close(void *stream)
{
    struct gateway_stream *s = (struct gateway_stream *)stream;
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    dial_cancel(s->dialer);
    if (s->fd >= 0) {
        ev_io_stop(s->gateway->engine->loop, &s->readable);
        ev_io_stop(s->gateway->engine->loop, &s->writable);
        if (!s->ended) /* the app broke off; so does its stream */
            (void)setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(s->fd);
    }
    free(s);
}

const struct tun2socks_stream_host gateway_tcp_host = {
    .stream_open = stream_open,
    .stream_write = stream_write,
    .stream_end = stream_end,
    .stream_room = stream_room,
    .stream_close = stream_close,
};
