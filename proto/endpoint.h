/* SPDX-License-Identifier: Apache-2.0 */
/*
 * endpoint.h - the address type of the whole project: an IP address and a port, or nothing.
 *
 * <udptun/endpoint.h> has the struct, here is what is done with it. It knows no socket;
 * daemon/platform converts from and to the system's type.
 */
#ifndef PROTO_ENDPOINT_H
#define PROTO_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <udptun/endpoint.h>

/* "[" + 45 + "%4294967295" + "]:65535" + NUL fits. */
#define ENDPOINT_TEXT_SIZE 72

/* A host name, RFC 1035 section 2.3.4, and its NUL. */
#define HOST_NAME_SIZE 256

/* HOST:PORT as a user writes it. */
struct host_port {
    struct udptun_endpoint ep; /* family NONE when the host is a name */
    uint16_t port;             /* also when it is a name */
    char host[HOST_NAME_SIZE]; /* as written, without brackets; lower case is not forced */
};

static inline bool endpoint_equal(const struct udptun_endpoint *a, const struct udptun_endpoint *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* The same address, whatever the ports. */
static inline bool endpoint_same_ip(const struct udptun_endpoint *a,
                                    const struct udptun_endpoint *b)
{
    return a->family == b->family && a->scope == b->scope && memcmp(a->ip, b->ip, 16) == 0;
}

struct udptun_endpoint endpoint_ip4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port);

/* ::ffff:a.b.c.d becomes a.b.c.d; anything else stays. */
struct udptun_endpoint endpoint_unmapped(const struct udptun_endpoint *ep);

/* What an address is, after unmapping (RFC 6890). */
bool endpoint_is_loopback(const struct udptun_endpoint *ep);
bool endpoint_is_unspecified(const struct udptun_endpoint *ep);
bool endpoint_is_link_local(const struct udptun_endpoint *ep);
bool endpoint_is_multicast(const struct udptun_endpoint *ep);
bool endpoint_is_broadcast(const struct udptun_endpoint *ep); /* 255.255.255.255 alone */

/* "192.0.2.1:53", "[2001:db8::1]:53", "none". Returns `text`. */
char *endpoint_format(const struct udptun_endpoint *ep, char text[ENDPOINT_TEXT_SIZE]);

/* An address without a port: "192.0.2.1", "2001:db8::1", with "%ZONE" in digits. False when
 * `text` is no address. The port of `ep` becomes 0. */
bool endpoint_parse_ip(const char *text, struct udptun_endpoint *ep);

/* The zone's name in an IPv6 address whose zone is no number: "eth0" of "fe80::1%eth0". Only the
 * system knows its index. NULL when `text` is anything else. */
const char *endpoint_zone_name(const char *text);

/* A zone means nothing to another host: the address without it. Anything else stays. */
void host_port_drop_zone(struct host_port *host);

/* "192.0.2.1:53" or "[2001:db8::1]:53". False for anything else, a name included. */
bool endpoint_parse(const char *text, struct udptun_endpoint *ep);

/*
 * HOST:PORT, where HOST is an address, an IPv6 address in brackets, a host name, "localhost"
 * (127.0.0.1, without a lookup), or empty or "*" where `wildcard` (0.0.0.0). Port 0 is accepted. An
 * address whose zone is a name is taken as a host name: only the system knows the zone's index.
 * Returns NULL, or what is wrong with the text as a clause: "port is missing".
 */
const char *host_port_parse(const char *text, bool wildcard, struct host_port *out);

/* A decimal port, 0 to 65535, nothing around it. */
bool port_parse(const char *text, uint16_t *port);

#endif
