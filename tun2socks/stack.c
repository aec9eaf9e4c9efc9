/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stack.c - an instance: its device, lwIP, and the way of a packet.
 *
 * Theory of operation
 *
 *   device --read--> packet_parse --UDP--> udp.c ----------------------> host
 *                        |  |  '--ICMP--> icmp.c
 *                        |  '--TCP-----> tcp.c: SYN of a new flow is held --> host: open a stream
 *                        |                 |  else, or when the stream stands
 *                        |                 '--> lwIP --bytes--> tcp_data.c ----> host
 *                        '--fragment---> reassembly.c --whole--> packet_parse again
 *   device <--write-- stack_write <-- on_output, fragment.c, icmp.c
 *
 * lwIP is unpatched and believes itself a host with one interface per instance. Before it gets a
 * packet, the packet's destination is stored straight into that interface's address, so that
 * whatever the destination is, it is for us; a listener of any address gets the packet's port.
 * Both are taken back afterwards, so that no route leads to an interface of another instance.
 *
 * All checks and checksums are done here, not by lwIP (packet.c, on_output): what lwIP is given is
 * well formed, and a device that vouches for checksums saves them altogether.
 */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "lwip/ip.h"
#include "lwip/ip4.h"
#include "lwip/ip6.h"
#include "lwip/port.h"
#include "lwip/priv/tcp_priv.h"

#include "proto/buffer.h"
#include "proto/error.h"
#include "tun2socks/internal.h"

enum {
    READ_BATCH = 256,         /* packets in one turn, so that the rest of the loop gets its own */
    COPY_BELOW_BYTES = 16384, /* smaller packets are copied into buffers of their own size */
};

const char *tun2socks_drop_name(enum tun2socks_drop drop)
{
    static const char *const names[] = {
#define TUN2SOCKS_DROP_NAME(symbol, name, what) name,
        TUN2SOCKS_DROPS(TUN2SOCKS_DROP_NAME)
#undef TUN2SOCKS_DROP_NAME
    };
    _Static_assert(sizeof names / sizeof *names == TUN2SOCKS_DROP_COUNT, "a name per cause");
    return names[drop];
}

const struct tun2socks_counters *tun2socks_counters(const struct tun2socks *t)
{
    return &t->counters;
}

uint64_t stack_hash(const struct tun2socks *t, const struct udptun_endpoint *a,
                    const struct udptun_endpoint *b)
{
    struct udptun_endpoint both[2] = {*a};
    uint64_t hash;
    if (b)
        both[1] = *b;
    crypto_shorthash((uint8_t *)&hash, (const uint8_t *)both, sizeof both, t->config.hash_key);
    return hash;
}

void stack_drop(struct tun2socks *t, enum tun2socks_drop why)
{
    t->counters.dropped[why]++;
}

bool stack_is_own(struct tun2socks *t, const struct packet *p)
{
    const struct tun2socks_config *c = &t->config;
    if (!c->own_source ||
        !c->own_source(c->arg, p->protocol == PROTOCOL_TCP, &p->source, &p->destination))
        return false;
    stack_drop(t, TUN2SOCKS_DROP_LOOP);
    return true;
}

bool stack_write(struct tun2socks *t, const struct io_span *parts, int count,
                 const struct packet_offload *offload)
{
    ssize_t size = t->device ? t->device->ops->write(t->device, parts, count, offload) : 0;
    if (size <= 0) {
        stack_drop(t, TUN2SOCKS_DROP_DEVICE);
        return false;
    }
    t->counters.tx_packets++;
    t->counters.tx_bytes += (uint64_t)size;
    return true;
}

/* ---- lwIP to the device */

static err_t on_output(struct netif *netif, struct pbuf *p)
{
    struct tun2socks *t = netif->state;
    struct io_span parts[DEVICE_MAX_PARTS];
    int count = 0;
    size_t size = 0;
    for (struct pbuf *q = p; q; q = q->next) {
        if (count == DEVICE_MAX_PARTS)
            return ERR_BUF;
        parts[count++] = (struct io_span){q->payload, q->len};
        size += q->len;
    }
    if (!t->device)
        return ERR_IF;
    const uint8_t *header = p->payload;
    uint8_t protocol = header[0] >> 4 == 4 ? header[9] : header[6];
    if (protocol == PROTOCOL_TCP)
        tcp_out(t, parts, count, size);
    else
        stack_write(t, parts, count, &(const struct packet_offload){0});
    return ERR_OK;
}

