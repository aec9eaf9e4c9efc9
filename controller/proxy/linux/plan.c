/* SPDX-License-Identifier: Apache-2.0 */
/* plan.c - see plan.h. */
#include "controller/proxy/linux/plan.h"

#include <linux/fib_rules.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum {
    /* Behind the route into the device, for as long as that is not there. The kernel's own number
     * for the last resort. */
    LAST_METRIC = -1,
    /* What IPv6 makes of the metric 0. */
    FIRST_METRIC = 1024,
    DNS_PORT = 53,
    DHCP_SERVER_PORT = 67,
    MAX_DNS_DEVICES = 12,
};

/* A plan under construction, for one family. */
struct plan_draft {
    struct plan *plan;
    const struct wish *wish;
    uint8_t family;
    uint32_t lower; /* what priorities are lower by */
};

static struct plan_rule *add_rule(const struct plan_draft *d, uint32_t priority, uint8_t action)
{
    struct plan *plan = d->plan;
    static struct plan_rule spare; /* sizes are chosen so that it is not needed */
    struct plan_rule *rule =
        plan->rule_count < PLAN_MAX_RULES ? &plan->rules[plan->rule_count++] : &spare;
    *rule = (struct plan_rule){.family = d->family,
                               .priority = priority - d->lower,
                               .action = action,
                               .suppressed_len = -1};
    return rule;
}

static struct plan_rule *plan_add_aside(const struct plan_draft *d)
{
    struct plan_rule *rule = add_rule(d, PLAN_ASIDE, FR_ACT_GOTO);
    rule->target = PLAN_END - d->lower;
    return rule;
}

static struct plan_rule *add_lookup(const struct plan_draft *d, uint32_t priority, uint32_t table)
{
    struct plan_rule *rule = add_rule(d, priority, FR_ACT_TO_TBL);
    rule->table = table;
    return rule;
}

static void add_route(const struct plan_draft *d, const struct plan_route *route)
{
    struct plan *plan = d->plan;
    if (plan->route_count == PLAN_MAX_ROUTES)
        return;
    plan->routes[plan->route_count] = *route;
    plan->routes[plan->route_count++].family = d->family;
}

/* Multicast and broadcast are of the local network, wherever the default route leads (IPv6 has
 * them in the local table). Without a LAN only a machine that has no address yet needs them. */
static void plan_multicast(const struct plan_draft *d)
{
    bool with_lan = !d->wish->strict || d->wish->allow_lan;
    struct plan_rule *rule;
    if (with_lan) {
        rule = plan_add_aside(d);
        rule->prefix_size = 4;
        rule->to[0] = 224;
    }
    rule = plan_add_aside(d);
    rule->prefix_size = 32;
    memset(rule->to, 255, 4);
    if (!with_lan) {
        rule->protocol = IPPROTO_UDP;
        rule->port = DHCP_SERVER_PORT;
    }
}

/* The device has been looked at already when this is asked, by number and name. */
static bool is_first_of_device(const struct survey *survey, size_t i, uint8_t family)
{
    for (size_t j = 0; j < i; j++) {
        if (survey->networks[j].family == family &&
            survey->networks[j].device == survey->networks[i].device)
            return false;
    }
    return survey->networks[i].family == family;
}

/*
 * Questions of port 53 go into the device. Those of a socket with a device of its own (the resolver
 * of systemd asks the servers of a link so) have no route there: a firewall is needed, which marks
 * them for another look at the rules; until then they must have some route.
 */
static void plan_dns(const struct plan_draft *d, const struct survey *survey)
{
    static const uint8_t protocols[] = {IPPROTO_UDP, IPPROTO_TCP};
    if (d->wish->firewall)
        add_lookup(d, PLAN_ASIDE, PLAN_TABLE)->mark = WISH_DNS_MARK;
    for (size_t p = 0; p < sizeof protocols; p++) {
        size_t devices = 0;
        for (size_t i = 0; d->wish->firewall && i < survey->network_count; i++) {
            if (!is_first_of_device(survey, i, d->family) || ++devices > MAX_DNS_DEVICES)
                continue;
            struct plan_rule *rule = plan_add_aside(d);
            rule->protocol = protocols[p];
            rule->port = DNS_PORT;
            memcpy(rule->out, survey->networks[i].name, sizeof rule->out);
        }
        struct plan_rule *rule = add_lookup(d, PLAN_ASIDE, PLAN_TABLE);
        rule->protocol = protocols[p];
        rule->port = DNS_PORT;
    }
}

