/* SPDX-License-Identifier: Apache-2.0 */
/* dns_server.h - a name server for tests, on the test's loop: 127.0.0.1:53 of its own network. */
#ifndef TESTS_UNIT_DNS_SERVER_H
#define TESTS_UNIT_DNS_SERVER_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dns_record {
    const char *name;
    const char *ip; /* of either family */
    uint32_t ttl_s;
};

struct dns_server {
    struct ev_loop *loop;
    ev_io io;
    const struct dns_record *records; /* up to the one without a name */
    bool silent;                      /* hears, and does not answer */
    bool silent_about_ip6;            /* ... questions for AAAA, as some load balancers do */
    bool fails;                       /* answers SERVFAIL */
    unsigned questions;
};

bool dns_server_start(struct dns_server *s, struct ev_loop *loop, const struct dns_record *records);
/* On 127.0.0.`host`, beside the one above. */
bool dns_server_start_at(struct dns_server *s, struct ev_loop *loop,
                         const struct dns_record *records, uint8_t host);
void dns_server_stop(struct dns_server *s);

#endif
