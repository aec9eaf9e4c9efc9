/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy.h - where a udp-server may send to: `allowTargets` and `denyTargets`.
 *
 * Without an allow list all is allowed but loopback, link-local, multicast, broadcast (that of the
 * host's own networks too), unspecified and the host's own addresses. A given list replaces that.
 * Deny wins. What the caller exempts (the server's own target) it does not ask about.
 */
#ifndef ENGINE_POLICY_H
#define ENGINE_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <udptun/error.h>

#include "proto/endpoint.h"

/* CIDR[:PORT[-PORT]] */
struct policy_rule {
    struct udptun_endpoint net; /* host bits are zero, port 0 */
    uint8_t prefix;             /* bits: 0 to 32 or 128 */
    uint16_t port_low;
    uint16_t port_high; /* 0 to 65535 when no port was named */
};

/* "10.0.0.0/8", "192.0.2.1:53", "[2001:db8::/32]:5000-6000", "2001:db8::/32", "0.0.0.0/0". NULL, or
 * what is wrong as a clause: "prefix length is above 32". */
const char *policy_parse_rule(const char *text, struct policy_rule *rule);

bool policy_rule_matches(const struct policy_rule *rule, const struct udptun_endpoint *ep);

struct policy;

/* `allow_given` tells an empty allow list, which allows nothing, from none. NULL and `err` with
 * field "allowTargets" or "denyTargets". */
struct policy *policy_new(const char *const *allow, size_t allow_count, bool allow_given,
                          const char *const *deny, size_t deny_count, struct udptun_error *err);
void policy_free(struct policy *p);

/* May a datagram go to `ep`, an address after name resolution? `now_us` is the loop's time; the
 * host's own addresses are looked up again when they are some seconds old. */
bool policy_allows(struct policy *p, const struct udptun_endpoint *ep, uint64_t now_us);

#endif
