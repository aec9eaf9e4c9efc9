/* SPDX-License-Identifier: Apache-2.0 */
/* packets.c - IPv4 packets of an app behind tun2socks. */
#include "tests/bench/packets.h"

#include <netinet/in.h>
#include <string.h>

enum { IP_SIZE = 20, UDP_SIZE = 8, TCP_SIZE = 20, PROTOCOL_AT = 9, ADDRESSES_AT = 12 };

static const uint8_t app[4] = {10, 0, 0, 2}, target[4] = {127, 0, 0, 1};

static void put_u16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put_u32(uint8_t *at, uint32_t value)
{
    put_u16(at, value >> 16);
    put_u16(at + 2, value & 0xffff);
}

static uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* The Internet checksum of RFC 1071, with `sum` to begin with. */
static unsigned checksum(uint32_t sum, const uint8_t *at, size_t size)
{
    for (size_t i = 0; i < size; i++)
        sum += i % 2 == 0 ? (uint32_t)at[i] << 8 : at[i];
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return ~sum & 0xffff;
}

static void put_ip(uint8_t *at, uint8_t protocol, size_t payload_size)
{
    memset(at, 0, IP_SIZE);
    at[0] = 0x45;
    put_u16(at + 2, (unsigned)(IP_SIZE + payload_size));
    at[8] = 64;
    at[PROTOCOL_AT] = protocol;
    memcpy(at + ADDRESSES_AT, app, 4);
    memcpy(at + ADDRESSES_AT + 4, target, 4);
    put_u16(at + 10, checksum(0, at, IP_SIZE));
}

size_t packets_udp(uint8_t *at, uint16_t from, uint16_t to, const void *payload, size_t size)
{
    put_ip(at, IPPROTO_UDP, UDP_SIZE + size);
    uint8_t *udp = at + IP_SIZE;
    put_u16(udp, from);
    put_u16(udp + 2, to);
    put_u16(udp + 4, (unsigned)(UDP_SIZE + size));
    put_u16(udp + 6, 0); /* no checksum: allowed in IPv4 (RFC 768) */
    memcpy(udp + UDP_SIZE, payload, size);
    return IP_SIZE + UDP_SIZE + size;
}

/* Over the pseudo header of RFC 9293 section 3.1, too. */
static unsigned tcp_checksum(const uint8_t *packet, size_t tcp_size)
{
    uint32_t sum = IPPROTO_TCP + (uint32_t)tcp_size;
    for (int i = ADDRESSES_AT; i < ADDRESSES_AT + 8; i += 2)
        sum += (uint32_t)packet[i] << 8 | packet[i + 1];
    return checksum(sum, packet + IP_SIZE, tcp_size);
}

/* Of a SYN, as every system sends them: segments of 1460 bytes, a window scale of 7. */
static const uint8_t syn_options[] = {2, 4, 1460 >> 8, 1460 & 0xff, 1, 3, 3, 7};

size_t packets_tcp(uint8_t *at, struct tcp_flow *flow, unsigned flags, const void *payload,
                   size_t size)
{
    size_t options_size = flags & TCP_SYN ? sizeof syn_options : 0;
    size_t head_size = TCP_SIZE + options_size;
    put_ip(at, IPPROTO_TCP, head_size + size);
    uint8_t *tcp = at + IP_SIZE;
    memset(tcp, 0, TCP_SIZE);
    memcpy(tcp + TCP_SIZE, syn_options, options_size);
    put_u16(tcp, flow->from);
    put_u16(tcp + 2, flow->to);
    put_u32(tcp + 4, flow->next);
    put_u32(tcp + 8, flow->expects);
    tcp[12] = (uint8_t)(head_size / 4 << 4);
    tcp[13] = (uint8_t)flags;
    put_u16(tcp + 14, 65535);
    memcpy(tcp + head_size, payload, size);
    put_u16(tcp + 16, tcp_checksum(at, head_size + size));
    flow->next += (uint32_t)size + (flags & TCP_SYN ? 1 : 0);
    return IP_SIZE + head_size + size;
}

void packets_tcp_came(struct tcp_flow *flow, const uint8_t *packet, size_t size)
{
    if (size < IP_SIZE + TCP_SIZE || packet[PROTOCOL_AT] != IPPROTO_TCP)
        return;
    const uint8_t *tcp = packet + IP_SIZE;
    if (tcp[13] & TCP_SYN)
        flow->expects = get_u32(tcp + 4) + 1;
    flow->acked = get_u32(tcp + 8);
}
