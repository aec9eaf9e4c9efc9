/* SPDX-License-Identifier: Apache-2.0 */
/* address.c - endpoints as the socket addresses of POSIX, and back. */
#include "daemon/platform/posix/address.h"

#include <stddef.h>
#include <string.h>

socklen_t sockaddr_from_endpoint(union socket_address *sa, const struct udptun_endpoint *ep)
{
    if (ep->family == UDPTUN_ENDPOINT_IP4) {
        memset(&sa->ip4, 0, sizeof sa->ip4);
        sa->ip4.sin_family = AF_INET;
        sa->ip4.sin_port = htons(ep->port);
        memcpy(&sa->ip4.sin_addr, ep->ip, 4);
        return sizeof sa->ip4;
    }
    if (ep->family == UDPTUN_ENDPOINT_IP6) {
        memset(&sa->ip6, 0, sizeof sa->ip6);
        sa->ip6.sin6_family = AF_INET6;
        sa->ip6.sin6_port = htons(ep->port);
        sa->ip6.sin6_scope_id = ep->scope;
        memcpy(&sa->ip6.sin6_addr, ep->ip, 16);
        return sizeof sa->ip6;
    }
    return 0;
}

socklen_t sockaddr_from_path(union socket_address *sa, const char *path)
{
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof sa->path.sun_path)
        return 0;
    memset(&sa->path, 0, sizeof sa->path);
    sa->path.sun_family = AF_UNIX;
    memcpy(sa->path.sun_path, path, len + 1);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
}

struct udptun_endpoint sockaddr_to_endpoint(const union socket_address *sa, socklen_t size)
{
    struct udptun_endpoint ep = {0};
    if (size >= sizeof sa->ip4 && sa->any.sa_family == AF_INET) {
        ep.family = UDPTUN_ENDPOINT_IP4;
        ep.port = ntohs(sa->ip4.sin_port);
        memcpy(ep.ip, &sa->ip4.sin_addr, 4);
    } else if (size >= sizeof sa->ip6 && sa->any.sa_family == AF_INET6) {
        ep.family = UDPTUN_ENDPOINT_IP6;
        ep.port = ntohs(sa->ip6.sin6_port);
        memcpy(ep.ip, &sa->ip6.sin6_addr, 16);
        /* The zone of a global address says nothing, and would make two of one. */
        ep.scope = endpoint_is_link_local(&ep) ? sa->ip6.sin6_scope_id : 0;
    }
    return ep;
}

int sockaddr_family(const struct udptun_endpoint *ep)
{
    return ep->family == UDPTUN_ENDPOINT_IP4   ? AF_INET
           : ep->family == UDPTUN_ENDPOINT_IP6 ? AF_INET6
                                               : -1;
}
