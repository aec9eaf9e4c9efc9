/* SPDX-License-Identifier: Apache-2.0 */
/* own_addresses.c - the addresses of this host, by getifaddrs(). */
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>

#include "daemon/platform/network.h"
#include "daemon/platform/posix/address.h"

/* False: not an address that we know. */
static bool own_addresses_read_address(const struct sockaddr *sa, struct udptun_endpoint *ep)
{
    union socket_address copy = {0};
    if (!sa || (sa->sa_family != AF_INET && sa->sa_family != AF_INET6))
        return false;
    memcpy(&copy, sa, sa->sa_family == AF_INET ? sizeof copy.ip4 : sizeof copy.ip6);
    *ep = sockaddr_to_endpoint(&copy, sizeof copy);
    ep->port = 0;
    ep->scope = 0;
    return true;
}

static void tell(const struct sockaddr *sa, network_address *each, void *arg)
{
    struct udptun_endpoint ep;
    if (own_addresses_read_address(sa, &ep))
        each(arg, &ep);
}

int network_interface_addresses(network_interface_address *each, void *arg)
{
    struct ifaddrs *first;
    struct udptun_endpoint ep;
    if (getifaddrs(&first) < 0)
        return errno;
    for (const struct ifaddrs *i = first; i; i = i->ifa_next)
        if (own_addresses_read_address(i->ifa_addr, &ep))
            each(arg, &ep, if_nametoindex(i->ifa_name));
    freeifaddrs(first);
    return 0;
}

int network_own_addresses(network_address *each, void *arg)
{
    struct ifaddrs *first;
    if (getifaddrs(&first) < 0)
        return errno;
    for (const struct ifaddrs *i = first; i; i = i->ifa_next) {
        tell(i->ifa_addr, each, arg);
        if (i->ifa_flags & IFF_BROADCAST)
            tell(i->ifa_broadaddr, each, arg);
    }
    freeifaddrs(first);
    return 0;
}
