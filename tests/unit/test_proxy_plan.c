/* SPDX-License-Identifier: Apache-2.0 */
/* test_proxy_plan.c - what ProxyController's routing is to be, and its form on netlink. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/fib_rules.h>
#include <string.h>
#include <sys/socket.h>

#include "controller/proxy/linux/device.h"
#include "controller/proxy/linux/plan.h"

enum { DEVICE = 7, MARK = 99 };

static struct plan plan_for(const char *proxy, uint32_t mark, bool has_ip6)
{
    struct plan plan;
    struct udptun_endpoint ep;
    assert_true(endpoint_parse_ip(proxy, &ep));
    const struct wish wish = {.aside = {ep},
                              .aside_count = 1,
                              .device = DEVICE,
                              .device_name = "tun0",
                              .mark = mark,
                              .has_ip6 = has_ip6};
    plan_make(&plan, &wish, NULL);
    return plan;
}

/* The only rule of the family that has this priority and leads to the address (NULL: any). */
static const struct plan_rule *find(const struct plan *plan, uint8_t family, uint32_t priority,
                                    const char *to)
{
    const struct plan_rule *found = NULL;
    struct udptun_endpoint ep = {0};
    assert_true(!to || endpoint_parse_ip(to, &ep));
    for (size_t i = 0; i < plan->rule_count; i++) {
        const struct plan_rule *rule = &plan->rules[i];
        if (rule->family != family || rule->priority != priority ||
            (to && memcmp(rule->to, ep.ip, sizeof ep.ip) != 0))
            continue;
        assert_null(found);
        found = rule;
    }
    return found;
}

static void the_proxy_stays_outside_in_its_own_family_only(void **state)
{
    (void)state;
    struct plan plan = plan_for("198.51.100.2", 0, true);
    const struct plan_rule *rule = find(&plan, AF_INET, PLAN_ASIDE, "198.51.100.2");
    assert_non_null(rule);
    assert_int_equal(rule->action, FR_ACT_GOTO);
    assert_int_equal(rule->target, PLAN_END);
    assert_int_equal(rule->prefix_size, 32);
    assert_null(find(&plan, AF_INET6, PLAN_ASIDE, NULL));

    plan = plan_for("2001:db8::2", 0, true);
    rule = find(&plan, AF_INET6, PLAN_ASIDE, "2001:db8::2");
    assert_non_null(rule);
    assert_int_equal(rule->prefix_size, 128);
    assert_null(find(&plan, AF_INET, PLAN_ASIDE, "2001:db8::2"));
}

static void everything_else_goes_into_the_device_in_both_families(void **state)
{
    (void)state;
    const struct plan plan = plan_for("198.51.100.2", MARK, true);
    const uint8_t families[] = {AF_INET, AF_INET6};
    for (size_t i = 0; i < 2; i++) {
        const struct plan_rule *into = find(&plan, families[i], PLAN_INTO, NULL);
        const struct plan_rule *local = find(&plan, families[i], PLAN_LOCAL, NULL);
        assert_int_equal(into->table, PLAN_TABLE);
        assert_int_equal(into->prefix_size, 0);
        assert_int_equal(local->table, RT_TABLE_MAIN);
        assert_int_equal(local->suppressed_len, 0);
        assert_int_equal(find(&plan, families[i], PLAN_END, NULL)->action, FR_ACT_NOP);
    }
    /* Each has a route into the device, and behind it one that lets nothing out. */
    assert_int_equal(plan.route_count, 4);
    for (size_t i = 0; i < 4; i += 2) {
        assert_int_equal(plan.routes[i].type, RTN_UNREACHABLE);
        assert_int_equal(plan.routes[i + 1].type, RTN_UNICAST);
        assert_int_equal(plan.routes[i + 1].device, DEVICE);
        assert_true(plan.routes[i].metric > plan.routes[i + 1].metric);
    }
}

