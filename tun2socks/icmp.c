/* SPDX-License-Identifier: Apache-2.0 */
/* icmp.c - echo, and the errors that an app expects (RFC 792, RFC 4443). */
#include "proto/buffer.h"
#include "tun2socks/checksum.h"
#include "tun2socks/internal.h"

enum {
    ECHO4 = 8,
    ECHO4_REPLY = 0,
    ECHO6 = 128,
    ECHO6_REPLY = 129,
};

/* IP header, ICMP message in `parts`; parts[0] begins with the 8 bytes of the ICMP header. */
static void send_icmp(struct tun2socks *t, const struct endpoint *source,
                      const struct endpoint *app, struct iovec parts[2])
{
    const struct packet_offload none = {0};
    bool is_ip4 = app->family == ENDPOINT_IP4;
    uint8_t protocol = is_ip4 ? PROTOCOL_ICMP : PROTOCOL_ICMP6, header[IP6_HEADER_SIZE];
    size_t size = parts[0].iov_len + parts[1].iov_len;
    checksum_sum sum = is_ip4 ? 0 : checksum_pseudo(source, app, protocol, size);
    uint8_t *icmp = parts[0].iov_base;
    memset(icmp + 2, 0, 2);
    uint16_t value = checksum_end(checksum_add_parts(sum, parts, 2, 0));
    memcpy(icmp + 2, &value, sizeof value);
    size_t ip_size = packet_write_ip(header, source, app, protocol, size);
    struct iovec all[3] = {{header, ip_size}, parts[0], parts[1]};
    stack_write(t, all, 3, &none);
}

void icmp_packet(struct tun2socks *t, const struct packet *p)
{
    bool is_ip4 = p->source.family == ENDPOINT_IP4;
    bool is_echo = p->transport[0] == (is_ip4 ? ECHO4 : ECHO6) && p->transport[1] == 0;
    size_t ip_size = is_ip4 ? IP4_HEADER_SIZE : IP6_HEADER_SIZE;
    bool fits = t->device && ip_size + p->transport_size <= t->device->mtu;
    if (!is_echo || !t->config.echo_reply || !fits) {
        stack_drop(t, TUN2SOCKS_DROP_ICMP);
        return;
    }
    uint8_t header[ICMP_HEADER_SIZE];
    memcpy(header, p->transport, sizeof header);
    header[0] = is_ip4 ? ECHO4_REPLY : ECHO6_REPLY;
    struct iovec parts[2] = {
        {header, sizeof header},
        {(uint8_t *)(uintptr_t)p->transport + sizeof header, p->transport_size - sizeof header}};
    send_icmp(t, &p->destination, &p->source, parts);
}

struct icmp_kind {
    uint8_t type4, code4, type6, code6;
};

/* RFC 792 and RFC 1812 section 5.2.7.1; RFC 4443 sections 3.1 and 3.2. */
static const struct icmp_kind kinds[] = {
    [TUN2SOCKS_PORT_UNREACHABLE] = {3, 3, 1, 4},
    [TUN2SOCKS_HOST_UNREACHABLE] = {3, 1, 1, 3},
    [TUN2SOCKS_PROHIBITED] = {3, 13, 1, 1},
    [TUN2SOCKS_TOO_BIG] = {3, 4, 2, 0},
};

void icmp_error(struct tun2socks *t, const struct endpoint *source,
                const struct endpoint *destination, uint8_t protocol, const uint8_t quoted[8],
                size_t size, enum tun2socks_unreachable why, uint32_t mtu)
{
    const struct icmp_kind *kind = &kinds[why];
    bool is_ip4 = source->family == ENDPOINT_IP4;
    uint8_t message[ICMP_HEADER_SIZE + IP6_HEADER_SIZE + 8];
    struct writer w = writer_of(message, sizeof message);
    writer_u8(&w, is_ip4 ? kind->type4 : kind->type6);
    writer_u8(&w, is_ip4 ? kind->code4 : kind->code6);
    writer_u16(&w, 0);
    writer_u32(&w, is_ip4 && mtu > UINT16_MAX ? UINT16_MAX : mtu); /* only TOO_BIG has one */
    w.at += packet_write_ip(w.at, source, destination, protocol, size);
    writer_bytes(&w, quoted, 8);
    struct iovec parts[2] = {{message, writer_size(&w)}, {message, 0}};
    send_icmp(t, destination, source, parts);
}
