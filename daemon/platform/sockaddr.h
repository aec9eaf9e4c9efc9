/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sockaddr.h - endpoints as the system's socket addresses, and the making of sockets.
 *
 * Every socket of the engine is opened here, so that none blocks, none is inherited by a child
 * process, and every one that sends to the network has met the rules of its tunnel. Functions
 * that return int give a descriptor or 0, or a negated errno.
 */
#ifndef PLATFORM_SOCKADDR_H
#define PLATFORM_SOCKADDR_H

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "proto/endpoint.h"

/* Where a system has no such flag, SO_NOSIGPIPE does it once for the socket. */
#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

union socket_address {
    struct sockaddr any;
    struct sockaddr_in ip4;
    struct sockaddr_in6 ip6;
    struct sockaddr_un path;
    struct sockaddr_storage storage;
};

#define SOCKET_PATH_SIZE   (sizeof((struct sockaddr_un *)0)->sun_path)
#define SOCKET_DEVICE_SIZE 16 /* IFNAMSIZ */
#define SOCKET_NO_MARK     (-1)

/* What a socket to the network has to meet before it sends. Plain data: copy it freely. */
struct socket_rules {
    int64_t mark;                         /* SO_MARK, or SOCKET_NO_MARK */
    char bind_device[SOCKET_DEVICE_SIZE]; /* SO_BINDTODEVICE, "": none */
    int (*protect)(void *arg, int fd);    /* not 0: the socket must not be used; NULL: none */
    void *protect_arg;
    void (*opened)(void *arg, int fd); /* it has its port now; NULL: nobody is told */
    void *opened_arg;
};

/* No mark, no device, no hook. */
struct socket_rules socket_rules_none(void);

/* Fills `sa`; returns its size, 0 when `ep` is no IP address. */
socklen_t sockaddr_from_endpoint(union socket_address *sa, const struct endpoint *ep);
/* As above for a Unix socket; 0 when the path is empty or too long. A leading '@' is not special.
 */
socklen_t sockaddr_from_path(union socket_address *sa, const char *path);
/* Family NONE for anything but IPv4 and IPv6. Mapped addresses are kept as they are. */
struct endpoint sockaddr_to_endpoint(const union socket_address *sa, socklen_t size);

/* A non-blocking, close-on-exec socket that meets `rules` (NULL: none apply, as for a socket
 * that stays on this host). `type` is SOCK_STREAM or SOCK_DGRAM. */
int socket_open(int family, int type, const struct socket_rules *rules);
/* 0, or why no socket may have that mark (-EPERM, -EOPNOTSUPP). */
int socket_try_mark(int64_t mark);
/* Apply rules to a socket that was made elsewhere. */
int socket_apply_rules(int fd, const struct socket_rules *rules);
/* Non-blocking and close-on-exec for a descriptor that came from elsewhere. */
int socket_prepare(int fd);

/* A listening stream socket with SO_REUSEADDR, IPv6 alone on an IPv6 address. */
int socket_listen(const struct endpoint *ep);
/* A listening Unix socket. A stale one, that nobody answers on, is replaced; a live one, and a
 * file that is no socket, gives -EADDRINUSE. */
int socket_listen_path(const char *path);
/* A UDP socket bound to `ep`, IPv6 alone on an IPv6 address. */
int socket_bind_udp(const struct endpoint *ep, const struct socket_rules *rules);
/* accept4() with both flags; -EAGAIN when none waits. `peer` (may be NULL) becomes NONE for a Unix
 * socket. */
int socket_accept(int fd, struct endpoint *peer);

/* For a stream that carries frames: no Nagle, keepalive, little unsent backlog in the kernel. Does
 * nothing to a Unix socket; what the system lacks is skipped. */
void socket_tune_stream(int fd);

/* How much may wait unsent in the kernel, where the system can limit it. */
void socket_limit_unsent(int fd, int bytes);

/* Own and far address; family NONE when it has none. */
struct endpoint socket_local(int fd);
struct endpoint socket_remote(int fd);

/* The pending error, cleared; 0: none. A positive errno. */
int socket_take_error(int fd);

#endif
