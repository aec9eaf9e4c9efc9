/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dialer.c - a connected stream to a server: straight, through a proxy, or to a Unix socket.
 *
 * Theory of operation. The dialer first reaches its *hop*: the proxy where there is one, else the
 * server itself. That takes a name resolution where the hop is a name, and then either
 * dial_attempts.c (TCP) or one connect (Unix socket). With a proxy, dial_socks5.c or dial_http.c
 * then says what is sent and how much of the answer is the proxy's. The answer is looked at with
 * socket_peek() and just that much is read, so the stream is handed over at the far end's first
 * byte.
 *
 *     RESOLVING -> CONNECTING -> (PROXY) -> done(socket)     any of them -> done(error)
 *
 * One deadline runs over all of it. The end is always reported from the loop, never from within
 * dial_start(), and the dialer is freed before `done` is called.
 */
#include "daemon/engine/streams/dialer.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/engine/streams/dial_attempts.h"
#include "daemon/engine/streams/dial_proxy.h"
#include "daemon/platform/loop.h"
#include "daemon/platform/network.h"

enum { PEEK_SIZE = 4096, RELAY_LOOKUP_US = 2000000, NEWS_US = 250000 };

struct dialer {
    struct loop *loop;
    struct dial_config config;
    dial_done *done;
    void *arg;
    struct timer deadline;
    struct timer start;    /* of zero: leads from dial_start() into the loop */
    struct timer news;     /* until the resolver is asked whether it knows more by now */
    uint64_t news_us;      /* how long that is */
    struct timer patience; /* while the name of a UDP relay is looked up */
    struct resolver_lookup *lookup;
    struct dial_attempts attempts;
    udptun_socket socket; /* NO_SOCKET until it is connected, or is a local one that connects */
    bool is_connected;
    struct io_watch watch;
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
    timer_stop(&d->deadline);
    timer_stop(&d->start);
    timer_stop(&d->patience);
    timer_stop(&d->news);
    watch_stop(&d->watch);
    if (d->lookup)
        resolver_cancel(d->lookup);
    dial_attempts_stop(&d->attempts);
    if (d->socket != NO_SOCKET)
        socket_close(d->socket);
    free(d);
}

static void fail_with(struct dialer *d, const struct udptun_error *err)
{
    struct udptun_error copy = *err;
    dial_done *done = d->done;
    void *arg = d->arg;
    dial_cancel(d);
    done(arg, NO_SOCKET, &copy);
}

/* What is not a fault of this host is the far end's. */
static int code_of(int failure)
{
    enum io what = io_of(failure);
    if (what == IO_TIMED_OUT || what == IO_DENIED || what == IO_NO_MEMORY)
        return io_code(what);
    if (what == IO_FULL || what == IO_NO_DEVICE || what == IO_NO_ADDRESS)
        return UDPTUN_E_SYSTEM;
    return UDPTUN_E_UNREACHABLE;
}

/* "proxy 127.0.0.1:1080: CLAUSE", "proxy proxy.example:1080 (192.0.2.9:1080): CLAUSE",
 * "192.0.2.1:443: CLAUSE"; `where` NULL: the hop as configured. */
static void dialer_describe(const struct dialer *d, const char *field, int code, int sys_errno,
                            const char *where, const char *clause, struct udptun_error *err)
{
    char hop[URL_TEXT_SIZE];
    struct url plain = *hop_of(d);
    bool proxy = d->config.via.kind != URL_NONE;
    if (plain.kind != URL_UNIX)
        plain.kind = URL_HOST_PORT;
    url_format(&plain, hop);
    if (proxy && where && strcmp(hop, where) != 0)
        error_set(err, code, field, "proxy %s (%s): %s", hop, where, clause);
    else
        error_set(err, code, field, "%s%s: %s", proxy ? "proxy " : "", where ? where : hop, clause);
    err->sys_errno = sys_errno;
}