static err_t on_output4(struct netif *netif, struct pbuf *p, const ip4_addr_t *to)
{
    (void)to;
    return on_output(netif, p);
}

static err_t on_output6(struct netif *netif, struct pbuf *p, const ip6_addr_t *to)
{
    (void)to;
    return on_output(netif, p);
}

/* ---- the device to lwIP */

void stack_feed(struct tun2socks *t, struct packet_buffer *buffer, const struct packet *p)
{
    struct netif *netif = &t->netif;
    size_t offset = (size_t)(p->data - buffer->data);
    struct pbuf *pbuf = pbuf_alloced_custom(PBUF_RAW, (u16_t)p->size, PBUF_REF, &buffer->custom,
                                            buffer->data + offset, (u16_t)p->size);
    if (!pbuf) {
        packet_buffer_free(buffer);
        stack_drop(t, TUN2SOCKS_DROP_MEMORY);
        return;
    }
    packet_buffer_count(buffer, t->config.budget);
    lwip_port_limit_out_of_order(budget_has(buffer->counted, 0));
    struct tun2socks_flow *flow = tcp_flow_find(t, &p->source, &p->destination);
    netif_default = netif; /* where a reset to nobody's flow goes */
    if (p->source.family == UDPTUN_ENDPOINT_IP4) {
        ip4_addr_t *address = ip_2_ip4(&netif->ip_addr);
        memcpy(&address->addr, p->destination.ip, 4);
        tcp_flow_input(flow, pbuf, netif, ip4_input);
        ip4_addr_set_zero(address);
    } else {
        ip6_addr_t *address = ip_2_ip6(&netif->ip6_addr[0]);
        memcpy(address->addr, p->destination.ip, 16);
        netif->ip6_addr_state[0] = IP6_ADDR_PREFERRED;
        tcp_flow_input(flow, pbuf, netif, ip6_input);
        netif->ip6_addr_state[0] = IP6_ADDR_INVALID;
    }
}

static void take_fragment(struct tun2socks *t, const struct packet *p);

static size_t tcp_header_size(const struct packet *p)
{
    return (size_t)(p->transport[12] >> 4) * 4;
}

/* Where a packet comes from. */
enum origin {
    FROM_DEVICE,
    FROM_DEVICE_CHECKED, /* which vouches for its checksum */
    FROM_FRAGMENTS,
};

/* The packet at `offset` of `buffer`, which stays the caller's: false; or became lwIP's: true. */
static bool take_packet(struct tun2socks *t, struct packet_buffer *buffer, size_t offset,
                        size_t size, enum origin origin)
{
    struct packet p;
    enum tun2socks_drop cause;
    if (!packet_parse(&p, buffer->data + offset, size, origin == FROM_DEVICE_CHECKED, &cause)) {
        stack_drop(t, cause);
        if (p.has_problem)
            icmp_problem(t, &p);
        return false;
    }
    if (origin == FROM_FRAGMENTS)
        p.dont_fragment = false; /* the header is ours */
    if (p.source.family == UDPTUN_ENDPOINT_IP6)
        path_seen(t, &p, origin != FROM_FRAGMENTS);
    if (p.is_fragment) {
        if (origin == FROM_FRAGMENTS) /* headers within headers, as many as fit: nobody's packet */
            stack_drop(t, TUN2SOCKS_DROP_MALFORMED);
        else
            take_fragment(t, &p);
        return false;
    }
    if (p.protocol == PROTOCOL_UDP) {
        udp_packet(t, &p);
        return false;
    }
    if (p.protocol != PROTOCOL_TCP) {
        icmp_packet(t, &p);
        return false;
    }
    if (p.size > UINT16_MAX) { /* lwIP counts no further */
        stack_drop(t, TUN2SOCKS_DROP_MALFORMED);
        return false;
    }
    if (p.source.family == UDPTUN_ENDPOINT_IP6 && p.transport != p.data + IP6_HEADER_SIZE)
        packet_strip_extensions(&p); /* lwIP need not know them */
    uint8_t kind = p.tcp_flags & (TCP_FLAG_SYN | TCP_FLAG_ACK | TCP_FLAG_RST);
    if (kind == TCP_FLAG_SYN && !tcp_flow_syn(t, &p))
        return false;
    if (p.transport_size > tcp_header_size(&p) || (p.tcp_flags & TCP_FLAG_FIN))
        lwip_port_ack_later(stack_now(t)); /* its timer goes over all flows: not for mere answers */
    if (p.size < COPY_BELOW_BYTES && buffer->capacity > COPY_BELOW_BYTES) {
        struct packet_buffer *copy = packet_buffer_new(p.size);
        if (!copy) {
            stack_drop(t, TUN2SOCKS_DROP_MEMORY);
            return false;
        }
        memcpy(copy->data, p.data, p.size);
        p.data = copy->data;
        stack_feed(t, copy, &p);
        return false;
    }
    stack_feed(t, buffer, &p);
    return true;
}

