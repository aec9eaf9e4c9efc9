/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns.h - as much of a DNS message as a forwarder with a cache must know (RFC 1035, 2308, 6891).
 *
 * Nothing here owns memory or keeps state. A forwarder asks one question on behalf of many
 * clients, so a question is split into what makes two of them equal (the key) and what is a
 * client's own (its id, its spelling of the name, the size that it can take).
 */
#ifndef PROTO_DNS_H
#define PROTO_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DNS_HEADER_SIZE = 12,
    DNS_QUESTION_MAX = 255 + 4, /* name, type, class */
    DNS_SUBNET_MAX = 4 + 16,    /* the data of an EDNS client subnet option, RFC 7871 */
    DNS_KEY_SIZE = DNS_QUESTION_MAX + 1 + DNS_SUBNET_MAX,
    DNS_WRITTEN_MAX = DNS_HEADER_SIZE + DNS_QUESTION_MAX + 11 + 4 + DNS_SUBNET_MAX,
    DNS_PLAIN_SIZE = 512,           /* what a client without EDNS takes */
    DNS_FORWARDED_SIZE = 1232,      /* what we take: it passes every path in one packet */
    DNS_TTL_MAX_S = 86400,          /* an answer is kept for a day at most */
    DNS_NEGATIVE_TTL_MAX_S = 10800, /* RFC 2308 section 5: one to three hours */
};

struct dns_question {
    uint16_t id;
    const uint8_t *question; /* name, type and class, in the message that was parsed */
    size_t question_size;
    bool recursion_desired, authentic_data, checking_disabled; /* RD, AD, CD */
    bool has_edns;
    bool dnssec_ok;     /* DO */
    uint16_t udp_size;  /* that the client takes, at least DNS_PLAIN_SIZE */
    size_t subnet_size; /* of the EDNS client subnet option, 0: there is none */
    uint8_t subnet[DNS_SUBNET_MAX];
    /* An ordinary question: a forwarder may ask it in words of its own, answer several clients at
     * once and keep the answer. Otherwise (another opcode, options that we do not know) the message
     * is between the client and the server. */
    bool is_plain;
};

/* False: `data` is no question (a response, cut off, or without a question). `q` points into
 * `data`. */
bool dns_read_question(const void *data, size_t size, struct dns_question *q);

/* What all equal questions share, the case of the name aside: name, type, class, RD, AD, CD, DO,
 * whether there is EDNS, the client subnet. Returns the key's size. `q` is plain. */
size_t dns_key(const struct dns_question *q, uint8_t key[DNS_KEY_SIZE]);

/* The question as the forwarder asks it: its own id and size, no option but the client subnet.
 * Returns the message's size. `q` is plain. */
size_t dns_write_question(const struct dns_question *q, uint16_t id, uint8_t to[DNS_WRITTEN_MAX]);

/* `data` is a response to the question that was asked with `id`. */
bool dns_is_answer(const void *data, size_t size, uint16_t id, const void *question,
                   size_t question_size);

/* For how many seconds the answer may be kept: the least TTL in it, for "no such name" and "no such
 * data" that of RFC 2308. 0: not at all. */
uint32_t dns_answer_ttl(const void *data, size_t size);

/* Make `data`, an answer (dns_is_answer) that is `age_s` old, one for `q`: id, spelling of the
 * name, TTLs. Returns its size, which is less than `size` when the client takes no more: then it is
 * cut to the question and marked as truncated, and the client asks again over TCP. */
size_t dns_adapt_answer(void *data, size_t size, const struct dns_question *q, uint32_t age_s);

/* An answer without records: to `data`, a question, whose size is returned. */
enum dns_refusal { DNS_TRUNCATED, DNS_FORMAT_ERROR, DNS_SERVER_FAILURE };
size_t dns_refuse(void *data, size_t size, enum dns_refusal why);

#endif
