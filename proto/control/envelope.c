/* SPDX-License-Identifier: Apache-2.0 */
/* envelope.c - bytes <-> Envelope; see envelope.h. */
#include "proto/control/envelope.h"

#include <stdlib.h>
#include <string.h>

#include "proto/control/json.h"
#include "proto/control/wire.h"

void envelope_free(envelope_msg *message)
{
    if (message)
        protobuf_c_message_free_unpacked(&message->base, NULL);
}

json_t *envelope_parse_json(const char *text, size_t size, struct udptun_error *err)
{
    json_error_t why;
    json_t *json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);
    if (!json && json_error_code(&why) == json_error_numeric_overflow)
        json = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &why);
    if (json)
        return json;
    enum json_error_code code = json_error_code(&why);
    char *quoted = strstr(why.text, " near "); /* it may quote a secret: the place will do */
    if (quoted)
        *quoted = '\0';
    const char *what = why.text;
    if (code == json_error_null_character) /* jansson names a flag of its own */
        what = "\\u0000 is not allowed";
    if (code == json_error_out_of_memory || code == json_error_unknown)
        error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
    else
        error_set(err, UDPTUN_E_BAD_REQUEST, NULL, "line %d, column %d: %s", why.line, why.column,
                  what);
    return NULL;
}

envelope_msg *envelope_salvage(const json_t *json)
{
    static const char *const keys[] = {"action", "id"};
    ProtobufCMessage *message = codec_new(&udptun__control__envelope__descriptor);
    for (size_t i = 0; message && i < sizeof keys / sizeof *keys; i++) {
        json_t *part = json_object();
        ProtobufCMessage *read = NULL;
        json_t *value = json_object_get(json, keys[i]);
        if (value && json_object_set(part, keys[i], value) == 0 &&
            codec_from_json(message->descriptor, part, NULL, &read, NULL) == 0) {
            codec_merge(message, read);
            protobuf_c_message_free_unpacked(read, NULL);
        }
        json_decref(part);
    }
    return (envelope_msg *)message;
}

/* What tells which member of a union is meant: the action, or the name of the event as a field
 * of EventData has it: "tunnel.state" -> "tunnelState". */
static const char *tag_of(const json_t *json, char room[CODEC_NAME_SIZE])
{
    const char *action = json_string_value(json_object_get(json, "action"));
    const char *event = json_string_value(json_object_get(json, "event"));
    size_t size = 0;
    if (action || !event)
        return action;
    for (; *event && size < CODEC_NAME_SIZE - 1; event++) {
        bool dot = *event == '.' && event[1] >= 'a' && event[1] <= 'z';
        room[size++] = dot ? (char)(*++event - 'a' + 'A') : *event;
    }
    room[size] = '\0';
    return room;
}

static int decode_json(const uint8_t *data, size_t size, unsigned flags, envelope_msg **out,
                       struct udptun_error *err)
{
    struct udptun_error why = {0};
    json_t *json = envelope_parse_json((const char *)data, size, &why);
    if (!json) {
        if (err)
            *err = why;
        return why.code;
    }
    char tag[CODEC_NAME_SIZE];
    const struct codec_options options = {.tag = tag_of(json, tag), .flags = flags};
    ProtobufCMessage *message = NULL;
    int rc = codec_from_json(&udptun__control__envelope__descriptor, json, &options, &message, err);
    *out = rc == UDPTUN_E_INVALID ? envelope_salvage(json) : (envelope_msg *)message;
    json_decref(json);
    return rc;
}

static int decode_protobuf(const uint8_t *data, size_t size, unsigned flags, envelope_msg **out,
                           struct udptun_error *err)
{
    int rc = 0;
    if (size >= SCAN_PREFIX_SIZE)
        *out = udptun__control__envelope__unpack(NULL, size - SCAN_PREFIX_SIZE,
                                                 data + SCAN_PREFIX_SIZE);
    if (!*out)
        return error_set(err, UDPTUN_E_BAD_REQUEST, NULL, "not an Envelope in protobuf");
    if (flags & CODEC_SKIP_UNKNOWN)
        return 0;
    rc = wire_check(&udptun__control__envelope__descriptor, data + SCAN_PREFIX_SIZE,
                    size - SCAN_PREFIX_SIZE, err);
    if (rc == 0)
        rc = codec_check(&(*out)->base, NULL, err);
    if (rc == UDPTUN_E_BAD_REQUEST) { /* nothing to answer with can be trusted to be text */
        envelope_free(*out);
        *out = NULL;
    }
    return rc;
}

int envelope_decode(enum encoding encoding, const uint8_t *data, size_t size, unsigned flags,
                    envelope_msg **out, struct udptun_error *err)
{
    *out = NULL;
    return encoding == ENCODING_PROTOBUF ? decode_protobuf(data, size, flags, out, err)
                                         : decode_json(data, size, flags, out, err);
}

static int encode_json(const envelope_msg *message, struct envelope_bytes *out)
{
    json_t *json = codec_to_json(&message->base);
    char *text =
        json ? json_text(json, JSON_COMPACT | JSON_REAL_PRECISION(CODEC_REAL_DIGITS)) : NULL;
    json_decref(json);
    if (!text)
        return UDPTUN_E_NOMEM;
    size_t size = strlen(text);
    text[size] = '\n'; /* where the NUL was: bytes, not a string, from here on */
    *out = (struct envelope_bytes){(uint8_t *)text, size + 1};
    return 0;
}

static int encode_protobuf(const envelope_msg *message, struct envelope_bytes *out)
{
    size_t size = udptun__control__envelope__get_packed_size(message);
    uint8_t *data = malloc(SCAN_PREFIX_SIZE + size);
    if (!data)
        return UDPTUN_E_NOMEM;
    for (unsigned i = 0; i < SCAN_PREFIX_SIZE; i++)
        data[i] = (uint8_t)(size >> (8 * (SCAN_PREFIX_SIZE - 1 - i)));
    udptun__control__envelope__pack(message, data + SCAN_PREFIX_SIZE);
    *out = (struct envelope_bytes){data, SCAN_PREFIX_SIZE + size};
    return 0;
}

int envelope_encode(enum encoding encoding, const envelope_msg *message, struct envelope_bytes *out)
{
    *out = (struct envelope_bytes){NULL, 0};
    return encoding == ENCODING_PROTOBUF ? encode_protobuf(message, out)
                                         : encode_json(message, out);
}
