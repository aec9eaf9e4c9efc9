/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway_udp_socks5.c - UDP of a tun2socks instance through a SOCKS5 proxy (RFC 1928 section 7).
 *
 * Each binding has an association of its own, so that the proxy gives it an address of its own:
 * a TCP connection that stands for it, and a UDP socket connected to the relay. Where the proxy
 * refuses TCP (`ss-local -U` listens on UDP alone) its frames go straight to the proxy's port.
 * What comes while the association is being made waits in a short queue.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/engine/core/wait_queue.h"
#include "daemon/engine/gateway/gateway.h"
#include "daemon/engine/streams/dialer.h"
#include "daemon/platform/datagram.h"
#include "daemon/platform/network.h"
#include "proto/error.h"
#include "proto/socks5/socks5.h"

enum {
    MAX_RECEIVES = 4,
    QUEUE_US = 500000,          /* an older datagram is dropped unsent, as in a tunnel */
    RETRY_US = 1000000,         /* after an attempt that failed */
    UNASSOCIATED_US = 30000000, /* how long it is believed that the proxy refuses TCP */
};

struct socks5_binding {
    struct gateway *gateway;
    struct udptun_endpoint source;
    struct dialer *dialer; /* an association is being made */
    struct udptun_endpoint relay;
    struct io_watch control; /* its TCP connection, while there is one */
    struct io_watch relayed; /* the socket connected to the relay, while there is one */
    struct wait_queue queue; /* until there is an association */
};

/* ---- from the proxy */

/* Whom a frame is from. The app asked an address, so it can be answered from one alone; a name is
 * asked only of `dns`, which is told by what it was asked. */
static bool read_source(const struct socks5_binding *b, const struct socks5_address *address,
                        struct udptun_endpoint *from)
{
    const struct gateway_settings *config = b->gateway->config;
    if (socks5_address_ip(address, from))
        return !endpoint_is_unspecified(from);
    *from = config->dns_server;
    return config->has_dns && from->family == UDPTUN_ENDPOINT_NAME &&
           address->port == config->dns.port && address->name_len &&
           strcasecmp(address->name, config->dns.host) == 0;
}

static void take_frame(struct socks5_binding *b, const uint8_t *data, size_t size)
{
    struct tun2socks *stack = b->gateway->stack;
    struct reader r = reader_of(data, size);
    struct socks5_udp_header header;
    struct udptun_endpoint from;
    if (!socks5_read_udp_header(&r, &header))
        tun2socks_count_drop(stack, TUN2SOCKS_DROP_MALFORMED);
    else if (header.fragment)
        tun2socks_count_drop(stack, TUN2SOCKS_DROP_FRAGMENT);
    else if (!read_source(b, &header.address, &from))
        tun2socks_count_drop(stack, TUN2SOCKS_DROP_ADDRESS);
    else
        gateway_udp_deliver(b->gateway, &b->source, &from, r.at, reader_left(&r));
}

static bool received(void *arg, const struct udp_run *run)
{
    struct socks5_binding *b = (struct socks5_binding *)arg;
    const uint8_t *data;
    size_t at = 0, size;
    while (udp_run_next(run, &at, &data, &size))
        take_frame(b, data, size);
    return true;
}

/* "proxy 192.0.2.9:1080: its UDP relay 192.0.2.10:40000: connection refused" */
static void relay_error(struct socks5_binding *b, int failure)
{
    struct gateway *t = b->gateway;
    struct url proxy = t->config->udp_url;
    char text[IO_TEXT_SIZE], message[240], url[URL_TEXT_SIZE], relay[ENDPOINT_TEXT_SIZE];
    proxy.kind = URL_HOST_PORT;
    snprintf(message, sizeof message, "proxy %s: its UDP relay %s: %s", url_format(&proxy, url),
             endpoint_format(&b->relay, relay), io_text(failure, text));
    gateway_far_end(t, GATEWAY_SIDE_UDP, message);
}

static void relay_failed(void *arg, const struct udptun_endpoint *to, enum io why, uint32_t mtu)
{
    (void)to;
    (void)mtu;
    relay_error((struct socks5_binding *)arg, io_error(why));
}

