/* SPDX-License-Identifier: Apache-2.0 */
/* test_dns.c - DNS messages as a forwarder sees them: what is equal, what may be kept, what is cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/buffer.h"
#include "proto/dns/dns.h"

enum { TYPE_A = 1, TYPE_SOA = 6, TYPE_OPT = 41, CLASS_IN = 1, ID = 0x1234, RD = 0x0100 };
enum { QR = 0x8000, TC = 0x0200, CD = 0x0010, NXDOMAIN = 3, SERVFAIL = 2 };

/* ---- messages */

struct message {
    uint8_t bytes[2048];
    struct writer w;
};

static void begin(struct message *m, unsigned flags, const uint16_t counts[4])
{
    m->w = writer_of(m->bytes, sizeof m->bytes);
    writer_u16(&m->w, ID);
    writer_u16(&m->w, (uint16_t)flags);
    for (int i = 0; i < 4; i++)
        writer_u16(&m->w, counts[i]);
}

/* "www.example" */
static void name(struct message *m, const char *text)
{
    while (*text) {
        size_t length = strcspn(text, ".");
        writer_u8(&m->w, (uint8_t)length);
        writer_bytes(&m->w, text, length);
        text += length + (text[length] == '.');
    }
    writer_u8(&m->w, 0);
}

static void question(struct message *m, const char *text, unsigned type)
{
    name(m, text);
    writer_u16(&m->w, (uint16_t)type);
    writer_u16(&m->w, CLASS_IN);
}

static void record(struct message *m, unsigned type, uint32_t ttl, size_t size)
{
    writer_u16(&m->w, 0xc000 | DNS_HEADER_SIZE); /* the question's name */
    writer_u16(&m->w, (uint16_t)type);
    writer_u16(&m->w, CLASS_IN);
    writer_u32(&m->w, ttl);
    writer_u16(&m->w, (uint16_t)size);
    memset(writer_room(&m->w, size), 7, size);
}

static void soa(struct message *m, uint32_t ttl, uint32_t least)
{
    writer_u16(&m->w, 0xc000 | DNS_HEADER_SIZE);
    writer_u16(&m->w, TYPE_SOA);
    writer_u16(&m->w, CLASS_IN);
    writer_u32(&m->w, ttl);
    writer_u16(&m->w, 2 + 2 + 5 * 4);
    writer_u16(&m->w, 0xc000 | DNS_HEADER_SIZE);
    writer_u16(&m->w, 0xc000 | DNS_HEADER_SIZE);
    for (int i = 0; i < 4; i++)
        writer_u32(&m->w, 1);
    writer_u32(&m->w, least);
}

/* EDNS with one option of four bytes; code 0: without. */
static void edns(struct message *m, uint16_t size, uint32_t flags, uint16_t code)
{
    writer_u8(&m->w, 0);
    writer_u16(&m->w, TYPE_OPT);
    writer_u16(&m->w, size);
    writer_u32(&m->w, flags);
    writer_u16(&m->w, code ? 8 : 0);
    if (!code)
        return;
    writer_u16(&m->w, code);
    writer_u16(&m->w, 4);
    writer_u32(&m->w, 0x00010800);
}

static size_t size_of(const struct message *m)
{
    assert_false(m->w.failed);
    return writer_size(&m->w);
}

/* A question for `text`; with EDNS when `flags` or `code` or `size` is not 0. */
static void ask(struct message *m, struct dns_question *q, const char *text, unsigned header,
                uint16_t size, uint32_t flags, uint16_t code)
{
    const uint16_t counts[4] = {1, 0, 0, size || flags || code};
    begin(m, header, counts);
    question(m, text, TYPE_A);
    if (counts[3])
        edns(m, size, flags, code);
    assert_true(dns_read_question(m->bytes, size_of(m), q));
}

static bool same_key(const struct dns_question *a, const struct dns_question *b)
{
    uint8_t x[DNS_KEY_SIZE], y[DNS_KEY_SIZE];
    size_t n = dns_key(a, x);
    return n == dns_key(b, y) && memcmp(x, y, n) == 0;
}

