/* SPDX-License-Identifier: Apache-2.0 */
/* test_policy.c - allowTargets and denyTargets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/engine/settings/policy.h"
#include "tests/unit/own_net.h"

static bool own_net;

static struct udptun_endpoint target(const char *text)
{
    struct udptun_endpoint ep;
    if (!endpoint_parse(text, &ep))
        fail_msg("no endpoint: %s", text);
    return ep;
}

static bool allows(struct policy *p, const char *text, uint64_t now_us)
{
    struct udptun_endpoint ep = target(text);
    return policy_allows(p, &ep, now_us);
}

static void rules_match_what_they_name(void **state)
{
    (void)state;
    static const struct {
        const char *rule, *target;
        bool matches;
    } cases[] = {
        {"10.0.0.0/8", "10.255.255.255:1", true},
        {"10.0.0.0/8", "11.0.0.0:1", false},
        {"10.0.0.0/9", "10.127.0.0:1", true},
        {"10.0.0.0/9", "10.128.0.0:1", false},
        {"192.0.2.1", "192.0.2.1:65535", true},
        {"192.0.2.1", "192.0.2.2:1", false},
        {"192.0.2.1/31", "192.0.2.0:1", true},
        {"0.0.0.0/0", "203.0.113.7:1", true},
        {"0.0.0.0/0", "[2001:db8::1]:1", false},
        {"192.0.2.1:53", "192.0.2.1:53", true},
        {"192.0.2.1:53", "192.0.2.1:54", false},
        {"192.0.2.0/24:53-60", "192.0.2.9:53", true},
        {"192.0.2.0/24:53-60", "192.0.2.9:60", true},
        {"192.0.2.0/24:53-60", "192.0.2.9:61", false},
        {"192.0.2.0/24:53-60", "192.0.2.9:52", false},
        {"2001:db8::/32", "[2001:db8:ffff::1]:1", true},
        {"2001:db8::/32", "[2001:db9::1]:1", false},
        {"2001:db8::1", "[2001:db8::1]:9", true},
        {"[2001:db8::/32]:5000", "[2001:db8::1]:5000", true},
        {"[2001:db8::/32]:5000", "[2001:db8::1]:5001", false},
        {"[2001:db8::1]", "[2001:db8::1]:77", true},
        {"::/0", "[2001:db8::1]:1", true},
        {"::/0", "192.0.2.1:1", false},
        {"192.0.2.1", "[::ffff:192.0.2.1]:1", true},
        {"::ffff:192.0.2.0/120", "192.0.2.99:1", true},
        {"::ffff:192.0.2.0/120", "192.0.3.99:1", false},
        {"fe80::/10", "[fe80::1%2]:1", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct policy_rule rule;
        struct udptun_endpoint ep = target(cases[i].target);
        const char *wrong = policy_parse_rule(cases[i].rule, &rule);
        if (wrong)
            fail_msg("%s: %s", cases[i].rule, wrong);
        if (policy_rule_matches(&rule, &ep) != cases[i].matches)
            fail_msg("%s and %s", cases[i].rule, cases[i].target);
    }
}

static void wrong_rules_say_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *rule, *clause;
    } cases[] = {
        {"", "not an address with an optional prefix length"},
        {"example.org", "not an address with an optional prefix length"},
        {"10.0.0.0/33", "prefix length is above 32"},
        {"2001:db8::/129", "prefix length is above 128"},
        {"10.0.0.0/", "prefix length is not a number"},
        {"10.0.0.0/-1", "prefix length is not a number"},
        {"10.0.0.0/8:", "port is not a number from 0 to 65535"},
        {"10.0.0.0/8:65536", "port is not a number from 0 to 65535"},
        {"10.0.0.0/8:1-", "port is not a number from 0 to 65535"},
        {"10.0.0.0/8:123456789-2", "port is not a number from 0 to 65535"},
        {"10.0.0.0/8:9-8", "port range ends before it begins"},
        {"[2001:db8::/32", "closing bracket is missing"},
        {"[2001:db8::/32]5", "text after the closing bracket"},
        {"[2001:db8::/32]:x", "port is not a number from 0 to 65535"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct policy_rule rule;
        const char *wrong = policy_parse_rule(cases[i].rule, &rule);
        if (!wrong)
            fail_msg("accepted \"%s\"", cases[i].rule);
        assert_string_equal(wrong, cases[i].clause);
    }
}

static void default_is_the_open_network_only(void **state)
{
    (void)state;
    struct policy *p = policy_new(NULL, 0, false, NULL, 0, NULL);
    assert_non_null(p);
    static const char *const allowed[] = {"203.0.113.7:53", "10.1.2.3:1", "[2001:db8:9::1]:53"};
    static const char *const denied[] = {
        "127.0.0.1:53",       "127.8.8.8:1",           "[::1]:53",      "[::ffff:127.0.0.1]:53",
        "169.254.169.254:80", "[fe80::1]:1",           "[fe80::1%1]:1", "224.0.0.251:5353",
        "[ff02::fb]:5353",    "255.255.255.255:67",    "0.0.0.0:1",     "[::]:1",
        "[::ffff:0.0.0.0]:1", "[::ffff:169.254.1.1]:1"};
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        if (!allows(p, allowed[i], 1))
            fail_msg("denied %s", allowed[i]);
    for (size_t i = 0; i < sizeof denied / sizeof *denied; i++)
        if (allows(p, denied[i], 1))
            fail_msg("allowed %s", denied[i]);
    struct udptun_endpoint none = {0};
    assert_false(policy_allows(p, &none, 1));
    policy_free(p);
}

static void run(const char *command)
{
    if (system(command) != 0)
        fail_msg("%s", command);
}

static void own_addresses_are_denied_and_followed(void **state)
{
    (void)state;
    if (!own_net)
        skip();
    run("ip link add own0 type veth peer name own1");
    run("ip addr add 198.51.100.5/24 brd + dev own0 && ip link set own0 up");
    run("ip addr add 2001:db8:5::5/64 dev own0");
    struct policy *p = policy_new(NULL, 0, false, NULL, 0, NULL);
    assert_false(allows(p, "198.51.100.5:53", 1));
    assert_false(allows(p, "198.51.100.255:53", 1));
    assert_false(allows(p, "[::ffff:198.51.100.5]:53", 1));
    assert_false(allows(p, "[2001:db8:5::5]:53", 1));
    assert_true(allows(p, "198.51.100.6:53", 1));
    assert_true(allows(p, "[2001:db8:5::6]:53", 1));
    run("ip addr add 203.0.113.7/32 dev own0");
    assert_false(allows(p, "203.0.113.7:53", 10000000));
    run("ip link del own0");
    assert_true(allows(p, "198.51.100.5:53", 20000000));
    policy_free(p);
}

static void allow_list_replaces_the_default(void **state)
{
    (void)state;
    static const char *const allow[] = {"127.0.0.1:5000-5001", "203.0.113.0/24", "ff02::fb"};
    struct policy *p = policy_new(allow, 3, true, NULL, 0, NULL);
    assert_true(allows(p, "127.0.0.1:5000", 1));
    assert_true(allows(p, "[::ffff:127.0.0.1]:5001", 1));
    assert_false(allows(p, "127.0.0.1:5002", 1));
    assert_true(allows(p, "203.0.113.7:1", 1));
    assert_true(allows(p, "[ff02::fb]:5353", 1));
    assert_false(allows(p, "192.0.2.1:1", 1));
    policy_free(p);
}

static void empty_allow_list_that_is_given_allows_nothing(void **state)
{
    (void)state;
    struct policy *p = policy_new(NULL, 0, true, NULL, 0, NULL);
    assert_false(allows(p, "203.0.113.7:53", 1));
    policy_free(p);
}

static void deny_wins(void **state)
{
    (void)state;
    static const char *const allow[] = {"0.0.0.0/0"}, *const deny[] = {"10.0.0.0/8",
                                                                       "0.0.0.0/0:25"};
    struct policy *p = policy_new(allow, 1, true, deny, 2, NULL);
    assert_true(allows(p, "203.0.113.7:53", 1));
    assert_false(allows(p, "10.0.0.1:53", 1));
    assert_false(allows(p, "[::ffff:10.0.0.1]:53", 1));
    assert_false(allows(p, "203.0.113.7:25", 1));
    policy_free(p);
    p = policy_new(NULL, 0, false, deny, 2, NULL);
    assert_false(allows(p, "10.0.0.1:53", 1));
    assert_true(allows(p, "203.0.113.7:53", 1));
    policy_free(p);
}

static void wrong_list_names_its_field(void **state)
{
    (void)state;
    static const char *const wrong[] = {"10.0.0.0/8", "10.0.0.0/40"};
    struct udptun_error err;
    assert_null(policy_new(wrong, 2, true, NULL, 0, &err));
    assert_int_equal(err.code, UDPTUN_E_INVALID);
    assert_string_equal(err.field, "allowTargets");
    assert_string_equal(err.message, "allowTargets: \"10.0.0.0/40\": prefix length is above 32");
    assert_null(policy_new(NULL, 0, false, wrong, 2, &err));
    assert_string_equal(err.field, "denyTargets");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_match_what_they_name),
        cmocka_unit_test(wrong_rules_say_what_is_wrong),
        cmocka_unit_test(default_is_the_open_network_only),
        cmocka_unit_test(own_addresses_are_denied_and_followed),
        cmocka_unit_test(allow_list_replaces_the_default),
        cmocka_unit_test(empty_allow_list_that_is_given_allows_nothing),
        cmocka_unit_test(deny_wins),
        cmocka_unit_test(wrong_list_names_its_field),
    };
    own_net = own_net_enter();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
