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
    UNREACHABLE4 = 3,
    TOO_BIG4_CODE = 4,
    TOO_BIG6 = 2,
    PROBLEM6 = 4,
    SMALL = 512, /* bytes of a message that every link carries in one packet */
    /* The largest ICMPv6 error, and so what it quotes (RFC 4443 section 3.4). */
    MOST_QUOTED6 = 1280 - IP6_HEADER_SIZE - ICMP_HEADER_SIZE,
};

/* An ICMP message in two parts, of which parts[0] begins with the 8 bytes of the ICMP header. */
static void send_icmp(struct tun2socks *t, const struct udptun_endpoint *source,
                      const struct udptun_endpoint *app, struct io_span parts[2])
{
    const struct packet_offload none = {0};
    bool is_ip4 = app->family == UDPTUN_ENDPOINT_IP4;
    uint8_t protocol = is_ip4 ? PROTOCOL_ICMP : PROTOCOL_ICMP6;
    size_t size = parts[0].size + parts[1].size;
    checksum_sum sum = is_ip4 ? 0 : checksum_pseudo(source, app, protocol, size);
    uint8_t *icmp = (uint8_t *)(uintptr_t)parts[0].data;
    memset(icmp + 2, 0, 2);
    uint16_t value = checksum_end(checksum_add_parts(sum, parts, 2, 0));
    memcpy(icmp + 2, &value, sizeof value);
    if (size > SMALL) {
        fragment_message(t, source, app, protocol, parts, &none);
        return;
    }
    uint8_t header[IP6_HEADER_SIZE]; /* no link cuts it: so it needs no identification */
    size_t ip_size = packet_write_ip(header, source, app, protocol, size);
    struct io_span all[3] = {{header, ip_size}, parts[0], parts[1]};
    stack_write(t, all, 3, &none);
}

/* ---- what comes in */

static void answer_echo(struct tun2socks *t, const struct packet *p)
{
    uint8_t header[ICMP_HEADER_SIZE];
    memcpy(header, p->transport, sizeof header);
    header[0] = p->source.family == UDPTUN_ENDPOINT_IP4 ? ECHO4_REPLY : ECHO6_REPLY;
    struct io_span parts[2] = {{header, sizeof header},
                               {p->transport + sizeof header, p->transport_size - sizeof header}};
    send_icmp(t, &p->destination, &p->source, parts);
}

/* The packet of ours that an error is about, as far as it is quoted. */
struct quoted {
    struct udptun_endpoint source, destination; /* `destination` is the app */
    uint8_t protocol;
    size_t size; /* what its IP header says */
    uint32_t sequence;
    uint8_t icmp_type;
};

static bool icmp_read_quoted(struct quoted *q, const struct packet *error)
{
    bool is_ip4 = error->source.family == UDPTUN_ENDPOINT_IP4;
    size_t address_size = is_ip4 ? 4 : 16, header_size = is_ip4 ? IP4_HEADER_SIZE : IP6_HEADER_SIZE;
    struct reader r =
        reader_of(error->transport + ICMP_HEADER_SIZE, error->transport_size - ICMP_HEADER_SIZE);
    const uint8_t *ip = reader_bytes(&r, header_size), *transport = reader_bytes(&r, 8);
    *q = (struct quoted){.source.family = error->source.family,
                         .destination.family = error->source.family};
    if (r.failed || ip[0] != (is_ip4 ? 0x45 : 0x60) || (is_ip4 && ((ip[6] & 0x1f) || ip[7])))
        return false; /* ours have no options; a later fragment shows no ports */
    memcpy(q->source.ip, ip + (is_ip4 ? 12 : 8), address_size);
    memcpy(q->destination.ip, ip + (is_ip4 ? 12 : 8) + address_size, address_size);
    q->protocol = ip[is_ip4 ? 9 : IP6_NEXT_HEADER_AT];
    q->size =
        (size_t)(ip[is_ip4 ? 2 : 4] << 8 | ip[is_ip4 ? 3 : 5]) + (is_ip4 ? 0 : IP6_HEADER_SIZE);
    if (q->protocol == PROTOCOL_FRAGMENT6) {
        if (transport[2] || transport[3] & 0xf8)
            return false;
        q->protocol = transport[0];
        transport = reader_bytes(&r, 8);
        if (r.failed)
            return false;
    }
    struct reader head = reader_of(transport, 8);
    q->icmp_type = transport[0];
    q->source.port = reader_u16(&head);
    q->destination.port = reader_u16(&head);
    q->sequence = reader_u32(&head);
    return true;
}

