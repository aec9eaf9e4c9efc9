/* SPDX-License-Identifier: Apache-2.0 */
/* test_socks5.c - SOCKS5 messages against byte vectors, and cut at every length. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/socks5/socks5.h"

/* Whatever a decoder fills in. */
union decoded {
    uint8_t method;
    bool accepted;
    struct {
        uint8_t reply;
        struct socks5_address bound;
    } reply;
    struct socks5_greeting greeting;
    struct socks5_password password;
    struct socks5_request request;
};

typedef enum socks5_result decoder(struct reader *r, union decoded *out, size_t *need,
                                   const char **cause);

static enum socks5_result method(struct reader *r, union decoded *out, size_t *need,
                                 const char **cause)
{
    return socks5_read_method(r, &out->method, need, cause);
}

static enum socks5_result password_reply(struct reader *r, union decoded *out, size_t *need,
                                         const char **cause)
{
    return socks5_read_password_reply(r, &out->accepted, need, cause);
}

static enum socks5_result reply(struct reader *r, union decoded *out, size_t *need,
                                const char **cause)
{
    return socks5_read_reply(r, &out->reply.reply, &out->reply.bound, need, cause);
}

static enum socks5_result greeting(struct reader *r, union decoded *out, size_t *need,
                                   const char **cause)
{
    return socks5_read_greeting(r, &out->greeting, need, cause);
}

static enum socks5_result password(struct reader *r, union decoded *out, size_t *need,
                                   const char **cause)
{
    return socks5_read_password(r, &out->password, need, cause);
}

static enum socks5_result request(struct reader *r, union decoded *out, size_t *need,
                                  const char **cause)
{
    return socks5_read_request(r, &out->request, NULL, need, cause);
}

/*
 * Decodes `data`, which is one whole message, three ways: cut at every length it wants more, never
 * more than there is, and leaves the reader alone; fed as much as it asks for it never reads past
 * the end; with bytes behind, those are left.
 */
static void decode_all_ways(decoder *decode, const uint8_t *data, size_t size, union decoded *out)
{
    uint8_t longer[SOCKS5_PASSWORD_SIZE + 8];
    const char *cause = NULL;
    assert_true(size + 1 <= sizeof longer);
    memcpy(longer, data, size);
    longer[size] = 0x5a;
    for (size_t cut = 0; cut < size; cut++) {
        size_t need = 0;
        struct reader r = reader_of(longer, cut);
        assert_int_equal(decode(&r, out, &need, &cause), SOCKS5_MORE);
        assert_ptr_equal(r.at, longer);
        assert_in_range(need, cut + 1, size);
    }
    size_t have = 0, need = 0;
    for (;;) {
        struct reader r = reader_of(longer, have);
        if (decode(&r, out, &need, &cause) == SOCKS5_DONE)
            break;
        have = need;
    }
    assert_int_equal(have, size);
    struct reader r = reader_of(longer, size + 1);
    assert_int_equal(decode(&r, out, NULL, NULL), SOCKS5_DONE);
    assert_int_equal(reader_left(&r), 1);
}

static void refuse(decoder *decode, const uint8_t *data, size_t size, const char *expected)
{
    union decoded out;
    const char *cause = NULL;
    struct reader r = reader_of(data, size);
    assert_int_equal(decode(&r, &out, NULL, &cause), SOCKS5_BAD);
    assert_string_equal(cause, expected);
    assert_ptr_equal(r.at, data);
}

#define BYTES(...)  ((const uint8_t[]){__VA_ARGS__})
#define VECTOR(...) BYTES(__VA_ARGS__), sizeof BYTES(__VA_ARGS__)

static void greeting_lists_methods(void **state)
{
    (void)state;
    union decoded out;
    decode_all_ways(greeting, VECTOR(5, 1, 0), &out);
    assert_true(out.greeting.none && !out.greeting.password);
    decode_all_ways(greeting, VECTOR(5, 3, 1, 2, 0x80), &out);
    assert_true(!out.greeting.none && out.greeting.password);
    decode_all_ways(greeting, VECTOR(5, 0), &out);
    assert_true(!out.greeting.none && !out.greeting.password);
    refuse(greeting, VECTOR(4, 1, 0), "not a SOCKS5 client");
    refuse(greeting, VECTOR('G', 'E'), "not a SOCKS5 client");
}