/* ---- questions */

static void equal_questions_have_equal_keys(void **state)
{
    (void)state;
    struct message m[2];
    struct dns_question a, b;
    ask(&m[0], &a, "www.example", RD, 0, 0, 0);
    ask(&m[1], &b, "WWW.eXample", RD, 0, 0, 0);
    assert_true(a.is_plain && b.is_plain && same_key(&a, &b));
    ask(&m[1], &b, "www.exampl", RD, 0, 0, 0);
    assert_false(same_key(&a, &b));
    ask(&m[1], &b, "www.example", 0, 0, 0, 0);
    assert_false(same_key(&a, &b));
    ask(&m[1], &b, "www.example", RD | CD, 0, 0, 0);
    assert_false(same_key(&a, &b));
    ask(&m[1], &b, "www.example", RD, 1232, 0, 0); /* its answer has an OPT record */
    assert_false(same_key(&a, &b));
    a = b;
    ask(&m[0], &b, "www.example", RD, 4096, 0, 0);
    assert_true(same_key(&a, &b));
    ask(&m[0], &b, "www.example", RD, 1232, 0x8000, 0); /* DO */
    assert_false(same_key(&a, &b));
    ask(&m[0], &b, "www.example", RD, 1232, 0, 8); /* client subnet */
    assert_true(b.is_plain);
    assert_false(same_key(&a, &b));
    ask(&m[0], &b, "www.example", RD, 1232, 0, 10); /* a cookie is for us */
    assert_true(b.is_plain && same_key(&a, &b));
}

static void a_question_out_of_the_ordinary_is_not_plain(void **state)
{
    (void)state;
    struct message m;
    struct dns_question q;
    ask(&m, &q, "www.example", RD, 1232, 0, 3); /* NSID: an answer for this client */
    assert_false(q.is_plain);
    ask(&m, &q, "www.example", RD, 1232, 0x10000, 0); /* version 1 of EDNS */
    assert_false(q.is_plain);
    ask(&m, &q, "www.example", 0x2800, 0, 0, 0); /* UPDATE */
    assert_false(q.is_plain);
    static const uint16_t two[4] = {2, 0, 0, 0}, one[4] = {1, 0, 0, 0};
    begin(&m, RD, two);
    question(&m, "a.example", TYPE_A);
    question(&m, "b.example", TYPE_A);
    assert_true(dns_read_question(m.bytes, size_of(&m), &q));
    assert_false(q.is_plain);
    begin(&m, RD, one);
    question(&m, "example", 252); /* AXFR */
    assert_true(dns_read_question(m.bytes, size_of(&m), &q));
    assert_false(q.is_plain);
    begin(&m, RD, one);
    writer_u16(&m.w, 0xc000); /* a pointer, whose last byte is 0 */
    writer_u32(&m.w, TYPE_A << 16 | CLASS_IN);
    assert_true(dns_read_question(m.bytes, size_of(&m), &q));
    assert_false(q.is_plain);
}

static void what_is_cut_off_is_no_question(void **state)
{
    (void)state;
    struct message m;
    struct dns_question q;
    ask(&m, &q, "www.example", RD, 0, 0, 0);
    size_t size = size_of(&m);
    for (size_t i = 0; i < size; i++)
        assert_false(dns_read_question(m.bytes, i, &q));
    m.bytes[2] |= QR >> 8;
    assert_false(dns_read_question(m.bytes, size, &q));
    ask(&m, &q, "www.example", RD, 1232, 0, 8);
    for (size_t i = size; i < size_of(&m); i++) { /* with half an OPT record it is not plain */
        assert_true(dns_read_question(m.bytes, i, &q));
        assert_false(q.is_plain);
    }
}

