/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reassembly.c - fragments that come in, put together (RFC 791 section 3.2, RFC 8200 section 4.5).
 *
 * Ours and not lwIP's, whose packets end at 65,535 bytes with their headers: a datagram of 65,507
 * bytes over IPv6 is longer. Fragments are copied to their place in one buffer; a map of 8-byte
 * units knows what is there. Fragments that overlap void their packet (RFC 5722), one that
 * says again what is there already is ignored.
 */
#include <stdlib.h>
#include <string.h>

#include "tun2socks/internal.h"

enum {
    UNIT = 8,
    MAX_SIZE = UINT16_MAX, /* of what is behind the IP header */
    UNITS = MAX_SIZE / UNIT + 1,
    /* Of all packets that are not complete; the oldest makes room. */
    MAX_PARTIAL_BYTES = 4 * 1024 * 1024,
    LIFE_US = 15000000,
};

/* A packet that is not complete. */
struct reassembly {
    struct list link; /* in t->partials, the oldest first */
    struct table_node node;
    struct udptun_endpoint source, destination;
    uint32_t id;
    uint8_t protocol;
    uint64_t end_us;
    size_t total;      /* bytes of the whole, 0: the last fragment is not here */
    size_t unit_count; /* units that are here */
    uint8_t map[UNITS / 8 + 1];
    size_t capacity;
    struct packet_buffer *buffer; /* room for an IP header, then the bytes */
};

static void count(struct tun2socks *t, size_t size)
{
    t->partial_bytes += size;
    budget_take(t->config.budget, size);
}

static void uncount(struct tun2socks *t, size_t size)
{
    t->partial_bytes -= size;
    budget_give(t->config.budget, size);
}

static void free_partial(struct tun2socks *t, struct reassembly *r)
{
    list_remove(&r->link);
    table_remove(&t->partial_table, &r->node);
    uncount(t, sizeof *r + r->capacity);
    packet_buffer_free(r->buffer);
    free(r);
}

static bool reassembly_is_of(const struct table_node *node, const void *key)
{
    const struct reassembly *r = table_entry(node, const struct reassembly, node);
    const struct packet *p = key;
    bool is_ip6 = p->source.family == UDPTUN_ENDPOINT_IP6; /* whose fragments may disagree on it */
    return r->id == p->fragment_id && (is_ip6 || r->protocol == p->protocol) &&
           endpoint_equal(&r->source, &p->source) &&
           endpoint_equal(&r->destination, &p->destination);
}

static bool reassembly_fits(struct tun2socks *t, size_t size)
{
    return t->partial_bytes + size <= MAX_PARTIAL_BYTES && budget_has(t->config.budget, size);
}

/* Drop the oldest until `size` more bytes fit; not `kept`. One packet may be here in any case. */
static void drop_oldest(struct tun2socks *t, size_t size, const struct reassembly *kept)
{
    while (!list_empty(&t->partials) && !reassembly_fits(t, size)) {
        struct reassembly *oldest = list_entry(t->partials.next, struct reassembly, link);
        if (oldest == kept)
            return;
        stack_drop(t, TUN2SOCKS_DROP_FRAGMENT);
        free_partial(t, oldest);
    }
}

static struct reassembly *reassembly_find(struct tun2socks *t, const struct packet *p)
{
    uint64_t hash = stack_hash(t, &p->source, &p->destination) ^ p->fragment_id;
    struct table_node *node = table_find(&t->partial_table, hash, reassembly_is_of, p);
    if (node)
        return table_entry(node, struct reassembly, node);
    drop_oldest(t, sizeof(struct reassembly), NULL);
    struct reassembly *r = calloc(1, sizeof *r);
    if (!r || table_insert(&t->partial_table, &r->node, hash) != UDPTUN_OK) {
        free(r);
        return NULL;
    }
    r->source = p->source;
    r->destination = p->destination;
    r->id = p->fragment_id;
    r->protocol = p->protocol;
    r->end_us = stack_now(t) + LIFE_US;
    list_init(&r->link);
    list_append(&t->partials, &r->link);
    count(t, sizeof *r);
    return r;
}

/* Room for `size` bytes behind the header. */
static bool reassembly_make_room(struct tun2socks *t, struct reassembly *r, size_t size)
{
    if (size <= r->capacity)
        return true;
    size_t capacity = size < MAX_SIZE / 2 ? size * 2 : MAX_SIZE;
    drop_oldest(t, capacity - r->capacity, r);
    struct packet_buffer *buffer = packet_buffer_new(IP6_HEADER_SIZE + capacity);
    if (!buffer)
        return false;
    if (r->buffer)
        memcpy(buffer->data, r->buffer->data, IP6_HEADER_SIZE + r->capacity);
    packet_buffer_free(r->buffer);
    r->buffer = buffer;
    count(t, capacity - r->capacity);
    r->capacity = capacity;
    return true;
}

