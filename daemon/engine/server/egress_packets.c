/* SPDX-License-Identifier: Apache-2.0 */
/*
 * egress_packets.c - a server's datagrams as IP packets.
 *
 * Each binding has a source address of its own, in networks that nobody routes, so that tun2socks
 * tells the flows of all sessions apart and what comes back finds its binding:
 *
 *     binding number n   10.a.b.c port 40000 + d, with n = d a b c in bytes; fd75:6470:7475::n
 *
 * The way there is a descriptor that keeps packets apart: the end of a pipe device, or a
 * connection to a Unix socket.
 */
#include "daemon/engine/server/egress_packets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/engine/core/registry.h"
#include "daemon/engine/server/udp_server.h"
#include "daemon/engine/settings/egress_place.h"
#include "daemon/engine/settings/filter.h"
#include "daemon/platform/device.h"
#include "proto/buffer.h"
#include "tun2socks/checksum.h"
#include "tun2socks/packet.h"

enum { MAX_READS = 256, FIRST_PORT = 40000, RETRY_US = 1000000 };

static const uint8_t network6[8] = {0xfd, 0x75, 0x64, 0x70, 0x74, 0x75, 0, 0};

struct egress_packets {
    struct tunnel *tunnel;
    struct io_watch way; /* not started: no way at present */
    uint64_t retry_us;
    struct table by_number;
    uint32_t last_number;
};

/* ---- numbers and addresses ----------------------------------------------------------------------
 */

static bool has_number(const struct table_node *node, const void *key)
{
    return table_entry(node, const struct egress, packets_node)->packets_number ==
           *(const uint32_t *)key;
}

static uint64_t egress_packets_hash_of(const struct egress_packets *p, uint32_t number)
{
    return engine_hash(p->tunnel->engine, &number, sizeof number);
}

static struct egress *egress_packets_find(const struct egress_packets *p, uint32_t number)
{
    struct table_node *node =
        number ? table_find(&p->by_number, egress_packets_hash_of(p, number), has_number, &number)
               : NULL;
    return node ? table_entry(node, struct egress, packets_node) : NULL;
}

static bool give_number(struct egress_packets *p, struct egress *egress)
{
    if (egress->packets_number)
        return true;
    uint32_t number = p->last_number;
    do /* far more than there can be bindings, and the port stays below 2^16 */
        number = number >= INT32_MAX ? 1 : number + 1;
    while (egress_packets_find(p, number));
    p->last_number = egress->packets_number = number;
    if (table_insert(&p->by_number, &egress->packets_node, egress_packets_hash_of(p, number)) ==
        UDPTUN_OK)
        return true;
    egress->packets_number = 0;
    return false;
}

static struct udptun_endpoint source_of(const struct egress *egress, uint8_t family)
{
    uint32_t n = egress->packets_number;
    uint16_t port = (uint16_t)(FIRST_PORT + (n >> 24));
    if (family == UDPTUN_ENDPOINT_IP4)
        return endpoint_ip4(10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n, port);
    struct udptun_endpoint ep = {.family = UDPTUN_ENDPOINT_IP6, .port = port};
    memcpy(ep.ip, network6, sizeof network6);
    ep.ip[13] = (uint8_t)(n >> 16);
    ep.ip[14] = (uint8_t)(n >> 8);
    ep.ip[15] = (uint8_t)n;
    return ep;
}

static struct egress *find_source(const struct egress_packets *p, const struct udptun_endpoint *ep)
{
    const uint8_t *low = ep->family == UDPTUN_ENDPOINT_IP4 ? ep->ip + 1 : ep->ip + 13;
    uint32_t number = (uint32_t)(ep->port - FIRST_PORT) << 24 | (uint32_t)low[0] << 16 |
                      (uint32_t)low[1] << 8 | low[2];
    struct egress *egress = egress_packets_find(p, number);
    if (!egress)
        return NULL;
    struct udptun_endpoint source = source_of(egress, ep->family);
    return endpoint_equal(&source, ep) ? egress : NULL;
}

/* ---- in -----------------------------------------------------------------------------------------
 */

