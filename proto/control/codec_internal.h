/* SPDX-License-Identifier: Apache-2.0 */
/* codec_internal.h - what the codec's files share: shapes of messages, paths of fields. */
#ifndef PROTO_CONTROL_CODEC_INTERNAL_H
#define PROTO_CONTROL_CODEC_INTERNAL_H

#include "proto/control/codec.h"

/* How a message is written in JSON. */
enum codec_shape {
    CODEC_OBJECT,
    CODEC_UNION, /* the bare value of the one member that is set */
    CODEC_LIST,  /* the bare array */
};

enum codec_shape codec_shape(const ProtobufCMessageDescriptor *descriptor);

/* Where we are, as a chain of stack frames from the innermost outwards. */
struct codec_path {
    const struct codec_path *up;
    const char *name; /* of a field as JSON has it; NULL: an item of an array */
    size_t index;
};

/* UDPTUN_E_INVALID at `path`: "parameters.listen: expected a string". */
int codec_fail(const struct codec_path *path, struct udptun_error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Bytes of one value of that type inside a message struct or an array. */
size_t codec_item_size(ProtobufCType type);

/* "ENDPOINT_INDEPENDENT" -> "endpoint-independent". Returns `out`. */
char *codec_enum_name(const char *name, char out[CODEC_NAME_SIZE]);

static inline void *codec_at(const ProtobufCMessage *message, unsigned offset)
{
    return (char *)(uintptr_t)message + offset;
}

#endif
