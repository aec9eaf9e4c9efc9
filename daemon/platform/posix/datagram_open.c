/* SPDX-License-Identifier: Apache-2.0 */
/* datagram_open.c - making UDP sockets, and one datagram at once. */
#include <errno.h>
#include <netinet/in.h>

#include "daemon/platform/datagram.h"
#include "daemon/platform/posix/address.h"
#include "daemon/platform/posix/vector.h"

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

static uint32_t datagram_open_path_mtu(udptun_socket s, int family)
{
    int value = 0;
#if defined(IP_MTU) && defined(IPV6_MTU)
    socklen_t size = sizeof value;
    bool is_ip6 = family == AF_INET6;
    if (getsockopt(s, is_ip6 ? IPPROTO_IPV6 : IPPROTO_IP, is_ip6 ? IPV6_MTU : IP_MTU, &value,
                   &size) < 0)
        return 0;
#else
    (void)s;
    (void)family;
#endif
    return value > 0 ? (uint32_t)value : 0;
}

/* connect() of a UDP socket sends nothing: it looks the route up. */
int udp_route_to(const struct udptun_endpoint *to, const struct socket_rules *rules,
                 struct udp_route *route)
{
    int family = sockaddr_family(to);
    udptun_socket s;
    int failure = family < 0 ? EAFNOSUPPORT : socket_make(family, SOCK_DGRAM, rules, &s);
    if (failure)
        return failure;
    failure = udp_connect(s, to);
    if (failure == 0) {
        route->source = socket_own(s);
        route->source.port = 0;
        route->source.scope = 0;
        route->mtu = datagram_open_path_mtu(s, family);
    }
    socket_close(s);
    return failure;
}

int udp_send(udptun_socket s, const struct udptun_endpoint *to, const struct io_span *parts,
             size_t count)
{
    union socket_address sa;
    struct msghdr message = {.msg_iov = vector_of(parts)};
    message.msg_iovlen = (__typeof__(message.msg_iovlen))count; /* int on some systems */
    if (to) {
        message.msg_name = &sa;
        message.msg_namelen = sockaddr_from_endpoint(&sa, to);
    }
    return sendmsg(s, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? errno : 0;
}