static void fail_about(struct dialer *d, const char *field, int code, int sys_errno,
                       const char *where, const char *clause)
{
    struct udptun_error err;
    dialer_describe(d, field, code, sys_errno, where, clause, &err);
    fail_with(d, &err);
}

static void dialer_fail(struct dialer *d, int code, int sys_errno, const char *where,
                        const char *clause)
{
    fail_about(d, NULL, code, sys_errno, where, clause);
}

/* This process has no descriptor left, which is not a matter of the hop. */
static void fail_without_descriptors(struct dialer *d, int failure)
{
    struct udptun_error err;
    error_set(
        &err, UDPTUN_E_SYSTEM, NULL,
        "this process has too many open files (%u); raise its limit (LimitNOFILE=, ulimit -n)",
        socket_limit());
    err.sys_errno = failure;
    fail_with(d, &err);
}

static void fail_by(struct dialer *d, int failure, const char *where)
{
    char text[IO_TEXT_SIZE];
    if (io_of(failure) == IO_FULL) {
        fail_without_descriptors(d, failure);
        return;
    }
    dialer_fail(d, code_of(failure), failure, where, io_text(failure, text));
}

void dial_overdue(const struct dialer *d, struct udptun_error *err)
{
    const char *clause = "connection timed out";
    if (d->lookup)
        clause = "name resolution timed out";
    else if (d->socket != NO_SOCKET && d->config.via.kind != URL_NONE)
        clause = "no answer in time";
    dialer_describe(d, NULL, UDPTUN_E_TIMEOUT, io_error(IO_TIMED_OUT), NULL, clause, err);
}

static void on_deadline(void *arg)
{
    struct dialer *d = (struct dialer *)arg;
    struct udptun_error err;
    dial_overdue(d, &err);
    fail_with(d, &err);
}

static void open_stream(struct dialer *d)
{
    udptun_socket socket = d->socket;
    dial_done *done = d->done;
    void *arg = d->arg;
    watch_stop(&d->watch);
    d->socket = NO_SOCKET;
    dial_cancel(d);
    done(arg, socket, NULL);
}

/* False: out of memory, and the dialer is gone. */
static bool dialer_wait_for(struct dialer *d, unsigned events)
{
    if (watch_is_on(&d->watch)) {
        watch_set(&d->watch, events);
        return true;
    }
    if (watch_start(&d->watch, d->socket, events) == UDPTUN_OK)
        return true;
    fail_by(d, io_error(IO_NO_MEMORY), NULL);
    return false;
}

/* ---- the UDP relay of an association --------------------------------------------------------- */

/* A proxy that names no address for its relay means its own. So does one that names its loopback,
 * or `ep` NULL: a host name that only the proxy understands. */
static void open_association(struct dialer *d, const struct udptun_endpoint *ep)
{
    struct udptun_endpoint far = socket_far(d->socket), *relay = d->config.relay;
    far = endpoint_unmapped(&far);
    *relay = far;
    if (ep && !endpoint_is_unspecified(ep) &&
        (endpoint_is_loopback(&far) || !endpoint_is_loopback(ep)))
        *relay = *ep;
    if (relay->scope == 0 && endpoint_is_link_local(relay))
        relay->scope = far.scope;
    relay->port = d->proxy.bound.port;
    open_stream(d);
}

static void on_relay_resolved(void *arg, const struct udptun_endpoint *eps, size_t count,
                              const char *failure)
{
    struct dialer *d = (struct dialer *)arg;
    struct udptun_endpoint far = socket_far(d->socket);
    (void)failure;
    d->lookup = NULL;
    for (size_t i = 0; i < count; i++)
        if (eps[i].family == far.family) {
            open_association(d, &eps[i]);
            return;
        }
    open_association(d, count ? &eps[0] : NULL);
}

static void on_patience_over(void *arg)
{
    struct dialer *d = (struct dialer *)arg;
    resolver_cancel(d->lookup);
    d->lookup = NULL;
    open_association(d, NULL);
}

