/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway_dns.h - the DNS questions of an instance's apps, all to one server (`dns`).
 *
 *     app ─▶ gateway_udp.c ─▶ gateway_dns.c ─┬─▶ cache ─────────────────────▶ app
 *                                            └─▶ asked (one for all alike) ─▶ gateway_udp_*.c
 *     app ◀─ gateway_dns.c ◀─ gateway_udp.c ◀──────────────────────────────── gateway_udp_*.c
 *
 * Theory of operation
 *
 * - An app sends its question to whatever server it knows. The question goes to ours, and the
 * answer comes from the address that the app asked.
 * - What the far ends of UDP (gateway_udp_*.c) see is one more app: our *path*, whose source is the
 *   unspecified address and a number as its port. No packet can come from there. A path has one
 *   question, and so a port of its own at the far end, which is hard to guess (RFC 5452). Where a
 *   path is dear, an association with a SOCKS5 proxy, all questions share one.
 * - Equal questions of several apps are asked once (single flight). An app that repeats its
 * question has it sent again. An answer is kept for as long as its TTLs say.
 * - Questions that are not plain (dns_question.is_plain) go through as they are.
 * - TCP needs none of this: gateway_tcp.c connects to our server instead.
 */
#ifndef ENGINE_GATEWAY_DNS_H
#define ENGINE_GATEWAY_DNS_H

#include <stdbool.h>
#include <stdint.h>

#include <udptun/engine.h>

#include "tun2socks/tun2socks.h"

struct gateway;
struct gateway_dns;

enum { DNS_PORT = 53 };

struct gateway_dns_counters {
    uint64_t questions;  /* of apps */
    uint64_t cached;     /* answered from the cache */
    uint64_t shared;     /* that waited for the answer to an equal one */
    uint64_t unanswered; /* no answer came, or there was no room to wait for it */
    uint64_t entries;    /* answers in the cache */
};

/* NULL: out of memory. */
struct gateway_dns *gateway_dns_new(struct gateway *t);
/* The apps that wait get no answer. NULL is accepted. To be called before `udp` of the gateway
 * changes. */
void gateway_dns_free(struct gateway_dns *dns);

/* A datagram of an app to port 53. */
void gateway_dns_datagram(struct gateway_dns *dns, const struct udptun_endpoint *app,
                          const struct udptun_endpoint *asked, const void *data, size_t size);

/* `source` is one of our paths. */
bool gateway_dns_owns(const struct udptun_endpoint *source);
/* For one of our paths: a datagram from `from`, and that the server cannot be reached. */
void gateway_dns_answer(struct gateway_dns *dns, const struct udptun_endpoint *path,
                        const struct udptun_endpoint *from, const void *data, size_t size);
void gateway_dns_unreachable(struct gateway_dns *dns, const struct udptun_endpoint *path,
                             enum tun2socks_unreachable why);

struct gateway_dns_counters gateway_dns_look(const struct gateway_dns *dns);

#endif
