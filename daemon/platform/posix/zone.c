/* SPDX-License-Identifier: Apache-2.0 */
/* zone.c - IPv6 addresses with a zone (RFC 4007 section 11), the name of an interface included. */
#include <net/if.h>
#include <string.h>

#include "daemon/platform/network.h"

bool network_parse_ip(const char *text, struct udptun_endpoint *ep)
{
    char ip[ENDPOINT_TEXT_SIZE];
    if (endpoint_parse_ip(text, ep))
        return true;
    const char *zone = endpoint_zone_name(text);
    if (!zone)
        return false;
    size_t len = (size_t)(zone - text) - 1;
    if (len >= sizeof ip)
        return false;
    memcpy(ip, text, len);
    ip[len] = '\0';
    unsigned scope = if_nametoindex(zone);
    if (scope == 0 || !endpoint_parse_ip(ip, ep))
        return false;
    ep->scope = scope;
    return true;
}

enum io network_address_of(const struct host_port *host, struct udptun_endpoint *ep)
{
    *ep = host->ep;
    if (ep->family != UDPTUN_ENDPOINT_NONE)
        return IO_OK;
    if (!endpoint_zone_name(host->host))
        return IO_BAD_NAME;
    if (!network_parse_ip(host->host, ep))
        return IO_NO_DEVICE;
    ep->port = host->port;
    return IO_OK;
}
