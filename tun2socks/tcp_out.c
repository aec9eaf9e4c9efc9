/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp_out.c - packets of TCP from lwIP to the device: checksums, and segments of the right size.
 *
 * lwIP deals in segments as large as a packet can be where the device cuts them, and else in those
 * that the app's MSS allows. The size towards an app is its flow's `segment_size`: the MSS that the
 * app offered, or less when a router on the way has said so, or when nothing gets through. Larger
 * segments are cut here at the last moment, by the device (GSO) or by us: so lwIP's queues may hold
 * segments of an earlier size.
 *
 * IPv4 packets may be cut on their way (no DF): a way on which the errors of routers are lost
 * works all the same. IPv6 has no such thing: a flow whose packets are lost twice in a row falls
 * back to what every link carries (as RFC 4821 does, in one step).
 */
#include "lwip/priv/tcp_priv.h"

#include "proto/buffer.h"
#include "tun2socks/checksum.h"
#include "tun2socks/internal.h"

enum {
    LEAST_SEGMENT = 48, /* bytes; Linux' tcp_min_snd_mss: a peer cannot have us send single bytes */
    LARGE_SEGMENT = 32768,
    SAFE_SEGMENT6 = 1280 - IP6_HEADER_SIZE - TCP_HEADER_SIZE,
    BLACK_HOLE_RETRANSMITS = 2,
    SEQUENCE_AT = 4,
    DATA_OFFSET_AT = 12,
    FLAGS_AT = 13,
    MAX_HEADERS = IP6_HEADER_SIZE + 60,
    TCP_FLAG_PSH = 0x08,
};

/* The headers of a packet that lwIP made. */
struct outgoing {
    struct udptun_endpoint source, destination;
    uint8_t *ip, *tcp;
    size_t ip_size, header_size, payload_size;
};

static void read_headers(struct outgoing *out, uint8_t *header, size_t size)
{
    bool is_ip4 = header[0] >> 4 == 4;
    size_t address_size = is_ip4 ? 4 : 16, address_at = is_ip4 ? 12 : 8;
    *out = (struct outgoing){.ip = header, .ip_size = is_ip4 ? IP4_HEADER_SIZE : IP6_HEADER_SIZE};
    out->source.family = out->destination.family =
        is_ip4 ? UDPTUN_ENDPOINT_IP4 : UDPTUN_ENDPOINT_IP6;
    memcpy(out->source.ip, header + address_at, address_size);
    memcpy(out->destination.ip, header + address_at + address_size, address_size);
    out->tcp = header + out->ip_size;
    out->source.port = (uint16_t)(out->tcp[0] << 8 | out->tcp[1]);
    out->destination.port = (uint16_t)(out->tcp[2] << 8 | out->tcp[3]);
    out->header_size = out->ip_size + (size_t)(out->tcp[DATA_OFFSET_AT] >> 4) * 4;
    out->payload_size = size - out->header_size;
}

/* An identification for each of `count` packets, as one that may be cut needs. */
static void identify(struct tun2socks *t, struct outgoing *out, size_t count)
{
    if (out->ip_size != IP4_HEADER_SIZE)
        return;
    struct writer w = writer_of(out->ip + 4, 2);
    writer_u16(&w, (uint16_t)t->next_fragment_id);
    t->next_fragment_id += (uint32_t)count;
    memset(out->ip + 10, 0, 2);
    uint16_t sum = checksum_end(checksum_add(0, out->ip, IP4_HEADER_SIZE));
    memcpy(out->ip + 10, &sum, sizeof sum);
}

/* One packet; `segment_size` 0: the device leaves it whole. */
static void write_whole(struct tun2socks *t, struct outgoing *out, const struct io_span *parts,
                        int count, uint16_t segment_size)
{
    struct packet_offload offload = {.segment_size = segment_size};
    size_t size = out->header_size - out->ip_size + out->payload_size;
    checksum_sum sum = checksum_pseudo(&out->source, &out->destination, PROTOCOL_TCP, size);
    uint16_t value;
    if (t->device->checksum_offload) {
        offload.checksum_wanted = true;
        offload.checksum_start = (uint16_t)out->ip_size;
        offload.checksum_offset = TCP_CHECKSUM_OFFSET;
        value = checksum_fold(sum);
    } else {
        memset(out->tcp + TCP_CHECKSUM_OFFSET, 0, 2);
        value = checksum_end(checksum_add_parts(sum, parts, count, out->ip_size));
    }
    memcpy(out->tcp + TCP_CHECKSUM_OFFSET, &value, sizeof value);
    stack_write(t, parts, count, &offload);
}

/* Bytes `from` to `from + size` of `parts`, in `to`. Returns how many parts they are. */
static int tcp_out_slice(const struct io_span *parts, int count, size_t from, size_t size,
                         struct io_span *to)
{
    int made = 0;
    for (int i = 0; i < count && size > 0; i++) {
        if (from >= parts[i].size) {
            from -= parts[i].size;
            continue;
        }
        size_t piece = parts[i].size - from;
        if (piece > size)
            piece = size;
        to[made++] = (struct io_span){(const uint8_t *)parts[i].data + from, piece};
        from = 0;
        size -= piece;
    }
    return made;
}

