/* SPDX-License-Identifier: Apache-2.0 */
/*
 * packet.c - IP packets: what one that came in is, and the headers of one that goes out.
 *
 * All that is wrong with a packet is found here and in extension.c (IPv6 extension headers), before
 * lwIP or anything else sees it.
 */
#include "tun2socks/packet.h"

#include "proto/buffer.h"
#include "tun2socks/checksum.h"

static bool drop(enum tun2socks_drop *cause, enum tun2socks_drop why)
{
    *cause = why;
    return false;
}

static bool parse_ip4(struct packet *p, struct reader *r, enum tun2socks_drop *cause)
{
    size_t header_size = (size_t)(reader_u8(r) & 0x0f) * 4;
    reader_u8(r); /* DSCP, ECN */
    size_t total_size = reader_u16(r);
    p->fragment_id = reader_u16(r);
    uint16_t fragment = reader_u16(r);
    reader_u8(r); /* TTL */
    p->protocol = reader_u8(r);
    reader_u16(r); /* checksum */
    p->source.family = p->destination.family = UDPTUN_ENDPOINT_IP4;
    reader_copy(r, p->source.ip, 4);
    reader_copy(r, p->destination.ip, 4);
    if (r->failed || header_size < IP4_HEADER_SIZE || total_size < header_size ||
        total_size > p->size)
        return drop(cause, TUN2SOCKS_DROP_MALFORMED);
    if (checksum_end(checksum_add(0, p->data, header_size)) != 0)
        return drop(cause, TUN2SOCKS_DROP_CHECKSUM);
    p->size = total_size;
    p->transport = p->data + header_size;
    p->transport_size = total_size - header_size;
    p->is_fragment = (fragment & 0x3fff) != 0;
    p->fragment_offset = (size_t)(fragment & 0x1fff) * 8;
    p->fragment_more = fragment & 0x2000;
    p->dont_fragment = fragment & 0x4000;
    return true;
}

static bool parse_ip6(struct packet *p, struct reader *r, enum tun2socks_drop *cause)
{
    reader_u32(r); /* version, traffic class, flow label */
    size_t payload_size = reader_u16(r);
    p->protocol = reader_u8(r);
    reader_u8(r); /* hop limit */
    p->source.family = p->destination.family = UDPTUN_ENDPOINT_IP6;
    reader_copy(r, p->source.ip, 16);
    reader_copy(r, p->destination.ip, 16);
    if (r->failed || payload_size > reader_left(r))
        return drop(cause, TUN2SOCKS_DROP_MALFORMED);
    p->size = IP6_HEADER_SIZE + payload_size;
    p->transport = p->data + IP6_HEADER_SIZE;
    p->transport_size = payload_size;
    return true;
}

/* Ports, flags and the length fields of the transport header. */
static bool parse_transport(struct packet *p, enum tun2socks_drop *cause)
{
    struct reader r = reader_of(p->transport, p->transport_size);
    if (p->protocol == PROTOCOL_ICMP || p->protocol == PROTOCOL_ICMP6) {
        if ((p->protocol == PROTOCOL_ICMP) != (p->source.family == UDPTUN_ENDPOINT_IP4))
            return drop(cause, TUN2SOCKS_DROP_PROTOCOL);
        return p->transport_size >= ICMP_HEADER_SIZE || drop(cause, TUN2SOCKS_DROP_MALFORMED);
    }
    if (p->protocol != PROTOCOL_TCP && p->protocol != PROTOCOL_UDP)
        return drop(cause, TUN2SOCKS_DROP_PROTOCOL);
    p->source.port = reader_u16(&r);
    p->destination.port = reader_u16(&r);
    if (p->protocol == PROTOCOL_UDP) {
        size_t size = reader_u16(&r);
        reader_u16(&r); /* checksum */
        if (r.failed || size < UDP_HEADER_SIZE || size > p->transport_size)
            return drop(cause, TUN2SOCKS_DROP_MALFORMED);
        p->transport_size = size;
    } else {
        reader_u64(&r); /* sequence and acknowledgement numbers */
        size_t header_size = (size_t)(reader_u8(&r) >> 4) * 4;
        p->tcp_flags = reader_u8(&r);
        if (r.failed || header_size < TCP_HEADER_SIZE || header_size > p->transport_size)
            return drop(cause, TUN2SOCKS_DROP_MALFORMED);
    }
    if (p->source.port == 0 || p->destination.port == 0)
        return drop(cause, TUN2SOCKS_DROP_MALFORMED);
    return true;
}

