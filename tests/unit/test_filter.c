/* SPDX-License-Identifier: Apache-2.0 */
/* test_filter.c - whom a flow at the server hears, by the three behaviours of RFC 4787. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "daemon/engine/settings/filter.h"

static const struct udptun_endpoint contacted = {
    .family = UDPTUN_ENDPOINT_IP4, .port = 53, .ip = {192, 0, 2, 1}};
static const struct udptun_endpoint other_port = {
    .family = UDPTUN_ENDPOINT_IP4, .port = 54, .ip = {192, 0, 2, 1}};
static const struct udptun_endpoint stranger = {
    .family = UDPTUN_ENDPOINT_IP4, .port = 53, .ip = {192, 0, 2, 2}};

static void expect(enum filtering filtering, bool same_address, bool anyone)
{
    struct filter *filter = NULL;
    assert_int_equal(filter_passes(filter, filtering, &contacted), anyone);
    filter_note(&filter, filtering, &contacted);
    assert_true(filter_passes(filter, filtering, &contacted));
    assert_int_equal(filter_passes(filter, filtering, &other_port), same_address);
    assert_int_equal(filter_passes(filter, filtering, &stranger), anyone);
    filter_free(filter);
}

static void endpoint_independent_hears_anyone(void **state)
{
    (void)state;
    expect(FILTER_NONE, true, true);
}

static void address_hears_every_port_of_whom_it_knows(void **state)
{
    (void)state;
    expect(FILTER_ADDRESS, true, false);
}

static void address_port_hears_only_whom_it_knows(void **state)
{
    (void)state;
    expect(FILTER_ADDRESS_PORT, false, false);
}

static void a_scan_forgets_the_oldest(void **state)
{
    (void)state;
    struct filter *filter = NULL;
    struct udptun_endpoint to = contacted;
    for (unsigned i = 0; i < FILTER_MAX + 10; i++) {
        to.port = (uint16_t)(1000 + i);
        filter_note(&filter, FILTER_ADDRESS_PORT, &to);
    }
    assert_true(filter_passes(filter, FILTER_ADDRESS_PORT, &to));
    to.port = 1009;
    assert_false(filter_passes(filter, FILTER_ADDRESS_PORT, &to));
    to.port = 1010;
    assert_true(filter_passes(filter, FILTER_ADDRESS_PORT, &to));
    filter_free(filter);
}

static void names(void **state)
{
    (void)state;
    enum filtering filtering;
    assert_true(filtering_parse(NULL, &filtering));
    assert_int_equal(filtering, FILTER_NONE);
    assert_true(filtering_parse("address-port", &filtering));
    assert_int_equal(filtering, FILTER_ADDRESS_PORT);
    assert_false(filtering_parse("symmetric", &filtering));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endpoint_independent_hears_anyone),
        cmocka_unit_test(address_hears_every_port_of_whom_it_knows),
        cmocka_unit_test(address_port_hears_only_whom_it_knows),
        cmocka_unit_test(a_scan_forgets_the_oldest),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
