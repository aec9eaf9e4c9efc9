/* SPDX-License-Identifier: Apache-2.0 */
/* wire.c - see wire.h. It follows the descriptors down, so the schema bounds its depth; fields that
 * the schema does not know are skipped. */
#include "proto/control/wire.h"

#include <string.h>

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

static int wire_check_number(const ProtobufCFieldDescriptor *field, uint64_t value,
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

static int wire_check_message(const ProtobufCMessageDescriptor *descriptor, const uint8_t *data,
                              size_t size, const struct codec_path *path, struct udptun_error *err);

static int check_bytes(const ProtobufCFieldDescriptor *field, const uint8_t *data, size_t size,
                       const struct codec_path *path, struct udptun_error *err)
{
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return wire_check_message(field->descriptor, data, size, path, err);
    if (field->type != PROTOBUF_C_TYPE_STRING || !memchr(data, '\0', size))
        return 0;
    codec_fail(path, err, "a NUL is not allowed");
    if (err)
        err->code = UDPTUN_E_BAD_REQUEST;
    return UDPTUN_E_BAD_REQUEST;
}

bool wire_next(struct reader *r, const ProtobufCMessageDescriptor *descriptor,
               struct wire_field *out)
{
    *out = (struct wire_field){.start = r->at};
    if (r->failed || reader_left(r) == 0)
        return false;
    uint64_t tag = read_varint(r), id = tag >> 3;
    out->type = tag & 7;
    if (id <= UINT32_MAX)
        out->field = protobuf_c_message_descriptor_get_field(descriptor, (unsigned)id);
    switch (tag & 7) {
    case WIRE_VARINT:
        out->number = read_varint(r);
        break;
    case WIRE_BYTES:
        out->size = (size_t)read_varint(r);
        out->bytes = reader_bytes(r, out->size);
        break;
    case WIRE_64:
        reader_bytes(r, 8);
        break;
    case WIRE_32:
        reader_bytes(r, 4);
        break;
    default:
        r->failed = true;
        break;
    }
    return !r->failed;
}

/* How a value of that type stands on the wire; several may be packed into one of WIRE_BYTES. */
static enum wire_type wire_type_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return WIRE_BYTES;
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return WIRE_64;
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return WIRE_32;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_BOOL:
    case PROTOBUF_C_TYPE_ENUM:
        break;
    }
    return WIRE_VARINT;
}

static bool is_of_its_type(const struct wire_field *f)
{
    return f->type == wire_type_of(f->field->type) ||
           (f->bytes && f->field->label == PROTOBUF_C_LABEL_REPEATED);
}

static int wire_check_message(const ProtobufCMessageDescriptor *descriptor, const uint8_t *data,
                              size_t size, const struct codec_path *path, struct udptun_error *err)
{
    bool bare = codec_shape(descriptor) != CODEC_OBJECT;
    struct reader r = reader_of(data, size);
    struct wire_field f;
    int rc = 0;
    while (rc == 0 && wire_next(&r, descriptor, &f)) {
        if (!f.field)
            continue;
        char name[CODEC_NAME_SIZE];
        struct codec_path inner = {path, codec_json_name(f.field->name, name), 0};
        const struct codec_path *here = bare ? path : &inner;
        if (!is_of_its_type(&f))
            rc = codec_fail(here, err, "of another type");
        else if (f.type == WIRE_VARINT)
            rc = wire_check_number(f.field, f.number, here, err);
        else if (f.bytes)
            rc = check_bytes(f.field, f.bytes, f.size, here, err);
    }
    return rc;
}

int wire_check(const ProtobufCMessageDescriptor *descriptor, const uint8_t *data, size_t size,
               struct udptun_error *err)
{
    return wire_check_message(descriptor, data, size, NULL, err);
}