/* The proxy granted the association: find out where its datagrams go. */
static void associated(struct dialer *d)
{
    const struct socks5_address *bound = &d->proxy.bound;
    struct udptun_endpoint ep;
    if (bound->port == 0) {
        dialer_fail(d, UDPTUN_E_UNREACHABLE, io_error(IO_PROTOCOL), NULL,
                    "its UDP relay has no port");
        return;
    }
    if (socks5_address_ip(bound, &ep)) {
        open_association(d, &ep);
        return;
    }
    if (bound->name_len && strcasecmp(bound->name, "localhost") != 0 &&
        strcasecmp(bound->name, d->config.via.host.host) != 0)
        d->lookup = resolver_lookup(d->config.resolver, bound->name, bound->name_len, bound->port,
                                    on_relay_resolved, d);
    if (!d->lookup) {
        open_association(d, NULL);
        return;
    }
    watch_set(&d->watch, 0);
    timer_start(&d->patience, RELAY_LOOKUP_US);
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
        size_t sent;
        int failure = socket_write(d->socket, d->proxy.out + d->out_sent,
                                   d->proxy.out_size - d->out_sent, &sent);
        if (failure && io_of(failure) == IO_AGAIN)
            return dialer_wait_for(d, LOOP_READ | LOOP_WRITE);
        if (failure) {
            fail_by(d, failure, NULL);
            return false;
        }
        d->out_sent += sent;
    }
    d->out_sent = d->proxy.out_size = 0;
    return dialer_wait_for(d, LOOP_READ);
}

/* Reads what was only looked at. */
static bool consume(udptun_socket socket, size_t size)
{
    uint8_t sink[PEEK_SIZE];
    while (size > 0) {
        size_t got;
        if (socket_read(socket, sink, size, &got) != 0 || got == 0)
            return false;
        size -= got;
    }
    return true;
}

static void proxy_read(struct dialer *d)
{
    uint8_t data[PEEK_SIZE];
    size_t taken = 0, got;
    int failure = socket_peek(d->socket, data, sizeof data, &got);
    if (failure && io_of(failure) == IO_AGAIN)
        return;
    if (failure) {
        fail_by(d, failure, NULL);
        return;
    }
    if (got == 0) {
        dialer_fail(d, UDPTUN_E_UNREACHABLE, io_error(IO_RESET), NULL, "closed the connection");
        return;
    }
    enum dial_step step = d->config.via.kind == URL_SOCKS5
                              ? dial_socks5_take(&d->proxy, data, got, &taken)
                              : dial_http_take(&d->proxy, data, got, &taken);
    if (!consume(d->socket, taken)) {
        dialer_fail(d, UDPTUN_E_UNREACHABLE, io_error(IO_RESET), NULL, "closed the connection");
        return;
    }
    switch (step) {
    case DIAL_WAIT:
        if (d->proxy.out_size)
            proxy_send(d);
        return;
    case DIAL_OPEN:
        if (d->config.relay)
            associated(d);
        else
            open_stream(d);
        return;
    case DIAL_FAILED:
        fail_proxy(d);
        return;
    }
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
    proxy_send(d);
}

/* ---- the hop ------------------------------------------------------------------------------- */

static void hop_reached(struct dialer *d)
{
    d->is_connected = true;
    socket_tune(d->socket);
    if (d->config.via.kind == URL_NONE)
        open_stream(d);
    else
        proxy_start(d);
}

static void on_dialer_connected(void *arg, udptun_socket socket, const struct udptun_endpoint *to,
                                int failure)
{
    struct dialer *d = (struct dialer *)arg;
    char where[ENDPOINT_TEXT_SIZE];
    if (socket == NO_SOCKET) {
        fail_by(d, failure, endpoint_format(to, where));
        return;
    }
    timer_stop(&d->news);
    d->socket = socket;
    hop_reached(d);
}