static void on_readable(void *arg, unsigned events)
{
    struct socks5_binding *b = (struct socks5_binding *)arg;
    struct udptun_engine *e = b->gateway->engine;
    (void)events;
    e->batch_used = true;
    for (int i = 0; i < MAX_RECEIVES; i++) {
        if (udp_receive(e->batch, b->relayed.socket, received, b) <= 0) {
            udp_errors(b->relayed.socket, relay_failed, b);
            break;
        }
        gateway_far_end(b->gateway, GATEWAY_SIDE_UDP, NULL);
        if (!udp_batch_was_full(e->batch))
            break;
    }
}

/* ---- to the proxy */

static void send_frame(struct socks5_binding *b, const struct udptun_endpoint *destination,
                       const void *data, size_t size)
{
    uint8_t header[SOCKS5_UDP_HEADER_SIZE];
    struct writer w = writer_of(header, sizeof header);
    struct socks5_address to = destination->family == UDPTUN_ENDPOINT_NAME
                                   ? socks5_address_of_host(&b->gateway->config->dns)
                                   : socks5_address_of(destination);
    socks5_write_udp_header(&w, &to);
    const struct io_span parts[2] = {{header, writer_size(&w)}, {data, size}};
    int failure = udp_send(b->relayed.socket, NULL, parts, 2);
    if (failure == 0)
        return;
    tun2socks_lost(b->gateway->stack);
    if (io_of(failure) == IO_REFUSED) /* said of an earlier one, but true */
        relay_error(b, failure);
}

static void on_dropped(struct wait_queue *q, enum wait_drop why)
{
    struct gateway *t = list_entry(q, struct socks5_binding, queue)->gateway;
    if (t->is_closing)
        return;
    if (why == WAIT_STALE)
        tun2socks_count_drop(t->stack, TUN2SOCKS_DROP_STALE);
    else
        tun2socks_lost(t->stack);
}

static void drop_queue(struct socks5_binding *b)
{
    while (b->queue.count)
        wait_queue_drop(&b->queue, WAIT_FULL);
}

static void send_queue(struct socks5_binding *b)
{
    struct waiting *w;
    while ((w = wait_queue_take(&b->queue))) {
        send_frame(b, &w->to, w->data, w->size);
        free(w);
    }
}

/* ---- the association */

static void close_watched(struct io_watch *w)
{
    if (!watch_is_on(w))
        return;
    watch_stop(w);
    socket_close(w->socket);
}

/* False: out of memory, and the socket is closed. */
static bool keep(struct io_watch *w, udptun_socket socket)
{
    if (watch_start(w, socket, LOOP_READ) == UDPTUN_OK)
        return true;
    socket_close(socket);
    return false;
}

/* For who routes the machine's traffic: one of each address. */
static void note_relay(struct gateway *t, const struct udptun_endpoint *relay)
{
    for (size_t i = 0; i < t->relay_count; i++) {
        struct udptun_endpoint known = t->relays[i];
        known.port = relay->port;
        if (endpoint_equal(&known, relay))
            return;
    }
    if (t->relay_count < UDPTUN_TUN2SOCKS_MAX_RELAYS)
        t->relays[t->relay_count++] = *relay;
}

static bool connect_relay(struct socks5_binding *b)
{
    struct gateway *t = b->gateway;
    note_relay(t, &b->relay);
    struct socket_rules all = gateway_rules(t), rules = socket_rules_for(&all, &b->relay);
    struct udptun_endpoint any = {.family = b->relay.family};
    udptun_socket socket;
    int failure = udp_open(&any, &rules, UDP_WANT_ERRORS, &socket);
    if (failure == 0) {
        failure = udp_connect(socket, &b->relay);
        if (failure)
            socket_close(socket);
        else if (!keep(&b->relayed, socket))
            failure = io_error(IO_NO_MEMORY);
    }
    if (failure && io_of(failure) == IO_FULL) {
        gateway_lacks_socket(t, "a UDP flow");
        return false;
    }
    if (failure) {
        relay_error(b, failure);
        return false;
    }
    send_queue(b);
    return true;
}