static void a_question_is_asked_without_what_is_the_clients(void **state)
{
    (void)state;
    struct message m;
    struct dns_question q, again;
    uint8_t to[DNS_WRITTEN_MAX];
    ask(&m, &q, "www.example", RD | CD, 4096, 0x8000, 8);
    size_t size = dns_write_question(&q, 0xbeef, to);
    assert_true(dns_read_question(to, size, &again));
    assert_true(again.is_plain && same_key(&q, &again));
    assert_int_equal(again.id, 0xbeef);
    assert_int_equal(again.udp_size, DNS_FORWARDED_SIZE);
    ask(&m, &q, "www.example", RD, 4096, 0, 10);
    size = dns_write_question(&q, 1, to);
    assert_true(dns_read_question(to, size, &again) && again.subnet_size == 0);
    assert_int_equal(size, size_of(&m) - 8); /* the cookie is gone */
}

/* ---- answers */

static void begin_answer(struct message *m, unsigned flags, unsigned answers, unsigned authority)
{
    const uint16_t counts[4] = {1, (uint16_t)answers, (uint16_t)authority, 0};
    begin(m, QR | flags, counts);
    question(m, "www.example", TYPE_A);
}

static uint32_t ttl_of(const struct message *m)
{
    return dns_answer_ttl(m->bytes, size_of(m));
}

static void answers_are_kept_as_long_as_rfc_2308_says(void **state)
{
    (void)state;
    struct message m;
    begin_answer(&m, 0, 2, 0);
    record(&m, TYPE_A, 300, 4);
    record(&m, TYPE_A, 60, 4);
    assert_int_equal(ttl_of(&m), 60);
    begin_answer(&m, 0, 1, 0);
    record(&m, TYPE_A, 1000000, 4);
    assert_int_equal(ttl_of(&m), DNS_TTL_MAX_S);
    begin_answer(&m, 0, 1, 0);
    record(&m, TYPE_A, 0x80000001, 4);
    assert_int_equal(ttl_of(&m), 0);
    begin_answer(&m, NXDOMAIN, 0, 1);
    soa(&m, 900, 60);
    assert_int_equal(ttl_of(&m), 60);
    begin_answer(&m, 0, 0, 1);
    soa(&m, 30, 60);
    assert_int_equal(ttl_of(&m), 30);
    begin_answer(&m, NXDOMAIN, 0, 1);
    soa(&m, 86400, 86400);
    assert_int_equal(ttl_of(&m), DNS_NEGATIVE_TTL_MAX_S);
    begin_answer(&m, 0, 0, 0); /* a negative answer without SOA */
    assert_int_equal(ttl_of(&m), 0);
    begin_answer(&m, SERVFAIL, 1, 0);
    record(&m, TYPE_A, 300, 4);
    assert_int_equal(ttl_of(&m), 0);
    begin_answer(&m, TC, 1, 0);
    record(&m, TYPE_A, 300, 4);
    assert_int_equal(ttl_of(&m), 0);
    begin_answer(&m, 0, 1, 0);
    record(&m, TYPE_A, 300, 4);
    for (size_t i = 0; i < size_of(&m); i++)
        assert_int_equal(dns_answer_ttl(m.bytes, i), 0);
}

static void only_the_answer_to_the_question_is_one(void **state)
{
    (void)state;
    struct message m, asked;
    struct dns_question q;
    ask(&asked, &q, "WWW.example", RD, 0, 0, 0);
    begin_answer(&m, 0, 1, 0);
    record(&m, TYPE_A, 300, 4);
    size_t size = size_of(&m);
    assert_true(dns_is_answer(m.bytes, size, ID, q.question, q.question_size));
    assert_false(dns_is_answer(m.bytes, size, ID + 1, q.question, q.question_size));
    m.bytes[DNS_HEADER_SIZE + 1] = 'x';
    assert_false(dns_is_answer(m.bytes, size, ID, q.question, q.question_size));
    assert_false(dns_is_answer(asked.bytes, size_of(&asked), ID, q.question, q.question_size));
    static const uint16_t none[4] = {0, 0, 0, 0};
    begin(&m, QR | 1, none); /* "format error" without the question */
    assert_true(dns_is_answer(m.bytes, size_of(&m), ID, q.question, q.question_size));
}

