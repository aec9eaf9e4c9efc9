/* SPDX-License-Identifier: Apache-2.0 */
/* codec_from_json.c - a message out of its JSON form; see codec.h. */
#include "proto/control/codec_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct decoder {
    const char *tag;
    unsigned flags;
    struct udptun_error *err;
};

static int decode_message(const struct decoder *d, const ProtobufCMessageDescriptor *descriptor,
                          const json_t *json, const struct codec_path *path,
                          ProtobufCMessage **out);

static int codec_from_json_no_memory(const struct decoder *d)
{
    return error_set(d->err, UDPTUN_E_NOMEM, NULL, "out of memory");
}

/* The type of `json` in a phrase. */
static const char *type_text(const json_t *json)
{
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a number with a fraction";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    case JSON_NULL:
        return "null";
    }
    return "something else";
}

static int wrong_type(const struct decoder *d, const struct codec_path *path, const char *expected,
                      const json_t *json)
{
    return codec_fail(path, d->err, "expected %s, not %s", expected, type_text(json));
}

/*
 * An integer between `low` and `high`. 8.0 is an integer as well; numbers beyond 64 bits arrive
 * as reals (envelope.c sees to it) and are out of range rather than of a wrong type.
 */
static int get_integer(const struct decoder *d, const json_t *json, const struct codec_path *path,
                       int64_t low, int64_t high, int64_t *out)
{
    if (json_is_real(json)) {
        double real = json_real_value(json);
        if (real != floor(real))
            return wrong_type(d, path, "an integer", json);
        if (real < -9007199254740992.0 || real > 9007199254740992.0)
            return codec_fail(path, d->err, "out of range");
        *out = (int64_t)real;
    } else if (json_is_integer(json)) {
        *out = json_integer_value(json);
    } else {
        return wrong_type(d, path, "an integer", json);
    }
    if (*out < low || *out > high)
        return codec_fail(path, d->err, "out of range");
    return 0;
}

/*
 * A number as it will be written again (CODEC_REAL_DIGITS), so that no digit is lost on a later
 * way through JSON. Ours are seconds and milliseconds; what is beyond any of those is refused.
 */
static int get_real(const struct decoder *d, const json_t *json, const struct codec_path *path,
                    double *out)
{
    char text[40];
    if (json_is_null(json)) {
        *out = (double)NAN;
        return 0;
    }
    if (!json_is_number(json))
        return wrong_type(d, path, "a number", json);
    *out = json_number_value(json);
    if (fabs(*out) > 1e300)
        return codec_fail(path, d->err, "out of range");
    snprintf(text, sizeof text, "%.*g", CODEC_REAL_DIGITS, *out);
    *out = strtod(text, NULL);
    return 0;
}

static int decode_enum(const struct decoder *d, const ProtobufCEnumDescriptor *descriptor,
                       const json_t *json, const struct codec_path *path, int *out)
{
    if (!json_is_string(json))
        return wrong_type(d, path, "a string", json);
    char words[128] = "";
    size_t used = 0;
    for (unsigned i = 0; i < descriptor->n_values; i++) {
        char name[CODEC_NAME_SIZE];
        codec_enum_name(descriptor->values[i].name, name);
        if (strcmp(name, json_string_value(json)) == 0) {
            *out = descriptor->values[i].value;
            return 0;
        }
        if (used < sizeof words)
            used +=
                (size_t)snprintf(words + used, sizeof words - used, "%s%s", i ? ", " : "", name);
    }
    return codec_fail(path, d->err, "expected one of %s", words);
}

static int decode_string(const struct decoder *d, const json_t *json, const struct codec_path *path,
                         char **out)
{
    if (!json_is_string(json))
        return wrong_type(d, path, "a string", json);
    *out = strdup(json_string_value(json));
    return *out ? 0 : codec_from_json_no_memory(d);
}

/* One value into `member`, which is that of a message or an item of an array. */
static int decode_value(const struct decoder *d, const ProtobufCFieldDescriptor *field,
                        const json_t *json, const struct codec_path *path, void *member)
{
    int64_t integer = 0;
    int rc;
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        rc = get_integer(d, json, path, INT32_MIN, INT32_MAX, &integer);
        *(int32_t *)member = (int32_t)integer;
        return rc;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        rc = get_integer(d, json, path, 0, UINT32_MAX, &integer);
        *(uint32_t *)member = (uint32_t)integer;
        return rc;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return get_integer(d, json, path, INT64_MIN, INT64_MAX, member);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        rc = get_integer(d, json, path, 0, INT64_MAX, &integer);
        *(uint64_t *)member = (uint64_t)integer;
        return rc;
    case PROTOBUF_C_TYPE_DOUBLE:
        return get_real(d, json, path, member);
    case PROTOBUF_C_TYPE_BOOL:
        if (!json_is_boolean(json))
            return wrong_type(d, path, "a boolean", json);
        *(protobuf_c_boolean *)member = json_is_true(json);
        return 0;
    case PROTOBUF_C_TYPE_ENUM:
        return decode_enum(d, field->descriptor, json, path, member);
    case PROTOBUF_C_TYPE_STRING:
        return decode_string(d, json, path, member);
    case PROTOBUF_C_TYPE_MESSAGE:
        return decode_message(d, field->descriptor, json, path, member);
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_BYTES:
        break; /* the schema has none; a test sees to it */
    }
    return codec_fail(path, d->err, "of a type that has no JSON form");
}