static void greeting_written_is_that_of_the_rfc(void **state)
{
    (void)state;
    uint8_t data[8];
    struct writer w = writer_of(data, sizeof data);
    socks5_write_greeting(&w, false);
    assert_int_equal(writer_size(&w), 3);
    assert_memory_equal(data, BYTES(5, 1, 0), 3);
    w = writer_of(data, sizeof data);
    socks5_write_greeting(&w, true);
    assert_int_equal(writer_size(&w), 4);
    assert_memory_equal(data, BYTES(5, 2, 0, 2), 4);
}

static void method_is_read_and_written(void **state)
{
    (void)state;
    union decoded out;
    uint8_t data[2];
    decode_all_ways(method, VECTOR(5, 2), &out);
    assert_int_equal(out.method, SOCKS5_METHOD_PASSWORD);
    refuse(method, VECTOR('H', 'T'), "not a SOCKS5 server");
    struct writer w = writer_of(data, sizeof data);
    socks5_write_method(&w, SOCKS5_METHOD_REFUSED);
    assert_memory_equal(data, BYTES(5, 0xff), 2);
}

static void password_round_trip(void **state)
{
    (void)state;
    union decoded out;
    uint8_t data[SOCKS5_PASSWORD_SIZE];
    struct writer w = writer_of(data, sizeof data);
    socks5_write_password(&w, "user", "pa");
    assert_int_equal(writer_size(&w), 9);
    assert_memory_equal(data, BYTES(1, 4, 'u', 's', 'e', 'r', 2, 'p', 'a'), 9);
    decode_all_ways(password, data, 9, &out);
    assert_string_equal(out.password.user, "user");
    assert_string_equal(out.password.password, "pa");
    decode_all_ways(password, VECTOR(1, 1, 'u', 0), &out);
    assert_int_equal(out.password.password_len, 0);
    refuse(password, VECTOR(5, 1, 'u', 0), "not a password message");
}

static void longest_password_fits(void **state)
{
    (void)state;
    char longest[257];
    union decoded out;
    uint8_t data[SOCKS5_PASSWORD_SIZE];
    memset(longest, 'x', sizeof longest);
    longest[255] = '\0';
    struct writer w = writer_of(data, sizeof data);
    socks5_write_password(&w, longest, longest);
    assert_false(w.failed);
    assert_int_equal(writer_size(&w), SOCKS5_PASSWORD_SIZE);
    decode_all_ways(password, data, sizeof data, &out);
    assert_string_equal(out.password.user, longest);
    assert_string_equal(out.password.password, longest);
    longest[255] = 'x';
    longest[256] = '\0';
    w = writer_of(data, sizeof data);
    socks5_write_password(&w, longest, "x");
    assert_true(w.failed);
    w = writer_of(data, sizeof data);
    socks5_write_password(&w, "x", longest);
    assert_true(w.failed);
    w = writer_of(data, sizeof data);
    socks5_write_password(&w, "", "x");
    assert_true(w.failed);
}

static void password_reply_tells_acceptance(void **state)
{
    (void)state;
    union decoded out;
    uint8_t data[2];
    decode_all_ways(password_reply, VECTOR(1, 0), &out);
    assert_true(out.accepted);
    decode_all_ways(password_reply, VECTOR(1, 1), &out);
    assert_false(out.accepted);
    struct writer w = writer_of(data, sizeof data);
    socks5_write_password_reply(&w, true);
    assert_memory_equal(data, BYTES(1, 0), 2);
    w = writer_of(data, sizeof data);
    socks5_write_password_reply(&w, false);
    assert_memory_equal(data, BYTES(1, 1), 2);
}

