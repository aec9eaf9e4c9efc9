/* SPDX-License-Identifier: Apache-2.0 */
/* test_buffer.c - the bounds-checked reader and writer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/buffer.h"

/* RFC 9000 appendix A.1, and the edges of each length. */
static const struct {
    uint64_t value;
    size_t size;
    uint8_t bytes[8];
} varints[] = {
    {UINT64_C(151288809941952652), 8, {0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c}},
    {494878333, 4, {0x9d, 0x7f, 0x3e, 0x7d}},
    {15293, 2, {0x7b, 0xbd}},
    {37, 1, {0x25}},
    {0, 1, {0x00}},
    {63, 1, {0x3f}},
    {64, 2, {0x40, 0x40}},
    {16383, 2, {0x7f, 0xff}},
    {16384, 4, {0x80, 0x00, 0x40, 0x00}},
    {1073741823, 4, {0xbf, 0xff, 0xff, 0xff}},
    {1073741824, 8, {0xc0, 0x00, 0x00, 0x00, 0x40, 0x00, 0x00, 0x00}},
    {VARINT_MAX, 8, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
};

static void varints_are_those_of_the_rfc(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof varints / sizeof *varints; i++) {
        uint8_t data[VARINT_MAX_SIZE];
        struct writer w = writer_of(data, sizeof data);
        writer_varint(&w, varints[i].value);
        assert_false(w.failed);
        assert_int_equal(writer_size(&w), varints[i].size);
        assert_int_equal(varint_size(varints[i].value), varints[i].size);
        assert_memory_equal(data, varints[i].bytes, varints[i].size);
        struct reader r = reader_of(data, varints[i].size);
        assert_true(reader_varint(&r) == varints[i].value);
        assert_true(reader_done(&r));
    }
}

static void varint_takes_a_longer_form_than_needed(void **state)
{
    (void)state;
    static const uint8_t data[] = {0x40, 0x25};
    struct reader r = reader_of(data, sizeof data);
    assert_int_equal(reader_varint(&r), 37);
    assert_true(reader_done(&r));
}

static void truncated_varint_fails_at_every_length(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof varints / sizeof *varints; i++)
        for (size_t size = 0; size < varints[i].size; size++) {
            struct reader r = reader_of(varints[i].bytes, size);
            assert_int_equal(reader_varint(&r), 0);
            assert_true(r.failed);
        }
}

static void varint_beyond_62_bits_fails_the_writer(void **state)
{
    (void)state;
    uint8_t data[16];
    struct writer w = writer_of(data, sizeof data);
    writer_varint(&w, VARINT_MAX + 1);
    assert_true(w.failed);
    assert_int_equal(writer_size(&w), 0);
    assert_int_equal(varint_size(VARINT_MAX + 1), 0);
}

static void integers_are_big_endian(void **state)
{
    (void)state;
    static const uint8_t expected[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    uint8_t data[sizeof expected];
    struct writer w = writer_of(data, sizeof data);
    writer_u8(&w, 0x01);
    writer_u16(&w, 0x0203);
    writer_u32(&w, 0x04050607);
    writer_u64(&w, UINT64_C(0x08090a0b0c0d0e0f));
    assert_false(w.failed);
    assert_memory_equal(data, expected, sizeof expected);
    struct reader r = reader_of(data, sizeof data);
    assert_int_equal(reader_u8(&r), 0x01);
    assert_int_equal(reader_u16(&r), 0x0203);
    assert_int_equal(reader_u32(&r), 0x04050607);
    assert_true(reader_u64(&r) == UINT64_C(0x08090a0b0c0d0e0f));
    assert_true(reader_done(&r));
}

static void reader_is_sticky_past_the_end(void **state)
{
    (void)state;
    static const uint8_t data[] = {1, 2, 3};
    uint8_t copy[2] = {9, 9};
    struct reader r = reader_of(data, sizeof data);
    assert_int_equal(reader_u32(&r), 0);
    assert_true(r.failed);
    assert_int_equal(reader_left(&r), 3);
    /* It would fit, but what came before did not. */
    assert_int_equal(reader_u8(&r), 0);
    assert_null(reader_bytes(&r, 0));
    reader_copy(&r, copy, sizeof copy);
    assert_int_equal(copy[0] | copy[1], 0);
    assert_int_equal(reader_varint(&r), 0);
    assert_false(reader_done(&r));
}

static void writer_is_sticky_past_the_end(void **state)
{
    (void)state;
    uint8_t data[4] = {0xee, 0xee, 0xee, 0xee};
    struct writer w = writer_of(data, 3);
    writer_u16(&w, 0x0102);
    writer_u16(&w, 0x0304);
    assert_true(w.failed);
    writer_u8(&w, 5);
    writer_bytes(&w, "x", 1);
    assert_int_equal(writer_size(&w), 2);
    assert_int_equal(data[2], 0xee);
    assert_int_equal(data[3], 0xee);
}

static void empty_input_is_done(void **state)
{
    (void)state;
    struct reader r = reader_of(NULL, 0);
    assert_true(reader_done(&r));
    assert_int_equal(reader_u8(&r), 0);
    assert_true(r.failed);
}

static void bytes_are_handed_out_in_place(void **state)
{
    (void)state;
    static const uint8_t data[] = {1, 2, 3, 4};
    struct reader r = reader_of(data, sizeof data);
    assert_ptr_equal(reader_bytes(&r, 3), data);
    assert_int_equal(reader_left(&r), 1);
    assert_null(reader_bytes(&r, SIZE_MAX));
    assert_true(r.failed);
    uint8_t room[2];
    struct writer w = writer_of(room, sizeof room);
    assert_ptr_equal(writer_room(&w, 2), room);
    assert_null(writer_room(&w, SIZE_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(varints_are_those_of_the_rfc),
        cmocka_unit_test(varint_takes_a_longer_form_than_needed),
        cmocka_unit_test(truncated_varint_fails_at_every_length),
        cmocka_unit_test(varint_beyond_62_bits_fails_the_writer),
        cmocka_unit_test(integers_are_big_endian),
        cmocka_unit_test(reader_is_sticky_past_the_end),
        cmocka_unit_test(writer_is_sticky_past_the_end),
        cmocka_unit_test(empty_input_is_done),
        cmocka_unit_test(bytes_are_handed_out_in_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
