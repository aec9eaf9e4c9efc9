/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame.h - the frames of UDPT/1 as bytes. docs/protocol.md is their definition.
 *
 *     frame   = length(varint) id(varint) body          length counts id and body
 *     id 0    control: type(varint) fields
 *     id 1    a datagram with its address inline
 *     id >= 2 a datagram of an announced (binding, peer): even ids the client's, odd the server's
 *
 * Here are sizes, codes, and the encoding of each frame that has more than one field; nothing
 * here knows a session.
 */
#ifndef PROTO_UDPT_FRAME_H
#define PROTO_UDPT_FRAME_H

#include "proto/buffer.h"
#include "proto/endpoint.h"
#include <udptun/machine.h>

/* The largest value of `length`: the largest payload and the largest inline header around it. */
#define FRAME_MAX_LENGTH 65827
/* `length` takes four bytes then, the largest id eight. */
#define FRAME_MAX_SIZE (4 + FRAME_MAX_LENGTH)
/* Every control frame fits; a longer one is an error of the leg. */
#define FRAME_MAX_CONTROL 1024

enum frame_id { FRAME_CONTROL = 0, FRAME_INLINE = 1, FRAME_FIRST_ANNOUNCED = 2 };

/* Announced ids stay below this, so that they take at most four bytes. */
#define FRAME_ID_LIMIT (UINT64_C(1) << 30)

/* Bits of an inline frame's flags. Others must be 0. */
enum inline_flag {
    INLINE_SEQUENCE = 1, /* a sequence number follows: a copy may come on another leg */
    INLINE_LABEL = 2,    /* the binding's label follows */
    INLINE_PORT = 4,     /* client, CAPABILITY_SOURCE_PORT: the source's port follows */
    INLINE_WHOLE = 8,    /* client, CAPABILITY_DONT_FRAGMENT: struct udptun_dest.dont_fragment */
};

/* Bits of an announcement's flags. Others must be 0. */
enum announce_flag {
    ANNOUNCE_SEQUENCE = 1, /* every datagram of this id begins with a sequence number */
};

/* Types of control frames. A type with its lowest bit set may be ignored by who does not know
 * it; any other unknown type is an error of the leg. */
enum control_type {
    CONTROL_CLOCK = 0x01,     /* time_ms(u32): the sender's clock for what follows on this leg */
    CONTROL_ACK = 0x02,       /* count(varint), count x { leg, generation, received, delay_us } */
    CONTROL_PING = 0x04,      /* token(u64) */
    CONTROL_PONG = 0x06,      /* token(u64) */
    CONTROL_ANNOUNCE = 0x08,  /* id, flags(u8), binding, address */
    CONTROL_ANNOUNCED = 0x0a, /* id */
    CONTROL_RETIRE = 0x0c,    /* id */
    CONTROL_RETIRED = 0x0e,   /* id */
    CONTROL_OPEN = 0x10,      /* binding, label(u64), port4(u16), port6(u16) */
    CONTROL_OPENED = 0x12,    /* binding, address */
    CONTROL_CLOSE = 0x14,     /* binding, reason */
    CONTROL_CLOSED = 0x16,    /* binding */
    CONTROL_ERROR = 0x17,     /* binding, code, value, address */
    CONTROL_SETTINGS = 0x19,  /* parameters, as in HELLO */
    CONTROL_GOODBYE = 0x1a,   /* reason, text: the session is over */
    CONTROL_LEAVE = 0x1e,     /* leg, generation: send nothing on it any more, then close it */
    CONTROL_REFUSED = 0x1c,   /* reason: the server did not take this leg after its CONFIRM */
};

/* Reasons of a GOODBYE; an unknown one means the first. */
enum goodbye_reason {
    GOODBYE_OVER = 0,      /* the session is over */
    GOODBYE_BACK_SOON = 1, /* only the sender's streams are: it will be back for the session */
};

/* Writes length and id; at most 4 + 8 bytes. `body_size` is what follows. */
static inline size_t frame_put_header(uint8_t *to, uint64_t id, size_t body_size)
{
    struct writer w = writer_of(to, 12);
    writer_varint(&w, varint_size(id) + body_size);
    writer_varint(&w, id);
    return writer_size(&w);
}

static inline size_t frame_size(uint64_t id, size_t body_size)
{
    size_t length = varint_size(id) + body_size;
    return varint_size(length) + length;
}

enum frame_result { FRAME_WHOLE, FRAME_PARTIAL, FRAME_BROKEN };

/*
 * The frame at the start of `data`. FRAME_WHOLE: `body` reads its body, `*id` and `*size` (of the
 * whole frame) are set. FRAME_PARTIAL: `*size` is the whole size once the length can be read,
 * else 0.
 */
enum frame_result frame_parse(const uint8_t *data, size_t available, uint64_t *id,
                              struct reader *body, size_t *size);

/* kind(u8: 4, 6, 3) port(u16) and 4 bytes, 16 bytes, or length(u8) and a name. */
void frame_put_address(struct writer *w, const struct udptun_dest *dest);
size_t frame_address_size(const struct udptun_dest *dest);

/* Fails the reader on an unknown kind, an empty name, or a name with a byte that no host name
 * has (control characters, space, above 0x7e). `dest->name` points into what is read. */
void frame_get_address(struct reader *r, struct udptun_dest *dest);

/* An inline frame up to its payload. */
struct inline_header {
    uint8_t flags;
    uint64_t binding;
    uint64_t label;    /* with INLINE_LABEL */
    uint16_t port;     /* with INLINE_PORT */
    uint32_t sequence; /* with INLINE_SEQUENCE */
    struct udptun_dest dest;
};

size_t frame_inline_size(const struct inline_header *h);
void frame_put_inline(struct writer *w, const struct inline_header *h);
void frame_get_inline(struct reader *r, struct inline_header *h);

#endif
