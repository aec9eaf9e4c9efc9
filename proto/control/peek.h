/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peek.h - what can be told of a message before it is decoded: its action and id, and an upper
 * bound of what decoding it would build.
 *
 * One pass over the bytes, without an allocation for anything but action and id. So a message that
 * its sender may not send costs no more than reading it.
 */
#ifndef PROTO_CONTROL_PEEK_H
#define PROTO_CONTROL_PEEK_H

#include "proto/control/envelope.h"

struct peek {
    envelope_msg *head; /* `action` and `id`, as far as they are right; NULL when memory is short */
    size_t values;      /* at most so many members of objects and items of arrays */
    size_t containers;  /* at most so many objects and arrays */
    size_t text;        /* at most so many bytes of names, strings and numbers */
};

/* `data` is one message as scan_feed() delimits it. It need not be well-formed; the bounds hold for
 * whatever a decoder makes of it. Free `head` with envelope_free(). */
void envelope_peek(enum encoding encoding, const uint8_t *data, size_t size, struct peek *out);

#endif