static void an_answer_gets_the_clients_id_spelling_and_age(void **state)
{
    (void)state;
    struct message m, asked;
    struct dns_question q;
    ask(&asked, &q, "wWw.ExAmPlE", RD, 0, 0, 0);
    q.id = 0x7777;
    begin_answer(&m, 0, 2, 0);
    record(&m, TYPE_A, 300, 4);
    record(&m, TYPE_A, 70000, 4);
    size_t size = size_of(&m);
    assert_int_equal(dns_adapt_answer(m.bytes, size, &q, 100), size);
    assert_memory_equal(m.bytes, "\x77\x77", 2);
    assert_memory_equal(m.bytes + DNS_HEADER_SIZE, q.question, q.question_size);
    assert_int_equal(dns_answer_ttl(m.bytes, size), 200);
    assert_int_equal(dns_adapt_answer(m.bytes, size, &q, 1000), size); /* older than its TTL */
    assert_int_equal(dns_answer_ttl(m.bytes, size), 0);
}

static void an_answer_that_is_too_large_is_cut(void **state)
{
    (void)state;
    struct message m, asked;
    struct dns_question q;
    for (int has_edns = 0; has_edns < 2; has_edns++) {
        ask(&asked, &q, "www.example", RD, has_edns ? 512 : 0, 0, 0);
        begin_answer(&m, 0, 2, 0);
        record(&m, TYPE_A, 300, 300);
        record(&m, TYPE_A, 300, 300);
        size_t size = dns_adapt_answer(m.bytes, size_of(&m), &q, 0);
        assert_int_equal(size, size_of(&asked));
        assert_true(m.bytes[2] & TC >> 8);
        struct reader r = reader_of(m.bytes + 4, 8);
        assert_int_equal(reader_u32(&r), 1 << 16);
        assert_int_equal(reader_u32(&r), has_edns);
    }
    ask(&asked, &q, "www.example", RD, 4096, 0, 0);
    begin_answer(&m, 0, 1, 0);
    record(&m, TYPE_A, 300, 900);
    assert_int_equal(dns_adapt_answer(m.bytes, size_of(&m), &q, 0), size_of(&m));
}

static void a_refusal_repeats_the_question(void **state)
{
    (void)state;
    struct message m;
    struct dns_question q;
    ask(&m, &q, "www.example", RD, 4096, 0, 10);
    size_t size = dns_refuse(m.bytes, size_of(&m), DNS_SERVER_FAILURE);
    assert_int_equal(size, DNS_HEADER_SIZE + q.question_size);
    assert_true(dns_is_answer(m.bytes, size, ID, q.question, q.question_size));
    assert_int_equal(m.bytes[3] & 0x0f, SERVFAIL);
    ask(&m, &q, "www.example", RD, 0, 0, 0);
    size = dns_refuse(m.bytes, size_of(&m), DNS_TRUNCATED);
    assert_true(m.bytes[2] & TC >> 8);
    assert_int_equal(dns_refuse(m.bytes, size, DNS_FORMAT_ERROR), DNS_HEADER_SIZE);
    assert_int_equal(m.bytes[3] & 0x0f, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_questions_have_equal_keys),
        cmocka_unit_test(a_question_out_of_the_ordinary_is_not_plain),
        cmocka_unit_test(what_is_cut_off_is_no_question),
        cmocka_unit_test(a_question_is_asked_without_what_is_the_clients),
        cmocka_unit_test(answers_are_kept_as_long_as_rfc_2308_says),
        cmocka_unit_test(only_the_answer_to_the_question_is_one),
        cmocka_unit_test(an_answer_gets_the_clients_id_spelling_and_age),
        cmocka_unit_test(an_answer_that_is_too_large_is_cut),
        cmocka_unit_test(a_refusal_repeats_the_question),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