static void take_datagram(struct egress_packets *p, const struct packet *packet)
{
    struct tunnel *t = p->tunnel;
    struct egress *egress = find_source(p, &packet->destination);
    if (!egress) {
        udptun_machine_count_drop(t->machine, NULL, UDPTUN_MACHINE_DROP_NO_FLOW);
        return;
    }
    struct udptun_dest from = udptun_dest_of(&packet->source);
    if (filter_passes(egress->filter, t->config->filtering, &packet->source))
        udptun_binding_send(egress->head.binding, &from, packet->transport + UDP_HEADER_SIZE,
                            packet->transport_size - UDP_HEADER_SIZE, t->engine->loop.now_us);
    else
        udptun_machine_count_drop(t->machine, egress->head.binding, UDPTUN_MACHINE_DROP_POLICY);
}

/* The addresses and ports of the UDP packet that an ICMP error quotes. */
static bool egress_packets_read_quoted(struct reader *r, uint8_t family,
                                       struct udptun_endpoint *source, struct udptun_endpoint *to)
{
    size_t address_size = family == UDPTUN_ENDPOINT_IP4 ? 4 : 16;
    *source = *to = (struct udptun_endpoint){.family = family};
    reader_bytes(r, family == UDPTUN_ENDPOINT_IP4 ? 12 : 8);
    reader_copy(r, source->ip, address_size);
    reader_copy(r, to->ip, address_size);
    source->port = reader_u16(r);
    to->port = reader_u16(r);
    return !r->failed;
}

static void take_error(struct egress_packets *p, const struct packet *packet)
{
    bool is_ip4 = packet->source.family == UDPTUN_ENDPOINT_IP4;
    struct reader r = reader_of(packet->transport, packet->transport_size);
    struct udptun_endpoint source, to;
    uint8_t type = reader_u8(&r), code = reader_u8(&r);
    reader_u16(&r);
    uint32_t value = reader_u32(&r);
    bool is_too_big = is_ip4 ? type == 3 && code == 4 : type == 2;
    if (!is_too_big && type != (is_ip4 ? 3 : 1))
        return;
    if (!egress_packets_read_quoted(&r, packet->source.family, &source, &to))
        return;
    struct egress *egress = find_source(p, &source);
    if (!egress)
        return;
    enum udptun_machine_error what = UDPTUN_MACHINE_HOST_UNREACHABLE;
    if (is_too_big)
        what = UDPTUN_MACHINE_TOO_BIG;
    else if (code == (is_ip4 ? 3 : 4))
        what = UDPTUN_MACHINE_PORT_UNREACHABLE;
    else if (code == (is_ip4 ? 13 : 1))
        what = UDPTUN_MACHINE_POLICY;
    struct udptun_dest dest = udptun_dest_of(&to);
    udptun_binding_error(egress->head.binding, &dest, what, is_too_big ? value : 0,
                         p->tunnel->engine->loop.now_us);
}

static void lose_way(struct egress_packets *p)
{
    if (!watch_is_on(&p->way))
        return;
    watch_stop(&p->way);
    socket_close(p->way.socket);
}

static void on_readable(void *arg, unsigned events)
{
    struct egress_packets *p = (struct egress_packets *)arg;
    uint8_t *buffer = p->tunnel->engine->read_buffer;
    (void)events;
    for (int i = 0; i < MAX_READS; i++) {
        struct packet packet;
        enum tun2socks_drop cause;
        size_t size;
        if (io_of(socket_read(p->way.socket, buffer, ENGINE_READ_SIZE, &size)) == IO_AGAIN)
            break;
        if (size == 0) {
            lose_way(p);
            break;
        }
        if (!packet_parse(&packet, buffer, size, false, &cause) || packet.is_fragment)
            continue;
        if (packet.protocol == PROTOCOL_UDP)
            take_datagram(p, &packet);
        else if (packet.protocol != PROTOCOL_TCP)
            take_error(p, &packet);
    }
    tunnel_touch(p->tunnel);
}

/* ---- out ----------------------------------------------------------------------------------------
 */

/* A socket of its own, or NO_SOCKET. */
static udptun_socket open_way(const struct tunnel *t)
{
    const char *egress = t->config->given.egress;
    const char *instance = egress_instance(egress);
    if (instance)
        return registry_pipe_open(t->engine, instance, tunnel_name(t));
    udptun_socket socket;
    packet_socket_connect(egress + 5, &socket);
    return socket;
}

