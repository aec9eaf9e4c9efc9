/* SPDX-License-Identifier: Apache-2.0 */
/*
 * endpoint.h - an IP address and a port, or nothing.
 *
 * A plain value that can be compared and hashed as bytes: all that is unused is zero.
 */
#ifndef UDPTUN_ENDPOINT_H
#define UDPTUN_ENDPOINT_H

#include <stdint.h>

enum udptun_endpoint_family {
    UDPTUN_ENDPOINT_NONE = 0,
    /* A host name that the far end resolves; `ip` holds a digest of it, so that endpoints of two
     * names differ. The name itself travels beside (struct udptun_dest). */
    UDPTUN_ENDPOINT_NAME = 3,
    UDPTUN_ENDPOINT_IP4 = 4,
    UDPTUN_ENDPOINT_IP6 = 6,
};

struct udptun_endpoint {
    uint8_t family; /* enum udptun_endpoint_family */
    uint8_t unused; /* 0 */
    uint16_t port;  /* host byte order */
    uint32_t scope; /* IPv6 zone index of a link-local address, else 0; never on the wire */
    uint8_t ip[16]; /* network byte order, IPv4 in the first four */
};

#endif
