/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_tun.c - IP packets for tun2socks, from an app without manners.
 *
 * The input is a list of records: what to do, how many bytes, the bytes. A packet goes in as it is
 * or with its lengths and checksums put right, so that what lies behind them is reached, perhaps
 * with the acknowledgement that the stack awaits; other records are the host's: streams connect,
 * are refused, take bytes or not, end, and time passes.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/platform/device.h"
#include "proto/buffer.h"
#include "tests/fuzz/fuzz.h"
#include "tun2socks/checksum.h"
#include "tun2socks/packet.h"
#include "tun2socks/tun2socks.h"

enum { STREAMS = 8 };

struct stream {
    struct tun2socks_flow *flow; /* NULL: free */
    size_t takes;
};

struct world {
    struct tun2socks *t;
    struct stream streams[STREAMS];
    struct udptun_endpoint app; /* of the last datagram */
    struct udptun_endpoint destination;
    uint64_t now_us;
    uint32_t next; /* sequence number after the last segment that came out */
};

static void on_packet(void *arg, const struct io_span *parts, int count)
{
    static uint8_t whole[2 * PACKET_MAX_SIZE];
    struct packet p;
    enum tun2socks_drop cause;
    size_t size = 0;
    for (int i = 0; i < count; size += parts[i++].size) {
        if (parts[i].size)
            memcpy(whole + size, parts[i].data, parts[i].size);
    }
    bool is_parsed = packet_parse(&p, whole, size, false, &cause);
    if (!is_parsed && cause != TUN2SOCKS_DROP_ADDRESS)
        abort(); /* what goes out is well formed */
    if (is_parsed && !p.is_fragment && p.protocol == PROTOCOL_TCP &&
        p.transport_size >= TCP_HEADER_SIZE) {
        struct reader r = reader_of(p.transport + 4, 4);
        uint32_t head_size = (uint32_t)(p.transport[12] >> 4) * 4;
        ((struct world *)arg)->next = reader_u32(&r) + (uint32_t)p.transport_size - head_size +
                                      !!(p.tcp_flags & TCP_FLAG_SYN) +
                                      !!(p.tcp_flags & TCP_FLAG_FIN);
    }
}

static enum io on_open(void *arg, struct tun2socks_flow *flow, const struct udptun_endpoint *source,
                       const struct udptun_endpoint *destination, void **stream)
{
    struct world *w = arg;
    (void)source;
    (void)destination;
    for (int i = 0; i < STREAMS; i++) {
        if (!w->streams[i].flow) {
            w->streams[i] = (struct stream){.flow = flow, .takes = SIZE_MAX};
            *stream = &w->streams[i];
            return 0;
        }
    }
    return IO_REFUSED;
}

static ssize_t on_write(void *stream, const struct io_span *parts, int count)
{
    struct stream *s = stream;
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += parts[i].size;
    if (s->takes == 1)
        return -1;
    return (ssize_t)(size < s->takes ? size : s->takes);
}

static void on_stream(void *stream)
{
    (void)stream;
}

static void on_close(void *stream)
{
    ((struct stream *)stream)->flow = NULL;
}

static void on_datagram(void *arg, void **binding, const struct udptun_endpoint *source,
                        const struct udptun_endpoint *destination, const void *data, size_t size)
{
    struct world *w = arg;
    (void)data;
    (void)size;
    *binding = w;
    w->app = *source;
    w->destination = *destination;
}

static void on_binding_close(void *arg, void *binding)
{
    if (arg != binding)
        abort();
}

static void on_batch_end(void *arg)
{
    (void)arg;
}

static const struct tun2socks_stream_host streams = {.stream_open = on_open,
                                                     .stream_write = on_write,
                                                     .stream_end = on_stream,
                                                     .stream_room = on_stream,
                                                     .stream_close = on_close};
static const struct tun2socks_datagram_host datagrams = {
    .datagram = on_datagram, .binding_close = on_binding_close, .batch_end = on_batch_end};

static void far_sends(struct tun2socks_flow *flow, const uint8_t *data, size_t size)
{
    void *to;
    ssize_t room = tun2socks_buffer(flow, &to);
    if (room <= 0)
        return;
    size_t piece = size < (size_t)room ? size : (size_t)room;
    if (piece)
        memcpy(to, data, piece);
    if (!tun2socks_filled(flow, piece))
        tun2socks_failed(flow);
}

