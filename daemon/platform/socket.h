/* SPDX-License-Identifier: Apache-2.0 */
/*
 * socket.h - streams: connecting, listening, reading and writing, and what every socket has to
 * meet.
 *
 * Every socket of the house is made behind this header or datagram.h, so that none blocks, none is
 * inherited by a child process, none raises a signal, and every one that sends to the network has
 * met the rules of its tunnel. Functions that return int return 0 or the system's error number
 * (result.h); a socket that could not be made is set to NO_SOCKET.
 */
#ifndef PLATFORM_SOCKET_H
#define PLATFORM_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <udptun/loop.h>

#include "daemon/platform/result.h"
#include "daemon/platform/span.h"
#include "proto/endpoint.h"

#define NO_SOCKET ((udptun_socket)-1)

/* Room for the path of a local socket and its NUL; some systems allow a little less. */
#define SOCKET_PATH_SIZE   108
#define SOCKET_DEVICE_SIZE 16 /* the name of a network interface and its NUL */
#define SOCKET_NO_MARK     (-1)

/* What a socket to the network has to meet before it sends. Plain data: copy it freely. */
struct socket_rules {
    int64_t mark;                         /* the system's packet mark, or SOCKET_NO_MARK */
    char bind_device[SOCKET_DEVICE_SIZE]; /* the only interface it may use, "": any */
    /* It is one of many: it is not made of the last descriptors (IO_FULL), which are for others. */
    bool leaves_spare;
    /* Not 0: the socket must not be used. NULL: no hook. */
    int (*protect)(void *arg, udptun_socket socket);
    void *protect_arg;
    /* It has its own port now. NULL: nobody is told. */
    void (*opened)(void *arg, udptun_socket socket);
    void *opened_arg;
};

/* No mark, no device, no hook. */
struct socket_rules socket_rules_none(void);

/* The rules of a socket that sends to `to` alone. Mark and device choose a way into the network,
 * and loopback is not on it: a proxy or a name server on 127.0.0.1 is reached without them. */
struct socket_rules socket_rules_for(const struct socket_rules *rules,
                                     const struct udptun_endpoint *to);
/* Apply rules to a socket that was made elsewhere. */
int socket_apply_rules(udptun_socket socket, const struct socket_rules *rules);
/* Whether a socket may have that mark: IO_DENIED, IO_UNSUPPORTED. */
int socket_try_mark(int64_t mark);

/* How many descriptors this process may have. */
unsigned socket_limit(void);
/* Whether `socket` is one of the last descriptors that this process may have. */
bool socket_is_spare(udptun_socket socket);

/* Make one that came from elsewhere as ours are. */
int socket_adopt(udptun_socket socket);
/* Another socket, or descriptor, for the same thing. */
int socket_copy(udptun_socket socket, udptun_socket *made);

/* ---- connecting ---------------------------------------------------------------------------- */

/* Begin to connect; wait until it can be written, then ask socket_connected(). `rules` NULL: none
 * apply. */
int socket_connect(const struct udptun_endpoint *to, const struct socket_rules *rules,
                   udptun_socket *made);
/* The same to a local socket. IO_AGAIN: its listen backlog is full, and nothing is under way. */
int socket_connect_local(const char *path, udptun_socket *made);
/* How connecting went. A socket that the system connected to itself is IO_REFUSED. */
int socket_connected(udptun_socket socket);

/* ---- listening ----------------------------------------------------------------------------- */

/* IPv6 alone on an IPv6 address: 0.0.0.0 and :: are two listeners. */
int socket_listen(const struct udptun_endpoint *at, udptun_socket *made);
/* The same, but that [::] takes IPv4 as well where the system does so. */
int socket_listen_both(const struct udptun_endpoint *at, udptun_socket *made);
/* A stale socket file, that nobody answers on, is replaced. A live one, and a file that is not a
 * socket, give IO_IN_USE. */
int socket_listen_local(const char *path, udptun_socket *made);
/* Remove the name of a local socket that was listened on. */
void socket_unlink_local(const char *path);
/* IO_AGAIN: none waits; IO_ABORTED: try the next. `peer` (may be NULL) becomes NONE for a local
 * socket. */
int socket_accept(udptun_socket listening, struct udptun_endpoint *peer, udptun_socket *made);

/* ---- reading and writing ------------------------------------------------------------------- */

/* `*got` is 0 at the end of the stream, and in case of a failure. */
int socket_read(udptun_socket socket, void *to, size_t size, size_t *got);
/* The same, and what was read is there to be read again. */
int socket_peek(udptun_socket socket, void *to, size_t size, size_t *got);
/* `*sent` may be less than all; 0 in case of a failure. */
int socket_write(udptun_socket socket, const void *data, size_t size, size_t *sent);
int socket_write_spans(udptun_socket socket, const struct io_span *spans, size_t count,
                       size_t *sent);

/* No more is written: the other side reads the end. */
void socket_end(udptun_socket socket);
void socket_close(udptun_socket socket);
/* Close it so that the other side sees a reset. */
void socket_abort(udptun_socket socket);

/* ---- packets ------------------------------------------------------------------------------- */

/* Connect to a local socket that keeps packets apart; read and written as a stream is, one packet a
 * call. */
int packet_socket_connect(const char *path, udptun_socket *made);

/* ---- settings ------------------------------------------------------------------------------ */

/* For a stream that carries frames: no Nagle, keepalive, little unsent backlog in the kernel. Does
 * nothing to a local socket; what the system lacks is skipped. */
void socket_tune(udptun_socket socket);
/* How much may wait unsent in the kernel, where the system can limit it. */
void socket_limit_unsent(udptun_socket socket, int bytes);

/* Own and far address; family NONE when it has none. */
struct udptun_endpoint socket_own(udptun_socket socket);
struct udptun_endpoint socket_far(udptun_socket socket);
/* A stream, not datagrams; false if it is not a socket any more. */
bool socket_is_stream(udptun_socket socket);

#endif