/* RFC 1191 section 7.1: from a router that does not say its MTU, the next common one below. */
static uint32_t plateau_below(size_t size)
{
    static const uint16_t plateaus[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006, 508};
    size_t i = 0;
    while (i + 1 < sizeof plateaus / sizeof *plateaus && plateaus[i] >= size)
        i++;
    return plateaus[i];
}

/* A router on the way to the app has a packet of ours that is too large. Only what can be one of
 * ours counts (RFC 5927): a flow's under way, a datagram to a binding, an answer to an echo. */
static bool take_too_big(struct tun2socks *t, const struct packet *p)
{
    bool is_ip4 = p->source.family == UDPTUN_ENDPOINT_IP4;
    struct reader r = reader_of(p->transport + 4, 4);
    uint32_t mtu = reader_u32(&r) & (is_ip4 ? 0xffff : UINT32_MAX);
    struct quoted q;
    if (!icmp_read_quoted(&q, p))
        return false;
    if (mtu == 0)
        mtu = plateau_below(q.size);
    if (mtu >= q.size)
        return false; /* it would have fitted */
    if (q.protocol == PROTOCOL_TCP)
        return tcp_out_too_big(t, &q.destination, &q.source, q.sequence, mtu);
    bool is_ours = q.protocol == PROTOCOL_UDP ? udp_has_binding(t, &q.destination)
                   : is_ip4 ? q.protocol == PROTOCOL_ICMP && q.icmp_type == ECHO4_REPLY
                            : q.protocol == PROTOCOL_ICMP6 && q.icmp_type == ECHO6_REPLY;
    if (is_ours)
        path_proved(t, &q.destination, mtu);
    return is_ours;
}

void icmp_packet(struct tun2socks *t, const struct packet *p)
{
    bool is_ip4 = p->source.family == UDPTUN_ENDPOINT_IP4;
    uint8_t type = p->transport[0], code = p->transport[1];
    if (type == (is_ip4 ? ECHO4 : ECHO6) && code == 0 && t->config.echo_reply)
        answer_echo(t, p);
    else if (type != (is_ip4 ? UNREACHABLE4 : TOO_BIG6) || code != (is_ip4 ? TOO_BIG4_CODE : 0) ||
             !take_too_big(t, p))
        stack_drop(t, TUN2SOCKS_DROP_ICMP);
}

/* ---- errors that go out */

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

void icmp_error(struct tun2socks *t, const struct udptun_endpoint *source,
                const struct udptun_endpoint *destination, uint8_t protocol,
                const uint8_t quoted[8], size_t size, enum tun2socks_unreachable why, uint32_t mtu)
{
    const struct icmp_kind *kind = &kinds[why];
    bool is_ip4 = source->family == UDPTUN_ENDPOINT_IP4;
    uint8_t message[ICMP_HEADER_SIZE + IP6_HEADER_SIZE + 8];
    struct writer w = writer_of(message, sizeof message);
    writer_u8(&w, is_ip4 ? kind->type4 : kind->type6);
    writer_u8(&w, is_ip4 ? kind->code4 : kind->code6);
    writer_u16(&w, 0);
    writer_u32(&w, is_ip4 && mtu > UINT16_MAX ? UINT16_MAX : mtu); /* only TOO_BIG has one */
    w.at += packet_write_ip(w.at, source, destination, protocol, size);
    writer_bytes(&w, quoted, 8);
    struct io_span parts[2] = {{message, writer_size(&w)}, {message, 0}};
    send_icmp(t, destination, source, parts);
}

void icmp_problem(struct tun2socks *t, const struct packet *p)
{
    uint8_t header[ICMP_HEADER_SIZE];
    size_t quoted = p->size < MOST_QUOTED6 ? p->size : MOST_QUOTED6;
    struct writer w = writer_of(header, sizeof header);
    writer_u8(&w, PROBLEM6);
    writer_u8(&w, p->problem_code);
    writer_u16(&w, 0);
    writer_u32(&w, p->problem_at);
    struct io_span parts[2] = {{header, sizeof header}, {p->data, quoted}};
    send_icmp(t, &p->destination, &p->source, parts);
}
