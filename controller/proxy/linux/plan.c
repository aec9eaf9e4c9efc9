/* SPDX-License-Identifier: Apache-2.0 */
/* plan.c - see plan.h. */
#include "controller/proxy/linux/plan.h"

#include <linux/fib_rules.h>
#include <string.h>
#include <sys/socket.h>

enum {
    /* Behind the route into the device, for as long as that is not there. The kernel's own number
     * for the last resort. */
    LAST_METRIC = -1,
    /* What IPv6 makes of the metric 0. */
    FIRST_METRIC = 1024,
};

static struct plan_rule *add_rule(struct plan *plan, uint8_t family, uint32_t priority,
                                  uint8_t action)
{
    struct plan_rule *rule = &plan->rules[plan->rule_count++];
    *rule = (struct plan_rule){
        .family = family, .priority = priority, .action = action, .suppressed_len = -1};
    return rule;
}

static struct plan_rule *add_aside(struct plan *plan, uint8_t family)
{
    struct plan_rule *rule = add_rule(plan, family, PLAN_ASIDE, FR_ACT_GOTO);
    rule->target = PLAN_END;
    return rule;
}

static void add_route(struct plan *plan, uint8_t family, uint8_t type, uint32_t device,
                      uint32_t metric)
{
    plan->routes[plan->route_count++] =
        (struct plan_route){.family = family, .type = type, .device = device, .metric = metric};
}

static void plan_family(struct plan *plan, uint8_t family, const struct udptun_endpoint *proxy,
                        uint32_t device, uint32_t mark)
{
    bool is_ip4 = family == AF_INET;
    add_route(plan, family, RTN_UNREACHABLE, 0, (uint32_t)LAST_METRIC);
    add_route(plan, family, RTN_UNICAST, device, FIRST_METRIC);

    add_rule(plan, family, PLAN_END, FR_ACT_NOP);
    if (mark)
        add_aside(plan, family)->mark = mark;
    if (proxy->family == (is_ip4 ? UDPTUN_ENDPOINT_IP4 : UDPTUN_ENDPOINT_IP6)) {
        struct plan_rule *rule = add_aside(plan, family);
        rule->prefix_size = is_ip4 ? 32 : 128;
        memcpy(rule->to, proxy->ip, sizeof rule->to);
    }
    if (is_ip4) {
        /* Multicast and broadcast are of the local network, wherever the default route leads
         * (IPv6 has them in the local table). */
        struct plan_rule *rule = add_aside(plan, family);
        rule->prefix_size = 4;
        rule->to[0] = 224;
        rule = add_aside(plan, family);
        rule->prefix_size = 32;
        memset(rule->to, 255, 4);
    }
    struct plan_rule *rule = add_rule(plan, family, PLAN_LOCAL, FR_ACT_TO_TBL);
    rule->table = RT_TABLE_MAIN;
    rule->suppressed_len = 0;
    add_rule(plan, family, PLAN_INTO, FR_ACT_TO_TBL)->table = PLAN_TABLE;
}

void plan_make(struct plan *plan, const struct udptun_endpoint *proxy, uint32_t device,
               uint32_t mark, bool has_ip6)
{
    *plan = (struct plan){0};
    if (has_ip6)
        plan_family(plan, AF_INET6, proxy, device, mark);
    plan_family(plan, AF_INET, proxy, device, mark);
}

static bool same_rule(const struct plan_rule *a, const struct plan_rule *b)
{
    return a->family == b->family && a->action == b->action && a->priority == b->priority &&
           a->prefix_size == b->prefix_size && memcmp(a->to, b->to, sizeof a->to) == 0 &&
           a->mark == b->mark && a->table == b->table && a->target == b->target &&
           a->suppressed_len == b->suppressed_len;
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
            one->device == route->device && one->metric == route->metric)
            return true;
    }
    return false;
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
    if (rule->action == FR_ACT_GOTO)
        nl_put_u32(m, FRA_GOTO, rule->target);
    if (rule->action == FR_ACT_TO_TBL)
        nl_put_u32(m, FRA_TABLE, rule->table);
    if (rule->suppressed_len >= 0)
        nl_put_u32(m, FRA_SUPPRESS_PREFIXLEN, (uint32_t)rule->suppressed_len);
}

bool plan_rule_decode(const struct nlmsghdr *message, struct plan_rule *rule)
{
    const struct fib_rule_hdr *head = NLMSG_DATA(message);
    const struct rtattr *a[FRA_PROTOCOL + 1];
    if (message->nlmsg_type != RTM_NEWRULE || message->nlmsg_len < NLMSG_LENGTH(sizeof *head))
        return false;
    nl_parse(message, sizeof *head, a, FRA_PROTOCOL);
    if (!a[FRA_PROTOCOL] || RTA_PAYLOAD(a[FRA_PROTOCOL]) < 1 ||
        *(const uint8_t *)RTA_DATA(a[FRA_PROTOCOL]) != PLAN_PROTOCOL)
        return false;
    uint32_t priority = nl_get_u32(a[FRA_PRIORITY]);
    if (priority < PLAN_ASIDE || priority > PLAN_END)
        return false;
    *rule = (struct plan_rule){.family = head->family,
                               .action = head->action,
                               .prefix_size = head->dst_len,
                               .priority = priority,
                               .mark = nl_get_u32(a[FRA_FWMARK]),
                               .suppressed_len = -1};
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
    head->rtm_type = route->type;
    head->rtm_protocol = PLAN_PROTOCOL;
    head->rtm_scope = route->family == AF_INET && route->device ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
    nl_put_u32(m, RTA_TABLE, PLAN_TABLE); /* does not fit into rtm_table */
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
    if (nl_get_u32(a[RTA_TABLE]) != PLAN_TABLE || head->rtm_protocol != PLAN_PROTOCOL ||
        head->rtm_dst_len != 0)
        return false;
    /* IPv6 shows unreachable routes with the loopback device. */
    *route =
        (struct plan_route){.family = head->rtm_family,
                            .type = head->rtm_type,
                            .device = head->rtm_type == RTN_UNICAST ? nl_get_u32(a[RTA_OIF]) : 0,
                            .metric = nl_get_u32(a[RTA_PRIORITY])};
    return true;
}
