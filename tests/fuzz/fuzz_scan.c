/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_scan.c - message boundaries of the command socket: the first byte says how the rest is cut
 * into reads, and however that is, the messages must be the same as in one read.
 */
#include "proto/control/envelope.h"
#include "tests/fuzz/fuzz.h"

/* Where messages end, as a digest, and the result that stopped it. */
struct outcome {
    uint64_t digest;
    enum scan_result last;
};

static struct outcome scan_all(const uint8_t *data, size_t size, size_t piece, size_t max_size)
{
    struct outcome o = {.digest = 1, .last = SCAN_MORE};
    struct scan s;
    scan_init(&s);
    s.max_size = max_size;
    size_t at = 0, start = 0;
    while (at < size) {
        size_t used = 0, skipped = 0, left = size - at < piece ? size - at : piece;
        bool inside = scan_inside(&s);
        o.last = scan_feed(&s, data + at, left, &used, &skipped);
        MUST(used <= left && skipped <= used);
        if (!inside)
            start = at + skipped;
        at += used;
        if (o.last == SCAN_TOO_LARGE || o.last == SCAN_GARBAGE)
            break;
        if (o.last == SCAN_MORE) {
            MUST(used == left);
            continue;
        }
        MUST(used > 0);
        MUST(at - start <= max_size + SCAN_PREFIX_SIZE);
        o.digest = (o.digest ^ start) * 31;
        o.digest = (o.digest ^ at ^ (uint64_t)o.last << 40) * 31;
    }
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t max_size = data[0] & 128 ? 64 : SCAN_MAX_SIZE, piece = 1 + (data[0] & 31);
    data++;
    size--;
    struct outcome whole = scan_all(data, size, size, max_size);
    struct outcome pieces = scan_all(data, size, piece, max_size);
    MUST(whole.digest == pieces.digest);
    MUST(whole.last == pieces.last || whole.last == SCAN_MESSAGE || whole.last == SCAN_TOO_DEEP ||
         whole.last == SCAN_MORE);
    return 0;
}
