/* SPDX-License-Identifier: Apache-2.0 */
/* wire.h - protobuf as it stands on the wire, and what protobuf-c accepts in silence although it
 * cannot keep it. */
#ifndef PROTO_CONTROL_WIRE_H
#define PROTO_CONTROL_WIRE_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/buffer.h"
#include "proto/error.h"

/* One field as it stands on the wire. */
struct wire_field {
    const uint8_t *start;                  /* of its tag */
    const ProtobufCFieldDescriptor *field; /* NULL: the schema does not know it */
    const uint8_t *bytes;                  /* of a field with a length; NULL: it is a number */
    size_t size;                           /* of `bytes` */
    unsigned
        type; /* wire type of its tag: 0 a varint, 1 and 5 of 64 and 32 bits, 2 with a length */
    uint64_t number; /* of a varint */
};

/* Read the next field of a message of that kind. False at its end, or where it is malformed: then
 * `r->failed` is set. */
bool wire_next(struct reader *r, const ProtobufCMessageDescriptor *descriptor,
               struct wire_field *out);

/*
 * protobuf-c cuts a string at its first NUL, and a number to the width of its field, and takes some
 * fields of another type. A message of that kind in which any of it would happen is
 * UDPTUN_E_BAD_REQUEST or UDPTUN_E_INVALID, as it is in JSON, with the field. What is no message at
 * all is left to protobuf-c: 0.
 */
int wire_check(const ProtobufCMessageDescriptor *descriptor, const uint8_t *data, size_t size,
               struct udptun_error *err);

#endif
