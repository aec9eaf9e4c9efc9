/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codec.c - what JSON and protobuf share of the codec: names, shapes, whole-message operations.
 *
 * Theory of operation. protobuf-c describes each generated struct by a descriptor: for every
 * field its name, type, label and the offsets of the member and of its quantifier (`has_x`,
 * `n_x`, or the case of a oneof). codec_from_json.c and codec_to_json.c walk those descriptors;
 * nothing here knows a message by name. Allocation follows protobuf-c's rules (each string,
 * array and message a malloc block), so its own free function ends every message, a half-built
 * one included.
 */
#include "proto/control/codec.h"
#include "proto/control/codec_internal.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *codec_json_name(const char *name, char out[CODEC_NAME_SIZE])
{
    size_t used = 0;
    bool upper = false;
    for (; *name && used + 1 < CODEC_NAME_SIZE; name++) {
        if (*name == '_') {
            upper = true;
            continue;
        }
        out[used++] = upper ? (char)toupper((unsigned char)*name) : *name;
        upper = false;
    }
    out[used] = '\0';
    return out;
}

char *codec_enum_name(const char *name, char out[CODEC_NAME_SIZE])
{
    size_t used = 0;
    for (; *name && used + 1 < CODEC_NAME_SIZE; name++)
        out[used++] = *name == '_' ? '-' : (char)tolower((unsigned char)*name);
    out[used] = '\0';
    return out;
}

const ProtobufCFieldDescriptor *codec_field(const ProtobufCMessageDescriptor *descriptor,
                                            const char *json_name)
{
    char name[CODEC_NAME_SIZE];
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        if (strcmp(codec_json_name(descriptor->fields[i].name, name), json_name) == 0)
            return &descriptor->fields[i];
    }
    return NULL;
}

enum codec_shape codec_shape(const ProtobufCMessageDescriptor *descriptor)
{
    const ProtobufCFieldDescriptor *fields = descriptor->fields;
    if (descriptor->n_fields == 1 && fields[0].label == PROTOBUF_C_LABEL_REPEATED &&
        strcmp(fields[0].name, "items") == 0)
        return CODEC_LIST;
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        if (!(fields[i].flags & PROTOBUF_C_FIELD_FLAG_ONEOF) ||
            fields[i].quantifier_offset != fields[0].quantifier_offset)
            return CODEC_OBJECT;
    }
    return descriptor->n_fields > 0 ? CODEC_UNION : CODEC_OBJECT;
}

size_t codec_item_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_ENUM:
        return 4;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    }
    return 0;
}

bool codec_has(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    const void *quantifier = codec_at(message, field->quantifier_offset);
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return *(const size_t *)quantifier > 0;
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        return *(const uint32_t *)quantifier == field->id;
    if (field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_MESSAGE)
        return *(void *const *)codec_at(message, field->offset) != NULL;
    return *(const protobuf_c_boolean *)quantifier != 0;
}

const ProtobufCFieldDescriptor *codec_union_member(const ProtobufCMessage *message)
{
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        if (codec_has(message, field))
            return field;
    }
    return NULL;
}

ProtobufCMessage *codec_new(const ProtobufCMessageDescriptor *descriptor)
{
    ProtobufCMessage *message = malloc(descriptor->sizeof_message);
    if (message)
        protobuf_c_message_init(descriptor, message);
    return message;
}

ProtobufCMessage *codec_copy(const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = malloc(size + 1);
    if (!packed)
        return NULL;
    protobuf_c_message_pack(message, packed);
    ProtobufCMessage *copy = protobuf_c_message_unpack(message->descriptor, NULL, size, packed);
    free(packed);
    return copy;
}

bool codec_equal(const ProtobufCMessage *a, const ProtobufCMessage *b)
{
    size_t size = protobuf_c_message_get_packed_size(a);
    if (protobuf_c_message_get_packed_size(b) != size)
        return false;
    uint8_t *packed = malloc(2 * size + 1);
    if (!packed)
        return false;
    protobuf_c_message_pack(a, packed);
    protobuf_c_message_pack(b, packed + size);
    bool equal = memcmp(packed, packed + size, size) == 0;
    free(packed);
    return equal;
}

