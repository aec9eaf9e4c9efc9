/* SPDX-License-Identifier: Apache-2.0 */
/* test_client_value.c - JSON read and made by an app that has no library for it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <udptun/client_value.h>

static const char status[] =
    "{\"health\":\"ok\",\"udpTunnels\":[{\"name\":\"a\",\"flows\":7,\"rttMs\":1.5,\"up\":true},"
    "{\"name\":\"b\",\"rttMs\":null}],\"list\":[\"x\",\"y\"],\"big\":9007199254740993}";

static void members_and_items_are_read_by_their_path(void **state)
{
    (void)state;
    udptun_client_value *v = udptun_client_value_parse(status, NULL);
    assert_non_null(v);
    assert_string_equal(udptun_client_value_text(v, "health"), "ok");
    assert_int_equal(udptun_client_value_count(v, "udpTunnels"), 2);
    assert_string_equal(udptun_client_value_text(v, "udpTunnels.1.name"), "b");
    assert_int_equal(udptun_client_value_integer(v, "udpTunnels.0.flows"), 7);
    assert_true(udptun_client_value_number(v, "udpTunnels.0.rttMs") == 1.5);
    assert_true(udptun_client_value_number(v, "udpTunnels.0.flows") == 7.);
    assert_int_equal(udptun_client_value_integer(v, "udpTunnels.0.rttMs"), 1);
    assert_int_equal(udptun_client_value_integer(v, "big"), 9007199254740993);
    assert_true(udptun_client_value_boolean(v, "udpTunnels.0.up"));
    assert_true(udptun_client_value_has(v, "udpTunnels.1.rttMs"));
    assert_string_equal(udptun_client_value_text(v, "list.1"), "y");
    assert_int_equal(udptun_client_value_count(v, ""), 4);
    assert_string_equal(udptun_client_value_name(v, "udpTunnels.0", 2), "rttMs");
    assert_null(udptun_client_value_name(v, "udpTunnels.0", 4));
    udptun_client_value_free(v);
}

static void what_is_not_there_reads_as_nothing(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "none",           "udpTunnels.2",           "udpTunnels.-1",
        "udpTunnels.0x0", "udpTunnels.0.name.more", ".",
        "health.",        "udpTunnels..0",          "list.18446744073709551616",
    };
    char longer[300];
    udptun_client_value *v = udptun_client_value_parse(status, NULL);
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_false(udptun_client_value_has(v, longer));
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        bool is_health = strcmp(paths[i], "health.") == 0; /* a dot at the end says nothing more */
        assert_string_equal(udptun_client_value_text(v, paths[i]), is_health ? "ok" : "");
        assert_int_equal(udptun_client_value_integer(v, paths[i]), 0);
        assert_int_equal(udptun_client_value_count(v, paths[i]), 0);
        assert_null(udptun_client_value_name(v, paths[i], 0));
    }
    assert_string_equal(udptun_client_value_text(v, "udpTunnels.0.flows"), "");
    assert_false(udptun_client_value_boolean(v, "health"));
    udptun_client_value_free(v);
    assert_string_equal(udptun_client_value_text(NULL, "health"), "");
    assert_int_equal(udptun_client_value_count(NULL, NULL), 0);
    assert_null(udptun_client_value_json(NULL));
    udptun_client_value_free(NULL);
}

static void text_that_is_no_json_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "{", "{\"a\":1,\"a\":2}", "{} x", "\"\xff\"", NULL};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct udptun_error err = {0};
        assert_null(udptun_client_value_parse(bad[i], &err));
        assert_int_equal(err.code, UDPTUN_E_INVALID);
        assert_string_equal(err.field, "json");
        assert_null(udptun_client_value_parse(bad[i], NULL));
    }
}

static void an_object_is_made(void **state)
{
    (void)state;
    udptun_client_value *v = udptun_client_value_new(), *item = udptun_client_value_new();
    assert_int_equal(udptun_client_value_set_text(item, "name", "t"), 0);
    assert_int_equal(udptun_client_value_set_integer(item, "n", 1), 0);
    assert_int_equal(udptun_client_value_set_integer(item, "n", -2), 0);
    assert_int_equal(udptun_client_value_set_number(item, "wait", 0.5), 0);
    assert_int_equal(udptun_client_value_set_boolean(item, "on", false), 0);
    assert_int_equal(udptun_client_value_add_text(item, "to", "a"), 0);
    assert_int_equal(udptun_client_value_add_text(item, "to", "b"), 0);
    assert_int_equal(udptun_client_value_add_object(v, "udpTunnels", item), 0);
    assert_int_equal(udptun_client_value_set_text(item, "name", "later"), 0);
    char *json = udptun_client_value_json(v);
    assert_string_equal(json,
                        "{\"udpTunnels\":[{\"name\":\"t\",\"n\":-2,\"wait\":0.5,\"on\":false,"
                        "\"to\":[\"a\",\"b\"]}]}");
    udptun_client_free_text(json);
    udptun_client_value_free(item);
    udptun_client_value_free(v);
}

static void what_cannot_be_set_changes_nothing(void **state)
{
    (void)state;
    udptun_client_value *v = udptun_client_value_new();
    udptun_client_value *list = udptun_client_value_parse("[1]", NULL);
    assert_int_equal(udptun_client_value_set_text(v, "a", "one"), 0);
    assert_int_equal(udptun_client_value_set_text(v, "a", "\xff"), UDPTUN_E_INVALID);
    assert_int_equal(udptun_client_value_set_text(v, "a", NULL), UDPTUN_E_INVALID);
    assert_int_equal(udptun_client_value_set_text(v, NULL, "x"), UDPTUN_E_INVALID);
    assert_int_equal(udptun_client_value_set_text(v, "", "x"), UDPTUN_E_INVALID);
    assert_int_equal(udptun_client_value_set_number(v, "a", (double)NAN), UDPTUN_E_INVALID);
    assert_int_equal(udptun_client_value_set_integer(list, "a", 1), UDPTUN_E_INVALID);
    assert_int_equal(udptun_client_value_set_integer(NULL, "a", 1), UDPTUN_E_INVALID);
    assert_int_equal(udptun_client_value_add_text(v, "a", "two"), UDPTUN_E_INVALID);
    assert_int_equal(udptun_client_value_add_text(v, "b", "\xff"), UDPTUN_E_INVALID);
    assert_int_equal(udptun_client_value_add_object(v, "b", list), UDPTUN_E_INVALID);
    assert_int_equal(udptun_client_value_add_object(v, "b", NULL), UDPTUN_E_INVALID);
    char *json = udptun_client_value_json(v);
    assert_string_equal(json, "{\"a\":\"one\"}");
    udptun_client_free_text(json);
    udptun_client_value_free(list);
    udptun_client_value_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_and_items_are_read_by_their_path),
        cmocka_unit_test(what_is_not_there_reads_as_nothing),
        cmocka_unit_test(text_that_is_no_json_is_refused),
        cmocka_unit_test(an_object_is_made),
        cmocka_unit_test(what_cannot_be_set_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
