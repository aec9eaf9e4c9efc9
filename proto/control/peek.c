/* SPDX-License-Identifier: Apache-2.0 */
/* peek.c - see peek.h. JSON is looked at by its punctuation alone, protobuf by its tags. */
#include "proto/control/peek.h"

#include <stdlib.h>
#include <string.h>

#include "proto/buffer.h"
#include "proto/control/wire.h"

#define SPAN_MAX 1024 /* bytes of JSON text of a key, an action or an id that are looked at */
#define KEYS_MAX 16   /* members of the outermost object that are looked at */

/* ---- JSON ------------------------------------------------------------------------------------ */

struct span {
    const char *at;
    size_t size;
};

struct walk {
    const char *at, *end;
    struct span key;
    const char *value; /* where that of `key` begins; NULL: the key is what comes next */
    size_t depth;
    unsigned keys;
    json_t *head; /* "action" and "id" */
};

/* The value that stands alone in `span`; NULL: none does, or it is too long to be of interest. */
static json_t *value_in(struct span span)
{
    return span.size <= SPAN_MAX ? json_loadb(span.at, span.size, JSON_DECODE_ANY, NULL) : NULL;
}

/* A member of the outermost object ends at `w->at`. */
static void end_member(struct walk *w)
{
    if (!w->value || w->keys++ >= KEYS_MAX)
        return;
    json_t *key = value_in(w->key);
    const char *name = json_string_value(key);
    if (name && (strcmp(name, "action") == 0 || strcmp(name, "id") == 0) &&
        !json_object_get(w->head, name)) {
        json_t *value = value_in((struct span){w->value, (size_t)(w->at - w->value)});
        if (value)
            json_object_set_new(w->head, name, value);
    }
    json_decref(key);
    w->value = NULL;
}

/* Go from a string's first quote to its last, or to the end of the text; how many bytes that was.
 */
static size_t pass_string(struct walk *w)
{
    const char *start = w->at++;
    while (w->at < w->end && *w->at != '"')
        w->at += *w->at == '\\' && w->at + 1 < w->end ? 2 : 1;
    if (w->depth == 1 && !w->value && w->at < w->end)
        w->key = (struct span){start, (size_t)(w->at - start) + 1};
    return (size_t)(w->at - start);
}

static void walk_json(struct walk *w, struct peek *out)
{
    for (; w->at < w->end; w->at++) {
        switch (*w->at) {
        case '"':
            out->text += pass_string(w);
            break;
        case ' ':
        case '\t':
        case '\r':
        case '\n':
            break;
        case '{':
        case '[':
            w->depth++;
            out->containers++;
            out->values++;
            break;
        case '}':
        case ']':
            if (w->depth == 1)
                end_member(w);
            w->depth -= w->depth > 0;
            break;
        case ',':
            out->values++;
            if (w->depth == 1)
                end_member(w);
            break;
        case ':':
            if (w->depth == 1 && !w->value)
                w->value = w->at + 1;
            break;
        default:
            out->text++;
            break;
        }
    }
}

static void peek_json(const uint8_t *data, size_t size, struct peek *out)
{
    struct walk w = {.at = (const char *)data, .end = (const char *)data + size};
    w.head = json_object();
    if (!w.head)
        return;
    walk_json(&w, out);
    out->head = envelope_salvage(w.head);
    json_decref(w.head);
}

/* ---- protobuf -------------------------------------------------------------------------------- */

static bool is_packed(const ProtobufCFieldDescriptor *field)
{
    return field->label == PROTOBUF_C_LABEL_REPEATED && field->type != PROTOBUF_C_TYPE_STRING &&
           field->type != PROTOBUF_C_TYPE_BYTES && field->type != PROTOBUF_C_TYPE_MESSAGE;
}

static void count_message(const ProtobufCMessageDescriptor *descriptor, struct reader r,
                          struct peek *out)
{
    struct wire_field f;
    out->containers++;
    while (wire_next(&r, descriptor, &f)) {
        out->values++;
        if (!f.bytes)
            continue;
        if (!f.field)
            out->text += f.size;
        else if (f.field->type == PROTOBUF_C_TYPE_MESSAGE)
            count_message(f.field->descriptor, reader_of(f.bytes, f.size), out);
        else if (is_packed(f.field)) /* an item takes a byte or more */
            out->values += f.size;
        else
            out->text += f.size;
    }
}

/* The fields `action` and `id` of an Envelope, cut out of it: the last one of each. */
static void peek_protobuf(const uint8_t *data, size_t size, struct peek *out)
{
    const ProtobufCMessageDescriptor *kind = &udptun__control__envelope__descriptor;
    struct span action = {NULL, 0}, id = {NULL, 0};
    struct reader r = reader_of(data, size);
    struct wire_field f;
    count_message(kind, r, out);
    while (wire_next(&r, kind, &f)) {
        struct span whole = {(const char *)f.start, (size_t)(r.at - f.start)};
        if (f.bytes && f.field && whole.size <= SPAN_MAX && strcmp(f.field->name, "action") == 0)
            action = whole;
        if (f.bytes && f.field && whole.size <= SPAN_MAX && strcmp(f.field->name, "id") == 0)
            id = whole;
    }
    uint8_t both[2 * SPAN_MAX];
    if (action.size > 0)
        memcpy(both, action.at, action.size);
    if (id.size > 0)
        memcpy(both + action.size, id.at, id.size);
    out->head = udptun__control__envelope__unpack(NULL, action.size + id.size, both);
    if (!out->head || wire_check(kind, both, action.size + id.size, NULL) < 0 ||
        codec_check(&out->head->base, NULL, NULL) < 0) { /* nothing to answer with */
        envelope_free(out->head);
        out->head = (envelope_msg *)codec_new(kind);
    }
}

void envelope_peek(enum encoding encoding, const uint8_t *data, size_t size, struct peek *out)
{
    *out = (struct peek){0};
    size_t prefix_size = size < SCAN_PREFIX_SIZE ? size : SCAN_PREFIX_SIZE;
    if (encoding != ENCODING_PROTOBUF)
        peek_json(data, size, out);
    else
        peek_protobuf(data + prefix_size, size - prefix_size, out);
}
