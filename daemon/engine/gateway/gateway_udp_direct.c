/* SPDX-License-Identifier: Apache-2.0 */
/* gateway_udp_direct.c - UDP of a tun2socks instance by sockets: one per binding and family. */
#include <stdio.h>
#include <stdlib.h>

#include "daemon/engine/gateway/gateway.h"
#include "daemon/platform/datagram.h"
#include "proto/error.h"

enum { MAX_RECEIVES = 4 };

struct direct_binding {
    struct gateway *gateway;
    struct udptun_endpoint source;
    udptun_socket socket;
    struct io_watch watch; /* of source.family: the app knows no other */
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

static void failed(void *arg, const struct udptun_endpoint *to, enum io why, uint32_t mtu)
{
    struct direct_binding *b = (struct direct_binding *)arg;
    gateway_udp_failed(b->gateway, &b->source, to, why, mtu);
}

static void on_readable(void *arg, unsigned events)
{
    struct direct_binding *b = (struct direct_binding *)arg;
    struct udptun_engine *e = b->gateway->engine;
    (void)events;
    e->batch_used = true;
    for (int i = 0; i < MAX_RECEIVES; i++) {
        if (udp_receive(e->batch, b->socket, received, b) <= 0) {
            udp_errors(b->socket, failed, b);
            break;
        }
        if (!udp_batch_was_full(e->batch))
            break;
    }
}

static struct direct_binding *open_binding(struct gateway *t, const struct udptun_endpoint *source)
{
    struct direct_binding *b = (struct direct_binding *)calloc(1, sizeof *b);
    if (!b)
        return NULL;
    struct socket_rules rules = gateway_rules(t);
    struct udptun_endpoint any = {.family = source->family};
    int failure = udp_open(&any, &rules, UDP_WANT_ERRORS, &b->socket);
    watch_init(&b->watch, &t->engine->loop, on_readable, b);
    if (failure == 0 && watch_start(&b->watch, b->socket, LOOP_READ) < 0) {
        failure = io_error(IO_NO_MEMORY);
        socket_close(b->socket);
    }
    if (failure) {
        char text[IO_TEXT_SIZE], message[96];
        snprintf(message, sizeof message, "no socket: %s", io_text(failure, text));
        gateway_far_end(t, GATEWAY_SIDE_UDP, message);
        free(b);
        return NULL;
    }
    gateway_far_end(t, GATEWAY_SIDE_UDP, NULL);
    b->gateway = t;
    b->source = *source;
    return b;
}

static void datagram(struct gateway *t, void **binding, const struct udptun_endpoint *source,
                     const struct udptun_endpoint *destination, const void *data, size_t size)
{
    if (!*binding)
        *binding = open_binding(t, source);
    struct direct_binding *b = (struct direct_binding *)*binding;
    if (!b) {
        tun2socks_lost(t->stack);
        return;
    }
    const struct io_span all = {data, size};
    int failure = udp_send(b->socket, destination, &all, 1);
    if (failure == 0)
        return;
    tun2socks_lost(t->stack);
    if (udp_errors(b->socket, failed, b) == 0) /* else it was an earlier datagram's */
        gateway_udp_failed(t, source, destination, io_of(failure), 0);
}

static void binding_close(struct gateway *t, void *binding)
{
    struct direct_binding *b = (struct direct_binding *)binding;
    (void)t;
    watch_stop(&b->watch);
    socket_close(b->socket);
    free(b);
}

const struct gateway_udp_ops gateway_udp_direct_ops = {.datagram = datagram,
                                                       .binding_close = binding_close};
