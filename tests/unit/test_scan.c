/* SPDX-License-Identifier: Apache-2.0 */
/* test_scan.c - message boundaries: however the bytes are cut, the same messages come out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "proto/control/scan.h"

struct seen {
    enum scan_result results[64];
    size_t sizes[64]; /* of each message, white space before it apart */
    size_t count;
};

/* Feed `text` in pieces of `piece` bytes until something other than a message ends it. */
static void feed(struct scan *s, const char *text, size_t size, size_t piece, struct seen *seen)
{
    size_t message = 0;
    for (size_t at = 0; at < size;) {
        size_t end = at + piece < size ? at + piece : size;
        while (at < end) {
            size_t used, skipped;
            enum scan_result result =
                scan_feed(s, (const uint8_t *)text + at, end - at, &used, &skipped);
            assert_true(used <= end - at && skipped <= used);
            at += used;
            message += used - skipped;
            if (result == SCAN_MORE)
                continue;
            assert_true(seen->count < 64);
            seen->results[seen->count] = result;
            seen->sizes[seen->count++] = message;
            message = 0;
            if (result == SCAN_TOO_LARGE || result == SCAN_GARBAGE)
                return;
        }
    }
}

static void messages_are_found_however_the_bytes_are_cut(void **state)
{
    (void)state;
    static const char text[] = " \n{\"a\":\"}{[\\\"\"}{\"b\":[{},[1]]}\t{}\r\n{\"c\":\"\\\\\"}";
    for (size_t piece = 1; piece <= sizeof text; piece++) {
        struct scan s;
        struct seen seen = {.count = 0};
        scan_init(&s);
        feed(&s, text, sizeof text - 1, piece, &seen);
        assert_int_equal(seen.count, 4);
        static const size_t sizes[] = {13, 14, 2, 10};
        for (size_t i = 0; i < 4; i++) {
            assert_int_equal(seen.results[i], SCAN_MESSAGE);
            assert_int_equal(seen.sizes[i], sizes[i]);
        }
        assert_false(scan_inside(&s));
    }
}

static void depth_16_passes_and_17_is_found_at_its_end(void **state)
{
    (void)state;
    for (unsigned depth = 15; depth <= 18; depth++) {
        char text[64];
        size_t size = 0;
        for (unsigned i = 0; i < depth; i++)
            text[size++] = i == 0 ? '{' : '[';
        for (unsigned i = 0; i < depth; i++)
            text[size++] = i == depth - 1 ? '}' : ']';
        memcpy(text + size, "{}", 2);
        struct scan s;
        struct seen seen = {.count = 0};
        scan_init(&s);
        feed(&s, text, size + 2, 7, &seen);
        assert_int_equal(seen.count, 2);
        assert_int_equal(seen.results[0], depth > SCAN_MAX_DEPTH ? SCAN_TOO_DEEP : SCAN_MESSAGE);
        assert_int_equal(seen.results[1], SCAN_MESSAGE); /* framing goes on behind it */
    }
}

static void a_message_of_the_cap_passes_and_a_byte_more_does_not(void **state)
{
    (void)state;
    for (size_t extra = 0; extra < 2; extra++) {
        size_t size = SCAN_MAX_SIZE + extra;
        char *text = malloc(size);
        memset(text, ' ', size);
        text[0] = '{';
        text[size - 1] = '}';
        struct scan s;
        struct seen seen = {.count = 0};
        scan_init(&s);
        feed(&s, text, size, 4096, &seen);
        assert_int_equal(seen.count, 1);
        assert_int_equal(seen.results[0], extra ? SCAN_TOO_LARGE : SCAN_MESSAGE);
        free(text);
    }
}

static void what_is_no_object_is_garbage(void **state)
{
    (void)state;
    static const char *const texts[] = {"x", "[]", "\"a\"", " 1", "{} x", "}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct scan s;
        struct seen seen = {.count = 0};
        scan_init(&s);
        feed(&s, texts[i], strlen(texts[i]), 1, &seen);
        assert_true(seen.count > 0);
        assert_int_equal(seen.results[seen.count - 1], SCAN_GARBAGE);
    }
}

static void protobuf_messages_are_found_by_their_length(void **state)
{
    (void)state;
    static const char text[] = "\0\0\0\3abc\0\0\0\0\0\0\0\1{";
    for (size_t piece = 1; piece <= sizeof text; piece++) {
        struct scan s;
        struct seen seen = {.count = 0};
        scan_init(&s);
        feed(&s, text, sizeof text - 1, piece, &seen);
        assert_int_equal(s.encoding, ENCODING_PROTOBUF);
        assert_int_equal(seen.count, 3);
        static const size_t sizes[] = {7, 4, 5};
        for (size_t i = 0; i < 3; i++) {
            assert_int_equal(seen.results[i], SCAN_MESSAGE);
            assert_int_equal(seen.sizes[i], sizes[i]);
        }
    }
}

static void a_protobuf_length_over_the_cap_is_refused_at_once(void **state)
{
    (void)state;
    static const char text[] = "\x00\x10\x00\x01";
    struct scan s;
    struct seen seen = {.count = 0};
    scan_init(&s);
    feed(&s, text, sizeof text - 1, 1, &seen);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.results[0], SCAN_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_found_however_the_bytes_are_cut),
        cmocka_unit_test(depth_16_passes_and_17_is_found_at_its_end),
        cmocka_unit_test(a_message_of_the_cap_passes_and_a_byte_more_does_not),
        cmocka_unit_test(what_is_no_object_is_garbage),
        cmocka_unit_test(protobuf_messages_are_found_by_their_length),
        cmocka_unit_test(a_protobuf_length_over_the_cap_is_refused_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
