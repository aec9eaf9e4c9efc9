/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names_order.c - which family's addresses of a name are tried first (RFC 6724 section 6).
 *
 * c-ares sorts the addresses of one family. The answers of the two families come apart, so their
 * first addresses are compared here, by those rules that can tell two families apart.
 */
#include "daemon/platform/posix/names_order.h"

#include <string.h>
#include <unistd.h>

#include "daemon/platform/posix/address.h"

enum { ANY_PORT = 9, IP4_LABEL = 4, SCOPE_LINK = 2, SCOPE_SITE = 5, SCOPE_GLOBAL = 14 };

/* RFC 6724 section 2.1, the longest prefix first. */
static const struct policy {
    uint8_t prefix[16];
    unsigned bits;
    int precedence;
    int label;
} policies[] = {
    {{[15] = 1}, 128, 50, 0},  {{[10] = 0xff, [11] = 0xff}, 96, 35, IP4_LABEL},
    {{0}, 96, 1, 3},           {{0x20, 0x01}, 32, 5, 5},
    {{0x20, 0x02}, 16, 30, 2}, {{0x3f, 0xfe}, 16, 1, 12},
    {{0xfe, 0xc0}, 10, 1, 11}, {{0xfc}, 7, 3, 13},
    {{0}, 0, 40, 1},
};

static bool names_order_in_prefix(const uint8_t ip[16], const struct policy *p)
{
    size_t whole = p->bits / 8;
    unsigned rest = p->bits % 8;
    if (memcmp(ip, p->prefix, whole) != 0)
        return false;
    return rest == 0 || ((ip[whole] ^ p->prefix[whole]) >> (8 - rest)) == 0;
}

static const struct policy *policy_of(const struct udptun_endpoint *ep)
{
    uint8_t ip[16] = {[10] = 0xff, [11] = 0xff};
    const struct policy *p = policies;
    if (ep->family == UDPTUN_ENDPOINT_IP4)
        memcpy(ip + 12, ep->ip, 4);
    else
        memcpy(ip, ep->ip, sizeof ip);
    while (!names_order_in_prefix(ip, p))
        p++;
    return p;
}

/* RFC 6724 section 3.1 and 3.2. */
static int scope_of(const struct udptun_endpoint *ep)
{
    if (endpoint_is_loopback(ep) || endpoint_is_link_local(ep))
        return SCOPE_LINK;
    if (ep->family == UDPTUN_ENDPOINT_IP6 && ep->ip[0] == 0xff)
        return ep->ip[1] & 0x0f;
    if (ep->family == UDPTUN_ENDPOINT_IP6 && ep->ip[0] == 0xfe && (ep->ip[1] & 0xc0) == 0xc0)
        return SCOPE_SITE;
    return SCOPE_GLOBAL;
}

/* The address that this host would send from, by its routing table. False: it has no route. */
static bool source_to(const struct udptun_endpoint *to, const struct socket_rules *rules,
                      struct udptun_endpoint *source)
{
    union socket_address sa = {0};
    struct udptun_endpoint ep = *to;
    udptun_socket s;
    ep.port = ANY_PORT;
    const struct socket_rules own = socket_rules_for(rules, to);
    if (socket_make(sockaddr_family(to), SOCK_DGRAM, &own, &s) != 0)
        return false;
    bool is_reached = connect(s, &sa.any, sockaddr_from_endpoint(&sa, &ep)) == 0;
    *source = socket_own(s);
    close(s);
    return is_reached && source->family != UDPTUN_ENDPOINT_NONE;
}

bool names_reach(const struct udptun_endpoint *to, const struct socket_rules *rules)
{
    struct udptun_endpoint source;
    return source_to(to, rules, &source);
}

bool names_prefer_ip6(const struct udptun_endpoint *six, const struct udptun_endpoint *four,
                      const struct socket_rules *rules)
{
    struct udptun_endpoint from6, from4;
    if (!source_to(six, rules, &from6)) /* rule 1 */
        return false;
    if (!source_to(four, rules, &from4))
        return true;
    bool same6 = scope_of(six) == scope_of(&from6), same4 = scope_of(four) == scope_of(&from4);
    if (same6 != same4) /* rule 2 */
        return same6;
    const struct policy *p6 = policy_of(six), *p4 = policy_of(four);
    same6 = p6->label == policy_of(&from6)->label;
    same4 = p4->label == policy_of(&from4)->label;
    if (same6 != same4) /* rule 5 */
        return same6;
    if (p6->precedence != p4->precedence) /* rule 6 */
        return p6->precedence > p4->precedence;
    return scope_of(six) <= scope_of(four); /* rule 8 */
}