static void take_fragment(struct tun2socks *t, const struct packet *p)
{
    size_t offset, size;
    struct packet_buffer *whole = reassembly_take(t, p, &offset, &size);
    if (whole && !take_packet(t, whole, offset, size, FROM_FRAGMENTS))
        packet_buffer_free(whole);
}

static void count_in(struct tun2socks *t, size_t size)
{
    t->counters.rx_packets++;
    t->counters.rx_bytes += size;
}

void stack_note(struct tun2socks_flow *flow)
{
    if (list_empty(&flow->work))
        list_append(&flow->t->work, &flow->work);
}

void stack_work(struct tun2socks *t)
{
    if (t->is_working)
        return;
    t->is_working = true;
    while (!list_empty(&t->work)) {
        struct tun2socks_flow *flow = list_entry(t->work.next, struct tun2socks_flow, work);
        list_remove(&flow->work);
        tcp_flow_work(flow);
    }
    t->is_working = false;
}

void tun2socks_batch_end(struct tun2socks *t)
{
    stack_work(t);
    if (t->config.datagrams && t->config.datagrams->batch_end)
        t->config.datagrams->batch_end(t->config.arg);
}

void tun2socks_packet(struct tun2socks *t, const void *data, size_t size)
{
    struct packet_buffer *buffer = size <= PACKET_MAX_SIZE ? packet_buffer_new(size) : NULL;
    if (!buffer) {
        stack_drop(t, size > PACKET_MAX_SIZE ? TUN2SOCKS_DROP_MALFORMED : TUN2SOCKS_DROP_MEMORY);
        return;
    }
    if (size)
        memcpy(buffer->data, data, size);
    count_in(t, size);
    if (!take_packet(t, buffer, 0, size, FROM_DEVICE))
        packet_buffer_free(buffer);
}

static void stack_lose_device(struct tun2socks *t)
{
    struct udptun_error err;
    error_set_errno(&err, UDPTUN_E_SYSTEM, t->device->failure, "device", "device %s is gone",
                    t->device->name);
    t->device->ops->close(t->device);
    t->device = NULL;
    if (t->config.device_lost)
        t->config.device_lost(t->config.arg, &err);
}

bool tun2socks_readable(struct tun2socks *t)
{
    int left = READ_BATCH;
    bool lost = false;
    for (; left > 0 && t->device; left--) {
        struct packet_offload offload;
        if (!t->spare && !(t->spare = packet_buffer_new(PACKET_MAX_SIZE)))
            break;
        ssize_t size = t->device->ops->read(t->device, t->spare->data, &offload);
        lost = size == DEVICE_LOST;
        if (size <= 0)
            break;
        count_in(t, (size_t)size);
        enum origin origin = offload.checksum_is_good ? FROM_DEVICE_CHECKED : FROM_DEVICE;
        if (take_packet(t, t->spare, 0, (size_t)size, origin))
            t->spare = NULL;
    }
    tun2socks_batch_end(t);
    if (lost && t->device)
        stack_lose_device(t);
    return left == 0;
}

uint64_t tun2socks_tick(struct tun2socks *t)
{
    uint64_t next = tcp_tick(t), at = lwip_port_tick(stack_now(t));
    stack_work(t);
    if (at < next)
        next = at;
    at = udp_tick(t);
    if (at < next)
        next = at;
    at = reassembly_tick(t);
    return at < next ? at : next;
}

/* ---- life */

/* RFC 6528 section 3: a clock of 4 microseconds, and for each pair of endpoints a secret offset.
 * The hash tables use the lower half of the same function: what this half shows tells nothing of
 * it. */
static uint32_t initial_sequence(const struct lwip_port_flow *f)
{
    const struct tun2socks *t = f->netif->state;
    struct udptun_endpoint local = {.port = f->local_port}, remote = {.port = f->remote_port};
    size_t size = IP_IS_V6(f->local_ip) ? 16 : 4; /* both kinds of ip_addr_t begin with it */
    local.family = remote.family = size == 4 ? UDPTUN_ENDPOINT_IP4 : UDPTUN_ENDPOINT_IP6;
    memcpy(local.ip, f->local_ip, size);
    memcpy(remote.ip, f->remote_ip, size);
    return (uint32_t)(stack_hash(t, &local, &remote) >> 32) + (uint32_t)(stack_now(t) / 4);
}

