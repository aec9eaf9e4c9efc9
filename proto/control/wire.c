/* SPDX-License-Identifier: Apache-2.0 */
/* wire.c - see wire.h. It follows the descriptors down, so the schema bounds its depth; fields that
 * the schema does not know are skipped. */
#include "proto/control/wire.h"

#include <string.h>

#include "proto/buffer.h"
#include "proto/control/codec_internal.h"

enum wire_type { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

/* Base 128, least significant first: at most ten bytes. */
static uint64_t read_varint(struct reader *r)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = reader_u8(r);
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            break;
    }
    return value;
}

static int check_number(const ProtobufCFieldDescriptor *field, uint64_t value,
                        const struct codec_path *path, struct udptun_error *err)
{
    bool fits = true;
    if (field->type == PROTOBUF_C_TYPE_UINT32)
        fits = value <= UINT32_MAX;
    else if (field->type == PROTOBUF_C_TYPE_ENUM)
        fits = value <= INT32_MAX;
    else if (field->type == PROTOBUF_C_TYPE_BOOL)
        fits = value <= 1;
    return fits ? 0 : codec_fail(path, err, "out of range");
}

static int check_message(const ProtobufCMessageDescriptor *descriptor, const uint8_t *data,
                         size_t size, const struct codec_path *path, struct udptun_error *err);

static int check_bytes(const ProtobufCFieldDescriptor *field, const uint8_t *data, size_t size,
                       const struct codec_path *path, struct udptun_error *err)
{
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return check_message(field->descriptor, data, size, path, err);
    if (field->type != PROTOBUF_C_TYPE_STRING || !memchr(data, '\0', size))
        return 0;
    codec_fail(path, err, "a NUL is not allowed");
    if (err)
        err->code = UDPTUN_E_BAD_REQUEST;
    return UDPTUN_E_BAD_REQUEST;
}

/* What stands behind a tag. `field` NULL: the schema does not know it. */
static int check_value(struct reader *r, uint64_t wire_type, const ProtobufCFieldDescriptor *field,
                       const struct codec_path *path, struct udptun_error *err)
{
    uint64_t value;
    const uint8_t *bytes;
    switch (wire_type) {
    case WIRE_VARINT:
        value = read_varint(r);
        return field && !r->failed ? check_number(field, value, path, err) : 0;
    case WIRE_BYTES:
        value = read_varint(r);
        bytes = reader_bytes(r, (size_t)value);
        return field && bytes ? check_bytes(field, bytes, (size_t)value, path, err) : 0;
    case WIRE_64:
        reader_bytes(r, 8);
        return 0;
    case WIRE_32:
        reader_bytes(r, 4);
        return 0;
    default:
        r->failed = true;
        return 0;
    }
}

static int check_message(const ProtobufCMessageDescriptor *descriptor, const uint8_t *data,
                         size_t size, const struct codec_path *path, struct udptun_error *err)
{
    bool bare = codec_shape(descriptor) != CODEC_OBJECT;
    struct reader r = reader_of(data, size);
    int rc = 0;
    while (rc == 0 && !r.failed && reader_left(&r) > 0) {
        uint64_t tag = read_varint(&r);
        uint64_t id = tag >> 3;
        const ProtobufCFieldDescriptor *field =
            id <= UINT32_MAX ? protobuf_c_message_descriptor_get_field(descriptor, (unsigned)id)
                             : NULL;
        char name[CODEC_NAME_SIZE];
        struct codec_path inner = {path, field ? codec_json_name(field->name, name) : "", 0};
        rc = check_value(&r, tag & 7, field, bare ? path : &inner, err);
    }
    return rc;
}

int wire_check(const ProtobufCMessageDescriptor *descriptor, const uint8_t *data, size_t size,
               struct udptun_error *err)
{
    return check_message(descriptor, data, size, NULL, err);
}
