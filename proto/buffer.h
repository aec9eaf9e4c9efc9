/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buffer.h - the one bounds-checked reader and the one writer of every wire format.
 *
 * Both are sticky: past the end, or past a value that does not fit, `failed` is set, reads give
 * zero, writes do nothing, and the caller asks once at the end. Neither owns memory. Integers
 * are big-endian; varints are QUIC's (RFC 9000 section 16): the two high bits of the first byte
 * give the length, 1, 2, 4 or 8 bytes.
 */
#ifndef PROTO_BUFFER_H
#define PROTO_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct reader {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

struct writer {
    uint8_t *start;
    uint8_t *at;
    uint8_t *end;
    bool failed;
};

#define VARINT_MAX      ((UINT64_C(1) << 62) - 1)
#define VARINT_MAX_SIZE 8

static inline struct reader reader_of(const void *data, size_t size)
{
    const uint8_t *at = (const uint8_t *)data;
    return (struct reader){.at = at, .end = size ? at + size : at, .failed = false};
}

static inline size_t reader_left(const struct reader *r)
{
    return (size_t)(r->end - r->at);
}

/* The next `size` bytes in place, or NULL and `failed`. Valid as long as the data read. */
static inline const uint8_t *reader_bytes(struct reader *r, size_t size)
{
    if (r->failed || reader_left(r) < size) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *bytes = r->at;
    r->at += size;
    return bytes;
}

static inline void reader_copy(struct reader *r, void *to, size_t size)
{
    const uint8_t *bytes = reader_bytes(r, size);
    if (bytes)
        memcpy(to, bytes, size);
    else
        memset(to, 0, size);
}

static inline uint64_t reader_uint(struct reader *r, size_t size)
{
    const uint8_t *bytes = reader_bytes(r, size);
    uint64_t value = 0;
    for (size_t i = 0; bytes && i < size; i++)
        value = value << 8 | bytes[i];
    return value;
}

static inline uint8_t reader_u8(struct reader *r)
{
    return (uint8_t)reader_uint(r, 1);
}

static inline uint16_t reader_u16(struct reader *r)
{
    return (uint16_t)reader_uint(r, 2);
}

static inline uint32_t reader_u32(struct reader *r)
{
    return (uint32_t)reader_uint(r, 4);
}

static inline uint64_t reader_u64(struct reader *r)
{
    return reader_uint(r, 8);
}

static inline uint64_t reader_varint(struct reader *r)
{
    if (r->failed || r->at == r->end) {
        r->failed = true;
        return 0;
    }
    size_t size = (size_t)1 << (r->at[0] >> 6);
    uint64_t value = reader_uint(r, size);
    return r->failed ? 0 : value & ((UINT64_C(1) << (8 * size - 2)) - 1);
}

/* All was read and nothing failed. */
static inline bool reader_done(const struct reader *r)
{
    return !r->failed && r->at == r->end;
}

static inline struct writer writer_of(void *data, size_t size)
{
    uint8_t *at = (uint8_t *)data;
    return (struct writer){.start = at, .at = at, .end = at + size, .failed = false};
}

static inline size_t writer_size(const struct writer *w)
{
    return (size_t)(w->at - w->start);
}

/* Whether `size` more bytes fit; if not, the writer has failed. */
static inline bool writer_fits(struct writer *w, size_t size)
{
    if (!w->failed && (size_t)(w->end - w->at) >= size)
        return true;
    w->failed = true;
    return false;
}

/* Room for `size` bytes to be filled by the caller, or NULL and `failed`. */
static inline uint8_t *writer_room(struct writer *w, size_t size)
{
    if (!writer_fits(w, size))
        return NULL;
    w->at += size;
    return w->at - size;
}

static inline void writer_bytes(struct writer *w, const void *data, size_t size)
{
    if (size == 0 || !writer_fits(w, size))
        return;
    memcpy(w->at, data, size);
    w->at += size;
}

static inline void writer_uint(struct writer *w, uint64_t value, size_t size)
{
    if (!writer_fits(w, size))
        return;
    for (size_t i = 0; i < size; i++)
        w->at[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
    w->at += size;
}

static inline void writer_u8(struct writer *w, uint8_t value)
{
    writer_uint(w, value, 1);
}

static inline void writer_u16(struct writer *w, uint16_t value)
{
    writer_uint(w, value, 2);
}

static inline void writer_u32(struct writer *w, uint32_t value)
{
    writer_uint(w, value, 4);
}

static inline void writer_u64(struct writer *w, uint64_t value)
{
    writer_uint(w, value, 8);
}

/* Bytes that varint `value` takes; 0 for one that is too large. */
static inline size_t varint_size(uint64_t value)
{
    if (value < 1u << 6)
        return 1;
    if (value < 1u << 14)
        return 2;
    if (value < UINT64_C(1) << 30)
        return 4;
    return value <= VARINT_MAX ? 8 : 0;
}

static inline void writer_varint(struct writer *w, uint64_t value)
{
    size_t size = varint_size(value);
    if (size == 0) {
        w->failed = true;
        return;
    }
    uint64_t length_bits = size == 1 ? 0 : size == 2 ? 1 : size == 4 ? 2 : 3;
    writer_uint(w, value | length_bits << (8 * size - 2), size);
}

#endif
