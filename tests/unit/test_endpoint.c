/* SPDX-License-Identifier: Apache-2.0 */
/* test_endpoint.c - addresses as text, and what an address is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/endpoint.h"

static void parse_and_format_are_inverse(void **state)
{
    (void)state;
    static const char *const texts[] = {"192.0.2.1:53",      "0.0.0.0:0",
                                        "[2001:db8::1]:53",  "[::]:65535",
                                        "[fe80::1%7]:5353",  "[::ffff:192.0.2.1]:1",
                                        "255.255.255.255:9", "[fe80::1%4294967295]:65535"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct udptun_endpoint ep;
        char text[ENDPOINT_TEXT_SIZE];
        assert_true(endpoint_parse(texts[i], &ep));
        assert_string_equal(endpoint_format(&ep, text), texts[i]);
    }
}

static void longest_address_fits_its_text(void **state)
{
    (void)state;
    struct udptun_endpoint ep;
    char text[ENDPOINT_TEXT_SIZE];
    assert_true(
        endpoint_parse("[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255%4294967295]:65535", &ep));
    assert_string_equal(endpoint_format(&ep, text),
                        "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535");
}

static void parse_refuses_what_is_no_endpoint(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "192.0.2.1",
                                        ":53",
                                        "192.0.2.1:",
                                        "192.0.2.1:65536",
                                        "1.2.3:4",
                                        "[::1]",
                                        "[::1]53",
                                        "[::1:53",
                                        "::1:53",
                                        "host:53",
                                        "[1.2.3.4]:53",
                                        "1.2.3.4:+5",
                                        "1.2.3.4: 5",
                                        "1.2.3.4:5 ",
                                        "[::1%x]:5",
                                        "[::1%]:5",
                                        "1.2.3.4%1:5",
                                        "1.2.3.4:99999999999999999999",
                                        "[::1%4294967296]:5",
                                        "01.2.3.4.5:5"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct udptun_endpoint ep;
        if (endpoint_parse(texts[i], &ep))
            fail_msg("accepted \"%s\"", texts[i]);
        assert_int_equal(ep.family, UDPTUN_ENDPOINT_NONE);
    }
}

static void ip_has_no_port(void **state)
{
    (void)state;
    struct udptun_endpoint ep;
    assert_true(endpoint_parse_ip("2001:db8::1", &ep));
    assert_int_equal(ep.family, UDPTUN_ENDPOINT_IP6);
    assert_int_equal(ep.port, 0);
    assert_true(endpoint_parse_ip("fe80::1%3", &ep));
    assert_int_equal(ep.scope, 3);
    assert_false(endpoint_parse_ip("192.0.2.1:1", &ep));
    assert_false(endpoint_parse_ip("fe80::1%eth0", &ep));
}

static void unmapping_touches_mapped_addresses_only(void **state)
{
    (void)state;
    struct udptun_endpoint mapped, compatible, plain = endpoint_ip4(192, 0, 2, 1, 53);
    assert_true(endpoint_parse("[::ffff:192.0.2.1]:53", &mapped));
    struct udptun_endpoint unmapped = endpoint_unmapped(&mapped);
    assert_true(endpoint_equal(&unmapped, &plain));
    assert_true(endpoint_parse("[::192.0.2.1]:53", &compatible));
    unmapped = endpoint_unmapped(&compatible);
    assert_true(endpoint_equal(&unmapped, &compatible));
    unmapped = endpoint_unmapped(&plain);
    assert_true(endpoint_equal(&unmapped, &plain));
}

static void same_ip_disregards_the_port(void **state)
{
    (void)state;
    struct udptun_endpoint a = endpoint_ip4(192, 0, 2, 1, 1), b = endpoint_ip4(192, 0, 2, 1, 2);
    struct udptun_endpoint c = endpoint_ip4(192, 0, 2, 2, 1);
    assert_true(endpoint_same_ip(&a, &b));
    assert_false(endpoint_equal(&a, &b));
    assert_false(endpoint_same_ip(&a, &c));
}

static void kinds_of_addresses(void **state)
{
    (void)state;
    enum { LOOPBACK = 1, UNSPECIFIED = 2, LINK_LOCAL = 4, MULTICAST = 8, BROADCAST = 16 };
    static const struct {
        const char *ip;
        unsigned kinds;
    } cases[] = {
        {"127.0.0.1", LOOPBACK},
        {"127.255.255.255", LOOPBACK},
        {"128.0.0.0", 0},
        {"126.255.255.255", 0},
        {"::1", LOOPBACK},
        {"::2", 0},
        {"::ffff:127.0.0.1", LOOPBACK},
        {"0.0.0.0", UNSPECIFIED},
        {"0.0.0.1", 0},
        {"::", UNSPECIFIED},
        {"::ffff:0.0.0.0", UNSPECIFIED},
        {"169.254.0.1", LINK_LOCAL},
        {"169.253.0.1", 0},
        {"fe80::1", LINK_LOCAL},
        {"febf::1", LINK_LOCAL},
        {"fec0::1", 0},
        {"224.0.0.1", MULTICAST},
        {"239.255.255.255", MULTICAST},
        {"240.0.0.1", 0},
        {"ff02::1", MULTICAST},
        {"255.255.255.255", BROADCAST},
        {"::ffff:255.255.255.255", BROADCAST},
        {"255.255.255.254", 0},
        {"192.0.2.255", 0},
        {"2001:db8::1", 0},
        {"ffff::", MULTICAST},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct udptun_endpoint ep;
        assert_true(endpoint_parse_ip(cases[i].ip, &ep));
        unsigned kinds = (endpoint_is_loopback(&ep) ? LOOPBACK : 0u) |
                         (endpoint_is_unspecified(&ep) ? UNSPECIFIED : 0u) |
                         (endpoint_is_link_local(&ep) ? LINK_LOCAL : 0u) |
                         (endpoint_is_multicast(&ep) ? MULTICAST : 0u) |
                         (endpoint_is_broadcast(&ep) ? BROADCAST : 0u);
        if (kinds != cases[i].kinds)
            fail_msg("%s is %x, not %x", cases[i].ip, kinds, cases[i].kinds);
    }
    struct udptun_endpoint none = {0};
    assert_false(endpoint_is_unspecified(&none));
}

static void none_is_printed_as_none(void **state)
{
    (void)state;
    struct udptun_endpoint none = {0};
    char text[ENDPOINT_TEXT_SIZE];
    assert_string_equal(endpoint_format(&none, text), "none");
}

static void host_port_takes_addresses_and_names(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host, *ep;
        uint16_t port;
    } cases[] = {
        {"192.0.2.1:53", "192.0.2.1", "192.0.2.1:53", 53},
        {"[2001:db8::1]:53", "2001:db8::1", "[2001:db8::1]:53", 53},
        {"example.org:443", "example.org", "none", 443},
        {"Example.ORG.:443", "Example.ORG.", "none", 443},
        {"a_b-c:1", "a_b-c", "none", 1},
        {"4chan.org:1", "4chan.org", "none", 1},
        {"localhost:0", "localhost", "127.0.0.1:0", 0},
        {"LocalHost:80", "LocalHost", "127.0.0.1:80", 80},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct host_port out;
        char text[ENDPOINT_TEXT_SIZE];
        assert_null(host_port_parse(cases[i].text, false, &out));
        assert_string_equal(out.host, cases[i].host);
        assert_string_equal(endpoint_format(&out.ep, text), cases[i].ep);
        assert_int_equal(out.port, cases[i].port);
    }
}

static void zone_may_be_a_name(void **state)
{
    (void)state;
    static const char *const good[] = {"fe80::1%eth0", "::1%a", "fe80::1%br-0123.4096",
                                       "ff02::1%0x"};
    static const char *const bad[] = {
        "fe80::1",
        "fe80::1%",
        "fe80::1%7",
        "192.0.2.1%eth0",
        "%eth0",
        "fe80::1%et h0",
        "fe80::1%a%b",
        "fe80::1%sixteen-letters_",
        "name%eth0",
        "fe80::1%a]b",
        "fe80::1%a/b",
        "fe80::1%a:b",
        "fe80::1%\x7f",
        "fe80::1%\x01",
        "",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_null(endpoint_zone_name(bad[i]));
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_string_equal(endpoint_zone_name(good[i]), strchr(good[i], '%') + 1);
    struct host_port host;
    assert_null(host_port_parse("[fe80::1%eth0]:53", false, &host));
    assert_int_equal(host.ep.family, UDPTUN_ENDPOINT_NONE);
    assert_string_equal(host.host, "fe80::1%eth0");
    assert_non_null(host_port_parse("fe80::1%eth0:53", false, &host));
    assert_non_null(host_port_parse("[name%eth0]:53", false, &host));
}

static void zone_is_dropped_for_another_host(void **state)
{
    (void)state;
    static const char *const texts[] = {"[fe80::1%eth0]:53", "[fe80::1%7]:53", "[fe80::1]:53"};
    char text[ENDPOINT_TEXT_SIZE];
    struct host_port host;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_null(host_port_parse(texts[i], false, &host));
        host_port_drop_zone(&host);
        assert_string_equal(endpoint_format(&host.ep, text), "[fe80::1]:53");
    }
    assert_null(host_port_parse("name.test:53", false, &host));
    host_port_drop_zone(&host);
    assert_string_equal(host.host, "name.test");
    assert_int_equal(host.ep.family, UDPTUN_ENDPOINT_NONE);
}

static void host_port_wildcard_is_for_listeners(void **state)
{
    (void)state;
    struct host_port out;
    char text[ENDPOINT_TEXT_SIZE];
    assert_null(host_port_parse(":53", true, &out));
    assert_string_equal(endpoint_format(&out.ep, text), "0.0.0.0:53");
    assert_null(host_port_parse("*:53", true, &out));
    assert_string_equal(endpoint_format(&out.ep, text), "0.0.0.0:53");
    assert_string_equal(host_port_parse(":53", false, &out), "host is missing");
    assert_string_equal(host_port_parse("*:53", false, &out), "host is missing");
}

static void host_port_says_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *text, *clause;
    } cases[] = {
        {"", "port is missing"},
        {"example.org", "port is missing"},
        {"example.org:", "port is missing"},
        {"[::1]", "port is missing"},
        {"[::1]:", "port is missing"},
        {"[::1]x:1", "text after the closing bracket"},
        {"[::1:1", "closing bracket is missing"},
        {"[example.org]:1", "not an IPv6 address in the brackets"},
        {"[127.0.0.1]:1", "not an IPv6 address in the brackets"},
        {"::1:53", "an IPv6 address needs brackets"},
        {"example.org:65536", "port is not a number from 0 to 65535"},
        {"example.org:-1", "port is not a number from 0 to 65535"},
        {"example.org:dns", "port is not a number from 0 to 65535"},
        {"10.0.0.300:1", "host is not a valid address"},
        {"10.0.1:1", "host is not a valid address"},
        {"7:1", "host is not a valid address"},
        {"a..b:1", "host is neither an address nor a host name"},
        {".a:1", "host is neither an address nor a host name"},
        {"a b:1", "host is neither an address nor a host name"},
        {"user@host:1", "host is neither an address nor a host name"},
        {"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.org:1",
         "host name has a part of more than 63 characters"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct host_port out;
        const char *clause = host_port_parse(cases[i].text, false, &out);
        if (!clause)
            fail_msg("accepted \"%s\"", cases[i].text);
        assert_string_equal(clause, cases[i].clause);
    }
}

/* A name of `len` characters in parts of 49, and a port behind it. */
static void make_name(char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        text[i] = i % 50 == 49 ? '.' : 'a';
    memcpy(text + len, ":1", 3);
}

