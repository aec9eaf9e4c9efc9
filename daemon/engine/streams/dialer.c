/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dialer.c - a connected stream to a server: straight, through a proxy, or to a Unix socket.
 *
 * Theory of operation. The dialer first reaches its *hop*: the proxy where there is one, else the
 * server itself. That takes a name resolution where the hop is a name, and then either
 * dial_attempts.c (TCP) or one connect (Unix socket). With a proxy, dial_socks5.c or dial_http.c
 * then says what is sent and how much of the answer is the proxy's. The answer is looked at with
 * MSG_PEEK and just that much is read, so the stream is handed over at the far end's first byte.
 *
 *     RESOLVING -> CONNECTING -> (PROXY) -> done(fd)      any of them -> done(error)
 *
 * One deadline runs over all of it. The end is always reported from the loop, never from within
 * dial_start(), and the dialer is freed before `done` is called.
 */
#include "daemon/engine/streams/dialer.h"

#include <errno.h>
#include <ev.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/engine/streams/dial_attempts.h"
#include "daemon/engine/streams/dial_proxy.h"
#include "proto/error.h"

enum { PEEK_SIZE = 4096 };

struct dialer {
    struct ev_loop *loop;
    struct dial_config config;
    dial_done *done;
    void *arg;
    ev_timer deadline;
    ev_timer start; /* of zero: leads from dial_start() into the loop */
    struct resolver_lookup *lookup;
    struct dial_attempts attempts;
    int fd; /* -1 until it is connected, or while it is a Unix socket's to be */
    ev_io io;
    struct dial_proxy proxy;
    size_t out_sent;
};

static const struct url *hop_of(const struct dialer *d)
{
    return d->config.via.kind == URL_NONE ? &d->config.server : &d->config.via;
}

/* ---- the end ------------------------------------------------------------------------------- */

void dial_cancel(struct dialer *d)
{
    if (!d)
        return;
    ev_timer_stop(d->loop, &d->deadline);
    ev_timer_stop(d->loop, &d->start);
    ev_io_stop(d->loop, &d->io);
    if (d->lookup)
        resolver_cancel(d->lookup);
    dial_attempts_stop(&d->attempts);
    if (d->fd >= 0)
        close(d->fd);
    free(d);
}

static void fail_with(struct dialer *d, const struct udptun_error *err)
{
    struct udptun_error copy = *err;
    dial_done *done = d->done;
    void *arg = d->arg;
    dial_cancel(d);
    done(arg, -1, &copy);
}

static int code_of(int sys_errno)
{
    switch (sys_errno) {
    case ETIMEDOUT:
        return UDPTUN_E_TIMEOUT;
    case EACCES:
    case EPERM:
        return UDPTUN_E_PERMISSION;
    case ENOMEM:
    case ENOBUFS:
        return UDPTUN_E_NOMEM;
    case EMFILE:
    case ENFILE:
    case ENODEV:
    case EADDRNOTAVAIL:
        return UDPTUN_E_SYSTEM;
    }
    return UDPTUN_E_UNREACHABLE;
}

/* "proxy 127.0.0.1:1080: CLAUSE", "192.0.2.1:443: CLAUSE"; `where` NULL: the hop as configured. */
static void describe(const struct dialer *d, const char *field, int code, int sys_errno,
                     const char *where, const char *clause, struct udptun_error *err)
{
    char hop[URL_TEXT_SIZE];
    struct url plain = *hop_of(d);
    bool proxy = d->config.via.kind != URL_NONE;
    if (plain.kind != URL_UNIX)
        plain.kind = URL_HOST_PORT;
    error_set(err, code, field, "%s%s: %s", proxy ? "proxy " : "",
              where ? where : url_format(&plain, hop), clause);
    err->sys_errno = sys_errno;
}

static void fail_about(struct dialer *d, const char *field, int code, int sys_errno,
                       const char *where, const char *clause)
{
    struct udptun_error err;
    describe(d, field, code, sys_errno, where, clause, &err);
    fail_with(d, &err);
}

static void fail(struct dialer *d, int code, int sys_errno, const char *where, const char *clause)
{
    fail_about(d, NULL, code, sys_errno, where, clause);
}

static void fail_errno(struct dialer *d, int sys_errno, const char *where)
{
    char text[ERRNO_TEXT_SIZE];
    fail(d, code_of(sys_errno), sys_errno, where, errno_text(sys_errno, text));
}

