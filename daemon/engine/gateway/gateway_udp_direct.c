/* SPDX-License-Identifier: Apache-2.0 */
/* gateway_udp_direct.c - UDP of a tun2socks instance by sockets: one per binding and family. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/engine/gateway/gateway.h"
#include "daemon/platform/udp_io.h"
#include "proto/error.h"

enum { MAX_RECEIVES = 4 };

struct gateway_binding {
    struct gateway *gateway;
    struct endpoint source;
    ev_io io; /* of source.family: the app knows no other */
};

static bool received(void *arg, const struct udp_run *run)
{
    struct gateway_binding *b = (struct gateway_binding *)arg;
    const uint8_t *data;
    size_t at = 0, size;
    while (udp_run_next(run, &at, &data, &size))
        tun2socks_datagram(b->gateway->stack, &b->source, &run->source, data, size);
    return true;
}

static void failed(void *arg, const struct endpoint *to, int sys_errno, uint32_t mtu)
{
    struct gateway_binding *b = (struct gateway_binding *)arg;
    gateway_udp_failed(b->gateway, &b->source, to, sys_errno, mtu);
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct gateway_binding *b = (struct gateway_binding *)watcher->data;
    struct udptun_engine *e = b->gateway->engine;
    (void)loop;
    (void)events;
    e->batch_used = true;
    for (int i = 0; i < MAX_RECEIVES; i++) {
        if (udp_receive(e->batch, watcher->fd, received, b) <= 0) {
            udp_errors(watcher->fd, failed, b);
            break;
        }
        if (!udp_batch_was_full(e->batch))
            break;
    }
}

static struct gateway_binding *open_binding(struct gateway *t, const struct endpoint *source)
{
    struct gateway_binding *b = (struct gateway_binding *)calloc(1, sizeof *b);
    if (!b)
        return NULL;
    struct socket_rules rules = gateway_rules(t);
    struct endpoint any = {.family = source->family};
    int fd = socket_bind_udp(&any, &rules);
    if (fd < 0) {
        char text[ERRNO_TEXT_SIZE], message[96];
        snprintf(message, sizeof message, "no socket: %s", errno_text(-fd, text));
        gateway_far_end(t, GATEWAY_SIDE_UDP, message);
        free(b);
        return NULL;
    }
    gateway_far_end(t, GATEWAY_SIDE_UDP, NULL);
    udp_setup(fd, UDP_WANT_ERRORS);
    b->gateway = t;
    b->source = *source;
    ev_io_init(&b->io, on_readable, fd, EV_READ);
    b->io.data = b;
    ev_io_start(t->engine->loop, &b->io);
    return b;
}

static void datagram(struct gateway *t, struct gateway_binding **binding,
                     const struct endpoint *source, const struct endpoint *destination,
                     const void *data, size_t size)
{
    if (!*binding)
        *binding = open_binding(t, source);
    struct gateway_binding *b = *binding;
    if (!b) {
        tun2socks_lost(t->stack);
        return;
    }
    union socket_address sa;
    socklen_t sa_size = sockaddr_from_endpoint(&sa, destination);
    if (sendto(b->io.fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT, &sa.any, sa_size) < 0) {
        int cause = errno;
        tun2socks_lost(t->stack);
        if (udp_errors(b->io.fd, failed, b) == 0) /* else it was an earlier datagram's */
            gateway_udp_failed(t, source, destination, cause, 0);
    }
}

static void binding_close(struct gateway *t, struct gateway_binding *b)
{
    ev_io_stop(t->engine->loop, &b->io);
    close(b->io.fd);
    free(b);
}

const struct gateway_udp_ops gateway_udp_direct_ops = {.datagram = datagram,
                                                       .binding_close = binding_close};
