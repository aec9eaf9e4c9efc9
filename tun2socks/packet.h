/* SPDX-License-Identifier: Apache-2.0 */
/* packet.h - IP packets: what one that came in is, and the headers of one that goes out. */
#ifndef TUN2SOCKS_PACKET_H
#define TUN2SOCKS_PACKET_H

#include "proto/endpoint.h"
#include "tun2socks/tun2socks.h"

enum {
    PROTOCOL_HOP_BY_HOP = 0, /* IPv6 extension headers: this one, */
    PROTOCOL_ICMP = 1,
    PROTOCOL_TCP = 6,
    PROTOCOL_UDP = 17,
    PROTOCOL_ROUTING = 43, /* this, */
    PROTOCOL_FRAGMENT6 = 44,
    PROTOCOL_ICMP6 = 58,
    PROTOCOL_NO_NEXT_HEADER = 59,
    PROTOCOL_DESTINATION = 60, /* and this */
};

enum {
    IP4_HEADER_SIZE = 20,
    IP6_HEADER_SIZE = 40,
    FRAGMENT6_HEADER_SIZE = 8,
    UDP_HEADER_SIZE = 8,
    TCP_HEADER_SIZE = 20,
    ICMP_HEADER_SIZE = 8,
};

enum {
    TCP_CHECKSUM_OFFSET = 16,
    IP6_PAYLOAD_SIZE_AT = 4,
    IP6_NEXT_HEADER_AT = 6,
};

enum {
    TCP_FLAG_FIN = 0x01,
    TCP_FLAG_SYN = 0x02,
    TCP_FLAG_RST = 0x04,
    TCP_FLAG_ACK = 0x10,
};

struct packet {
    const uint8_t *data; /* the IP header */
    size_t size;         /* what the IP header says; what lies behind is cut off */
    uint8_t protocol;
    bool is_fragment; /* then no ports; `transport` is a piece */
    uint32_t fragment_id;
    size_t fragment_offset; /* bytes */
    bool fragment_more;
    bool dont_fragment; /* IPv4: its sender asked for that */
    struct udptun_endpoint source, destination;
    const uint8_t *transport; /* TCP, UDP or ICMP header */
    size_t transport_size;    /* that header and what follows */
    uint8_t tcp_flags;
    /* Of an IPv6 packet that is dropped: its sender is owed an ICMPv6 parameter problem. */
    bool has_problem;
    uint8_t problem_code;
    uint32_t problem_at; /* offset in `data` of what is wrong */
};

/* Fill `p`, which points into `data`. False: it is to be dropped, and `*cause` is why.
 * `checksum_is_good`: the device vouches for TCP's and UDP's. */
bool packet_parse(struct packet *p, const void *data, size_t size, bool checksum_is_good,
                  enum tun2socks_drop *cause);

/* Follow the extension headers behind an IPv6 header (RFC 8200 section 4), of which `next_at` is
 * the offset of the first one's type: `protocol`, `transport` and what concerns fragments are those
 * of the first header that is not followed. False: as packet_parse(). */
bool packet_follow_extensions(struct packet *p, size_t next_at, enum tun2socks_drop *cause);

/* Move the IPv6 header next to the transport header, over the extension headers between them, in
 * the packet's own buffer, which must not be read only. */
void packet_strip_extensions(struct packet *p);

/* Drop `p`, whose sender is to be told what is wrong with it. Returns false. */
static inline bool packet_problem(struct packet *p, uint8_t code, size_t at,
                                  enum tun2socks_drop *cause)
{
    p->has_problem = true;
    p->problem_code = code;
    p->problem_at = (uint32_t)at;
    *cause = TUN2SOCKS_DROP_PROTOCOL;
    return false;
}

/* Write the IP header of a packet with `size` bytes behind it, which nobody is to cut: so it needs
 * no identification of its own (RFC 6864 section 4.1). Returns its size. */
size_t packet_write_ip(uint8_t *to, const struct udptun_endpoint *source,
                       const struct udptun_endpoint *destination, uint8_t protocol, size_t size);

/* The same of an IPv4 packet that may be cut, or is a fragment: `offset` in bytes, a multiple of 8.
 */
size_t packet_write_ip4_fragment(uint8_t *to, const struct udptun_endpoint *source,
                                 const struct udptun_endpoint *destination, uint8_t protocol,
                                 size_t size, uint16_t id, size_t offset, bool more);

#endif
