/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fragment.c - a datagram as one IP packet, or as fragments where the device's MTU wants it
 * (RFC 791 section 3.2, RFC 8200 section 4.5).
 */
#include "proto/buffer.h"
#include "tun2socks/checksum.h"
#include "tun2socks/internal.h"

enum {
    UDP_CHECKSUM_OFFSET = 6,
    FRAGMENT_UNIT = 8,
    HEADERS_SIZE = IP6_HEADER_SIZE + FRAGMENT6_HEADER_SIZE,
};

/* The header of one fragment with `size` bytes at `offset`. Returns its size. */
static size_t write_header(uint8_t *to, const struct endpoint *source, const struct endpoint *app,
                           size_t size, uint32_t id, size_t offset, bool more)
{
    if (app->family == ENDPOINT_IP4)
        return packet_write_ip4_fragment(to, source, app, PROTOCOL_UDP, size, (uint16_t)id, offset,
                                         more);
    size_t ip_size =
        packet_write_ip(to, source, app, PROTOCOL_FRAGMENT6, FRAGMENT6_HEADER_SIZE + size);
    struct writer w = writer_of(to + ip_size, FRAGMENT6_HEADER_SIZE);
    writer_u8(&w, PROTOCOL_UDP);
    writer_u8(&w, 0);
    writer_u16(&w, (uint16_t)(offset | (more ? 1 : 0)));
    writer_u32(&w, id);
    return ip_size + FRAGMENT6_HEADER_SIZE;
}

static bool send_fragments(struct tun2socks *t, const struct endpoint *source,
                           const struct endpoint *app, const uint8_t udp[UDP_HEADER_SIZE],
                           const uint8_t *data, size_t size)
{
    const struct packet_offload none = {0};
    bool is_ip4 = app->family == ENDPOINT_IP4;
    size_t header_size = is_ip4 ? IP4_HEADER_SIZE : HEADERS_SIZE;
    size_t total = UDP_HEADER_SIZE + size;
    size_t step = (t->device->mtu - header_size) / FRAGMENT_UNIT * FRAGMENT_UNIT;
    uint32_t id = t->next_fragment_id++;
    for (size_t offset = 0; offset < total; offset += step) {
        uint8_t header[HEADERS_SIZE + UDP_HEADER_SIZE];
        size_t piece = total - offset < step ? total - offset : step;
        bool more = offset + piece < total;
        size_t written = write_header(header, source, app, piece, id, offset, more);
        size_t from = 0; /* where in `data` the piece begins */
        if (offset == 0) {
            memcpy(header + written, udp, UDP_HEADER_SIZE);
            written += UDP_HEADER_SIZE;
            piece -= UDP_HEADER_SIZE;
        } else {
            from = offset - UDP_HEADER_SIZE;
        }
        struct iovec parts[2] = {{header, written}, {(uint8_t *)(uintptr_t)data + from, piece}};
        if (!stack_write(t, parts, 2, &none))
            return false;
    }
    return true;
}

bool fragment_send(struct tun2socks *t, const struct endpoint *source, const struct endpoint *app,
                   const void *data, size_t size)
{
    uint8_t header[IP6_HEADER_SIZE + UDP_HEADER_SIZE];
    struct packet_offload offload = {0};
    size_t total = UDP_HEADER_SIZE + size;
    size_t ip_size = app->family == ENDPOINT_IP4 ? IP4_HEADER_SIZE : IP6_HEADER_SIZE;
    size_t most = app->family == ENDPOINT_IP4 ? UINT16_MAX - IP4_HEADER_SIZE : UINT16_MAX;
    if (!t->device || total > most) {
        stack_drop(t, TUN2SOCKS_DROP_DEVICE);
        return false;
    }
    bool is_whole = ip_size + total <= t->device->mtu;
    uint8_t *udp = header + ip_size;
    struct writer w = writer_of(udp, UDP_HEADER_SIZE);
    writer_u16(&w, source->port);
    writer_u16(&w, app->port);
    writer_u16(&w, (uint16_t)total);
    writer_u16(&w, 0);
    checksum_sum sum = checksum_pseudo(source, app, PROTOCOL_UDP, total);
    uint16_t value;
    if (is_whole && t->device->checksum_offload) {
        offload.checksum_wanted = true;
        offload.checksum_start = (uint16_t)ip_size;
        offload.checksum_offset = UDP_CHECKSUM_OFFSET;
        value = checksum_fold(sum);
    } else {
        value = checksum_end(checksum_add(checksum_add(sum, udp, UDP_HEADER_SIZE), data, size));
        if (value == 0) /* 0 would say that there is none (RFC 768) */
            value = UINT16_MAX;
    }
    memcpy(udp + UDP_CHECKSUM_OFFSET, &value, sizeof value);
    if (!is_whole)
        return send_fragments(t, source, app, udp, data, size);
    if (app->family == ENDPOINT_IP4) /* behind the app there may be links of a smaller MTU */
        packet_write_ip4_fragment(header, source, app, PROTOCOL_UDP, total,
                                  (uint16_t)t->next_fragment_id++, 0, false);
    else
        packet_write_ip(header, source, app, PROTOCOL_UDP, total);
    struct iovec parts[2] = {{header, ip_size + UDP_HEADER_SIZE}, {(void *)(uintptr_t)data, size}};
    return stack_write(t, parts, size ? 2 : 1, &offload);
}
