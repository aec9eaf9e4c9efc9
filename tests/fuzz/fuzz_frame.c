/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_frame.c - frames of UDPT/1: lengths, ids, inline headers; what parses is written back. */
#include "proto/udpt/codec/frame.h"
#include "tests/fuzz/fuzz.h"

static void inline_frame(struct reader body)
{
    struct inline_header h, again;
    frame_get_inline(&body, &h);
    if (body.failed)
        return;
    size_t size = frame_inline_size(&h);
    uint8_t *bytes = malloc(size);
    if (!bytes)
        abort();
    struct writer w = writer_of(bytes, size);
    frame_put_inline(&w, &h);
    MUST(!w.failed && writer_size(&w) == size);
    struct reader r = reader_of(bytes, size);
    frame_get_inline(&r, &again);
    MUST(reader_done(&r));
    MUST(again.flags == h.flags && again.binding == h.binding);
    MUST(endpoint_equal(&again.dest.ep, &h.dest.ep) && again.dest.name_len == h.dest.name_len);
    MUST(h.dest.name_len == 0 || memcmp(again.dest.name, h.dest.name, h.dest.name_len) == 0);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    while (size > 0) {
        uint64_t id = 0;
        size_t whole = 0;
        struct reader body = {0};
        enum frame_result result = frame_parse(data, size, &id, &body, &whole);
        if (result != FRAME_WHOLE) {
            MUST(result == FRAME_BROKEN || whole == 0 || whole > size);
            return 0;
        }
        MUST(whole > 0 && whole <= size && whole <= FRAME_MAX_SIZE);
        MUST(reader_left(&body) < whole && body.end == data + whole);
        /* A part of it is neither whole nor broken. */
        size_t part_size = 0;
        uint64_t part_id;
        struct reader part;
        enum frame_result of_part = frame_parse(data, whole - 1, &part_id, &part, &part_size);
        MUST(of_part == FRAME_PARTIAL && (part_size == 0 || part_size == whole));
        if (id == FRAME_INLINE)
            inline_frame(body);
        data += whole;
        size -= whole;
    }
    return 0;
}
