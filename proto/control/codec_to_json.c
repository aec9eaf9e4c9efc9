/* SPDX-License-Identifier: Apache-2.0 */
/* codec_to_json.c - a message's JSON form; see codec.h. */
#include "proto/control/codec_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void codec_make_utf8(char *text)
{
    json_t *valid = json_string(text);
    for (char *at = text; !valid && *at; at++) {
        if ((unsigned char)*at >= 0x80)
            *at = '?';
    }
    json_decref(valid);
}

/* Texts from the system (file names, errors) need not be UTF-8; a reply has to be. */
static json_t *text_to_json(const char *text)
{
    json_t *json = json_string(text);
    if (json)
        return json;
    char *plain = strdup(text);
    if (plain)
        codec_make_utf8(plain);
    json = plain ? json_string(plain) : NULL;
    free(plain);
    return json;
}

/* JSON's integers are signed here; no counter of ours gets there. */
static json_t *unsigned_to_json(uint64_t value)
{
    return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

static json_t *enum_to_json(const ProtobufCFieldDescriptor *field, int value)
{
    const ProtobufCEnumValue *known =
        protobuf_c_enum_descriptor_get_value(field->descriptor, value);
    char name[CODEC_NAME_SIZE];
    return known ? json_string(codec_enum_name(known->name, name)) : json_integer(value);
}

static json_t *value_to_json(const ProtobufCFieldDescriptor *field, const void *value)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return json_integer(*(const int32_t *)value);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return json_integer(*(const int64_t *)value);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return unsigned_to_json(*(const uint32_t *)value);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return unsigned_to_json(*(const uint64_t *)value);
    case PROTOBUF_C_TYPE_DOUBLE:
        return isnan(*(const double *)value) ? json_null() : json_real(*(const double *)value);
    case PROTOBUF_C_TYPE_BOOL:
        return json_boolean(*(const protobuf_c_boolean *)value);
    case PROTOBUF_C_TYPE_ENUM:
        return enum_to_json(field, *(const int *)value);
    case PROTOBUF_C_TYPE_STRING:
        return text_to_json(*(char *const *)value);
    case PROTOBUF_C_TYPE_MESSAGE:
        return codec_to_json(*(ProtobufCMessage *const *)value);
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_BYTES:
        break; /* the schema has none; a test sees to it */
    }
    return NULL;
}

static json_t *array_to_json(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    size_t count = *(const size_t *)codec_at(message, field->quantifier_offset);
    const char *item = *(char *const *)codec_at(message, field->offset);
    json_t *array = json_array();
    for (size_t i = 0; array && i < count; i++, item += codec_item_size(field->type)) {
        if (json_array_append_new(array, value_to_json(field, item)) != 0) {
            json_decref(array);
            array = NULL;
        }
    }
    return array;
}

static json_t *field_to_json(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    return field->label == PROTOBUF_C_LABEL_REPEATED
               ? array_to_json(message, field)
               : value_to_json(field, codec_at(message, field->offset));
}

static json_t *object_to_json(const ProtobufCMessage *message)
{
    json_t *object = json_object();
    for (unsigned i = 0; object && i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        if (field->label != PROTOBUF_C_LABEL_REPEATED && !codec_has(message, field))
            continue;
        char name[CODEC_NAME_SIZE];
        if (json_object_set_new(object, codec_json_name(field->name, name),
                                field_to_json(message, field)) != 0) {
            json_decref(object);
            object = NULL;
        }
    }
    return object;
}

json_t *codec_to_json(const ProtobufCMessage *message)
{
    const ProtobufCFieldDescriptor *member;
    switch (codec_shape(message->descriptor)) {
    case CODEC_LIST:
        return array_to_json(message, &message->descriptor->fields[0]);
    case CODEC_UNION:
        member = codec_union_member(message);
        return member ? field_to_json(message, member) : json_null();
    case CODEC_OBJECT:
        break;
    }
    return object_to_json(message);
}
