/* SPDX-License-Identifier: Apache-2.0 */
/* scan.c - message boundaries; see scan.h. */
#include "proto/control/scan.h"

#include <string.h>

void scan_init(struct scan *s)
{
    memset(s, 0, sizeof *s);
    s->max_size = SCAN_MAX_SIZE;
}

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static enum scan_result scan_finish(struct scan *s, enum scan_result result)
{
    *s = (struct scan){.encoding = s->encoding, .max_size = s->max_size};
    return result;
}

/* True when `byte` closes the message. */
static bool json_byte(struct scan *s, uint8_t byte)
{
    if (s->in_string) {
        if (s->escaped)
            s->escaped = false;
        else if (byte == '\\')
            s->escaped = true;
        else if (byte == '"')
            s->in_string = false;
        return false;
    }
    switch (byte) {
    case '"':
        s->in_string = true;
        return false;
    case '{':
    case '[':
        if (++s->depth > SCAN_MAX_DEPTH)
            s->too_deep = true;
        return false;
    case '}':
    case ']':
        return --s->depth == 0;
    default:
        return false;
    }
}

static enum scan_result feed_json(struct scan *s, const uint8_t *data, size_t size, size_t *used,
                                  size_t *skipped)
{
    size_t i = 0;
    if (s->size == 0) {
        while (i < size && is_space(data[i]))
            i++;
        *skipped = i;
        if (i < size && data[i] != '{') {
            *used = i;
            return SCAN_GARBAGE;
        }
    }
    for (; i < size; i++) {
        s->size++;
        if (json_byte(s, data[i])) {
            *used = i + 1;
            return scan_finish(s, s->too_deep ? SCAN_TOO_DEEP : SCAN_MESSAGE);
        }
        if (s->size == s->max_size) {
            *used = i + 1;
            return SCAN_TOO_LARGE;
        }
    }
    *used = size;
    return SCAN_MORE;
}

static enum scan_result feed_protobuf(struct scan *s, const uint8_t *data, size_t size,
                                      size_t *used)
{
    size_t i = 0;
    for (; i < size && s->size < SCAN_PREFIX_SIZE; i++, s->size++)
        s->length = s->length << 8 | data[i];
    *used = i;
    if (s->size < SCAN_PREFIX_SIZE)
        return SCAN_MORE;
    if (s->length > s->max_size)
        return SCAN_TOO_LARGE;
    size_t missing = SCAN_PREFIX_SIZE + s->length - s->size;
    size_t taken = size - i < missing ? size - i : missing;
    s->size += taken;
    *used += taken;
    return taken == missing ? scan_finish(s, SCAN_MESSAGE) : SCAN_MORE;
}

enum scan_result scan_feed(struct scan *s, const uint8_t *data, size_t size, size_t *used,
                           size_t *skipped)
{
    *used = 0;
    *skipped = 0;
    if (size == 0)
        return SCAN_MORE;
    if (s->encoding == ENCODING_UNKNOWN) {
        if (data[0] == 0)
            s->encoding = ENCODING_PROTOBUF;
        else if (data[0] == '{' || is_space(data[0]))
            s->encoding = ENCODING_JSON;
        else
            return SCAN_GARBAGE;
    }
    return s->encoding == ENCODING_JSON ? feed_json(s, data, size, used, skipped)
                                        : feed_protobuf(s, data, size, used);
}
