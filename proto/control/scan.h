/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan.h - where one message of a command connection ends and the next begins.
 *
 * The first byte decides the encoding for the whole connection: '{' or white space is JSON, 0x00
 * is protobuf (the top byte of a length, which is below 2^24). The scanner looks at each byte
 * once, however the bytes are cut into reads, keeps no copy of them, and bounds size and depth
 * before anything is parsed.
 */
#ifndef PROTO_CONTROL_SCAN_H
#define PROTO_CONTROL_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCAN_MAX_SIZE    ((size_t)1 << 20) /* bytes of a message, the length prefix apart */
#define SCAN_MAX_DEPTH   16                /* of nested objects and arrays */
#define SCAN_PREFIX_SIZE 4                 /* of a protobuf message's length */

enum encoding {
    ENCODING_UNKNOWN, /* nothing was seen yet */
    ENCODING_JSON,
    ENCODING_PROTOBUF,
};

enum scan_result {
    SCAN_MORE,      /* all bytes were used, the message goes on (or has not begun) */
    SCAN_MESSAGE,   /* a whole message; the scanner is ready for the next one */
    SCAN_TOO_DEEP,  /* likewise, but nested deeper than SCAN_MAX_DEPTH: not to be parsed */
    SCAN_TOO_LARGE, /* framing is lost: answer and close */
    SCAN_GARBAGE,   /* what stands where a message should begin is none: answer and close */
};

struct scan {
    enum encoding encoding;
    size_t max_size; /* SCAN_MAX_SIZE; a reader of replies, which may be larger, sets its own */
    size_t size;     /* bytes of this message so far, white space before it apart */
    uint32_t length; /* protobuf: what the prefix says */
    unsigned depth;  /* JSON, as the three below */
    bool too_deep;
    bool in_string;
    bool escaped; /* the byte before was a backslash inside a string */
};

void scan_init(struct scan *s);

/*
 * Look at the next `size` bytes. `*used` tells how many belong to the message or stand before
 * it; after a whole message the rest is for the next call. `*skipped` is the number of bytes of
 * white space, out of `used`, that stand before the message: they need not be kept.
 */
enum scan_result scan_feed(struct scan *s, const uint8_t *data, size_t size, size_t *used,
                           size_t *skipped);

/* Some bytes of a message were seen and its end was not. */
static inline bool scan_inside(const struct scan *s)
{
    return s->size > 0;
}

#endif
