/* SPDX-License-Identifier: Apache-2.0 */
/*
 * extension.c - the extension headers of an IPv6 packet (RFC 8200 section 4).
 *
 * What they ask of a destination is done: options say themselves what becomes of a packet whose
 * receiver does not know them. A routing header with segments left names further hops; we are none
 * of its kind, and type 0 is forbidden (RFC 5095).
 */
#include "proto/buffer.h"
#include "tun2socks/packet.h"

enum {
    EXTENSION_UNIT = 8,
    EXTENSION_LEAST_SIZE = 8,
    OPTION_PAD1 = 0,
    OPTION_PADN = 1,
    OPTION_ROUTER_ALERT = 5,
    ROUTING_TYPE_AT = 2,
};

/* What an unknown option's highest two bits say (RFC 8200 section 4.2). */
enum unknown_option { OPTION_SKIP, OPTION_DISCARD, OPTION_REPORT, OPTION_REPORT_UNICAST };

/* ICMPv6 parameter problem (RFC 4443 section 3.4). */
enum { PROBLEM_FIELD = 0, PROBLEM_NEXT_HEADER = 1, PROBLEM_OPTION = 2 };

static bool drop(enum tun2socks_drop *cause, enum tun2socks_drop why)
{
    *cause = why;
    return false;
}

static bool follow_options(struct packet *p, size_t size, enum tun2socks_drop *cause)
{
    struct reader r = reader_of(p->transport + 2, size - 2);
    while (reader_left(&r) > 0) {
        size_t at = (size_t)(p->transport - p->data) + size - reader_left(&r);
        uint8_t type = reader_u8(&r);
        if (type == OPTION_PAD1)
            continue;
        reader_bytes(&r, reader_u8(&r));
        if (r.failed)
            return drop(cause, TUN2SOCKS_DROP_MALFORMED);
        if (type == OPTION_PADN || type == OPTION_ROUTER_ALERT)
            continue;
        enum unknown_option wish = (enum unknown_option)(type >> 6);
        if (wish == OPTION_DISCARD)
            return drop(cause, TUN2SOCKS_DROP_PROTOCOL);
        if (wish != OPTION_SKIP) /* the destination is no multicast address: that was looked at */
            return packet_problem(p, PROBLEM_OPTION, at, cause);
    }
    return true;
}

static bool follow_routing(struct packet *p, enum tun2socks_drop *cause)
{
    uint8_t segments_left = p->transport[3];
    if (segments_left == 0)
        return true;
    size_t at = (size_t)(p->transport - p->data) + ROUTING_TYPE_AT;
    return packet_problem(p, PROBLEM_FIELD, at, cause);
}

static bool take_fragment_header(struct packet *p, enum tun2socks_drop *cause)
{
    struct reader r = reader_of(p->transport, p->transport_size);
    p->protocol = reader_u8(&r);
    reader_u8(&r); /* reserved */
    uint16_t fragment = reader_u16(&r);
    p->fragment_id = reader_u32(&r);
    if (r.failed)
        return drop(cause, TUN2SOCKS_DROP_MALFORMED);
    p->is_fragment = true; /* also where it is the only one: the header has to go */
    p->fragment_offset = fragment & 0xfff8;
    p->fragment_more = fragment & 1;
    p->transport += FRAGMENT6_HEADER_SIZE;
    p->transport_size -= FRAGMENT6_HEADER_SIZE;
    return true;
}

bool packet_follow_extensions(struct packet *p, size_t next_at, enum tun2socks_drop *cause)
{
    for (bool is_first = true;; is_first = false) {
        uint8_t type = p->protocol;
        if (type == PROTOCOL_FRAGMENT6)
            return take_fragment_header(p, cause);
        if (type == PROTOCOL_TCP || type == PROTOCOL_UDP || type == PROTOCOL_ICMP6)
            return true;
        if (type == PROTOCOL_NO_NEXT_HEADER)
            return drop(cause, TUN2SOCKS_DROP_PROTOCOL);
        bool is_options = type == PROTOCOL_DESTINATION || (type == PROTOCOL_HOP_BY_HOP && is_first);
        if (!is_options && type != PROTOCOL_ROUTING)
            return packet_problem(p, PROBLEM_NEXT_HEADER, next_at, cause);
        if (p->transport_size < EXTENSION_LEAST_SIZE)
            return drop(cause, TUN2SOCKS_DROP_MALFORMED);
        size_t size = (p->transport[1] + (size_t)1) * EXTENSION_UNIT;
        if (size > p->transport_size)
            return drop(cause, TUN2SOCKS_DROP_MALFORMED);
        if (is_options ? !follow_options(p, size, cause) : !follow_routing(p, cause))
            return false;
        next_at = (size_t)(p->transport - p->data);
        p->protocol = p->transport[0];
        p->transport += size;
        p->transport_size -= size;
    }
}

void packet_strip_extensions(struct packet *p)
{
    uint8_t *ip = (uint8_t *)(uintptr_t)p->data;
    size_t gap = (size_t)(p->transport - p->data) - IP6_HEADER_SIZE;
    memmove(ip + gap, ip, IP6_HEADER_SIZE);
    p->data += gap;
    p->size -= gap;
    struct writer w = writer_of(ip + gap + IP6_PAYLOAD_SIZE_AT, 3);
    writer_u16(&w, (uint16_t)p->transport_size);
    writer_u8(&w, p->protocol);
}