static bool has_way(struct egress_packets *p)
{
    struct tunnel *t = p->tunnel;
    if (watch_is_on(&p->way))
        return true;
    if (t->engine->loop.now_us < p->retry_us)
        return false;
    p->retry_us = t->engine->loop.now_us + RETRY_US;
    udptun_socket socket = open_way(t);
    if (socket == NO_SOCKET) {
        char text[200];
        snprintf(text, sizeof text, "egress: %.150s is absent, or in use", t->config->given.egress);
        tunnel_note_error(t, text);
        engine_log_gated(t->engine, &t->server->limit_gate, UDPTUN_LOG_WARN, "server", "%s: %s",
                         tunnel_name(t), text);
        return false;
    }
    if (watch_start(&p->way, socket, LOOP_READ) == UDPTUN_OK)
        return true;
    socket_close(socket);
    return false;
}

void egress_packets_send(struct egress_packets *p, struct egress *egress,
                         const struct udptun_endpoint *to, const struct udptun_dest *asked,
                         const uint8_t *data, size_t size)
{
    struct tunnel *t = p->tunnel;
    if (!has_way(p) || !give_number(p, egress)) {
        udptun_binding_error(egress->head.binding, asked, UDPTUN_MACHINE_HOST_UNREACHABLE, 0,
                             t->engine->loop.now_us);
        return;
    }
    struct udptun_endpoint source = source_of(egress, to->family);
    size_t total = UDP_HEADER_SIZE + size;
    if (total > (to->family == UDPTUN_ENDPOINT_IP4 ? UINT16_MAX - IP4_HEADER_SIZE : UINT16_MAX)) {
        udptun_machine_count_drop(t->machine, egress->head.binding, UDPTUN_MACHINE_DROP_OVERSIZE);
        return;
    }
    uint8_t ip[IP6_HEADER_SIZE], udp[UDP_HEADER_SIZE];
    bool may_be_cut = to->family == UDPTUN_ENDPOINT_IP4 && !asked->dont_fragment;
    size_t ip_size =
        may_be_cut ? packet_write_ip4_fragment(ip, &source, to, PROTOCOL_UDP, total, 0, 0, false)
                   : packet_write_ip(ip, &source, to, PROTOCOL_UDP, total);
    struct writer w = writer_of(udp, sizeof udp);
    writer_u16(&w, source.port);
    writer_u16(&w, to->port);
    writer_u16(&w, (uint16_t)total);
    writer_u16(&w, 0);
    struct io_span parts[3] = {{ip, ip_size}, {udp, sizeof udp}, {data, size}};
    if (to->family ==
        UDPTUN_ENDPOINT_IP6) { /* IPv4 does without, and nothing changes bytes in here */
        checksum_sum sum = checksum_pseudo(&source, to, PROTOCOL_UDP, total);
        uint16_t value = checksum_end(checksum_add_parts(sum, parts + 1, 2, 0));
        value = value ? value : UINT16_MAX;
        memcpy(udp + 6, &value, sizeof value);
    }
    size_t sent;
    enum io what = io_of(socket_write_spans(p->way.socket, parts, 3, &sent));
    if (what == IO_OK)
        return;
    enum udptun_machine_drop cause = UDPTUN_MACHINE_DROP_ERROR;
    if (what == IO_AGAIN)
        cause = UDPTUN_MACHINE_DROP_QUEUE;
    else if (what == IO_TOO_BIG)
        cause = UDPTUN_MACHINE_DROP_OVERSIZE;
    else
        lose_way(p);
    udptun_machine_count_drop(t->machine, egress->head.binding, cause);
}

/* ---- life ---------------------------------------------------------------------------------------
 */

void egress_packets_opened(struct egress_packets *p, struct egress *egress)
{
    if (!give_number(p, egress))
        return;
    struct udptun_endpoint external = source_of(egress, UDPTUN_ENDPOINT_IP4);
    udptun_binding_external(egress->head.binding, &external, p->tunnel->engine->loop.now_us);
}

void egress_packets_closed(struct egress_packets *p, struct egress *egress)
{
    if (egress->packets_number)
        table_remove(&p->by_number, &egress->packets_node);
    egress->packets_number = 0;
}

struct egress_packets *egress_packets_new(struct tunnel *t)
{
    struct egress_packets *p = (struct egress_packets *)calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->tunnel = t;
    watch_init(&p->way, &t->engine->loop, on_readable, p);
    table_init(&p->by_number);
    return p;
}

void egress_packets_free(struct egress_packets *p)
{
    if (!p)
        return;
    lose_way(p);
    registry_pipe_close(p->tunnel->engine, tunnel_name(p->tunnel));
    table_fini(&p->by_number);
    free(p);
}