/* What the client writes is `data`, and the server reads it back as the same. */
static void request_is(const char *host_port, const uint8_t *data, size_t size)
{
    struct host_port host;
    union decoded out;
    uint8_t written[SOCKS5_REQUEST_SIZE];
    assert_null(host_port_parse(host_port, false, &host));
    struct socks5_address address = socks5_address_of_host(&host);
    struct writer w = writer_of(written, sizeof written);
    socks5_write_request(&w, SOCKS5_CONNECT, &address);
    assert_false(w.failed);
    assert_int_equal(writer_size(&w), size);
    assert_memory_equal(written, data, size);
    decode_all_ways(request, data, size, &out);
    assert_int_equal(out.request.command, SOCKS5_CONNECT);
    assert_memory_equal(&out.request.address, &address, sizeof address);
}

static void request_round_trip(void **state)
{
    (void)state;
    request_is("192.0.2.1:443", VECTOR(5, 1, 0, 1, 192, 0, 2, 1, 1, 187));
    request_is("[2001:db8::1]:53",
               VECTOR(5, 1, 0, 4, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 53));
    request_is("ab.c:1", VECTOR(5, 1, 0, 3, 4, 'a', 'b', '.', 'c', 0, 1));
}

static void longest_name_fits(void **state)
{
    (void)state;
    struct socks5_address address = {.port = 7, .name_len = 255};
    union decoded out;
    uint8_t data[SOCKS5_REQUEST_SIZE];
    memset(address.name, 'n', 255);
    struct writer w = writer_of(data, sizeof data);
    socks5_write_request(&w, SOCKS5_UDP_ASSOCIATE, &address);
    assert_false(w.failed);
    assert_int_equal(writer_size(&w), SOCKS5_REQUEST_SIZE);
    decode_all_ways(request, data, sizeof data, &out);
    assert_int_equal(out.request.command, SOCKS5_UDP_ASSOCIATE);
    assert_memory_equal(&out.request.address, &address, sizeof address);
}

static void wrong_request_is_refused_with_the_right_reply(void **state)
{
    (void)state;
    uint8_t code = 0;
    struct socks5_request parsed;
    refuse(request, VECTOR(4, 1, 0, 1, 1), "not a SOCKS5 request");
    refuse(request, VECTOR(5, 1, 0, 3, 0, 0, 1), "host name is empty");
    refuse(request, VECTOR(5, 1, 0, 3, 2, 'a', 0, 0, 1), "host name has a zero byte in it");
    refuse(request, VECTOR(5, 1, 0, 9, 0), "unknown address type");
    struct reader r = reader_of(BYTES(5, 1, 0, 9, 0), 5);
    assert_int_equal(socks5_read_request(&r, &parsed, &code, NULL, NULL), SOCKS5_BAD);
    assert_int_equal(code, SOCKS5_ADDRESS_UNSUPPORTED);
    r = reader_of(BYTES(5, 1, 0, 3, 0, 0, 1), 7);
    assert_int_equal(socks5_read_request(&r, &parsed, &code, NULL, NULL), SOCKS5_BAD);
    assert_int_equal(code, SOCKS5_FAILED);
}

static void unknown_command_is_for_the_server_to_refuse(void **state)
{
    (void)state;
    union decoded out;
    decode_all_ways(request, VECTOR(5, 0x77, 0, 1, 1, 2, 3, 4, 0, 1), &out);
    assert_int_equal(out.request.command, 0x77);
}

static void reply_round_trip(void **state)
{
    (void)state;
    union decoded out;
    uint8_t data[SOCKS5_REPLY_SIZE];
    struct writer w = writer_of(data, sizeof data);
    socks5_write_reply(&w, SOCKS5_HOST_UNREACHABLE, NULL);
    assert_int_equal(writer_size(&w), 10);
    assert_memory_equal(data, BYTES(5, 4, 0, 1, 0, 0, 0, 0, 0, 0), 10);
    decode_all_ways(reply, data, 10, &out);
    assert_int_equal(out.reply.reply, SOCKS5_HOST_UNREACHABLE);
    struct udptun_endpoint bound = {
        .family = UDPTUN_ENDPOINT_IP6, .port = 0x1234, .ip = {[15] = 1}};
    w = writer_of(data, sizeof data);
    socks5_write_reply(&w, SOCKS5_OK, &bound);
    assert_int_equal(writer_size(&w), 22);
    decode_all_ways(reply, data, 22, &out);
    assert_int_equal(out.reply.reply, SOCKS5_OK);
    assert_true(endpoint_equal(&out.reply.bound.ep, &bound));
    /* A server that has no address to tell. */
    decode_all_ways(reply, VECTOR(5, 0, 0, 3, 0, 0, 0), &out);
    assert_int_equal(out.reply.bound.name_len, 0);
    refuse(reply, VECTOR(0, 0x5a, 0, 0, 0, 0, 0, 0), "not a SOCKS5 server");
}

