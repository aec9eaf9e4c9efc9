/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy.c - where a udp-server may send to.
 *
 * A udp-server sends for strangers from inside its host's network, so without an allow list it
 * keeps them off everything that is not the open network: loopback, the link, the host itself.
 * The host's own addresses change while it runs; they are read again when they are
 * OWN_ADDRESSES_MAX_AGE_US old and asked about.
 */
#include "daemon/engine/settings/policy.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/platform/network.h"
#include "proto/error.h"

#define OWN_ADDRESSES_MAX_AGE_US 3000000

struct rules {
    struct policy_rule *list;
    size_t count;
};

struct policy {
    bool allow_given;
    struct rules allow, deny;
    struct udptun_endpoint *own; /* addresses and directed broadcasts of this host */
    size_t own_count;
    uint64_t own_read_us;
    bool own_known;
};

/* ---- rules --------------------------------------------------------------------------------- */

static void policy_mask(struct policy_rule *rule)
{
    for (size_t i = 0; i < 16; i++) {
        size_t bits = rule->prefix > i * 8 ? rule->prefix - i * 8 : 0;
        rule->net.ip[i] &= (uint8_t)(bits >= 8 ? 0xff : 0xff << (8 - bits));
    }
}

static const char *parse_prefix(const char *text, unsigned max, uint8_t *prefix)
{
    uint16_t value;
    if (!port_parse(text, &value))
        return "prefix length is not a number";
    if (value > max)
        return max == 32 ? "prefix length is above 32" : "prefix length is above 128";
    *prefix = (uint8_t)value;
    return NULL;
}

static const char *policy_parse_cidr(const char *text, size_t len, struct policy_rule *rule)
{
    char cidr[ENDPOINT_TEXT_SIZE];
    if (len >= sizeof cidr)
        return "not an address with an optional prefix length";
    memcpy(cidr, text, len);
    cidr[len] = '\0';
    char *slash = strchr(cidr, '/');
    if (slash)
        *slash = '\0';
    if (!endpoint_parse_ip(cidr, &rule->net))
        return "not an address with an optional prefix length";
    unsigned max = rule->net.family == UDPTUN_ENDPOINT_IP4 ? 32 : 128;
    rule->prefix = (uint8_t)max;
    const char *wrong = slash ? parse_prefix(slash + 1, max, &rule->prefix) : NULL;
    if (wrong)
        return wrong;
    /* Targets are compared unmapped, so a mapped rule has to be as well. */
    struct udptun_endpoint plain = endpoint_unmapped(&rule->net);
    if (plain.family != rule->net.family && rule->prefix >= 96) {
        rule->net = plain;
        rule->prefix = (uint8_t)(rule->prefix - 96);
    }
    rule->net.scope = 0;
    policy_mask(rule);
    return NULL;
}

/* "PORT" or "LOW-HIGH". */
static const char *parse_ports(const char *text, struct policy_rule *rule)
{
    char low[8];
    const char *dash = strchr(text, '-');
    size_t len = dash ? (size_t)(dash - text) : strlen(text);
    if (len >= sizeof low)
        return "port is not a number from 0 to 65535";
    memcpy(low, text, len);
    low[len] = '\0';
    if (!port_parse(low, &rule->port_low) || !port_parse(dash ? dash + 1 : low, &rule->port_high))
        return "port is not a number from 0 to 65535";
    return rule->port_low > rule->port_high ? "port range ends before it begins" : NULL;
}

const char *policy_parse_rule(const char *text, struct policy_rule *rule)
{
    struct policy_rule parsed = {.port_low = 0, .port_high = UINT16_MAX};
    const char *cidr = text, *ports = NULL, *colon = strchr(text, ':');
    size_t len = strlen(text);
    *rule = (struct policy_rule){0};
    if (text[0] == '[') {
        const char *close = strchr(text, ']');
        if (!close)
            return "closing bracket is missing";
        if (close[1] != '\0' && close[1] != ':')
            return "text after the closing bracket";
        cidr = text + 1;
        len = (size_t)(close - cidr);
        ports = close[1] ? close + 2 : NULL;
    } else if (colon && !strchr(colon + 1, ':')) {
        len = (size_t)(colon - text);
        ports = colon + 1;
    }
    const char *wrong = policy_parse_cidr(cidr, len, &parsed);
    if (!wrong && ports)
        wrong = parse_ports(ports, &parsed);
    if (!wrong)
        *rule = parsed;
    return wrong;
}

