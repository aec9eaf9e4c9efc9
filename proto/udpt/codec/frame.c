/* SPDX-License-Identifier: Apache-2.0 */
/* frame.c - the frames of UDPT/1 as bytes. */
#include "proto/udpt/codec/frame.h"

#include <sodium.h>

struct udptun_dest udptun_dest_of(const struct udptun_endpoint *ep)
{
    return (struct udptun_dest){.ep = *ep};
}

struct udptun_dest udptun_dest_of_name(const char *name, size_t name_len, uint16_t port)
{
    struct udptun_dest dest = {.name = name, .name_len = name_len};
    dest.ep.family = UDPTUN_ENDPOINT_NAME;
    dest.ep.port = port;
    /* A digest without a key: a peer that finds two names of one digest confuses its own. */
    crypto_generichash(dest.ep.ip, sizeof dest.ep.ip, (const uint8_t *)name, name_len, NULL, 0);
    return dest;
}

enum frame_result frame_parse(const uint8_t *data, size_t available, uint64_t *id,
                              struct reader *body, size_t *size)
{
    *size = 0;
    struct reader r = reader_of(data, available);
    uint64_t length = reader_varint(&r);
    if (r.failed)
        return FRAME_PARTIAL;
    if (length == 0 || length > FRAME_MAX_LENGTH)
        return FRAME_BROKEN;
    *size = (size_t)(r.at - data) + (size_t)length;
    if (available < *size)
        return FRAME_PARTIAL;
    *body = reader_of(r.at, (size_t)length);
    *id = reader_varint(body);
    return body->failed || *id >= FRAME_ID_LIMIT ? FRAME_BROKEN : FRAME_WHOLE;
}

size_t frame_address_size(const struct udptun_dest *dest)
{
    switch ((enum udptun_endpoint_family)dest->ep.family) {
    case UDPTUN_ENDPOINT_IP4:
        return 3 + 4;
    case UDPTUN_ENDPOINT_IP6:
        return 3 + 16;
    case UDPTUN_ENDPOINT_NAME:
        return 3 + 1 + dest->name_len;
    case UDPTUN_ENDPOINT_NONE:
        break;
    }
    return 0;
}

void frame_put_address(struct writer *w, const struct udptun_dest *dest)
{
    writer_u8(w, dest->ep.family);
    writer_u16(w, dest->ep.port);
    if (dest->ep.family == UDPTUN_ENDPOINT_IP4)
        writer_bytes(w, dest->ep.ip, 4);
    else if (dest->ep.family == UDPTUN_ENDPOINT_IP6)
        writer_bytes(w, dest->ep.ip, 16);
    else if (dest->ep.family == UDPTUN_ENDPOINT_NAME) {
        writer_u8(w, (uint8_t)dest->name_len);
        writer_bytes(w, dest->name, dest->name_len);
    } else
        w->failed = true;
}

static bool is_host_name(const uint8_t *name, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (name[i] <= ' ' || name[i] > '~')
            return false;
    return len > 0;
}

void frame_get_address(struct reader *r, struct udptun_dest *dest)
{
    *dest = (struct udptun_dest){0};
    uint8_t kind = reader_u8(r);
    uint16_t port = reader_u16(r);
    if (kind == UDPTUN_ENDPOINT_IP4 || kind == UDPTUN_ENDPOINT_IP6) {
        reader_copy(r, dest->ep.ip, kind == UDPTUN_ENDPOINT_IP4 ? 4 : 16);
        dest->ep.family = kind;
        dest->ep.port = port;
    } else if (kind == UDPTUN_ENDPOINT_NAME) {
        size_t len = reader_u8(r);
        const uint8_t *name = reader_bytes(r, len);
        if (!name || !is_host_name(name, len))
            r->failed = true;
        else
            *dest = udptun_dest_of_name((const char *)name, len, port);
    } else
        r->failed = true;
}

size_t frame_inline_size(const struct inline_header *h)
{
    return 1 + varint_size(h->binding) + (h->flags & INLINE_LABEL ? 8 : 0) +
           (h->flags & INLINE_PORT ? 2 : 0) + (h->flags & INLINE_SEQUENCE ? 4 : 0) +
           frame_address_size(&h->dest);
}

void frame_put_inline(struct writer *w, const struct inline_header *h)
{
    writer_u8(w, h->flags);
    writer_varint(w, h->binding);
    if (h->flags & INLINE_LABEL)
        writer_u64(w, h->label);
    if (h->flags & INLINE_PORT)
        writer_u16(w, h->port);
    if (h->flags & INLINE_SEQUENCE)
        writer_u32(w, h->sequence);
    frame_put_address(w, &h->dest);
}

void frame_get_inline(struct reader *r, struct inline_header *h)
{
    *h = (struct inline_header){.flags = reader_u8(r)};
    if (h->flags & ~(INLINE_SEQUENCE | INLINE_LABEL | INLINE_PORT | INLINE_WHOLE))
        r->failed = true;
    h->binding = reader_varint(r);
    if (h->flags & INLINE_LABEL)
        h->label = reader_u64(r);
    if (h->flags & INLINE_PORT)
        h->port = reader_u16(r);
    if (h->flags & INLINE_SEQUENCE)
        h->sequence = reader_u32(r);
    frame_get_address(r, &h->dest);
    h->dest.dont_fragment = h->flags & INLINE_WHOLE;
}