enum overlap { KNOWN, NEW, OVERLAPS };

/* Note the units from `first` to `last`. */
static enum overlap mark(struct reassembly *r, size_t first, size_t last)
{
    size_t here = 0;
    for (size_t i = first; i <= last; i++)
        here += r->map[i / 8] >> (i % 8) & 1;
    if (here)
        return here == last - first + 1 ? KNOWN : OVERLAPS;
    for (size_t i = first; i <= last; i++)
        r->map[i / 8] = (uint8_t)(r->map[i / 8] | 1u << (i % 8));
    r->unit_count += last - first + 1;
    return NEW;
}

/* The packet that is behind the fragment header. */
static struct packet_buffer *atomic(struct tun2socks *t, const struct packet *p, size_t *offset,
                                    size_t *packet_size)
{
    struct packet_buffer *whole = packet_buffer_new(IP6_HEADER_SIZE + p->transport_size);
    if (!whole) {
        stack_drop(t, TUN2SOCKS_DROP_MEMORY);
        return NULL;
    }
    *offset = 0;
    *packet_size =
        packet_write_ip(whole->data, &p->source, &p->destination, p->protocol, p->transport_size) +
        p->transport_size;
    memcpy(whole->data + IP6_HEADER_SIZE, p->transport, p->transport_size);
    return whole;
}

struct packet_buffer *reassembly_take(struct tun2socks *t, const struct packet *p, size_t *offset,
                                      size_t *packet_size)
{
    struct packet_buffer *whole = NULL;
    size_t begin = p->fragment_offset, end = begin + p->transport_size;
    bool more = p->fragment_more;
    if (p->transport_size == 0 || (more && p->transport_size % UNIT) || end > MAX_SIZE) {
        stack_drop(t, TUN2SOCKS_DROP_MALFORMED);
        return NULL;
    }
    if (begin == 0 && !more) /* a fragment by itself has to do with no other (RFC 6946) */
        return atomic(t, p, offset, packet_size);
    struct reassembly *r = reassembly_find(t, p);
    if (!r || !reassembly_make_room(t, r, end)) {
        stack_drop(t, TUN2SOCKS_DROP_MEMORY);
        return NULL;
    }
    if (begin == 0)
        r->protocol = p->protocol; /* the first one's counts (RFC 8200 section 4.5) */
    enum overlap outcome = mark(r, begin / UNIT, (end - 1) / UNIT);
    bool contradicts = r->total ? end > r->total || (!more && end != r->total) : false;
    if (outcome == OVERLAPS || contradicts) {
        stack_drop(t, TUN2SOCKS_DROP_FRAGMENT);
        free_partial(t, r);
        return NULL;
    }
    if (outcome == KNOWN)
        return NULL;
    memcpy(r->buffer->data + IP6_HEADER_SIZE + begin, p->transport, p->transport_size);
    if (!more)
        r->total = end;
    if (!r->total || r->unit_count < (r->total + UNIT - 1) / UNIT)
        return NULL;
    if (r->unit_count == (r->total + UNIT - 1) / UNIT) {
        size_t ip_size =
            r->source.family == UDPTUN_ENDPOINT_IP4 ? IP4_HEADER_SIZE : IP6_HEADER_SIZE;
        *offset = IP6_HEADER_SIZE - ip_size;
        *packet_size = ip_size + r->total;
        whole = r->buffer;
        packet_write_ip(whole->data + *offset, &r->source, &r->destination, r->protocol, r->total);
        r->buffer = NULL;
    } else { /* something lies behind its end */
        stack_drop(t, TUN2SOCKS_DROP_FRAGMENT);
    }
    free_partial(t, r);
    return whole;
}

uint64_t reassembly_tick(struct tun2socks *t)
{
    while (!list_empty(&t->partials)) {
        struct reassembly *r = list_entry(t->partials.next, struct reassembly, link);
        if (r->end_us > stack_now(t))
            return r->end_us;
        stack_drop(t, TUN2SOCKS_DROP_FRAGMENT);
        free_partial(t, r);
    }
    return UINT64_MAX;
}

void reassembly_free_all(struct tun2socks *t)
{
    while (!list_empty(&t->partials))
        free_partial(t, list_entry(t->partials.next, struct reassembly, link));
}