static void host_port_bounds_the_name(void **state)
{
    (void)state;
    char text[600];
    struct host_port out;
    make_name(text, 253);
    assert_null(host_port_parse(text, false, &out));
    assert_int_equal(strlen(out.host), 253);
    make_name(text, 254);
    assert_string_equal(host_port_parse(text, false, &out),
                        "host name is longer than 253 characters");
    make_name(text, 520);
    assert_string_equal(host_port_parse(text, false, &out),
                        "host name is longer than 253 characters");
}

static void port_is_plain_decimal(void **state)
{
    (void)state;
    uint16_t port;
    assert_true(port_parse("0", &port));
    assert_int_equal(port, 0);
    assert_true(port_parse("65535", &port));
    assert_int_equal(port, 65535);
    assert_true(port_parse("0080", &port));
    assert_int_equal(port, 80);
    static const char *const wrong[] = {
        "", " 1", "1 ", "+1", "-1", "0x1", "65536", "1a", "18446744073709551617"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(port_parse(wrong[i], &port));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parse_and_format_are_inverse),
        cmocka_unit_test(longest_address_fits_its_text),
        cmocka_unit_test(parse_refuses_what_is_no_endpoint),
        cmocka_unit_test(ip_has_no_port),
        cmocka_unit_test(unmapping_touches_mapped_addresses_only),
        cmocka_unit_test(same_ip_disregards_the_port),
        cmocka_unit_test(kinds_of_addresses),
        cmocka_unit_test(none_is_printed_as_none),
        cmocka_unit_test(host_port_takes_addresses_and_names),
        cmocka_unit_test(zone_may_be_a_name),
        cmocka_unit_test(zone_is_dropped_for_another_host),
        cmocka_unit_test(host_port_wildcard_is_for_listeners),
        cmocka_unit_test(host_port_says_what_is_wrong),
        cmocka_unit_test(host_port_bounds_the_name),
        cmocka_unit_test(port_is_plain_decimal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
