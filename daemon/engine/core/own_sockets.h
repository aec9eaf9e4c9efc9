/* SPDX-License-Identifier: Apache-2.0 */
/*
 * own_sockets.h - the engine's sockets to the network, found by the source address of a packet.
 *
 * A packet that one of them sent and that enters a device of the same engine is a loop: serving it
 * would send another. Sockets are told of when they get their port and need not be told of when
 * they close: each answer is checked against the socket as it is then. A socket's value is used
 * again by the system, and then takes the place of the one before, so there are never more of them
 * than sockets were open at a time.
 */
#ifndef ENGINE_OWN_SOCKETS_H
#define ENGINE_OWN_SOCKETS_H

#include <stdbool.h>

#include <udptun/loop.h>

#include "proto/endpoint.h"
#include "proto/list.h"
#include "proto/table.h"

enum { OWN_SOCKETS_BUCKETS = 512 };

struct own_sockets {
    struct table by_socket;
    struct list by_port[OWN_SOCKETS_BUCKETS]; /* of struct own_socket */
};

/* It is not to be moved afterwards. */
void own_sockets_init(struct own_sockets *o);
void own_sockets_fini(struct own_sockets *o);

/* `socket` is bound or connected. Without memory it is not known. */
void own_sockets_add(struct own_sockets *o, udptun_socket socket);

/* A socket of the engine sends from `source`: a stream, or datagrams. */
bool own_sockets_has(struct own_sockets *o, bool is_stream, const struct udptun_endpoint *source);

#endif