static void strict_leaves_the_main_table_out_and_comes_first(void **state)
{
    (void)state;
    struct plan plan;
    struct survey survey = {.networks = {{.family = AF_INET,
                                          .prefix_size = 24,
                                          .to = {192, 168, 7},
                                          .device = 3,
                                          .name = "eth0",
                                          .is_lan = true},
                                         {.family = AF_INET,
                                          .prefix_size = 24,
                                          .to = {203, 0, 113},
                                          .device = 3,
                                          .name = "eth0"}},
                            .network_count = 2};
    struct wish wish = {.device = DEVICE, .device_name = "tun0", .strict = true, .allow_lan = true};
    for (int with_lan = 1; with_lan >= 0; with_lan--) {
        size_t near = 0, lan = 0;
        wish.allow_lan = with_lan;
        plan_make(&plan, &wish, &survey);
        for (size_t i = 0; i < plan.rule_count; i++) {
            assert_true(plan.rules[i].priority <= PLAN_END - PLAN_STRICT);
            assert_int_not_equal(plan.rules[i].table, RT_TABLE_MAIN);
        }
        for (size_t i = 0; i < plan.route_count; i++) {
            near += plan.routes[i].table == PLAN_NEAR_TABLE;
            lan += plan.routes[i].table == PLAN_LAN_TABLE;
        }
        assert_int_equal(near, 2);
        assert_int_equal(lan, with_lan);
    }
}

static void a_lan_is_private_and_not_wide(void **state)
{
    (void)state;
    static const struct {
        const char *to;
        uint8_t prefix_size;
        bool is_lan;
    } all[] = {
        {"10.0.0.0", 8, false},    {"10.0.0.0", 15, false},    {"10.0.0.0", 16, true},
        {"172.16.0.0", 16, true},  {"172.31.0.0", 16, true},   {"172.32.0.0", 16, false},
        {"192.168.0.0", 16, true}, {"192.168.0.0", 15, false}, {"192.167.0.0", 16, false},
        {"100.64.0.0", 16, true},  {"100.127.0.0", 16, true},  {"100.128.0.0", 16, false},
        {"169.254.0.0", 16, true}, {"203.0.113.0", 24, false}, {"0.0.0.0", 1, false},
        {"fc00::", 7, true},       {"fd00::", 8, true},        {"fe00::", 8, false},
        {"fe80::", 10, true},      {"fe80::", 9, false},       {"fec0::", 10, false},
        {"2001:db8::", 64, false}, {"::", 1, false},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct udptun_endpoint ep;
        assert_true(endpoint_parse_ip(all[i].to, &ep));
        uint8_t family = ep.family == UDPTUN_ENDPOINT_IP4 ? AF_INET : AF_INET6;
        if (survey_is_lan(family, ep.ip, all[i].prefix_size) != all[i].is_lan)
            fail_msg("%s/%u", all[i].to, all[i].prefix_size);
    }
}

static void without_ip6_there_is_nothing_of_it(void **state)
{
    (void)state;
    const struct plan plan = plan_for("2001:db8::2", MARK, false);
    for (size_t i = 0; i < plan.rule_count; i++)
        assert_int_equal(plan.rules[i].family, AF_INET);
    assert_int_equal(plan.route_count, 2);
}

static void a_rule_leads_into_the_device_only_behind_those_that_keep_out_of_it(void **state)
{
    (void)state;
    const struct plan plan = plan_for("198.51.100.2", MARK, true);
    bool into[2] = {false, false};
    for (size_t i = 0; i < plan.rule_count; i++) {
        bool *seen = &into[plan.rules[i].family == AF_INET6];
        assert_false(*seen);
        *seen = plan.rules[i].priority == PLAN_INTO;
    }
    assert_true(into[0] && into[1]);
}

static void what_is_told_to_the_kernel_is_known_again(void **state)
{
    (void)state;
    struct plan plan;
    const struct survey survey = {.networks = {{.family = AF_INET,
                                                .prefix_size = 20,
                                                .to = {10, 1, 16},
                                                .device = 3,
                                                .name = "eth0",
                                                .is_lan = true}},
                                  .network_count = 1};
    struct wish wish = {.aside_count = 1,
                        .device = DEVICE,
                        .device_name = "tun0",
                        .mark = MARK,
                        .has_ip6 = true,
                        .strict = true,
                        .allow_lan = true,
                        .dns = true,
                        .firewall = true};
    assert_true(endpoint_parse_ip("2001:db8::2", &wish.aside[0]));
    plan_make(&plan, &wish, &survey);
    struct nl_message m;
    for (size_t i = 0; i < plan.rule_count; i++) {
        struct plan_rule rule;
        plan_rule_encode(&plan.rules[i], RTM_NEWRULE, &m);
        assert_true(plan_rule_decode(&m.header, &rule));
        assert_true(
            plan_has_rule(&(struct plan){.rules = {rule}, .rule_count = 1}, &plan.rules[i]));
        rule.mark++;
        assert_false(plan_has_rule(&plan, &rule));
    }
    for (size_t i = 0; i < plan.route_count; i++) {
        struct plan_route route;
        plan_route_encode(&plan.routes[i], RTM_NEWROUTE, &m);
        assert_true(plan_route_decode(&m.header, &route));
        assert_true(plan_has_route(&plan, &route));
        route.device++;
        assert_false(plan_has_route(&plan, &route));
    }
}