static int decode_array(const struct decoder *d, const ProtobufCFieldDescriptor *field,
                        const json_t *json, const struct codec_path *path,
                        ProtobufCMessage *message)
{
    if (!json_is_array(json))
        return wrong_type(d, path, "an array", json);
    size_t *count = codec_at(message, field->quantifier_offset);
    char **items = codec_at(message, field->offset);
    size_t total = json_array_size(json), item_size = codec_item_size(field->type);
    if (total == 0)
        return 0;
    *items = calloc(total, item_size);
    if (!*items)
        return codec_from_json_no_memory(d);
    for (size_t i = 0; i < total; i++) {
        struct codec_path item = {path, NULL, i};
        int rc = decode_value(d, field, json_array_get(json, i), &item, *items + i * item_size);
        if (rc < 0)
            return rc;
        ++*count; /* only what stands is freed with the message */
    }
    return 0;
}

static int decode_field(const struct decoder *d, const ProtobufCFieldDescriptor *field,
                        const json_t *json, const struct codec_path *path,
                        ProtobufCMessage *message)
{
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return decode_array(d, field, json, path, message);
    int rc = decode_value(d, field, json, path, codec_at(message, field->offset));
    if (rc < 0)
        return rc;
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        *(uint32_t *)codec_at(message, field->quantifier_offset) = field->id;
    else if (field->quantifier_offset != 0)
        *(protobuf_c_boolean *)codec_at(message, field->quantifier_offset) = 1;
    return 0;
}

static bool fits_type(const ProtobufCFieldDescriptor *field, const json_t *json)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        return json_is_string(json);
    case PROTOBUF_C_TYPE_MESSAGE:
        return json_is_object(json);
    default: /* not an enum of ours: every other type is a number */
        return json_is_number(json);
    }
}

static int decode_union(const struct decoder *d, const json_t *json, const struct codec_path *path,
                        ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    unsigned messages = 0;
    for (unsigned i = 0; i < descriptor->n_fields; i++)
        messages += descriptor->fields[i].type == PROTOBUF_C_TYPE_MESSAGE;
    if (messages > 1) {
        const ProtobufCFieldDescriptor *member = d->tag ? codec_field(descriptor, d->tag) : NULL;
        return member ? decode_field(d, member, json, path, message) : 0;
    }
    char expected[64] = "";
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *member = &descriptor->fields[i];
        if (fits_type(member, json))
            return decode_field(d, member, json, path, message);
        size_t used = strlen(expected);
        snprintf(expected + used, sizeof expected - used, "%s%s", i ? " or " : "",
                 member->type == PROTOBUF_C_TYPE_STRING    ? "a string"
                 : member->type == PROTOBUF_C_TYPE_MESSAGE ? "an object"
                                                           : "an integer");
    }
    return wrong_type(d, path, expected, json);
}

static int decode_object(const struct decoder *d, const json_t *json, const struct codec_path *path,
                         ProtobufCMessage *message)
{
    if (!json_is_object(json))
        return wrong_type(d, path, "an object", json);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)json, key, value)
    {
        struct codec_path inner = {path, key, 0};
        const ProtobufCFieldDescriptor *field = codec_field(message->descriptor, key);
        if (!field && d->flags & CODEC_SKIP_UNKNOWN)
            continue;
        if (!field)
            return codec_fail(&inner, d->err, "unknown field");
        int rc = decode_field(d, field, value, &inner, message);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int decode_message(const struct decoder *d, const ProtobufCMessageDescriptor *descriptor,
                          const json_t *json, const struct codec_path *path, ProtobufCMessage **out)
{
    ProtobufCMessage *message = codec_new(descriptor);
    if (!message)
        return codec_from_json_no_memory(d);
    int rc = 0;
    switch (codec_shape(descriptor)) {
    case CODEC_LIST:
        rc = decode_array(d, &descriptor->fields[0], json, path, message);
        break;
    case CODEC_UNION:
        rc = decode_union(d, json, path, message);
        break;
    case CODEC_OBJECT:
        rc = decode_object(d, json, path, message);
        break;
    }
    if (rc < 0) {
        protobuf_c_message_free_unpacked(message, NULL);
        message = NULL;
    }
    *out = message;
    return rc;
}

int codec_from_json(const ProtobufCMessageDescriptor *descriptor, const json_t *json,
                    const struct codec_options *options, ProtobufCMessage **out,
                    struct udptun_error *err)
{
    struct decoder d = {options ? options->tag : NULL, options ? options->flags : 0, err};
    struct codec_path top = {NULL, options ? options->path : NULL, 0};
    *out = NULL;
    return decode_message(&d, descriptor, json, top.name && *top.name ? &top : NULL, out);
}