bool policy_rule_matches(const struct policy_rule *rule, const struct udptun_endpoint *ep)
{
    struct udptun_endpoint plain = endpoint_unmapped(ep);
    if (plain.family != rule->net.family || plain.port < rule->port_low ||
        plain.port > rule->port_high)
        return false;
    struct policy_rule masked = {.net = plain, .prefix = rule->prefix};
    policy_mask(&masked);
    return memcmp(masked.net.ip, rule->net.ip, sizeof rule->net.ip) == 0;
}

static bool any_matches(const struct rules *rules, const struct udptun_endpoint *ep)
{
    for (size_t i = 0; i < rules->count; i++)
        if (policy_rule_matches(&rules->list[i], ep))
            return true;
    return false;
}

static int parse_rules(struct rules *rules, const char *const *texts, size_t count,
                       const char *field, struct udptun_error *err)
{
    if (count == 0)
        return 0;
    rules->list = (struct policy_rule *)calloc(count, sizeof *rules->list);
    if (!rules->list)
        return error_set(err, UDPTUN_E_NOMEM, field, "out of memory");
    rules->count = count;
    for (size_t i = 0; i < count; i++) {
        const char *wrong = policy_parse_rule(texts[i], &rules->list[i]);
        if (wrong)
            return error_set(err, UDPTUN_E_INVALID, field, "%s: \"%.64s\": %s", field, texts[i],
                             wrong);
    }
    return 0;
}

/* ---- the host's own addresses -------------------------------------------------------------- */

/* Addresses while they are read. */
struct own_list {
    struct udptun_endpoint *all;
    size_t count, room;
    bool failed; /* out of memory */
};

static void policy_add_own(void *arg, const struct udptun_endpoint *ep)
{
    struct own_list *list = (struct own_list *)arg;
    if (list->count == list->room) {
        size_t room = list->room ? 2 * list->room : 16;
        struct udptun_endpoint *all =
            (struct udptun_endpoint *)realloc(list->all, room * sizeof *all);
        if (!all) {
            list->failed = true;
            return;
        }
        list->all = all;
        list->room = room;
    }
    list->all[list->count++] = *ep;
}

/* If they cannot be read the old list stays as it was. */
static void read_own(struct policy *p)
{
    struct own_list list = {0};
    if (network_own_addresses(policy_add_own, &list) != 0 || list.failed) {
        free(list.all);
        return;
    }
    free(p->own);
    p->own = list.all;
    p->own_count = list.count;
    p->own_known = true;
}

static bool is_own(struct policy *p, const struct udptun_endpoint *ep, uint64_t now_us)
{
    if (!p->own_known || now_us - p->own_read_us >= OWN_ADDRESSES_MAX_AGE_US) {
        p->own_read_us = now_us;
        read_own(p);
    }
    for (size_t i = 0; i < p->own_count; i++)
        if (p->own[i].family == ep->family && memcmp(p->own[i].ip, ep->ip, sizeof ep->ip) == 0)
            return true;
    /* Without the list nothing is known to be safe. */
    return !p->own_known;
}

/* ---- the decision -------------------------------------------------------------------------- */

struct policy *policy_new(const char *const *allow, size_t allow_count, bool allow_given,
                          const char *const *deny, size_t deny_count, struct udptun_error *err)
{
    struct policy *p = (struct policy *)calloc(1, sizeof *p);
    if (!p) {
        error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
        return NULL;
    }
    p->allow_given = allow_given || allow_count > 0;
    if (parse_rules(&p->allow, allow, allow_count, "allowTargets", err) < 0 ||
        parse_rules(&p->deny, deny, deny_count, "denyTargets", err) < 0) {
        policy_free(p);
        return NULL;
    }
    return p;
}

void policy_free(struct policy *p)
{
    if (!p)
        return;
    free(p->allow.list);
    free(p->deny.list);
    free(p->own);
    free(p);
}

bool policy_allows(struct policy *p, const struct udptun_endpoint *ep, uint64_t now_us)
{
    struct udptun_endpoint plain = endpoint_unmapped(ep);
    if (plain.family != UDPTUN_ENDPOINT_IP4 && plain.family != UDPTUN_ENDPOINT_IP6)
        return false;
    if (any_matches(&p->deny, &plain))
        return false;
    if (p->allow_given)
        return any_matches(&p->allow, &plain);
    if (endpoint_is_loopback(&plain) || endpoint_is_link_local(&plain) ||
        endpoint_is_multicast(&plain) || endpoint_is_broadcast(&plain) ||
        endpoint_is_unspecified(&plain))
        return false;
    return !is_own(p, &plain, now_us);
}
