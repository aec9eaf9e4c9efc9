/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codec.h - JSON <-> the messages of control.proto, by their descriptors alone.
 *
 * No message has code of its own. control.proto tells how a message looks in JSON. Decoding is
 * strict: an unknown field, a wrong type, a number out of range or an unknown word is
 * UDPTUN_E_INVALID, whose `field` is the path to it ("parameters.allowTargets[2]").
 *
 * Messages live as protobuf-c's own unpacked ones do: free them with
 * protobuf_c_message_free_unpacked(message, NULL).
 */
#ifndef PROTO_CONTROL_CODEC_H
#define PROTO_CONTROL_CODEC_H

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#include "proto/error.h"

/* Fields that the schema does not know are left out: for readers of a newer daemon's replies. */
#define CODEC_SKIP_UNKNOWN 1u

/* The longest name of a field, in either spelling, and its NUL. */
#define CODEC_NAME_SIZE 64

/* Significant digits of a number with a fraction: 0.1 stays 0.1. */
#define CODEC_REAL_DIGITS 15

struct codec_options {
    /* What field paths begin with ("parameters", "" for none). */
    const char *path;
    /* Chooses among the members of a union whose members are messages, by a member's JSON name.
     * NULL or no such member: the union is left unset. */
    const char *tag;
    unsigned flags;
};

/*
 * A new message from `json`: 0, UDPTUN_E_INVALID or UDPTUN_E_NOMEM. `options` may be NULL.
 * `*out` is NULL unless 0 is returned.
 */
int codec_from_json(const ProtobufCMessageDescriptor *descriptor, const json_t *json,
                    const struct codec_options *options, ProtobufCMessage **out,
                    struct udptun_error *err);

/* A new reference to the JSON form, or NULL when memory is short. Absent fields are left out,
 * repeated ones are always there. Bytes of a string that are not UTF-8 become '?'. */
json_t *codec_to_json(const ProtobufCMessage *message);

/* Bytes of a text that is not UTF-8 become '?', where they are no ASCII. */
void codec_make_utf8(char *text);

/* "max_queue_bytes" -> "maxQueueBytes". Returns `out`. */
char *codec_json_name(const char *name, char out[CODEC_NAME_SIZE]);

/* The field of that JSON name, or NULL. */
const ProtobufCFieldDescriptor *codec_field(const ProtobufCMessageDescriptor *descriptor,
                                            const char *json_name);

/* An optional field is set; a repeated one has items. */
bool codec_has(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field);

/* The member of a union message that is set, or NULL. */
const ProtobufCFieldDescriptor *codec_union_member(const ProtobufCMessage *message);

/* A new message with nothing in it; NULL when memory is short. */
ProtobufCMessage *codec_new(const ProtobufCMessageDescriptor *descriptor);

/* A new message like `message`; NULL when memory is short. */
ProtobufCMessage *codec_copy(const ProtobufCMessage *message);

bool codec_equal(const ProtobufCMessage *a, const ProtobufCMessage *b);

/* Every field that is set in `from` replaces that of `to`, whole; what `to` had goes to `from`.
 * Both are of the same kind. */
void codec_merge(ProtobufCMessage *to, ProtobufCMessage *from);

/* A message that came as protobuf has no field unknown to the schema and no enum value unknown
 * to it: 0 or UDPTUN_E_INVALID with the field; UDPTUN_E_BAD_REQUEST for a text that is not UTF-8.
 * `path` as in codec_options. */
int codec_check(const ProtobufCMessage *message, const char *path, struct udptun_error *err);

#endif
