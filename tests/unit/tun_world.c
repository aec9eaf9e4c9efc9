/* SPDX-License-Identifier: Apache-2.0 */
/* tun_world.c - tun2socks between an app and a far end that are both in the test. */
#include "tests/unit/tun_world.h"

#include <stdlib.h>
#include <string.h>

#include "proto/buffer.h"
#include "tun2socks/checksum.h"
#include "tun2socks/packet.h"

static void on_packet(void *arg, const struct io_span *parts, int count)
{
    struct world *w = arg;
    size_t size = 0, at = 0;
    for (int i = 0; i < count; i++)
        size += parts[i].size;
    struct world_packet *p = malloc(sizeof *p + size);
    if (!p)
        return;
    p->next = NULL;
    p->size = size;
    for (int i = 0; i < count; at += parts[i++].size) {
        if (parts[i].size)
            memcpy(p->data + at, parts[i].data, parts[i].size);
    }
    *w->last = p;
    w->last = &p->next;
    w->packets++;
}

struct world_packet *world_take(struct world *w)
{
    struct world_packet *p = w->first;
    if (p) {
        w->first = p->next;
        w->packets--;
    }
    if (!w->first)
        w->last = &w->first;
    return p;
}

static enum io on_open(void *arg, struct tun2socks_flow *flow, const struct udptun_endpoint *source,
                       const struct udptun_endpoint *destination, void **stream)
{
    struct world *w = arg;
    if (w->open_result != IO_OK)
        return w->open_result;
    struct world_stream *s = &w->streams[w->stream_count++ % 64];
    *s = (struct world_stream){
        .flow = flow, .source = *source, .destination = *destination, .accept_bytes = SIZE_MAX};
    *stream = s;
    return IO_OK;
}

static ssize_t on_write(void *stream, const struct io_span *parts, int count)
{
    struct world_stream *s = stream;
    size_t taken = 0;
    if (s->is_broken)
        return -1;
    for (int i = 0; i < count && s->accept_bytes; i++) {
        const uint8_t *data = parts[i].data;
        for (size_t k = 0; k < parts[i].size && s->accept_bytes; k++, taken++) {
            s->wrong += data[k] != world_pattern(s->received++);
            if (s->accept_bytes != SIZE_MAX)
                s->accept_bytes--;
        }
    }
    return (ssize_t)taken;
}

static void on_end(void *stream)
{
    ((struct world_stream *)stream)->ends++;
}

static void on_room(void *stream)
{
    ((struct world_stream *)stream)->rooms++;
}

static void on_close(void *stream)
{
    struct world_stream *s = stream;
    s->closes++;
    s->flow = NULL;
}

static void on_datagram(void *arg, void **binding, const struct udptun_endpoint *source,
                        const struct udptun_endpoint *destination, const void *data, size_t size)
{
    struct world *w = arg;
    w->binding = *binding;
    if (!*binding)
        *binding = w->next_binding;
    w->datagrams++;
    w->datagram.source = *source;
    w->datagram.destination = *destination;
    w->datagram.size = size;
    memcpy(w->datagram.data, data, size);
}

static void on_binding_close(void *arg, void *binding)
{
    (void)binding;
    ((struct world *)arg)->bindings_closed++;
}

static void on_batch_end(void *arg)
{
    ((struct world *)arg)->batches++;
}

static void on_cap(void *arg, enum tun2socks_cap cap)
{
    ((struct world *)arg)->at_cap[cap]++;
}

static const struct tun2socks_stream_host stream_host = {.stream_open = on_open,
                                                         .stream_write = on_write,
                                                         .stream_end = on_end,
                                                         .stream_room = on_room,
                                                         .stream_close = on_close};
static const struct tun2socks_datagram_host datagram_host = {
    .datagram = on_datagram, .binding_close = on_binding_close, .batch_end = on_batch_end};

struct device *world_device(struct world *w, uint32_t mtu)
{
    return device_open_callback(mtu, on_packet, w, NULL);
}

void world_init(struct world *w, uint32_t mtu)
{
    *w = (struct world){.now_us = 1000000, .next_binding = w};
    w->last = &w->first;
    w->budget.limit = UINT64_MAX;
    w->config = (struct tun2socks_config){.arg = w,
                                          .now_us = &w->now_us,
                                          .budget = &w->budget,
                                          .streams = &stream_host,
                                          .datagrams = &datagram_host,
                                          .at_cap = on_cap,
                                          .echo_reply = true,
                                          .max_tcp_flows = 16,
                                          .max_udp_flows = 4,
                                          .tcp_idle_s = 600,
                                          .tcp_ending_s = 60,
                                          .udp_idle_s = 300,
                                          .udp_dns_idle_s = 15};
    w->t = tun2socks_new(&w->config, world_device(w, mtu), NULL);
}

void world_fini(struct world *w)
{
    struct world_packet *p;
    tun2socks_free(w->t);
    while ((p = world_take(w)))
        free(p);
}

void world_wait(struct world *w, uint64_t us)
{
    uint64_t end = w->now_us + us;
    for (;;) {
        uint64_t next = tun2socks_tick(w->t);
        if (next > end)
            break;
        w->now_us = next > w->now_us ? next : w->now_us + 1;
    }
    w->now_us = end;
    tun2socks_tick(w->t);
}

size_t world_udp(uint8_t *to, const struct udptun_endpoint *source,
                 const struct udptun_endpoint *destination, const void *data, size_t size)
{
    size_t total = UDP_HEADER_SIZE + size;
    size_t ip_size = packet_write_ip(to, source, destination, PROTOCOL_UDP, total);
    uint8_t *udp = to + ip_size, header[UDP_HEADER_SIZE];
    struct writer w = writer_of(header, sizeof header);
    writer_u16(&w, source->port);
    writer_u16(&w, destination->port);
    writer_u16(&w, (uint16_t)total);
    writer_u16(&w, 0);
    memcpy(udp, header, sizeof header);
    memcpy(udp + UDP_HEADER_SIZE, data, size);
    checksum_sum sum = checksum_pseudo(source, destination, PROTOCOL_UDP, total);
    uint16_t value = checksum_end(checksum_add(sum, udp, total));
    value = value ? value : UINT16_MAX;
    memcpy(udp + 6, &value, sizeof value);
    return ip_size + total;
}

void world_feed(struct world *w, const void *data, size_t size)
{
    tun2socks_packet(w->t, data, size);
    tun2socks_batch_end(w->t);
}