/* The other family's addresses, or fresh ones for those that were stale, may have come since. */
static void on_dialer_news(void *arg)
{
    struct dialer *d = (struct dialer *)arg;
    const struct host_port *host = &hop_of(d)->host;
    struct udptun_endpoint eps[RESOLVER_MAX_ADDRESSES];
    size_t count;
    if (resolver_cached(d->config.resolver, host->host, strlen(host->host), host->port, eps,
                        RESOLVER_MAX_ADDRESSES, &count))
        dial_attempts_add(&d->attempts, eps, count);
    d->news_us *= 2;
    timer_start(&d->news, d->news_us);
}

static void connect_to(struct dialer *d, const struct udptun_endpoint *eps, size_t count)
{
    dial_attempts_start(&d->attempts, d->loop, eps, count, &d->config.rules, on_dialer_connected,
                        d);
}

static void on_resolved(void *arg, const struct udptun_endpoint *eps, size_t count,
                        const char *failure)
{
    struct dialer *d = (struct dialer *)arg;
    d->lookup = NULL;
    if (count == 0) {
        dialer_fail(d, UDPTUN_E_UNREACHABLE, io_error(IO_HOST_UNREACHABLE), NULL, failure);
        return;
    }
    d->news_us = NEWS_US;
    timer_start(&d->news, d->news_us);
    connect_to(d, eps, count);
}

static void on_ready(void *arg, unsigned events)
{
    struct dialer *d = (struct dialer *)arg;
    if (!d->is_connected) {
        int failure = socket_connected(d->socket);
        if (failure)
            fail_by(d, failure, NULL);
        else
            hop_reached(d);
        return;
    }
    if ((events & LOOP_WRITE) && !proxy_send(d))
        return;
    if (events & LOOP_READ)
        proxy_read(d);
}

static void connect_local(struct dialer *d)
{
    int failure = socket_connect_local(d->config.server.path, &d->socket);
    if (failure && io_of(failure) == IO_AGAIN)
        dialer_fail(d, UDPTUN_E_UNREACHABLE, failure, NULL, "listen backlog is full");
    else if (failure)
        fail_by(d, failure, NULL);
    else
        dialer_wait_for(d, LOOP_WRITE);
}

static void on_start(void *arg)
{
    struct dialer *d = (struct dialer *)arg;
    const struct url *hop = hop_of(d);
    struct udptun_endpoint ep;
    enum io what = network_address_of(&hop->host, &ep);
    if (hop->kind == URL_UNIX) {
        connect_local(d);
    } else if (d->config.server.kind == URL_UNIX) {
        dialer_fail(d, UDPTUN_E_INVALID, io_error(IO_NO_FAMILY), NULL,
                    "a Unix socket cannot be reached through a proxy");
    } else if (what == IO_OK) {
        connect_to(d, &ep, 1);
    } else if (what != IO_BAD_NAME) {
        fail_by(d, io_error(what), NULL);
    } else {
        d->lookup = resolver_lookup(d->config.resolver, hop->host.host, strlen(hop->host.host),
                                    hop->host.port, on_resolved, d);
        if (!d->lookup)
            dialer_fail(d, UDPTUN_E_NOMEM, io_error(IO_NO_MEMORY), NULL,
                        "no name can be resolved now");
    }
}

struct dialer *dial_start(struct loop *loop, const struct dial_config *config, dial_done *done,
                          void *arg)
{
    struct dialer *d = (struct dialer *)calloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->loop = loop;
    d->config = *config;
    if (config->via.kind != URL_NONE)
        host_port_drop_zone(&d->config.server.host);
    d->done = done;
    d->arg = arg;
    d->socket = NO_SOCKET;
    uint32_t timeout_ms = config->timeout_ms ? config->timeout_ms : DIAL_TIMEOUT_MS;
    timer_init(&d->deadline, loop, on_deadline, d);
    timer_init(&d->start, loop, on_start, d);
    timer_init(&d->patience, loop, on_patience_over, d);
    timer_init(&d->news, loop, on_dialer_news, d);
    watch_init(&d->watch, loop, on_ready, d);
    timer_start(&d->deadline, (uint64_t)timeout_ms * 1000);
    timer_start(&d->start, 0);
    return d;
}
