/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_dns.c - DNS messages of apps and servers, as a forwarder handles them.
 *
 * The first byte is the size of the question, the answer follows. A question that is written again
 * must have the same key; an answer that was adapted must not grow and must stay one.
 */
#include <stdlib.h>

#include "proto/dns/dns.h"
#include "tests/fuzz/fuzz.h"

static void as_question(const uint8_t *data, size_t size, struct dns_question *q, bool *is_one)
{
    uint8_t written[DNS_WRITTEN_MAX], a[DNS_KEY_SIZE], b[DNS_KEY_SIZE];
    struct dns_question again;
    *is_one = dns_read_question(data, size, q);
    if (!*is_one || !q->is_plain)
        return;
    size_t key_size = dns_key(q, a);
    MUST(key_size <= sizeof a);
    size_t written_size = dns_write_question(q, 7, written);
    MUST(dns_read_question(written, written_size, &again) && again.is_plain && again.id == 7);
    MUST(dns_key(&again, b) == key_size && memcmp(a, b, key_size) == 0);
}

static void as_answer(const uint8_t *data, size_t size, const struct dns_question *q)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        abort();
    if (size)
        memcpy(copy, data, size);
    (void)dns_answer_ttl(copy, size);
    if (size >= 2 && dns_is_answer(copy, size, (uint16_t)(data[0] << 8 | data[1]), q->question,
                                   q->question_size)) {
        size_t adapted = dns_adapt_answer(copy, size, q, 60);
        MUST(adapted <= size);
        MUST(dns_is_answer(copy, adapted, q->id, q->question, q->question_size));
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dns_question q;
    bool is_one;
    if (size == 0)
        return 0;
    size_t question_size = data[0] < size - 1 ? data[0] : size - 1;
    as_question(data + 1, question_size, &q, &is_one);
    if (is_one)
        as_answer(data + 1 + question_size, size - 1 - question_size, &q);
    if (question_size >= DNS_HEADER_SIZE) {
        uint8_t copy[256];
        memcpy(copy, data + 1, question_size);
        for (enum dns_refusal why = DNS_TRUNCATED; why <= DNS_SERVER_FAILURE; why++)
            MUST(dns_refuse(copy, question_size, why) <= question_size);
    }
    return 0;
}
