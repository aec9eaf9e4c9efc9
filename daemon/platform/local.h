/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local.h - command connections: who is at the other end, and descriptors that go with the bytes.
 *
 * A command connection is a socket that the functions of this header, watch_start(), socket_end()
 * and socket_close() take. posix/: a stream socket of AF_UNIX. Windows has such sockets as well
 * (Windows 10, SIO_AF_UNIX_GETPEERPID tells the peer), and no descriptors go through them: there
 * local_write() with descriptors is IO_UNSUPPORTED, and local_read() never brings one.
 *
 * Listening is in process/command_listener.h, accepting in accepting.h.
 */
#ifndef PLATFORM_LOCAL_H
#define PLATFORM_LOCAL_H

#include "daemon/platform/socket.h"

/* The user of a peer, as the system vouches for it. */
struct local_user {
    uint32_t id;
    uint32_t group;  /* the user's first one */
    int64_t process; /* its id; 0: the system does not tell */
    bool is_root;
    bool is_self; /* the user of this process */
};

/* Whether the user of this process is root. */
bool local_is_root(void);

/* Connect to the command socket at `path`, at once or not at all. 0 or the system's error number;
 * IO_AGAIN: its listen backlog is full. */
int local_connect(const char *path, udptun_socket *made);

/* Who connected, as of then. 0 or the system's error number: it does not tell. */
int local_peer(udptun_socket socket, struct local_user *user);
/* Whether the peer is in `group`, supplementary groups included. */
bool local_peer_in(udptun_socket socket, const struct local_user *user, uint32_t group);

/* As socket_read(). `fds` has room for `*count` descriptors, which is then how many came; they are
 * the caller's and not inherited. Those beyond the room are closed by the system. */
int local_read(udptun_socket socket, void *to, size_t size, size_t *got, udptun_socket *fds,
               size_t *count);

/* As socket_write(). `count` descriptors, which stay the caller's, go with the first byte. */
int local_write(udptun_socket socket, const void *data, size_t size, size_t *sent,
                const udptun_socket *fds, size_t count);

/* Whether the peer has closed both directions: nobody is left to be answered. */
bool local_is_gone(udptun_socket socket);

#endif