void dial_overdue(const struct dialer *d, struct udptun_error *err)
{
    const char *clause = "connection timed out";
    if (d->lookup)
        clause = "name resolution timed out";
    else if (d->fd >= 0 && d->config.via.kind != URL_NONE)
        clause = "no answer in time";
    describe(d, NULL, UDPTUN_E_TIMEOUT, ETIMEDOUT, NULL, clause, err);
}

static void on_deadline(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct dialer *d = (struct dialer *)timer->data;
    struct udptun_error err;
    (void)loop;
    (void)events;
    dial_overdue(d, &err);
    fail_with(d, &err);
}

/* Where the association's datagrams go: a proxy that names no address means its own. */
static struct endpoint relay_of(const struct dialer *d)
{
    struct endpoint relay = d->proxy.bound;
    if (relay.family != ENDPOINT_NONE && !endpoint_is_unspecified(&relay))
        return relay;
    uint16_t port = relay.port;
    relay = socket_remote(d->fd);
    relay.port = port;
    return relay;
}

static void open_stream(struct dialer *d)
{
    int fd = d->fd;
    dial_done *done = d->done;
    void *arg = d->arg;
    ev_io_stop(d->loop, &d->io);
    if (d->config.relay)
        *d->config.relay = relay_of(d);
    d->fd = -1;
    dial_cancel(d);
    done(arg, fd, NULL);
}

static void wait_for(struct dialer *d, int events)
{
    if (ev_is_active(&d->io) && (d->io.events & (EV_READ | EV_WRITE)) == events)
        return;
    ev_io_stop(d->loop, &d->io);
    ev_io_set(&d->io, d->fd, events);
    ev_io_start(d->loop, &d->io);
}

/* ---- the proxy ----------------------------------------------------------------------------- */

static void fail_proxy(struct dialer *d)
{
    const struct udptun_error err = d->proxy.err;
    fail_about(d, err.field, err.code, err.sys_errno, NULL, err.message);
}

/* False: the dialer is gone. */
static bool proxy_send(struct dialer *d)
{
    while (d->out_sent < d->proxy.out_size) {
        ssize_t sent =
            send(d->fd, d->proxy.out + d->out_sent, d->proxy.out_size - d->out_sent, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            wait_for(d, EV_READ | EV_WRITE);
            return true;
        }
        if (sent < 0) {
            fail_errno(d, errno, NULL);
            return false;
        }
        d->out_sent += (size_t)sent;
    }
    d->out_sent = d->proxy.out_size = 0;
    wait_for(d, EV_READ);
    return true;
}

