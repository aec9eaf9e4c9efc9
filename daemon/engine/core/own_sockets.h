/* SPDX-License-Identifier: Apache-2.0 */
/*
 * own_sockets.h - the engine's sockets to the network, found by the source address of a packet.
 *
 * A packet that one of them sent and that enters a device of the same engine is a loop: serving it
 * would send another. Sockets are told of when they get their port and need not be told of when
 * they close: each answer is checked against the descriptor as it is then.
 */
#ifndef ENGINE_OWN_SOCKETS_H
#define ENGINE_OWN_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/endpoint.h"

enum { OWN_SOCKETS_BUCKETS = 1024 };

struct own_socket;

struct own_sockets {
    struct own_socket *by_fd; /* `count` of them */
    size_t count;
    int32_t buckets[OWN_SOCKETS_BUCKETS]; /* by port: the first descriptor, -1: none */
};

void own_sockets_init(struct own_sockets *o);
void own_sockets_fini(struct own_sockets *o);

/* `fd` is bound or connected. Without memory it is not known. */
void own_sockets_add(struct own_sockets *o, int fd);

/* A socket of the engine sends from `source`: a stream, or datagrams. */
bool own_sockets_has(struct own_sockets *o, bool is_stream, const struct udptun_endpoint *source);

#endif
