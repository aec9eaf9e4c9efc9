/* SPDX-License-Identifier: Apache-2.0 */
/* test_engine_identity.c - a udp-local that goes on with its session in another engine. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/engine_fixture.h"

/* The port from which the target sees a datagram that `client` sends through the tunnel. */
static uint16_t seen_from(int client, int target)
{
    struct timeval patience = {.tv_usec = 100000};
    setsockopt(target, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    for (int tries = 0; tries < 100; tries++) {
        struct sockaddr_in from;
        socklen_t size = sizeof from;
        char byte;
        assert_int_equal(send(client, "x", 1, 0), 1);
        if (recvfrom(target, &byte, 1, 0, (struct sockaddr *)&from, &size) == 1)
            return ntohs(from.sin_port);
    }
    fail_msg("nothing came through the tunnel");
    return 0;
}

static int bound_socket(char place[32])
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, size), 0);
    getsockname(fd, (struct sockaddr *)&at, &size);
    snprintf(place, 32, "127.0.0.1:%u", ntohs(at.sin_port));
    return fd;
}

/* The second engine takes over while the first still lives, as after a kill -9 whose streams the
 * server has not noticed yet. */
static void flows_and_their_ports_stay(void **state)
{
    (void)state;
    struct world first, second;
    struct seen server_seen, local_seen, heir_seen;
    char server_place[32], target_place[32], source_place[32];
    int target = bound_socket(target_place);
    int client = bound_socket(source_place);
    world_start(&first);
    struct udptun_tunnel_config server = server_config(&first, &server_seen);
    server.target = target_place;
    configure(&first, &server);
    struct udptun_tunnel_config local =
        local_config(&first, &local_seen, place_of(&server_seen, server_place));
    configure(&first, &local);
    wait_state(&first, "local", UDPTUN_ESTABLISHED);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons(local_seen.port)};
    assert_int_equal(connect(client, (struct sockaddr *)&to, sizeof to), 0);
    uint16_t before = seen_from(client, target);

    uint8_t identity[UDPTUN_IDENTITY_SIZE];
    size_t size;
    assert_int_equal(udptun_identity(first.engine, "local", identity, &size), UDPTUN_OK);
    assert_int_equal(udptun_identity(first.engine, "server", identity, &size), UDPTUN_E_INVALID);
    assert_int_equal(udptun_identity(first.engine, "x", identity, &size), UDPTUN_E_NOT_FOUND);

    world_start(&second);
    struct udptun_tunnel_config heir = local_config(&second, &heir_seen, server_place);
    heir.identity = identity;
    heir.identity_size = size;
    configure(&second, &heir);
    wait_state(&second, "local", UDPTUN_ESTABLISHED);
    to.sin_port = htons(heir_seen.port);
    assert_int_equal(connect(client, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(seen_from(client, target), before);

    identity[0] ^= 1;
    struct udptun_error err;
    assert_int_equal(udptun_tunnel_config_check(&heir, &err), UDPTUN_E_INVALID);
    assert_string_equal(err.field, "identity");
    world_stop(&second);
    world_stop(&first);
    close(client);
    close(target);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flows_and_their_ports_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