static bool transport_checksum_is_right(const struct packet *p)
{
    checksum_sum sum = 0;
    if (p->protocol == PROTOCOL_UDP && p->transport[6] == 0 && p->transport[7] == 0)
        return p->source.family == UDPTUN_ENDPOINT_IP4; /* not computed; IPv6 has no such thing */
    if (p->protocol != PROTOCOL_ICMP)
        sum = checksum_pseudo(&p->source, &p->destination, p->protocol, p->transport_size);
    return checksum_end(checksum_add(sum, p->transport, p->transport_size)) == 0;
}

bool packet_parse(struct packet *p, const void *data, size_t size, bool checksum_is_good,
                  enum tun2socks_drop *cause)
{
    struct reader r = reader_of(data, size);
    *p = (struct packet){.data = data, .size = size};
    if (size == 0)
        return drop(cause, TUN2SOCKS_DROP_MALFORMED);
    unsigned version = p->data[0] >> 4;
    if (version != 4 && version != 6)
        return drop(cause, TUN2SOCKS_DROP_MALFORMED);
    if (!(version == 4 ? parse_ip4(p, &r, cause) : parse_ip6(p, &r, cause)))
        return false;
    if (endpoint_is_multicast(&p->source) || endpoint_is_broadcast(&p->source) ||
        endpoint_is_unspecified(&p->source))
        return drop(cause, TUN2SOCKS_DROP_ADDRESS);
    if (endpoint_is_multicast(&p->destination) || endpoint_is_broadcast(&p->destination) ||
        endpoint_is_unspecified(&p->destination))
        return drop(cause, TUN2SOCKS_DROP_ADDRESS);
    if (version == 6 && !packet_follow_extensions(p, IP6_NEXT_HEADER_AT, cause))
        return false;
    if (p->is_fragment)
        return true;
    if (!parse_transport(p, cause))
        return false;
    bool is_icmp = p->protocol == PROTOCOL_ICMP || p->protocol == PROTOCOL_ICMP6;
    if ((is_icmp || !checksum_is_good) && !transport_checksum_is_right(p))
        return drop(cause, TUN2SOCKS_DROP_CHECKSUM);
    return true;
}

enum {
    HOP_LIMIT = 64,
    MORE_FRAGMENTS = 0x2000,
    DONT_FRAGMENT = 0x4000,
};

static size_t write_ip4(uint8_t *to, const struct udptun_endpoint *source,
                        const struct udptun_endpoint *destination, uint8_t protocol, size_t size,
                        uint16_t id, uint16_t flags_and_offset)
{
    uint8_t header[IP4_HEADER_SIZE];
    struct writer w = writer_of(header, sizeof header);
    writer_u16(&w, 0x4500);
    writer_u16(&w, (uint16_t)(IP4_HEADER_SIZE + size));
    writer_u16(&w, id);
    writer_u16(&w, flags_and_offset);
    writer_u8(&w, HOP_LIMIT);
    writer_u8(&w, protocol);
    writer_u16(&w, 0);
    writer_bytes(&w, source->ip, 4);
    writer_bytes(&w, destination->ip, 4);
    uint16_t sum = checksum_end(checksum_add(0, header, sizeof header));
    memcpy(header + 10, &sum, sizeof sum);
    memcpy(to, header, sizeof header);
    return IP4_HEADER_SIZE;
}

size_t packet_write_ip4_fragment(uint8_t *to, const struct udptun_endpoint *source,
                                 const struct udptun_endpoint *destination, uint8_t protocol,
                                 size_t size, uint16_t id, size_t offset, bool more)
{
    return write_ip4(to, source, destination, protocol, size, id,
                     (uint16_t)((more ? MORE_FRAGMENTS : 0) | offset / 8));
}

size_t packet_write_ip(uint8_t *to, const struct udptun_endpoint *source,
                       const struct udptun_endpoint *destination, uint8_t protocol, size_t size)
{
    if (destination->family == UDPTUN_ENDPOINT_IP4)
        return write_ip4(to, source, destination, protocol, size, 0, DONT_FRAGMENT);
    uint8_t header[IP6_HEADER_SIZE];
    struct writer w = writer_of(header, sizeof header);
    writer_u32(&w, UINT32_C(6) << 28);
    writer_u16(&w, (uint16_t)size);
    writer_u8(&w, protocol);
    writer_u8(&w, HOP_LIMIT);
    writer_bytes(&w, source->ip, 16);
    writer_bytes(&w, destination->ip, 16);
    memcpy(to, header, sizeof header);
    return IP6_HEADER_SIZE;
}
