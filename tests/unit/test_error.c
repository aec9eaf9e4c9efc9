/* SPDX-License-Identifier: Apache-2.0 */
/* test_error.c - error codes, their names and their texts. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/error.h"

static void codes_are_the_negated_status_codes_of_the_contract(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *name;
    } codes[] = {
        {0, "OK"},
        {1, "UNEXPECTED"},
        {2, "PERMISSION_DENIED"},
        {3, "AUTH_FAILED"},
        {5, "UNREACHABLE"},
        {7, "INVALID_PARAM"},
        {9, "ROUTING_FAILED"},
        {12, "SYSTEM_MISCONFIGURED"},
        {100, "NOT_FOUND"},
        {101, "ALREADY_EXISTS"},
        {102, "CONFLICT"},
        {103, "LIMIT"},
        {104, "PORT_IN_USE"},
        {105, "UNSUPPORTED"},
        {106, "TIMEOUT"},
        {107, "BAD_REQUEST"},
    };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        assert_string_equal(error_name(-codes[i].status), codes[i].name);
    assert_string_equal(error_name(-4), "UNEXPECTED");
    assert_string_equal(error_text(UDPTUN_E_PORT_IN_USE), "port in use");
}

static void error_is_filled_in_and_its_code_returned(void **state)
{
    (void)state;
    struct udptun_error err;
    assert_int_equal(error_set(&err, UDPTUN_E_LIMIT, "maxFlows", "%d flows", 3), UDPTUN_E_LIMIT);
    assert_int_equal(err.code, UDPTUN_E_LIMIT);
    assert_int_equal(err.sys_errno, 0);
    assert_string_equal(err.field, "maxFlows");
    assert_string_equal(err.message, "3 flows");
    assert_int_equal(error_set(NULL, UDPTUN_E_LIMIT, NULL, "x"), UDPTUN_E_LIMIT);
}

static void errno_is_kept_and_told(void **state)
{
    (void)state;
    struct udptun_error err;
    error_set_errno(&err, UDPTUN_E_PORT_IN_USE, EADDRINUSE, NULL, "listen %s", "127.0.0.1:5353");
    assert_int_equal(err.sys_errno, EADDRINUSE);
    assert_string_equal(err.field, "");
    assert_non_null(strstr(err.message, "listen 127.0.0.1:5353: "));
    char text[ERRNO_TEXT_SIZE];
    assert_non_null(strstr(err.message, errno_text(EADDRINUSE, text)));
    assert_int_equal(error_set_errno(NULL, UDPTUN_E_SYSTEM, EIO, NULL, "x"), UDPTUN_E_SYSTEM);
}

static void long_texts_are_cut(void **state)
{
    (void)state;
    struct udptun_error err;
    char longer[1000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    error_set_errno(&err, UDPTUN_E_INVALID, EIO, longer, "%s", longer);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    assert_int_equal(strlen(err.field), sizeof err.field - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_are_the_negated_status_codes_of_the_contract),
        cmocka_unit_test(error_is_filled_in_and_its_code_returned),
        cmocka_unit_test(errno_is_kept_and_told),
        cmocka_unit_test(long_texts_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