/* Reads what was only looked at. */
static bool consume(int fd, size_t size)
{
    uint8_t sink[PEEK_SIZE];
    while (size > 0) {
        ssize_t got = recv(fd, sink, size, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        size -= (size_t)got;
    }
    return true;
}

static void proxy_read(struct dialer *d)
{
    uint8_t data[PEEK_SIZE];
    size_t taken = 0;
    ssize_t got = recv(d->fd, data, sizeof data, MSG_PEEK);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (got < 0) {
        fail_errno(d, errno, NULL);
        return;
    }
    if (got == 0) {
        fail(d, UDPTUN_E_UNREACHABLE, ECONNRESET, NULL, "closed the connection");
        return;
    }
    enum dial_step step = d->config.via.kind == URL_SOCKS5
                              ? dial_socks5_take(&d->proxy, data, (size_t)got, &taken)
                              : dial_http_take(&d->proxy, data, (size_t)got, &taken);
    if (!consume(d->fd, taken)) {
        fail(d, UDPTUN_E_UNREACHABLE, ECONNRESET, NULL, "closed the connection");
        return;
    }
    switch (step) {
    case DIAL_WAIT:
        if (d->proxy.out_size)
            proxy_send(d);
        return;
    case DIAL_OPEN:
        open_stream(d);
        return;
    case DIAL_FAILED:
        fail_proxy(d);
        return;
    }
}

static void on_proxy(struct ev_loop *loop, ev_io *io, int events)
{
    struct dialer *d = (struct dialer *)io->data;
    (void)loop;
    if ((events & EV_WRITE) && !proxy_send(d))
        return;
    if (events & EV_READ)
        proxy_read(d);
}

static void proxy_start(struct dialer *d)
{
    d->proxy.via = &d->config.via;
    d->proxy.target = &d->config.server.host;
    d->proxy.associate = d->config.relay != NULL;
    if (d->config.via.kind == URL_SOCKS5)
        dial_socks5_begin(&d->proxy);
    else
        dial_http_begin(&d->proxy);
    ev_set_cb(&d->io, on_proxy);
    proxy_send(d);
}

/* ---- the hop ------------------------------------------------------------------------------- */

static void hop_reached(struct dialer *d)
{
    socket_tune_stream(d->fd);
    if (d->config.via.kind == URL_NONE)
        open_stream(d);
    else
        proxy_start(d);
}

static void on_connected(void *arg, int fd, const struct endpoint *to, int sys_errno)
{
    struct dialer *d = (struct dialer *)arg;
    char where[ENDPOINT_TEXT_SIZE];
    if (fd < 0) {
        fail_errno(d, sys_errno, endpoint_format(to, where));
        return;
    }
    d->fd = fd;
    hop_reached(d);
}

static void connect_to(struct dialer *d, const struct endpoint *eps, size_t count)
{
    dial_attempts_start(&d->attempts, d->loop, eps, count, &d->config.rules, on_connected, d);
}

static void on_resolved(void *arg, const struct endpoint *eps, size_t count, const char *failure)
{
    struct dialer *d = (struct dialer *)arg;
    d->lookup = NULL;
    if (count == 0)
        fail(d, UDPTUN_E_UNREACHABLE, EHOSTUNREACH, NULL, failure);
    else
        connect_to(d, eps, count);
}

static void on_path(struct ev_loop *loop, ev_io *io, int events)
{
    struct dialer *d = (struct dialer *)io->data;
    (void)loop;
    (void)events;
    int sys_errno = socket_take_error(d->fd);
    if (sys_errno)
        fail_errno(d, sys_errno, NULL);
    else
        hop_reached(d);
}

/* A connect to a Unix socket is over at once, but for a full backlog: EAGAIN, nothing under way. */
static void connect_path(struct dialer *d)
{
    union socket_address sa;
    socklen_t size = sockaddr_from_path(&sa, d->config.server.path);
    int fd = size ? socket_open(AF_UNIX, SOCK_STREAM, NULL) : -ENAMETOOLONG;
    if (fd < 0) {
        fail_errno(d, -fd, NULL);
        return;
    }
    d->fd = fd;
    if (connect(fd, &sa.any, size) == 0) {
        hop_reached(d);
    } else if (errno == EINPROGRESS) {
        ev_set_cb(&d->io, on_path);
        wait_for(d, EV_WRITE);
    } else if (errno == EAGAIN) {
        fail(d, UDPTUN_E_UNREACHABLE, EAGAIN, NULL, "too many connections wait there");
    } else {
        fail_errno(d, errno, NULL);
    }
}

static void on_start(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct dialer *d = (struct dialer *)timer->data;
    const struct url *hop = hop_of(d);
    (void)loop;
    (void)events;
    if (hop->kind == URL_UNIX) {
        connect_path(d);
    } else if (d->config.server.kind == URL_UNIX) {
        fail(d, UDPTUN_E_INVALID, EAFNOSUPPORT, NULL, "a Unix socket is not reached by a proxy");
    } else if (hop->host.ep.family != ENDPOINT_NONE) {
        connect_to(d, &hop->host.ep, 1);
    } else {
        d->lookup = resolver_lookup(d->config.resolver, hop->host.host, strlen(hop->host.host),
                                    hop->host.port, on_resolved, d);
        if (!d->lookup)
            fail(d, UDPTUN_E_NOMEM, ENOMEM, NULL, "no name can be resolved now");
    }
}

struct dialer *dial_start(struct ev_loop *loop, const struct dial_config *config, dial_done *done,
                          void *arg)
{
    struct dialer *d = (struct dialer *)calloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->loop = loop;
    d->config = *config;
    d->done = done;
    d->arg = arg;
    d->fd = -1;
    uint32_t timeout_ms = config->timeout_ms ? config->timeout_ms : DIAL_TIMEOUT_MS;
    /* The loop may have slept long, or not have run yet: its time would be up too early. */
    ev_now_update(loop);
    ev_timer_init(&d->deadline, on_deadline, timeout_ms / 1e3, 0.0);
    ev_timer_init(&d->start, on_start, 0.0, 0.0);
    ev_init(&d->io, on_path);
    d->deadline.data = d->start.data = d->io.data = d;
    ev_timer_start(loop, &d->deadline);
    ev_timer_start(loop, &d->start);
    return d;
}
