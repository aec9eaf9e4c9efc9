/* SPDX-License-Identifier: Apache-2.0 */
/*
 * udp.c - UDP: one binding per source, whatever the destinations (RFC 4787 REQ-1).
 *
 * Replies are named by the app's address, not by a binding: they may come from anywhere (full
 * cone) and at any time, and a host that is late with news of an old binding cannot hit its
 * successor. Bindings idle in two lists, because a lone DNS exchange is not worth minutes.
 */
#include <stdlib.h>

#include "proto/buffer.h"
#include "tun2socks/internal.h"

enum { PORT_DNS = 53, PORT_QUIC = 443 };

static bool udp_is_of(const struct table_node *node, const void *key)
{
    return endpoint_equal(&table_entry(node, const struct binding, node)->source, key);
}

static struct binding *udp_find(const struct tun2socks *t, const struct udptun_endpoint *source,
                                uint64_t hash)
{
    struct table_node *node = table_find(&t->bindings, hash, udp_is_of, source);
    return node ? table_entry(node, struct binding, node) : NULL;
}

bool udp_has_binding(const struct tun2socks *t, const struct udptun_endpoint *app)
{
    return udp_find(t, app, stack_hash(t, app, NULL)) != NULL;
}

static void free_binding(struct tun2socks *t, struct binding *b)
{
    void *host = b->host;
    table_remove(&t->bindings, &b->node);
    list_remove(&b->age);
    free(b);
    t->counters.udp_flows--;
    if (host)
        t->config.datagrams->binding_close(t->config.arg, host);
}

static struct binding *udp_oldest(struct list *list)
{
    return list_empty(list) ? NULL : list_entry(list->next, struct binding, age);
}

/* The least recently used binding, or NULL. */
static struct binding *udp_idlest(struct tun2socks *t)
{
    struct binding *a = udp_oldest(&t->idle_bindings), *b = udp_oldest(&t->dns_bindings);
    return !a || (b && b->active_us < a->active_us) ? b : a;
}

uint64_t udp_idle_since(struct tun2socks *t)
{
    const struct binding *b = udp_idlest(t);
    return b ? b->active_us : UINT64_MAX;
}

/* Make room: it goes. */
void udp_evict(struct tun2socks *t)
{
    t->counters.evicted++;
    free_binding(t, udp_idlest(t));
}

static struct binding *udp_new_binding(struct tun2socks *t, const struct udptun_endpoint *source,
                                       uint64_t hash)
{
    while (t->counters.udp_flows && t->counters.udp_flows >= t->config.max_udp_flows) {
        stack_at_cap(t, TUN2SOCKS_CAP_UDP);
        udp_evict(t);
    }
    struct binding *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->source = *source;
    b->is_dns = true;
    list_init(&b->age);
    if (table_insert(&t->bindings, &b->node, hash) != UDPTUN_OK) {
        free(b);
        return NULL;
    }
    t->counters.udp_flows++;
    return b;
}

static void touch(struct tun2socks *t, struct binding *b)
{
    b->active_us = stack_now(t);
    list_move(b->is_dns ? &t->dns_bindings : &t->idle_bindings, &b->age);
}

void udp_packet(struct tun2socks *t, const struct packet *p)
{
    bool is_blocked = t->config.block_quic && p->destination.port == PORT_QUIC;
    if (is_blocked || !t->config.datagrams) {
        stack_drop(t, TUN2SOCKS_DROP_REJECTED);
        icmp_error(t, &p->source, &p->destination, PROTOCOL_UDP, p->transport, p->transport_size,
                   TUN2SOCKS_PORT_UNREACHABLE, 0);
        return;
    }
    uint64_t hash = stack_hash(t, &p->source, NULL);
    struct binding *b = udp_find(t, &p->source, hash);
    if (!b && stack_is_own(t, p))
        return;
    if (!b)
        b = udp_new_binding(t, &p->source, hash);
    if (!b) {
        stack_drop(t, TUN2SOCKS_DROP_MEMORY);
        return;
    }
    b->is_dns = b->is_dns && p->destination.port == PORT_DNS;
    touch(t, b);
    t->is_whole = p->dont_fragment;
    t->config.datagrams->datagram(t->config.arg, &b->host, &p->source, &p->destination,
                                  p->transport + UDP_HEADER_SIZE,
                                  p->transport_size - UDP_HEADER_SIZE);
}

bool tun2socks_dont_fragment(const struct tun2socks *t)
{
    return t->is_whole;
}

bool tun2socks_datagram(struct tun2socks *t, const struct udptun_endpoint *app,
                        const struct udptun_endpoint *source, const void *data, size_t size)
{
    if (app->family != source->family) {
        stack_drop(t, TUN2SOCKS_DROP_FAMILY);
        return false;
    }
    struct binding *b = udp_find(t, app, stack_hash(t, app, NULL));
    if (!b) {
        stack_drop(t, TUN2SOCKS_DROP_NO_BINDING);
        return false;
    }
    touch(t, b);
    return fragment_send(t, source, app, data, size);
}

void tun2socks_lost(struct tun2socks *t)
{
    stack_drop(t, TUN2SOCKS_DROP_FAR_END);
}

void tun2socks_count_drop(struct tun2socks *t, enum tun2socks_drop cause)
{
    stack_drop(t, cause);
}

void tun2socks_unreachable(struct tun2socks *t, const struct udptun_endpoint *app,
                           const struct udptun_endpoint *destination,
                           enum tun2socks_unreachable why, uint32_t mtu)
{
    uint8_t header[UDP_HEADER_SIZE];
    struct writer w = writer_of(header, sizeof header);
    writer_u16(&w, app->port);
    writer_u16(&w, destination->port);
    writer_u16(&w, UDP_HEADER_SIZE);
    writer_u16(&w, 0);
    if (app->family == destination->family)
        icmp_error(t, app, destination, PROTOCOL_UDP, header, sizeof header, why, mtu);
}

void tun2socks_reject(struct tun2socks *t, const struct udptun_endpoint *app,
                      const struct udptun_endpoint *destination)
{
    stack_drop(t, TUN2SOCKS_DROP_REJECTED);
    tun2socks_unreachable(t, app, destination, TUN2SOCKS_PORT_UNREACHABLE, 0);
}

/* Free what idled in one list. Returns when the next one will have. */
static uint64_t udp_expire(struct tun2socks *t, struct list *list, uint32_t idle_s)
{
    struct binding *b;
    while ((b = udp_oldest(list))) {
        uint64_t at = b->active_us + idle_s * UINT64_C(1000000);
        if (at > stack_now(t))
            return at;
        free_binding(t, b);
    }
    return UINT64_MAX;
}

uint64_t udp_tick(struct tun2socks *t)
{
    uint64_t a = udp_expire(t, &t->idle_bindings, t->config.udp_idle_s);
    uint64_t b = udp_expire(t, &t->dns_bindings, t->config.udp_dns_idle_s);
    return a < b ? a : b;
}

void udp_free_all(struct tun2socks *t)
{
    struct binding *b;
    while ((b = udp_oldest(&t->idle_bindings)) || (b = udp_oldest(&t->dns_bindings)))
        free_binding(t, b);
}

void tun2socks_forget_bindings(struct tun2socks *t)
{
    udp_free_all(t);
}