/* Lengths and sums as they would have to be. */
static void put_right(uint8_t *data, size_t size)
{
    size_t ip_size = size && data[0] >> 4 == 6 ? 40 : 20;
    if (size < ip_size + 8)
        return;
    struct udptun_endpoint from = {.family =
                                       ip_size == 20 ? UDPTUN_ENDPOINT_IP4 : UDPTUN_ENDPOINT_IP6},
                           to = from;
    uint8_t protocol = data[ip_size == 20 ? 9 : 6];
    size_t total = size - ip_size;
    if (ip_size == 20) {
        data[0] = 0x45;
        data[2] = (uint8_t)(size >> 8);
        data[3] = (uint8_t)size;
        memset(data + 10, 0, 2);
        uint16_t sum = checksum_end(checksum_add(0, data, 20));
        memcpy(data + 10, &sum, 2);
        memcpy(from.ip, data + 12, 4);
        memcpy(to.ip, data + 16, 4);
    } else {
        data[4] = (uint8_t)(total >> 8);
        data[5] = (uint8_t)total;
        memcpy(from.ip, data + 8, 16);
        memcpy(to.ip, data + 24, 16);
    }
    uint8_t *transport = data + ip_size;
    size_t at = protocol == PROTOCOL_TCP ? 16 : protocol == PROTOCOL_UDP ? 6 : 2;
    if (protocol == PROTOCOL_UDP) {
        transport[4] = (uint8_t)(total >> 8);
        transport[5] = (uint8_t)total;
    }
    if (total < at + 2 || protocol == PROTOCOL_FRAGMENT6)
        return;
    memset(transport + at, 0, 2);
    checksum_sum sum = protocol == PROTOCOL_ICMP ? 0 : checksum_pseudo(&from, &to, protocol, total);
    uint16_t value = checksum_end(checksum_add(sum, transport, total));
    memcpy(transport + at, &value, 2);
}

/* Of a segment: that of all that came out. */
static void acknowledge(const struct world *w, uint8_t *data, size_t size)
{
    size_t ip_size = size && data[0] >> 4 == 6 ? 40 : 20;
    if (size < ip_size + 20 || data[ip_size == 20 ? 9 : 6] != PROTOCOL_TCP)
        return;
    struct writer out = writer_of(data + ip_size + 8, 4);
    writer_u32(&out, w->next);
}

static void do_record(struct world *w, uint8_t what, const uint8_t *data, size_t size)
{
    struct stream *s = &w->streams[what >> 4 & (STREAMS - 1)];
    uint8_t *copy = malloc(size + 1);
    if (size)
        memcpy(copy, data, size);
    switch (what & 0x0f) {
    case 0:
        tun2socks_packet(w->t, copy, size);
        break;
    case 1:
    case 2:
        if ((what & 0x0f) == 2)
            acknowledge(w, copy, size);
        put_right(copy, size);
        tun2socks_packet(w->t, copy, size);
        break;
    case 3:
        if (s->flow)
            tun2socks_connected(s->flow);
        break;
    case 4:
        if (s->flow)
            tun2socks_refused(s->flow, size ? data[0] : 0);
        break;
    case 5:
        if (s->flow)
            far_sends(s->flow, copy, size);
        break;
    case 6:
        if (s->flow)
            tun2socks_ended(s->flow);
        break;
    case 7:
        if (s->flow)
            tun2socks_failed(s->flow);
        break;
    case 8:
        s->takes = size;
        break;
    case 9:
        s->takes = SIZE_MAX;
        if (s->flow)
            tun2socks_writable(s->flow);
        break;
    case 10:
        w->now_us += UINT64_C(100000) << (size & 15);
        tun2socks_tick(w->t);
        break;
    case 11:
        if (w->app.family)
            tun2socks_datagram(w->t, &w->app, &w->destination, copy, size);
        break;
    case 12:
        if (w->app.family)
            tun2socks_unreachable(w->t, &w->app, &w->destination, size & 3, 1400);
        break;
    default:
        tun2socks_batch_end(w->t);
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w = {.now_us = 1000000};
    struct tun2socks_config config = {.arg = &w,
                                      .now_us = &w.now_us,
                                      .streams = &streams,
                                      .datagrams = &datagrams,
                                      .echo_reply = true,
                                      .max_tcp_flows = 6,
                                      .max_udp_flows = 4,
                                      .tcp_idle_s = 600,
                                      .tcp_ending_s = 60,
                                      .udp_idle_s = 300,
                                      .udp_dns_idle_s = 15};
    w.t = tun2socks_new(&config, device_open_callback(1280, on_packet, &w, NULL), NULL);
    struct reader r = reader_of(data, size);
    while (reader_left(&r) >= 3) {
        uint8_t what = reader_u8(&r);
        size_t wanted = reader_u16(&r);
        size_t piece = wanted < reader_left(&r) ? wanted : reader_left(&r);
        do_record(&w, what, reader_bytes(&r, piece), piece);
    }
    tun2socks_batch_end(w.t);
    tun2socks_free(w.t);
    return 0;
}
