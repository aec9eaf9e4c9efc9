/* SPDX-License-Identifier: Apache-2.0 */
/* test_own_sockets.c - which sockets are the engine's own, though nobody says that they closed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/engine/core/own_sockets.h"
#include "daemon/platform/datagram.h"

static struct udptun_endpoint any_port(void)
{
    struct udptun_endpoint ep;
    assert_true(endpoint_parse("127.0.0.1:0", &ep));
    return ep;
}

static udptun_socket open_udp(void)
{
    struct udptun_endpoint at = any_port();
    udptun_socket socket;
    assert_int_equal(udp_open(&at, NULL, 0, &socket), 0);
    return socket;
}

static void test_kinds_and_addresses(void **state)
{
    (void)state;
    struct own_sockets o;
    own_sockets_init(&o);
    udptun_socket socket = open_udp();
    own_sockets_add(&o, socket);
    struct udptun_endpoint own = socket_own(socket), other = own;
    assert_true(own_sockets_has(&o, false, &own));
    assert_false(own_sockets_has(&o, true, &own));
    other.ip[3] = 2;
    assert_false(own_sockets_has(&o, false, &other));
    other = own;
    other.port ^= OWN_SOCKETS_BUCKETS; /* of the same bucket */
    assert_false(own_sockets_has(&o, false, &other));
    socket_close(socket);
    assert_false(own_sockets_has(&o, false, &own));
    own_sockets_fini(&o);
}

/* The system gives a value again as soon as its socket is closed. */
static void test_a_value_that_is_used_again(void **state)
{
    (void)state;
    struct own_sockets o;
    struct udptun_endpoint before = {0}, now = {0};
    own_sockets_init(&o);
    for (int i = 0; i < 100; i++) {
        udptun_socket socket = open_udp();
        own_sockets_add(&o, socket);
        now = socket_own(socket);
        assert_true(own_sockets_has(&o, false, &now));
        if (before.port != 0 && before.port != now.port)
            assert_false(own_sockets_has(&o, false, &before));
        assert_int_equal(o.by_socket.count, 1);
        before = now;
        socket_close(socket);
    }
    own_sockets_fini(&o);
}

static void test_many(void **state)
{
    (void)state;
    enum { MANY = 200 };
    struct own_sockets o;
    udptun_socket sockets[MANY];
    struct udptun_endpoint at = any_port(), own;
    own_sockets_init(&o);
    for (int i = 0; i < MANY; i++) {
        if (i % 2)
            sockets[i] = open_udp();
        else
            assert_int_equal(socket_listen(&at, &sockets[i]), 0);
        own_sockets_add(&o, sockets[i]);
    }
    assert_int_equal(o.by_socket.count, MANY);
    for (int i = 0; i < MANY; i++) {
        own = socket_own(sockets[i]);
        assert_true(own_sockets_has(&o, i % 2 == 0, &own));
        socket_close(sockets[i]);
        assert_false(own_sockets_has(&o, i % 2 == 0, &own));
    }
    assert_int_equal(o.by_socket.count, 0);
    own_sockets_fini(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds_and_addresses),
        cmocka_unit_test(test_a_value_that_is_used_again),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
