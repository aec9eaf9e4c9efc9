/* SPDX-License-Identifier: Apache-2.0 */
/* test_url.c - the places that a tunnel object names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/engine/settings/url.h"

enum {
    SERVER = URL_HOST_PORT | URL_UNIX | URL_APP,
    LISTEN = URL_UDP | URL_SOCKS5 | URL_WILDCARD,
    VIA = URL_SOCKS5 | URL_HTTP,
};

static void every_kind_is_parsed_and_printed_without_its_user(void **state)
{
    (void)state;
    static const struct {
        unsigned kinds;
        const char *text, *shown;
        enum url_kind kind;
    } cases[] = {
        {SERVER, "192.0.2.1:443", "192.0.2.1:443", URL_HOST_PORT},
        {SERVER, "[2001:db8::1]:443", "[2001:db8::1]:443", URL_HOST_PORT},
        {SERVER, "[fe80::1%eth0]:443", "[fe80::1%eth0]:443", URL_HOST_PORT},
        {SERVER, "example.org:443", "example.org:443", URL_HOST_PORT},
        {SERVER, "localhost:443", "127.0.0.1:443", URL_HOST_PORT},
        {SERVER, "unix:/run/x.sock", "unix:/run/x.sock", URL_UNIX},
        {SERVER, "unix:x", "unix:x", URL_UNIX},
        {SERVER, "app:", "app:", URL_APP},
        {LISTEN, "udp://127.0.0.1:5353", "udp://127.0.0.1:5353", URL_UDP},
        {LISTEN, "UDP://*:0", "udp://0.0.0.0:0", URL_UDP},
        {LISTEN, "udp://[::]:53", "udp://[::]:53", URL_UDP},
        {LISTEN, "socks5://u:p@:1080", "socks5://0.0.0.0:1080", URL_SOCKS5},
        {VIA, "http://u:p@proxy.example:3128", "http://proxy.example:3128", URL_HTTP},
        {VIA, "socks5://127.0.0.1:1080/", "socks5://127.0.0.1:1080", URL_SOCKS5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct url url;
        char text[URL_TEXT_SIZE];
        const char *wrong = url_parse(cases[i].text, cases[i].kinds, &url);
        if (wrong)
            fail_msg("%s: %s", cases[i].text, wrong);
        assert_int_equal(url.kind, cases[i].kind);
        assert_string_equal(url_format(&url, text), cases[i].shown);
    }
}

static void user_part_is_decoded(void **state)
{
    (void)state;
    static const struct {
        const char *text, *user, *password;
    } cases[] = {
        {"socks5://bob:secret@h:1", "bob", "secret"},
        {"socks5://bob@h:1", "bob", ""},
        {"socks5://bob:@h:1", "bob", ""},
        {"socks5://a%40b:c%3Ad%2f%25@h:1", "a@b", "c:d/%"},
        {"socks5://b:with@sign@h:1", "b", "with@sign"},
        {"http://b:c:d@h:1", "b", "c:d"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct url url;
        assert_null(url_parse(cases[i].text, VIA, &url));
        assert_true(url.has_user);
        assert_string_equal(url.user, cases[i].user);
        assert_string_equal(url.password, cases[i].password);
        assert_string_equal(url.host.host, "h");
    }
}

static void wrong_text_is_told_without_its_secret(void **state)
{
    (void)state;
    static const struct {
        unsigned kinds;
        const char *text, *clause;
    } cases[] = {
        {SERVER, "udp://h:1", "must be HOST:PORT, unix:PATH or app:"},
        {SERVER, "ftp://h:1", "must be HOST:PORT, unix:PATH or app:"},
        {SERVER, "h", "port is missing"},
        {SERVER, "*:1", "host is missing"},
        {SERVER, "app:x", "nothing may follow app:"},
        {SERVER, "unix:", "path is empty"},
        {LISTEN, "127.0.0.1:1", "must be udp://HOST:PORT or socks5://[USER:PASS@]HOST:PORT"},
        {LISTEN, "udp://u:secret@h:1", "takes no user and password"},
        {LISTEN, "udp://h", "port is missing"},
        {VIA, "socks5://:secret@h:1", "user is empty"},
        {VIA, "socks5://u:%4@h:1", "user part has a '%' without two hexadecimal digits"},
        {VIA, "socks5://u:%@h:1", "user part has a '%' without two hexadecimal digits"},
        {VIA, "socks5://u:%zz@h:1", "user part has a '%' without two hexadecimal digits"},
        {VIA, "socks5://u%00:x@h:1", "user part has a zero byte in it"},
        {VIA, "socks5://u:secret@h", "port is missing"},
        {VIA, "https://h:1",
         "must be socks5://[USER:PASS@]HOST:PORT or http://[USER:PASS@]HOST:PORT"},
        {VIA, "", "must be socks5://[USER:PASS@]HOST:PORT or http://[USER:PASS@]HOST:PORT"},
        {URL_SOCKS5, "http://h:1", "must be socks5://[USER:PASS@]HOST:PORT"},
        {URL_HOST_PORT, "unix:/x", "must be HOST:PORT"},
        {URL_HOST_PORT | URL_UNIX | URL_WILDCARD, "app:", "must be HOST:PORT or unix:PATH"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct url url;
        const char *wrong = url_parse(cases[i].text, cases[i].kinds, &url);
        if (!wrong)
            fail_msg("accepted \"%s\"", cases[i].text);
        assert_string_equal(wrong, cases[i].clause);
        assert_null(strstr(wrong, "secret"));
        assert_int_equal(url.kind, URL_NONE);
        assert_int_equal(url.user[0] | url.password[0], 0);
    }
}

static void lengths_are_bounded(void **state)
{
    (void)state;
    char text[1200], part[1000];
    struct url url;
    memset(part, 'x', sizeof part);
    snprintf(text, sizeof text, "socks5://%.255s:%.255s@h:1", part, part);
    assert_null(url_parse(text, VIA, &url));
    assert_int_equal(strlen(url.user), 255);
    assert_int_equal(strlen(url.password), 255);
    snprintf(text, sizeof text, "socks5://%.256s:p@h:1", part);
    assert_string_equal(url_parse(text, VIA, &url), "user or password is longer than 255 bytes");
    snprintf(text, sizeof text, "socks5://u:%.256s@h:1", part);
    assert_string_equal(url_parse(text, VIA, &url), "user or password is longer than 255 bytes");
    snprintf(text, sizeof text, "socks5://%.400s:1", part);
    assert_string_equal(url_parse(text, VIA, &url), "host name is longer than 253 characters");
    snprintf(text, sizeof text, "unix:/%.106s", part);
    assert_null(url_parse(text, SERVER, &url));
    snprintf(text, sizeof text, "unix:/%.107s", part);
    assert_string_equal(url_parse(text, SERVER, &url),
                        "path is longer than a Unix socket's may be");
}

static void bound_address_takes_the_place_of_the_one_asked_for(void **state)
{
    (void)state;
    struct url url;
    char text[URL_TEXT_SIZE];
    struct udptun_endpoint bound = endpoint_ip4(127, 0, 0, 1, 40123);
    assert_null(url_parse("socks5://u:p@127.0.0.1:0", LISTEN, &url));
    assert_string_equal(url_format_bound(&url, &bound, text), "socks5://127.0.0.1:40123");
}

static void equality_knows_every_part(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "socks5://u:p@h:1", "socks5://u:q@h:1", "socks5://v:p@h:1", "socks5://h:1",
        "socks5://u:p@h:2", "socks5://u:p@i:1", "http://u:p@h:1",   "socks5://u:p@1.2.3.4:1"};
    struct url a, b;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (size_t j = 0; j < sizeof texts / sizeof *texts; j++) {
            assert_null(url_parse(texts[i], VIA, &a));
            assert_null(url_parse(texts[j], VIA, &b));
            assert_int_equal(url_equal(&a, &b), i == j);
        }
    assert_null(url_parse("socks5://u:p@EXAMPLE.org:1", VIA, &a));
    assert_null(url_parse("socks5://u:p@example.ORG:1", VIA, &b));
    assert_true(url_equal(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_parsed_and_printed_without_its_user),
        cmocka_unit_test(user_part_is_decoded),
        cmocka_unit_test(wrong_text_is_told_without_its_secret),
        cmocka_unit_test(lengths_are_bounded),
        cmocka_unit_test(bound_address_takes_the_place_of_the_one_asked_for),
        cmocka_unit_test(equality_knows_every_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