static err_t set_up_netif(struct netif *netif)
{
    netif->name[0] = 't';
    netif->name[1] = 's';
    netif->output = on_output4;
    netif->output_ip6 = on_output6;
    return ERR_OK;
}

static void use_mtu(struct tun2socks *t)
{
    t->netif.mtu = (u16_t)(t->device->mtu < UINT16_MAX ? t->device->mtu : UINT16_MAX);
    t->netif.mtu6 = t->netif.mtu;
}

static bool set_up_lwip(struct tun2socks *t)
{
    ip4_addr_t none = {0}, all;
    ip4_addr_set_u32(&all, UINT32_MAX);
    if (!netif_add(&t->netif, &none, &all, &none, t, set_up_netif, ip_input))
        return false;
    use_mtu(t);
    netif_set_up(&t->netif);
    netif_set_link_up(&t->netif);
    struct tcp_pcb *pcb = tcp_new_ip_type(IPADDR_TYPE_ANY);
    if (!pcb)
        return false;
    tcp_bind_netif(pcb, &t->netif);
    if (tcp_bind(pcb, IP_ANY_TYPE, 0) != ERR_OK || !(t->listener = tcp_listen(pcb))) {
        tcp_abort(pcb);
        return false;
    }
    return true;
}

void tun2socks_set(struct tun2socks *t, const struct tun2socks_config *config)
{
    t->config.datagrams = config->datagrams;
    t->config.echo_reply = config->echo_reply;
    t->config.block_quic = config->block_quic;
    t->config.max_tcp_flows = config->max_tcp_flows;
    t->config.max_udp_flows = config->max_udp_flows;
    t->config.tcp_idle_s = config->tcp_idle_s;
    t->config.tcp_ending_s = config->tcp_ending_s;
    t->config.udp_idle_s = config->udp_idle_s;
    t->config.udp_dns_idle_s = config->udp_dns_idle_s;
}

bool tun2socks_make_room(struct tun2socks *t)
{
    uint64_t tcp = tcp_idle_since(t), udp = udp_idle_since(t);
    uint64_t since_us = tcp < udp ? tcp : udp;
    if (since_us == UINT64_MAX || stack_now(t) - since_us < EVICT_IDLE_US)
        return false;
    if (tcp <= udp)
        return tcp_evict(t);
    udp_evict(t);
    return true;
}

void tun2socks_attach(struct tun2socks *t, struct device *device)
{
    if (t->device)
        t->device->ops->close(t->device);
    t->device = device;
    if (device)
        use_mtu(t);
}

struct tun2socks *tun2socks_new(const struct tun2socks_config *config, struct device *device,
                                struct udptun_error *err)
{
    struct tun2socks *t = calloc(1, sizeof *t);
    if (!t) {
        device->ops->close(device);
        error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
        return NULL;
    }
    t->config = *config;
    memcpy(&t->next_fragment_id, config->hash_key, sizeof t->next_fragment_id);
    t->device = device;
    table_init(&t->flows);
    table_init(&t->bindings);
    list_init(&t->open_flows);
    list_init(&t->ending_flows);
    list_init(&t->idle_bindings);
    list_init(&t->dns_bindings);
    list_init(&t->work);
    list_init(&t->partials);
    table_init(&t->partial_table);
    if (!lwip_port_enter(initial_sequence)) {
        error_set(err, UDPTUN_E_CONFLICT, NULL,
                  "another thread of this process runs tun2socks; only one can");
        device->ops->close(device);
        free(t);
        return NULL;
    }
    if (!set_up_lwip(t)) {
        tun2socks_free(t);
        error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
        return NULL;
    }
    return t;
}

void tun2socks_free(struct tun2socks *t)
{
    if (!t)
        return;
    tcp_free_all(t);
    udp_free_all(t);
    reassembly_free_all(t);
    if (t->listener)
        tcp_close(t->listener);
    netif_remove(&t->netif);
    if (t->device)
        t->device->ops->close(t->device);
    packet_buffer_free(t->spare);
    tcp_send_trim(t);
    table_fini(&t->flows);
    table_fini(&t->bindings);
    table_fini(&t->partial_table);
    lwip_port_leave();
    free(t);
}