/* What a device does that cuts segments. */
static void write_cut(struct tun2socks *t, const struct outgoing *out, const struct io_span *parts,
                      int count, size_t segment_size)
{
    struct reader r = reader_of(out->tcp + SEQUENCE_AT, 4);
    uint32_t sequence = reader_u32(&r);
    for (size_t at = 0; at < out->payload_size; at += segment_size) {
        uint8_t headers[MAX_HEADERS];
        struct io_span pieces[DEVICE_MAX_PARTS + 1] = {{headers, out->header_size}};
        size_t left = out->payload_size - at, size = left < segment_size ? left : segment_size;
        memcpy(headers, out->ip, out->header_size);
        struct outgoing piece;
        read_headers(&piece, headers, out->header_size + size);
        bool is_ip4 = piece.ip_size == IP4_HEADER_SIZE;
        struct writer w = writer_of(headers + (is_ip4 ? 2 : IP6_PAYLOAD_SIZE_AT), 2);
        writer_u16(&w, (uint16_t)(piece.header_size + size - (is_ip4 ? 0 : IP6_HEADER_SIZE)));
        w = writer_of(piece.tcp + SEQUENCE_AT, 4);
        writer_u32(&w, sequence + (uint32_t)at);
        if (size < left)
            piece.tcp[FLAGS_AT] &= (uint8_t) ~(TCP_FLAG_FIN | TCP_FLAG_PSH);
        identify(t, &piece, 1);
        int made = tcp_out_slice(parts, count, out->header_size + at, size, pieces + 1);
        write_whole(t, &piece, pieces, made + 1, 0);
    }
}

/* The flow of a packet whose size may have to be looked at, else NULL. */
static struct tun2socks_flow *flow_of(const struct tun2socks *t, const struct outgoing *out)
{
    bool may_be_cut = t->device->segmentation_offload || t->has_small_path ||
                      out->destination.family == UDPTUN_ENDPOINT_IP6;
    if (!may_be_cut || out->payload_size <= LEAST_SEGMENT)
        return NULL;
    return tcp_flow_find(t, &out->destination, &out->source);
}

static void look_for_black_hole(struct tun2socks_flow *flow)
{
    bool is_ip6 = flow->source.family == UDPTUN_ENDPOINT_IP6;
    if (is_ip6 && flow->segment_size > SAFE_SEGMENT6 && flow->pcb &&
        flow->pcb->nrtx >= BLACK_HOLE_RETRANSMITS)
        flow->segment_size = SAFE_SEGMENT6;
}

void tcp_out(struct tun2socks *t, const struct io_span *parts, int count, size_t size)
{
    struct outgoing out;
    read_headers(&out, (uint8_t *)(uintptr_t)parts[0].data, size);
    struct tun2socks_flow *flow = flow_of(t, &out);
    size_t segment_size = out.payload_size;
    if (flow) {
        look_for_black_hole(flow);
        if (flow->segment_size)
            segment_size = flow->segment_size;
    }
    if (out.payload_size <= segment_size) {
        write_whole(t, &out, parts, count, 0);
    } else if (t->device->segmentation_offload) {
        identify(t, &out, (out.payload_size + segment_size - 1) / segment_size);
        write_whole(t, &out, parts, count, (uint16_t)segment_size);
    } else {
        write_cut(t, &out, parts, count, segment_size);
    }
}

void tcp_out_start(struct tun2socks_flow *flow)
{
    struct tun2socks *t = flow->t;
    struct tcp_pcb *pcb = flow->pcb;
    size_t ip_size = flow->source.family == UDPTUN_ENDPOINT_IP4 ? IP4_HEADER_SIZE : IP6_HEADER_SIZE;
    size_t headers = ip_size + TCP_HEADER_SIZE;
    if (pcb->mss < LEAST_SEGMENT)
        pcb->mss = LEAST_SEGMENT;
    path_told(t, &flow->source, (uint32_t)(pcb->mss + headers));
    size_t most = path_mtu(t, &flow->source) - headers;
    flow->segment_size = (uint16_t)(pcb->mss < most ? pcb->mss : most);
    bool is_cut_by_device = t->device && t->device->segmentation_offload;
    if (!is_cut_by_device)
        pcb->mss = flow->segment_size;
    else if (pcb->mss < LARGE_SEGMENT)
        pcb->mss = (u16_t)((UINT16_MAX - headers) / flow->segment_size * flow->segment_size);
}

bool tcp_out_too_big(struct tun2socks *t, const struct udptun_endpoint *app,
                     const struct udptun_endpoint *far, uint32_t sequence, uint32_t mtu)
{
    struct tun2socks_flow *flow = tcp_flow_find(t, app, far);
    struct tcp_pcb *pcb = flow ? flow->pcb : NULL;
    if (!pcb || !flow->segment_size || !TCP_SEQ_BETWEEN(sequence, pcb->lastack, pcb->snd_nxt))
        return false;
    size_t ip_size = app->family == UDPTUN_ENDPOINT_IP4 ? IP4_HEADER_SIZE : IP6_HEADER_SIZE;
    size_t segment_size = path_proved(t, app, mtu) - ip_size - TCP_HEADER_SIZE;
    if (segment_size < flow->segment_size) { /* else it was said already, and done */
        flow->segment_size = (uint16_t)segment_size;
        if (tcp_rexmit_rto_prepare(pcb) == ERR_OK)
            tcp_output(pcb);
    }
    return true;
}
