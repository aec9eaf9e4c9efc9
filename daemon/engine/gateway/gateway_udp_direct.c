/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway_udp_direct.c - UDP of a tun2socks instance by sockets: one per binding.
 *
 * And one more for loopback, where the instance has a mark or a device: those are for the network.
 */
#include <stdio.h>
#include <stdlib.h>

#include "daemon/engine/gateway/gateway.h"
#include "daemon/platform/datagram.h"
#include "proto/error.h"

enum { MAX_RECEIVES = 4 };

enum { NETWORK, LOOPBACK, SOCKETS };

/* Of source.family: the app knows no other. */
struct direct_binding {
    struct gateway *gateway;
    struct udptun_endpoint source;
    struct direct_socket {
        struct direct_binding *binding;
        struct io_watch watch; /* on while the socket is open */
    } sockets[SOCKETS];
};

static bool received(void *arg, const struct udp_run *run)
{
    struct direct_binding *b = (struct direct_binding *)arg;
    const uint8_t *data;
    size_t at = 0, size;
    while (udp_run_next(run, &at, &data, &size))
        gateway_udp_deliver(b->gateway, &b->source, &run->source, data, size);
    return true;
}

static void gateway_udp_direct_failed(void *arg, const struct udptun_endpoint *to, enum io why,
                                      uint32_t mtu)
{
    struct direct_binding *b = (struct direct_binding *)arg;
    gateway_udp_failed(b->gateway, &b->source, to, why, mtu);
}

static void on_readable(void *arg, unsigned events)
{
    const struct direct_socket *s = (const struct direct_socket *)arg;
    struct direct_binding *b = s->binding;
    udptun_socket socket = s->watch.socket;
    struct udptun_engine *e = b->gateway->engine;
    (void)events;
    e->batch_used = true;
    for (int i = 0; i < MAX_RECEIVES; i++) {
        if (udp_receive(e->batch, socket, received, b) <= 0) {
            udp_errors(socket, gateway_udp_direct_failed, b);
            break;
        }
        if (!udp_batch_was_full(e->batch))
            break;
    }
}

static struct direct_binding *gateway_udp_direct_new_binding(struct gateway *t,
                                                             const struct udptun_endpoint *source)
{
    struct direct_binding *b = (struct direct_binding *)calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->gateway = t;
    b->source = *source;
    for (int i = 0; i < SOCKETS; i++) {
        b->sockets[i].binding = b;
        watch_init(&b->sockets[i].watch, &t->engine->loop, on_readable, &b->sockets[i]);
    }
    return b;
}

/* 0, or the system's error number. */
static int gateway_udp_direct_open_socket(struct direct_binding *b,
                                          const struct socket_rules *rules, struct io_watch *watch)
{
    struct udptun_endpoint any = {.family = b->source.family};
    udptun_socket socket;
    int failure = udp_open(&any, rules, UDP_WANT_ERRORS, &socket);
    if (failure == 0 && watch_start(watch, socket, LOOP_READ) < 0) {
        failure = io_error(IO_NO_MEMORY);
        socket_close(socket);
    }
    return failure;
}

/* The socket that sends there, opened where need be; or NULL. */
static struct io_watch *socket_to(struct direct_binding *b, const struct udptun_endpoint *to)
{
    struct gateway *t = b->gateway;
    struct socket_rules all = gateway_rules(t), rules = all;
    bool has_rules = all.mark != SOCKET_NO_MARK || all.bind_device[0];
    bool is_apart = has_rules && endpoint_is_loopback(to);
    struct io_watch *watch = &b->sockets[is_apart ? LOOPBACK : NETWORK].watch;
    if (watch_is_on(watch))
        return watch;
    if (is_apart)
        rules = socket_rules_for(&all, to);
    int failure = gateway_udp_direct_open_socket(b, &rules, watch);
    if (failure) {
        if (io_of(failure) == IO_FULL) {
            gateway_lacks_socket(t, "a UDP flow");
            return NULL;
        }
        char text[IO_TEXT_SIZE], message[96];
        snprintf(message, sizeof message, "no socket: %s", io_text(failure, text));
        gateway_far_end(t, GATEWAY_SIDE_UDP, message);
        return NULL;
    }
    gateway_far_end(t, GATEWAY_SIDE_UDP, NULL);
    return watch;
}

static void gateway_udp_direct_datagram(struct gateway *t, void **binding,
                                        const struct udptun_endpoint *source,
                                        const struct udptun_endpoint *destination, const void *data,
                                        size_t size)
{
    if (!*binding)
        *binding = gateway_udp_direct_new_binding(t, source);
    struct direct_binding *b = (struct direct_binding *)*binding;
    const struct io_watch *watch = b ? socket_to(b, destination) : NULL;
    if (!watch) {
        tun2socks_lost(t->stack);
        return;
    }
    const struct io_span all = {data, size};
    int failure = udp_send(watch->socket, destination, &all, 1);
    if (failure == 0)
        return;
    tun2socks_lost(t->stack);
    if (udp_errors(watch->socket, gateway_udp_direct_failed, b) ==
        0) /* else it was an earlier datagram's */
        gateway_udp_failed(t, source, destination, io_of(failure), 0);
}

static void gateway_udp_direct_binding_close(struct gateway *t, void *binding)
{
    struct direct_binding *b = (struct direct_binding *)binding;
    (void)t;
    for (int i = 0; i < SOCKETS; i++) {
        struct io_watch *watch = &b->sockets[i].watch;
        if (!watch_is_on(watch))
            continue;
        watch_stop(watch);
        socket_close(watch->socket);
    }
    free(b);
}

const struct gateway_udp_ops gateway_udp_direct_ops = {
    .datagram = gateway_udp_direct_datagram, .binding_close = gateway_udp_direct_binding_close};
