/* SPDX-License-Identifier: Apache-2.0 */
/* own_sockets.c - the engine's sockets to the network, found by the source address of a packet. */
#include "daemon/engine/core/own_sockets.h"

#include <stdlib.h>

#include "daemon/platform/datagram.h"

struct own_socket {
    struct table_node by_socket;
    struct list by_port;
    udptun_socket socket;
    uint16_t port;
    bool is_stream;
};

static struct list *own_sockets_bucket_of(struct own_sockets *o, uint16_t port)
{
    return &o->by_port[port % OWN_SOCKETS_BUCKETS];
}

/* The system gives out the values, so nobody can choose those that collide. */
static uint64_t own_sockets_hash_of(udptun_socket socket)
{
    return (uint64_t)socket * UINT64_C(0x9e3779b97f4a7c15) >> 16;
}

static bool is_socket(const struct table_node *node, const void *key)
{
    return table_entry(node, const struct own_socket, by_socket)->socket ==
           *(const udptun_socket *)key;
}

static void own_sockets_forget(struct own_sockets *o, struct own_socket *s)
{
    table_remove(&o->by_socket, &s->by_socket);
    list_remove(&s->by_port);
    free(s);
}

void own_sockets_init(struct own_sockets *o)
{
    table_init(&o->by_socket);
    for (size_t i = 0; i < OWN_SOCKETS_BUCKETS; i++)
        list_init(&o->by_port[i]);
}

void own_sockets_fini(struct own_sockets *o)
{
    for (size_t i = 0; i < OWN_SOCKETS_BUCKETS; i++)
        LIST_FOREACH_SAFE (node, &o->by_port[i])
            own_sockets_forget(o, list_entry(node, struct own_socket, by_port));
    table_fini(&o->by_socket);
}

/* What is known by that value, or room for it. NULL: out of memory. */
static struct own_socket *find_or_make(struct own_sockets *o, udptun_socket socket)
{
    struct table_node *node =
        table_find(&o->by_socket, own_sockets_hash_of(socket), is_socket, &socket);
    if (node)
        return table_entry(node, struct own_socket, by_socket);
    struct own_socket *s = (struct own_socket *)calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->socket = socket;
    if (table_insert(&o->by_socket, &s->by_socket, own_sockets_hash_of(socket)) < 0) {
        free(s);
        return NULL;
    }
    list_init(&s->by_port);
    return s;
}

void own_sockets_add(struct own_sockets *o, udptun_socket socket)
{
    uint16_t port = socket_own(socket).port;
    struct own_socket *s = port ? find_or_make(o, socket) : NULL;
    if (!s)
        return;
    s->port = port;
    s->is_stream = socket_is_stream(socket);
    list_move(own_sockets_bucket_of(o, port),
              &s->by_port); /* a socket before it may have had its value */
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
    LIST_FOREACH_SAFE (node, own_sockets_bucket_of(o, source->port)) {
        struct own_socket *s = list_entry(node, struct own_socket, by_port);
        if (s->port != source->port || s->is_stream != is_stream)
            continue;
        struct udptun_endpoint local = socket_own(s->socket);
        local = endpoint_unmapped(&local);
        if (local.port != source->port || socket_is_stream(s->socket) != is_stream)
            own_sockets_forget(o, s); /* it was closed, and its value may be another's now */
        else if (endpoint_same_ip(&local, source) ||
                 (local.family == source->family && endpoint_is_unspecified(&local) &&
                  is_of_this_host(source)))
            return true;
    }
    return false;
}
