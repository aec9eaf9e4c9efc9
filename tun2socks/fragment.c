/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fragment.c - a message as one IP packet, or as fragments where the way to the app wants it
 * (RFC 791 section 3.2, RFC 8200 section 4.5).
 */
#include "proto/buffer.h"
#include "tun2socks/checksum.h"
#include "tun2socks/internal.h"

enum {
    UDP_CHECKSUM_OFFSET = 6,
    FRAGMENT_UNIT = 8,
    SURE_SIZE = 552, /* of a packet that every device and every path takes */
    HEADERS_SIZE = IP6_HEADER_SIZE + FRAGMENT6_HEADER_SIZE,
};

/* The header of one fragment with `size` bytes at `offset`. Returns its size. */
static size_t write_header(uint8_t *to, const struct udptun_endpoint *source,
                           const struct udptun_endpoint *app, uint8_t protocol, size_t size,
                           uint32_t id, size_t offset, bool more)
{
    if (app->family == UDPTUN_ENDPOINT_IP4)
        return packet_write_ip4_fragment(to, source, app, protocol, size, (uint16_t)id, offset,
                                         more);
    size_t ip_size =
        packet_write_ip(to, source, app, PROTOCOL_FRAGMENT6, FRAGMENT6_HEADER_SIZE + size);
    struct writer w = writer_of(to + ip_size, FRAGMENT6_HEADER_SIZE);
    writer_u8(&w, protocol);
    writer_u8(&w, 0);
    writer_u16(&w, (uint16_t)(offset | (more ? 1 : 0)));
    writer_u32(&w, id);
    return ip_size + FRAGMENT6_HEADER_SIZE;
}

/* Bytes `from` to `from + size` of two parts. */
static void fragment_slice(const struct io_span parts[2], size_t from, size_t size,
                           struct io_span to[2])
{
    for (int i = 0; i < 2; i++) {
        size_t length = parts[i].size, skipped = from < length ? from : length;
        size_t piece = length - skipped < size ? length - skipped : size;
        to[i] = (struct io_span){(const uint8_t *)parts[i].data + skipped, piece};
        from -= skipped;
        size -= piece;
    }
}

static bool send_fragments(struct tun2socks *t, const struct udptun_endpoint *source,
                           const struct udptun_endpoint *app, uint8_t protocol,
                           const struct io_span parts[2])
{
    const struct packet_offload none = {0};
    size_t header_size = app->family == UDPTUN_ENDPOINT_IP4 ? IP4_HEADER_SIZE : HEADERS_SIZE;
    size_t total = parts[0].size + parts[1].size;
    size_t step = (path_mtu(t, app) - header_size) / FRAGMENT_UNIT * FRAGMENT_UNIT;
    uint32_t id = t->next_fragment_id++;
    for (size_t offset = 0; offset < total; offset += step) {
        uint8_t header[HEADERS_SIZE];
        size_t piece = total - offset < step ? total - offset : step;
        bool more = offset + piece < total;
        size_t written = write_header(header, source, app, protocol, piece, id, offset, more);
        struct io_span all[3] = {{header, written}};
        fragment_slice(parts, offset, piece, all + 1);
        if (!stack_write(t, all, 3, &none))
            return false;
    }
    return true;
}

bool fragment_fits(const struct tun2socks *t, const struct udptun_endpoint *app, size_t size)
{
    size_t total = (app->family == UDPTUN_ENDPOINT_IP4 ? IP4_HEADER_SIZE : IP6_HEADER_SIZE) + size;
    return total <= t->device->mtu && (total <= SURE_SIZE || total <= path_mtu(t, app));
}

bool fragment_message(struct tun2socks *t, const struct udptun_endpoint *source,
                      const struct udptun_endpoint *app, uint8_t protocol,
                      const struct io_span parts[2], const struct packet_offload *offload)
{
    uint8_t header[IP6_HEADER_SIZE];
    size_t total = parts[0].size + parts[1].size;
    size_t most = app->family == UDPTUN_ENDPOINT_IP4 ? UINT16_MAX - IP4_HEADER_SIZE : UINT16_MAX;
    if (!t->device || total > most) {
        stack_drop(t, TUN2SOCKS_DROP_DEVICE);
        return false;
    }
    if (!fragment_fits(t, app, total))
        return send_fragments(t, source, app, protocol, parts);
    size_t ip_size =
        app->family == UDPTUN_ENDPOINT_IP4 /* behind the app there may be links of a smaller MTU */
            ? packet_write_ip4_fragment(header, source, app, protocol, total,
                                        (uint16_t)t->next_fragment_id++, 0, false)
            : packet_write_ip(header, source, app, protocol, total);
    struct io_span all[3] = {{header, ip_size}, parts[0], parts[1]};
    return stack_write(t, all, parts[1].size ? 3 : 2, offload);
}

bool fragment_send(struct tun2socks *t, const struct udptun_endpoint *source,
                   const struct udptun_endpoint *app, const void *data, size_t size)
{
    uint8_t udp[UDP_HEADER_SIZE];
    struct packet_offload offload = {0};
    size_t total = UDP_HEADER_SIZE + size;
    struct writer w = writer_of(udp, UDP_HEADER_SIZE);
    writer_u16(&w, source->port);
    writer_u16(&w, app->port);
    writer_u16(&w, (uint16_t)total);
    writer_u16(&w, 0);
    checksum_sum sum = checksum_pseudo(source, app, PROTOCOL_UDP, total);
    uint16_t value;
    if (t->device && t->device->checksum_offload && fragment_fits(t, app, total)) {
        offload.checksum_wanted = true;
        offload.checksum_start =
            app->family == UDPTUN_ENDPOINT_IP4 ? IP4_HEADER_SIZE : IP6_HEADER_SIZE;
        offload.checksum_offset = UDP_CHECKSUM_OFFSET;
        value = checksum_fold(sum);
    } else {
        value = checksum_end(checksum_add(checksum_add(sum, udp, UDP_HEADER_SIZE), data, size));
        if (value == 0) /* 0 would say that there is none (RFC 768) */
            value = UINT16_MAX;
    }
    memcpy(udp + UDP_CHECKSUM_OFFSET, &value, sizeof value);
    struct io_span parts[2] = {{udp, sizeof udp}, {data, size}};
    return fragment_message(t, source, app, PROTOCOL_UDP, parts, &offload);
}