/* The proxy ended the association; the next datagram makes a new one. */
static void on_control(void *arg, unsigned events)
{
    struct socks5_binding *b = (struct socks5_binding *)arg;
    uint8_t sink[256];
    size_t got;
    (void)events;
    if (io_of(socket_read(b->control.socket, sink, sizeof sink, &got)) == IO_AGAIN || got > 0)
        return;
    close_watched(&b->control);
    close_watched(&b->relayed);
}

static void go_unassociated(struct socks5_binding *b)
{
    struct gateway *t = b->gateway;
    network_address_of(&t->config->udp_url.host, &b->relay);
    t->associated = 0;
    if (!connect_relay(b))
        drop_queue(b);
}

static void on_associated(void *arg, udptun_socket socket, const struct udptun_error *err)
{
    struct socks5_binding *b = (struct socks5_binding *)arg;
    struct gateway *t = b->gateway;
    b->dialer = NULL;
    if (socket == NO_SOCKET && io_of(err->sys_errno) == IO_REFUSED && !dial_is_of_target(err) &&
        network_address_of(&t->config->udp_url.host, &b->relay) == IO_OK) {
        t->unassociated_until_us = t->engine->loop.now_us + UNASSOCIATED_US;
        go_unassociated(b);
        return;
    }
    if (socket == NO_SOCKET && io_of(err->sys_errno) == IO_FULL) {
        gateway_lacks_socket(t, "a UDP association");
        drop_queue(b);
        return;
    }
    if (socket == NO_SOCKET) {
        t->associate_after_us = t->engine->loop.now_us + RETRY_US;
        gateway_far_end(t, GATEWAY_SIDE_UDP, err->message);
        engine_log_gated(t->engine, &t->gate, UDPTUN_LOG_WARN, "tun2socks", "%s: udp: %s",
                         gateway_name(t), err->message);
        drop_queue(b);
        return;
    }
    t->associated = 1;
    gateway_far_end(t, GATEWAY_SIDE_UDP, NULL);
    if (!keep(&b->control, socket) || !connect_relay(b))
        drop_queue(b);
}

static void associate(struct socks5_binding *b)
{
    struct gateway *t = b->gateway;
    if (t->engine->loop.now_us < t->unassociated_until_us) {
        go_unassociated(b);
        return;
    }
    if (t->engine->loop.now_us < t->associate_after_us)
        return;
    struct dial_config dial = {.via = t->config->udp_url,
                               .rules = gateway_rules(t),
                               .resolver = t->resolver,
                               .relay = &b->relay};
    dial.server.kind = URL_HOST_PORT; /* 0.0.0.0:0: from any port */
    dial.server.host.ep.family = UDPTUN_ENDPOINT_IP4;
    b->dialer = dial_start(&t->engine->loop, &dial, on_associated, b);
}

/* ---- bindings */

static void gateway_udp_socks5_datagram(struct gateway *t, void **binding,
                                        const struct udptun_endpoint *source,
                                        const struct udptun_endpoint *destination, const void *data,
                                        size_t size)
{
    struct socks5_binding *b = (struct socks5_binding *)*binding;
    if (!b) {
        b = (struct socks5_binding *)calloc(1, sizeof *b);
        if (!b) {
            tun2socks_lost(t->stack);
            return;
        }
        b->gateway = t;
        b->source = *source;
        watch_init(&b->control, &t->engine->loop, on_control, b);
        watch_init(&b->relayed, &t->engine->loop, on_readable, b);
        wait_queue_init(&b->queue, &t->engine->loop, &t->engine->buffers, on_dropped);
        *binding = b;
    }
    if (!watch_is_on(&b->relayed) && !b->dialer)
        associate(b);
    if (watch_is_on(&b->relayed))
        send_frame(b, destination, data, size);
    else if (b->dialer)
        wait_queue_add(&b->queue, destination, data, size, QUEUE_US);
    else
        tun2socks_lost(t->stack);
}

static void gateway_udp_socks5_binding_close(struct gateway *t, void *binding)
{
    struct socks5_binding *b = (struct socks5_binding *)binding;
    (void)t;
    dial_cancel(b->dialer);
    drop_queue(b);
    close_watched(&b->control);
    close_watched(&b->relayed);
    free(b);
}

const struct gateway_udp_ops gateway_udp_socks5_ops = {
    .datagram = gateway_udp_socks5_datagram, .binding_close = gateway_udp_socks5_binding_close};
