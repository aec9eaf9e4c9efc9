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
    MAX_PARTIAL = 64, /* packets; the oldest makes room */
    LIFE_US = 15000000,
};

/* A packet that is not complete. */
struct partial {
    struct list link; /* in t->partials, the oldest first */
    struct endpoint source, destination;
    uint32_t id;
    uint8_t protocol;
    uint64_t end_us;
    size_t total;      /* bytes of the whole, 0: the last fragment is not here */
    size_t unit_count; /* units that are here */
    uint8_t map[UNITS / 8 + 1];
    size_t capacity;
    struct packet_buffer *buffer; /* room for an IP header, then the bytes */
};

static void free_partial(struct tun2socks *t, struct partial *r)
{
    list_remove(&r->link);
    t->partial_count--;
    stack_buffer_free(r->buffer);
    free(r);
}

static struct partial *find(struct tun2socks *t, const struct packet *p)
{
    LIST_FOREACH (node, &t->partials) {
        struct partial *r = list_entry(node, struct partial, link);
        if (r->id == p->fragment_id && r->protocol == p->protocol &&
            endpoint_equal(&r->source, &p->source) &&
            endpoint_equal(&r->destination, &p->destination))
            return r;
    }
    if (t->partial_count == MAX_PARTIAL) {
        stack_drop(t, TUN2SOCKS_DROP_FRAGMENT);
        free_partial(t, list_entry(t->partials.next, struct partial, link));
    }
    struct partial *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->source = p->source;
    r->destination = p->destination;
    r->id = p->fragment_id;
    r->protocol = p->protocol;
    r->end_us = stack_now(t) + LIFE_US;
    list_init(&r->link);
    list_append(&t->partials, &r->link);
    t->partial_count++;
    return r;
}

/* Room for `size` bytes behind the header. */
static bool make_room(struct partial *r, size_t size)
{
    if (size <= r->capacity)
        return true;
    size_t capacity = size < MAX_SIZE / 2 ? size * 2 : MAX_SIZE;
    struct packet_buffer *buffer = stack_buffer(IP6_HEADER_SIZE + capacity);
    if (!buffer)
        return false;
    if (r->buffer)
        memcpy(buffer->data, r->buffer->data, IP6_HEADER_SIZE + r->capacity);
    stack_buffer_free(r->buffer);
    r->buffer = buffer;
    r->capacity = capacity;
    return true;
}

enum outcome { KNOWN, NEW, OVERLAPS };

/* Note the units from `first` to `last`. */
static enum outcome mark(struct partial *r, size_t first, size_t last)
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
    struct partial *r = find(t, p);
    if (!r || !make_room(r, end)) {
        stack_drop(t, TUN2SOCKS_DROP_MEMORY);
        return NULL;
    }
    enum outcome outcome = mark(r, begin / UNIT, (end - 1) / UNIT);
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
        size_t ip_size = r->source.family == ENDPOINT_IP4 ? IP4_HEADER_SIZE : IP6_HEADER_SIZE;
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
        struct partial *r = list_entry(t->partials.next, struct partial, link);
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
        free_partial(t, list_entry(t->partials.next, struct partial, link));
}