static void plan_asides(const struct plan_draft *d)
{
    const struct wish *wish = d->wish;
    bool is_ip4 = d->family == AF_INET;
    if (wish->mark)
        plan_add_aside(d)->mark = wish->mark;
    for (size_t i = 0; i < wish->aside_count; i++) {
        const struct udptun_endpoint *to = &wish->aside[i];
        if (to->family != (is_ip4 ? UDPTUN_ENDPOINT_IP4 : UDPTUN_ENDPOINT_IP6))
            continue;
        struct plan_rule *rule = plan_add_aside(d);
        rule->prefix_size = is_ip4 ? 32 : 128;
        memcpy(rule->to, to->ip, sizeof rule->to);
    }
}

/* The main table's default routes count no more, and with `strict` nothing else of it does. */
static void plan_local(const struct plan_draft *d, const struct survey *survey)
{
    if (!d->wish->strict) {
        add_lookup(d, PLAN_LOCAL, RT_TABLE_MAIN)->suppressed_len = 0;
        return;
    }
    for (size_t i = 0; i < survey->network_count; i++) {
        const struct survey_network *network = &survey->networks[i];
        struct plan_route route = {.type = RTN_UNICAST,
                                   .prefix_size = network->prefix_size,
                                   .table = PLAN_NEAR_TABLE,
                                   .device = network->device,
                                   .metric = FIRST_METRIC + network->device};
        if (network->family != d->family)
            continue;
        memcpy(route.to, network->to, sizeof route.to);
        add_route(d, &route);
        route.table = PLAN_LAN_TABLE;
        if (network->is_lan && d->wish->allow_lan)
            add_route(d, &route);
    }
    /* Answers to containers and the like, whose packets came into the device from there. */
    struct plan_rule *rule = add_lookup(d, PLAN_LOCAL, PLAN_NEAR_TABLE);
    memcpy(rule->in, d->wish->device_name, sizeof rule->in);
    if (d->wish->allow_lan)
        add_lookup(d, PLAN_LOCAL, PLAN_LAN_TABLE);
}

static void plan_family(struct plan *plan, const struct wish *wish, const struct survey *survey,
                        uint8_t family)
{
    const struct plan_draft d = {
        .plan = plan, .wish = wish, .family = family, .lower = wish->strict ? PLAN_STRICT : 0};
    add_route(&d, &(struct plan_route){.type = RTN_UNREACHABLE,
                                       .table = PLAN_TABLE,
                                       .metric = (uint32_t)LAST_METRIC});
    add_route(&d, &(struct plan_route){.type = RTN_UNICAST,
                                       .table = PLAN_TABLE,
                                       .device = wish->device,
                                       .metric = FIRST_METRIC});
    add_rule(&d, PLAN_END, FR_ACT_NOP);
    plan_asides(&d);
    if (wish->dns)
        plan_dns(&d, survey);
    if (family == AF_INET)
        plan_multicast(&d);
    plan_local(&d, survey);
    add_lookup(&d, PLAN_INTO, PLAN_TABLE);
}

void plan_make(struct plan *plan, const struct wish *wish, const struct survey *survey)
{
    static const struct survey nothing = {0};
    *plan = (struct plan){0};
    if (wish->has_ip6)
        plan_family(plan, wish, survey ? survey : &nothing, AF_INET6);
    plan_family(plan, wish, survey ? survey : &nothing, AF_INET);
}

bool plan_rule_is_into(const struct plan_rule *rule)
{
    return rule->priority == PLAN_INTO || rule->priority == PLAN_INTO - PLAN_STRICT;
}

static bool same_rule(const struct plan_rule *a, const struct plan_rule *b)
{
    return a->family == b->family && a->action == b->action && a->priority == b->priority &&
           a->prefix_size == b->prefix_size && memcmp(a->to, b->to, sizeof a->to) == 0 &&
           a->mark == b->mark && a->table == b->table && a->target == b->target &&
           a->suppressed_len == b->suppressed_len && a->protocol == b->protocol &&
           a->port == b->port && strcmp(a->in, b->in) == 0 && strcmp(a->out, b->out) == 0;
}