static void what_others_made_is_not_taken_for_ours(void **state)
{
    (void)state;
    const struct plan plan = plan_for("198.51.100.2", MARK, true);
    struct nl_message m;
    struct plan_rule rule;
    struct plan_route route;

    plan_rule_encode(&plan.rules[1], RTM_NEWRULE, &m);
    struct rtattr *protocol =
        (struct rtattr *)(void *)(m.bytes + NLMSG_SPACE(sizeof(struct fib_rule_hdr)));
    assert_int_equal(protocol->rta_type, FRA_PROTOCOL);
    *(uint8_t *)RTA_DATA(protocol) = RTPROT_STATIC;
    assert_false(plan_rule_decode(&m.header, &rule));

    struct plan_rule elsewhere = plan.rules[1];
    elsewhere.priority = PLAN_END + 1;
    plan_rule_encode(&elsewhere, RTM_NEWRULE, &m);
    assert_false(plan_rule_decode(&m.header, &rule));

    plan_route_encode(&plan.routes[0], RTM_NEWROUTE, &m);
    ((struct rtmsg *)NLMSG_DATA(&m.header))->rtm_protocol = RTPROT_BOOT;
    assert_false(plan_route_decode(&m.header, &route));
    struct plan_route away = plan.routes[0];
    away.table = PLAN_NEAR_TABLE + 1;
    plan_route_encode(&away, RTM_NEWROUTE, &m);
    assert_false(plan_route_decode(&m.header, &route));
}

static void cut_messages_are_refused(void **state)
{
    (void)state;
    const struct plan plan = plan_for("198.51.100.2", MARK, true);
    struct nl_message m;
    struct plan_rule rule;
    plan_rule_encode(&plan.rules[1], RTM_NEWRULE, &m);
    uint32_t whole = m.header.nlmsg_len;
    for (uint32_t size = sizeof m.header; size < whole; size++) {
        m.header.nlmsg_len = size;
        if (plan_rule_decode(&m.header, &rule)) /* what is there must be enough to know it by */
            assert_in_range(rule.priority, PLAN_ASIDE, PLAN_END);
    }
    m.header.nlmsg_len = NLMSG_LENGTH(0);
    assert_false(plan_rule_decode(&m.header, &rule));
}

static void an_address_knows_its_network(void **state)
{
    (void)state;
    static const struct {
        const char *network, *ip;
        bool covers;
    } cases[] = {
        {"10.0.85.1/24", "10.0.85.255", true}, {"10.0.85.1/24", "10.0.86.1", false},
        {"10.0.85.1/20", "10.0.95.255", true}, {"10.0.85.1/20", "10.0.96.0", false},
        {"10.0.85.1/32", "10.0.85.1", true},   {"10.0.85.1/0", "203.0.113.9", true},
        {"fd85::1/64", "fd85::ffff:1", true},  {"fd85::1/64", "fd85:0:0:1::1", false},
        {"10.0.85.1/24", "fd85::1", false},    {"10.0.85.1", "10.0.85.2", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct device_address address;
        struct udptun_endpoint ip;
        assert_true(device_address_parse(cases[i].network, &address));
        assert_true(endpoint_parse_ip(cases[i].ip, &ip));
        assert_int_equal(device_address_covers(&address, &ip), cases[i].covers);
    }
    static const char *const none[] = {"",          "10.0.85",     "10.0.85.1/33", "10.0.85.1/",
                                       "fd85::/-1", "fd85::1/64x", "fe80::1%2/64", "host/24"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        struct device_address address;
        assert_false(device_address_parse(none[i], &address));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_proxy_stays_outside_in_its_own_family_only),
        cmocka_unit_test(everything_else_goes_into_the_device_in_both_families),
        cmocka_unit_test(strict_leaves_the_main_table_out_and_comes_first),
        cmocka_unit_test(a_lan_is_private_and_not_wide),
        cmocka_unit_test(without_ip6_there_is_nothing_of_it),
        cmocka_unit_test(a_rule_leads_into_the_device_only_behind_those_that_keep_out_of_it),
        cmocka_unit_test(what_is_told_to_the_kernel_is_known_again),
        cmocka_unit_test(what_others_made_is_not_taken_for_ours),
        cmocka_unit_test(cut_messages_are_refused),
        cmocka_unit_test(an_address_knows_its_network),
    };
    return cmocka_run_group_tests_name("proxy plan", tests, NULL, NULL);
}
