/* SPDX-License-Identifier: Apache-2.0 */
/* datagram_open.c - making UDP sockets, and one datagram at once. */
#include <errno.h>

#include "daemon/platform/datagram.h"
#include "daemon/platform/posix/address.h"

int udp_open(const struct udptun_endpoint *at, const struct socket_rules *rules, unsigned wants,
             udptun_socket *made)
{
    int family = sockaddr_family(at);
    *made = NO_SOCKET;
    int failure = family < 0 ? EAFNOSUPPORT : socket_make(family, SOCK_DGRAM, rules, made);
    if (failure)
        return failure;
    failure = socket_bind(*made, at);
    if (failure) {
        socket_close(*made);
        *made = NO_SOCKET;
        return failure;
    }
    udp_set_up(*made, family == AF_INET6, wants);
    if (rules && rules->opened)
        rules->opened(rules->opened_arg, *made);
    return 0;
}

int udp_connect(udptun_socket s, const struct udptun_endpoint *to)
{
    union socket_address sa;
    socklen_t size = sockaddr_from_endpoint(&sa, to);
    return connect(s, &sa.any, size) < 0 ? socket_making_error() : 0;
}

int udp_send(udptun_socket s, const struct udptun_endpoint *to, const struct io_span *parts,
             size_t count)
{
    union socket_address sa;
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)parts};
    message.msg_iovlen = (__typeof__(message.msg_iovlen))count; /* int on some systems */
    if (to) {
        message.msg_name = &sa;
        message.msg_namelen = sockaddr_from_endpoint(&sa, to);
    }
    return sendmsg(s, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? errno : 0;
}
