/* SPDX-License-Identifier: Apache-2.0 */
/*
 * address.h - endpoints as the socket addresses of POSIX, and the making of sockets. Private to the
 * files of posix/ and of the systems that are built on it.
 */
#ifndef PLATFORM_POSIX_ADDRESS_H
#define PLATFORM_POSIX_ADDRESS_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "daemon/platform/socket.h"

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

/* Fills `sa`; returns its size, 0 when `ep` is no IP address. */
socklen_t sockaddr_from_endpoint(union socket_address *sa, const struct udptun_endpoint *ep);
/* As above for a Unix socket; 0 when the path is empty or too long. A leading '@' is not special.
 */
socklen_t sockaddr_from_path(union socket_address *sa, const char *path);
/* Family NONE for anything but IPv4 and IPv6. Mapped addresses are kept as they are. */
struct udptun_endpoint sockaddr_to_endpoint(const union socket_address *sa, socklen_t size);
/* AF_INET, AF_INET6, or -1. */
int sockaddr_family(const struct udptun_endpoint *ep);

/* A non-blocking, close-on-exec socket that meets `rules` (NULL: none apply, as for a socket that
 * stays on this host). `type` is SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET. */
int socket_make(int family, int type, const struct socket_rules *rules, udptun_socket *made);
/* accept() with both flags. -1 and errno. */
int socket_take(udptun_socket listening, union socket_address *sa, socklen_t *size);
/* Bind it; IPv6 alone on an IPv6 address. */
int socket_bind(udptun_socket socket, const struct udptun_endpoint *at);
/* errno of a call that makes something: there ENOBUFS is a lack of memory, not a full queue. */
int socket_making_error(void);

/* Buffers and what of `wants` (datagram.h) the system has, for a UDP socket of ours. */
void udp_set_up(udptun_socket fd, bool ip6, unsigned wants);

#endif
