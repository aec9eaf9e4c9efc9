/* SPDX-License-Identifier: Apache-2.0 */
/* test_engine_filtering.c - who may answer a flow at the server, over real sockets. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/engine_fixture.h"

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
}

/* A socket of its own port that does not wait for ever. */
static int open_socket(uint16_t *port)
{
    struct sockaddr_in at = loopback(0);
    socklen_t size = sizeof at;
    struct timeval patience = {.tv_sec = 20};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, size), 0);
    getsockname(fd, (struct sockaddr *)&at, &size);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    *port = ntohs(at.sin_port);
    return fd;
}

static void send_to(int fd, uint16_t port, char byte)
{
    struct sockaddr_in to = loopback(port);
    assert_int_equal(sendto(fd, &byte, 1, 0, (struct sockaddr *)&to, sizeof to), 1);
}

static char receive(int fd, uint16_t *from)
{
    struct sockaddr_in at;
    socklen_t size = sizeof at;
    char byte = 0;
    assert_int_equal(recvfrom(fd, &byte, 1, 0, (struct sockaddr *)&at, &size), 1);
    *from = ntohs(at.sin_port);
    return byte;
}

/* A stranger of the target's address but another port sends first, then the target answers: what
 * the client hears first tells whether the stranger was let in. */
static void check(const char *filtering, char heard_first)
{
    struct world w;
    struct seen server_seen, local_seen;
    char place[32], target_place[32];
    uint16_t target_port, stranger_port, client_port, external, from;
    int target = open_socket(&target_port), stranger = open_socket(&stranger_port);
    int client = open_socket(&client_port);
    world_start(&w);
    struct udptun_tunnel_config server = server_config(&w, &server_seen);
    snprintf(target_place, sizeof target_place, "127.0.0.1:%u", target_port);
    server.target = target_place;
    server.filtering = filtering;
    configure(&w, &server);
    struct udptun_tunnel_config local =
        local_config(&w, &local_seen, place_of(&server_seen, place));
    configure(&w, &local);
    wait_state(&w, "local", UDPTUN_ESTABLISHED);
    send_to(client, local_seen.port, 'q');
    assert_int_equal(receive(target, &external), 'q');
    send_to(stranger, external, 's');
    send_to(target, external, 't');
    assert_int_equal(receive(client, &from), heard_first);
    struct udptun_tunnel_status status = status_of(&w, "server");
    assert_int_equal(status.counters.dropped_policy, heard_first == 't');
    world_stop(&w);
    close(client);
    close(stranger);
    close(target);
}

static void anyone_answers_through_a_full_cone(void **state)
{
    (void)state;
    check(NULL, 's');
    check("endpoint-independent", 's');
}

static void any_port_of_a_known_address_answers(void **state)
{
    (void)state;
    check("address", 's');
}

static void only_the_known_port_answers(void **state)
{
    (void)state;
    check("address-port", 't');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(anyone_answers_through_a_full_cone),
        cmocka_unit_test(any_port_of_a_known_address_answers),
        cmocka_unit_test(only_the_known_port_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