static void replies_have_texts(void **state)
{
    (void)state;
    assert_string_equal(socks5_reply_text(SOCKS5_HOST_UNREACHABLE), "host unreachable");
    assert_string_equal(socks5_reply_text(200), "unknown reply");
}

static void udp_header_round_trip(void **state)
{
    (void)state;
    static const uint8_t data[] = {0, 0, 0, 1, 192, 0, 2, 1, 0, 53, 'h', 'i'};
    struct socks5_udp_header header;
    for (size_t cut = 0; cut < 10; cut++) {
        struct reader r = reader_of(data, cut);
        assert_false(socks5_read_udp_header(&r, &header));
        assert_ptr_equal(r.at, data);
    }
    struct reader r = reader_of(data, sizeof data);
    assert_true(socks5_read_udp_header(&r, &header));
    assert_int_equal(header.fragment, 0);
    assert_int_equal(header.address.port, 53);
    assert_int_equal(reader_left(&r), 2);
    uint8_t written[SOCKS5_UDP_HEADER_SIZE];
    struct writer w = writer_of(written, sizeof written);
    socks5_write_udp_header(&w, &header.address);
    assert_int_equal(writer_size(&w), 10);
    assert_memory_equal(written, data, 10);
}

static void udp_header_tells_fragments_and_refuses_nonsense(void **state)
{
    (void)state;
    struct socks5_udp_header header;
    struct reader r = reader_of(BYTES(0, 0, 0x81, 3, 1, 'a', 0, 1), 8);
    assert_true(socks5_read_udp_header(&r, &header));
    assert_int_equal(header.fragment, 0x81);
    assert_string_equal(header.address.name, "a");
    assert_int_equal(reader_left(&r), 0);
    r = reader_of(BYTES(0, 0, 0, 3, 0, 0, 1, 'x'), 8);
    assert_false(socks5_read_udp_header(&r, &header));
    r = reader_of(BYTES(0, 0, 0, 2, 1, 2, 3, 4, 0, 1), 10);
    assert_false(socks5_read_udp_header(&r, &header));
}

static void writer_that_is_full_fails(void **state)
{
    (void)state;
    uint8_t data[9];
    struct writer w = writer_of(data, sizeof data);
    socks5_write_reply(&w, SOCKS5_OK, NULL);
    assert_true(w.failed);
    struct socks5_address nowhere = {0};
    w = writer_of(data, sizeof data);
    socks5_write_address(&w, &nowhere);
    assert_true(w.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greeting_lists_methods),
        cmocka_unit_test(greeting_written_is_that_of_the_rfc),
        cmocka_unit_test(method_is_read_and_written),
        cmocka_unit_test(password_round_trip),
        cmocka_unit_test(longest_password_fits),
        cmocka_unit_test(password_reply_tells_acceptance),
        cmocka_unit_test(request_round_trip),
        cmocka_unit_test(longest_name_fits),
        cmocka_unit_test(wrong_request_is_refused_with_the_right_reply),
        cmocka_unit_test(unknown_command_is_for_the_server_to_refuse),
        cmocka_unit_test(reply_round_trip),
        cmocka_unit_test(replies_have_texts),
        cmocka_unit_test(udp_header_round_trip),
        cmocka_unit_test(udp_header_tells_fragments_and_refuses_nonsense),
        cmocka_unit_test(writer_that_is_full_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
