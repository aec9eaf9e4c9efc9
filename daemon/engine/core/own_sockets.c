/* SPDX-License-Identifier: Apache-2.0 */
/* own_sockets.c - the engine's sockets to the network, found by the source address of a packet. */
#include "daemon/engine/core/own_sockets.h"

#include <stdlib.h>

#include "daemon/platform/datagram.h"

struct own_socket {
    int32_t next; /* the next descriptor of its bucket, -1: none */
    uint16_t port;
    bool is_used, is_stream;
};

void own_sockets_init(struct own_sockets *o)
{
    *o = (struct own_sockets){0};
    for (size_t i = 0; i < OWN_SOCKETS_BUCKETS; i++)
        o->buckets[i] = -1;
}

void own_sockets_fini(struct own_sockets *o)
{
    free(o->by_fd);
    own_sockets_init(o);
}

static int32_t *bucket_of(struct own_sockets *o, uint16_t port)
{
    return &o->buckets[port % OWN_SOCKETS_BUCKETS];
}

static void forget(struct own_sockets *o, int32_t fd)
{
    struct own_socket *s = &o->by_fd[fd];
    int32_t *at = bucket_of(o, s->port);
    while (*at != fd)
        at = &o->by_fd[*at].next;
    *at = s->next;
    s->is_used = false;
}

static bool make_room(struct own_sockets *o, size_t count)
{
    if (count <= o->count)
        return true;
    size_t room = o->count ? o->count : 64;
    while (room < count)
        room *= 2;
    struct own_socket *grown = (struct own_socket *)realloc(o->by_fd, room * sizeof *grown);
    if (!grown)
        return false;
    for (size_t i = o->count; i < room; i++)
        grown[i] = (struct own_socket){0};
    o->by_fd = grown;
    o->count = room;
    return true;
}

void own_sockets_add(struct own_sockets *o, int fd)
{
    uint16_t port = socket_own(fd).port;
    if (port == 0 || !make_room(o, (size_t)fd + 1))
        return;
    if (o->by_fd[fd].is_used)
        forget(o, fd);
    int32_t *bucket = bucket_of(o, port);
    o->by_fd[fd] = (struct own_socket){
        .next = *bucket, .port = port, .is_used = true, .is_stream = socket_is_stream(fd)};
    *bucket = fd;
}

/* Asked of the system, since a host gets and loses addresses. */
static bool is_of_this_host(const struct udptun_endpoint *ep)
{
    struct udptun_endpoint any_port = *ep;
    any_port.port = 0;
    udptun_socket socket;
    if (udp_open(&any_port, NULL, 0, &socket) != 0)
        return false;
    socket_close(socket);
    return true;
}

bool own_sockets_has(struct own_sockets *o, bool is_stream, const struct udptun_endpoint *source)
{
    int32_t next;
    for (int32_t fd = *bucket_of(o, source->port); fd >= 0; fd = next) {
        const struct own_socket *s = &o->by_fd[fd];
        next = s->next;
        if (s->port != source->port || s->is_stream != is_stream)
            continue;
        struct udptun_endpoint local = socket_own(fd);
        local = endpoint_unmapped(&local);
        if (local.port != source->port || socket_is_stream(fd) != is_stream)
            forget(o, fd); /* it was closed, and the descriptor may be another's now */
        else if (endpoint_same_ip(&local, source) ||
                 (local.family == source->family && endpoint_is_unspecified(&local) &&
                  is_of_this_host(source)))
            return true;
    }
    return false;
}