bool plan_has_rule(const struct plan *plan, const struct plan_rule *rule)
{
    for (size_t i = 0; i < plan->rule_count; i++) {
        if (same_rule(&plan->rules[i], rule))
            return true;
    }
    return false;
}

bool plan_has_route(const struct plan *plan, const struct plan_route *route)
{
    for (size_t i = 0; i < plan->route_count; i++) {
        const struct plan_route *one = &plan->routes[i];
        if (one->family == route->family && one->type == route->type &&
            one->table == route->table && one->prefix_size == route->prefix_size &&
            memcmp(one->to, route->to, sizeof one->to) == 0 && one->device == route->device &&
            one->metric == route->metric)
            return true;
    }
    return false;
}

bool plan_is_same(const struct plan *a, const struct plan *b)
{
    bool same = a->rule_count == b->rule_count && a->route_count == b->route_count;
    for (size_t i = 0; same && i < a->rule_count; i++)
        same = plan_has_rule(b, &a->rules[i]);
    for (size_t i = 0; same && i < a->route_count; i++)
        same = plan_has_route(b, &a->routes[i]);
    return same;
}

static size_t address_size(uint8_t family)
{
    return family == AF_INET ? 4 : 16;
}

void plan_rule_encode(const struct plan_rule *rule, uint16_t type, struct nl_message *m)
{
    uint16_t flags = type == RTM_NEWRULE ? NLM_F_CREATE | NLM_F_EXCL : 0;
    uint8_t protocol = PLAN_PROTOCOL;
    struct fib_rule_hdr *head = nl_begin(m, type, flags, sizeof *head);
    head->family = rule->family;
    head->action = rule->action;
    head->dst_len = rule->prefix_size;
    nl_put(m, FRA_PROTOCOL, &protocol, sizeof protocol);
    nl_put_u32(m, FRA_PRIORITY, rule->priority);
    if (rule->prefix_size)
        nl_put(m, FRA_DST, rule->to, address_size(rule->family));
    if (rule->mark) {
        nl_put_u32(m, FRA_FWMARK, rule->mark);
        nl_put_u32(m, FRA_FWMASK, UINT32_MAX);
    }
    if (rule->protocol)
        nl_put(m, FRA_IP_PROTO, &rule->protocol, sizeof rule->protocol);
    if (rule->port)
        nl_put(m, FRA_DPORT_RANGE, &(struct fib_rule_port_range){rule->port, rule->port},
               sizeof(struct fib_rule_port_range));
    if (rule->in[0])
        nl_put(m, FRA_IIFNAME, rule->in, strlen(rule->in) + 1);
    if (rule->out[0])
        nl_put(m, FRA_OIFNAME, rule->out, strlen(rule->out) + 1);
    if (rule->action == FR_ACT_GOTO)
        nl_put_u32(m, FRA_GOTO, rule->target);
    if (rule->action == FR_ACT_TO_TBL)
        nl_put_u32(m, FRA_TABLE, rule->table);
    if (rule->suppressed_len >= 0)
        nl_put_u32(m, FRA_SUPPRESS_PREFIXLEN, (uint32_t)rule->suppressed_len);
}

static void take_name(char name[SURVEY_NAME_SIZE], const struct rtattr *attribute)
{
    if (attribute)
        snprintf(name, SURVEY_NAME_SIZE, "%.*s", (int)RTA_PAYLOAD(attribute),
                 (const char *)RTA_DATA(attribute));
}

/* The conditions of a rule but its destination. */
static void decode_conditions(const struct rtattr *const *a, struct plan_rule *rule)
{
    rule->mark = nl_get_u32(a[FRA_FWMARK]);
    if (a[FRA_IP_PROTO] && RTA_PAYLOAD(a[FRA_IP_PROTO]) >= 1)
        rule->protocol = *(const uint8_t *)RTA_DATA(a[FRA_IP_PROTO]);
    if (a[FRA_DPORT_RANGE] && RTA_PAYLOAD(a[FRA_DPORT_RANGE]) >= sizeof(struct fib_rule_port_range))
        rule->port = ((const struct fib_rule_port_range *)RTA_DATA(a[FRA_DPORT_RANGE]))->start;
    take_name(rule->in, a[FRA_IIFNAME]);
    take_name(rule->out, a[FRA_OIFNAME]);
}