static void swap_bytes(char *a, char *b, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char byte = a[i];
        a[i] = b[i];
        b[i] = byte;
    }
}

void codec_merge(ProtobufCMessage *to, ProtobufCMessage *from)
{
    for (unsigned i = 0; i < from->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &from->descriptor->fields[i];
        if (!codec_has(from, field))
            continue;
        bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
        size_t size = repeated ? sizeof(void *) : codec_item_size(field->type);
        swap_bytes(codec_at(to, field->offset), codec_at(from, field->offset), size);
        if (repeated)
            swap_bytes(codec_at(to, field->quantifier_offset),
                       codec_at(from, field->quantifier_offset), sizeof(size_t));
        else if (field->quantifier_offset != 0)
            swap_bytes(codec_at(to, field->quantifier_offset),
                       codec_at(from, field->quantifier_offset), sizeof(protobuf_c_boolean));
    }
}

/* The text of a path into `text`, outermost name first; what does not fit is left out. */
static void path_text(const struct codec_path *path, char *text, size_t size)
{
    const struct codec_path *chain[32];
    size_t count = 0;
    for (; path && count < sizeof chain / sizeof *chain; path = path->up)
        chain[count++] = path;
    size_t used = 0;
    text[0] = '\0';
    while (count-- > 0 && used < size) {
        const struct codec_path *at = chain[count];
        int n = at->name ? snprintf(text + used, size - used, "%s%s", used ? "." : "", at->name)
                         : snprintf(text + used, size - used, "[%zu]", at->index);
        used += n > 0 ? (size_t)n : 0;
    }
}

int codec_fail(const struct codec_path *path, struct udptun_error *err, const char *format, ...)
{
    char field[64];
    path_text(path, field, sizeof field);
    char what[160];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return error_set(err, UDPTUN_E_INVALID, field, "%s%s%s", field, *field ? ": " : "", what);
}

static int codec_check_message(const ProtobufCMessage *message, const struct codec_path *path,
                               struct udptun_error *err);

static int check_value(const ProtobufCFieldDescriptor *field, const void *value,
                       const struct codec_path *path, struct udptun_error *err)
{
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return codec_check_message(*(ProtobufCMessage *const *)value, path, err);
    if (field->type == PROTOBUF_C_TYPE_ENUM &&
        !protobuf_c_enum_descriptor_get_value(field->descriptor, *(const int *)value))
        return codec_fail(path, err, "unknown value %d", *(const int *)value);
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        const char *text = *(char *const *)value;
        json_t *valid = json_string(text);
        json_decref(valid);
        if (!valid) {
            codec_fail(path, err, "not UTF-8");
            if (err)
                err->code = UDPTUN_E_BAD_REQUEST;
            return UDPTUN_E_BAD_REQUEST;
        }
    }
    return 0;
}

static int codec_check_message(const ProtobufCMessage *message, const struct codec_path *path,
                               struct udptun_error *err)
{
    bool bare = codec_shape(message->descriptor) != CODEC_OBJECT;
    if (message->n_unknown_fields > 0)
        return codec_fail(path, err, "unknown field %u", message->unknown_fields[0].tag);
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        if (!codec_has(message, field))
            continue;
        char name[CODEC_NAME_SIZE];
        struct codec_path inner = {path, codec_json_name(field->name, name), 0};
        const struct codec_path *here = bare ? path : &inner;
        const char *value = codec_at(message, field->offset);
        size_t count = 1;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            count = *(const size_t *)codec_at(message, field->quantifier_offset);
            value = *(char *const *)codec_at(message, field->offset);
        }
        for (size_t k = 0; k < count; k++, value += codec_item_size(field->type)) {
            struct codec_path item = {here, NULL, k};
            bool repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
            int rc = check_value(field, value, repeated ? &item : here, err);
            if (rc < 0)
                return rc;
        }
    }
    return 0;
}

int codec_check(const ProtobufCMessage *message, const char *path, struct udptun_error *err)
{
    struct codec_path top = {NULL, path, 0};
    return codec_check_message(message, path && *path ? &top : NULL, err);
}
