/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local.h - command sockets: who is at the other end, and descriptors that come with the bytes.
 *
 * Listening, connecting and writing are as for any local socket (socket.h).
 */
#ifndef PLATFORM_LOCAL_H
#define PLATFORM_LOCAL_H

#include "daemon/platform/socket.h"

/* The user of a peer, as the system vouches for it. */
struct local_user {
    uint32_t id;
    uint32_t group; /* the user's first one */
    bool is_root;
    bool is_self; /* the user of this process */
};

/* Who connected, as of then. 0 or the system's error number: it does not tell. */
int local_peer(udptun_socket socket, struct local_user *user);
/* Whether the peer is in `group`, supplementary groups included. */
bool local_peer_in(udptun_socket socket, const struct local_user *user, uint32_t group);

/* As socket_read(). `fds` has room for `*count` descriptors, which is then how many came; they are
 * the caller's and not inherited. Those beyond the room are closed by the system. */
int local_read(udptun_socket socket, void *to, size_t size, size_t *got, int *fds, size_t *count);

#endif