static bool is_priority_of_ours(uint32_t priority)
{
    return (priority >= PLAN_ASIDE && priority <= PLAN_END) ||
           (priority >= PLAN_ASIDE - PLAN_STRICT && priority <= PLAN_END - PLAN_STRICT);
}

bool plan_rule_decode(const struct nlmsghdr *message, struct plan_rule *rule)
{
    const struct fib_rule_hdr *head = NLMSG_DATA(message);
    const struct rtattr *a[FRA_DPORT_RANGE + 1];
    if (message->nlmsg_type != RTM_NEWRULE || message->nlmsg_len < NLMSG_LENGTH(sizeof *head))
        return false;
    nl_parse(message, sizeof *head, a, FRA_DPORT_RANGE);
    if (!a[FRA_PROTOCOL] || RTA_PAYLOAD(a[FRA_PROTOCOL]) < 1 ||
        *(const uint8_t *)RTA_DATA(a[FRA_PROTOCOL]) != PLAN_PROTOCOL)
        return false;
    uint32_t priority = nl_get_u32(a[FRA_PRIORITY]);
    if (!is_priority_of_ours(priority))
        return false;
    *rule = (struct plan_rule){.family = head->family,
                               .action = head->action,
                               .prefix_size = head->dst_len,
                               .priority = priority,
                               .suppressed_len = -1};
    decode_conditions(a, rule);
    if (a[FRA_DST] && RTA_PAYLOAD(a[FRA_DST]) <= sizeof rule->to)
        memcpy(rule->to, RTA_DATA(a[FRA_DST]), RTA_PAYLOAD(a[FRA_DST]));
    if (head->action == FR_ACT_GOTO)
        rule->target = nl_get_u32(a[FRA_GOTO]);
    if (head->action == FR_ACT_TO_TBL)
        rule->table = a[FRA_TABLE] ? nl_get_u32(a[FRA_TABLE]) : head->table;
    if (a[FRA_SUPPRESS_PREFIXLEN])
        rule->suppressed_len = (int32_t)nl_get_u32(a[FRA_SUPPRESS_PREFIXLEN]);
    return true;
}

void plan_route_encode(const struct plan_route *route, uint16_t type, struct nl_message *m)
{
    uint16_t flags = type == RTM_NEWROUTE ? NLM_F_CREATE | NLM_F_EXCL : 0;
    struct rtmsg *head = nl_begin(m, type, flags, sizeof *head);
    head->rtm_family = route->family;
    head->rtm_dst_len = route->prefix_size;
    head->rtm_type = route->type;
    head->rtm_protocol = PLAN_PROTOCOL;
    head->rtm_scope = route->family == AF_INET && route->device ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
    nl_put_u32(m, RTA_TABLE, route->table); /* does not fit into rtm_table */
    if (route->prefix_size)
        nl_put(m, RTA_DST, route->to, address_size(route->family));
    nl_put_u32(m, RTA_PRIORITY, route->metric);
    if (route->device)
        nl_put_u32(m, RTA_OIF, route->device);
}

bool plan_route_decode(const struct nlmsghdr *message, struct plan_route *route)
{
    const struct rtmsg *head = NLMSG_DATA(message);
    const struct rtattr *a[RTA_TABLE + 1];
    if (message->nlmsg_type != RTM_NEWROUTE || message->nlmsg_len < NLMSG_LENGTH(sizeof *head))
        return false;
    nl_parse(message, sizeof *head, a, RTA_TABLE);
    uint32_t table = nl_get_u32(a[RTA_TABLE]);
    if (table < PLAN_TABLE || table > PLAN_NEAR_TABLE || head->rtm_protocol != PLAN_PROTOCOL)
        return false;
    /* IPv6 shows unreachable routes with the loopback device. */
    *route =
        (struct plan_route){.family = head->rtm_family,
                            .type = head->rtm_type,
                            .prefix_size = head->rtm_dst_len,
                            .table = table,
                            .device = head->rtm_type == RTN_UNICAST ? nl_get_u32(a[RTA_OIF]) : 0,
                            .metric = nl_get_u32(a[RTA_PRIORITY])};
    if (a[RTA_DST] && RTA_PAYLOAD(a[RTA_DST]) <= sizeof route->to)
        memcpy(route->to, RTA_DATA(a[RTA_DST]), RTA_PAYLOAD(a[RTA_DST]));
    return true;
}
