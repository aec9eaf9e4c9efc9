/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_engine_unfragmented.c - an app's datagrams that are rather answered than fragmented, over
 * real sockets, where loopback carries no more than 1,400 bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/engine_fixture.h"
#include "tests/unit/own_net.h"

enum { MTU = 1400, HEADERS = 28, LARGEST = MTU - HEADERS };

struct inbox {
    pthread_mutex_t lock;
    unsigned answers;
    size_t size; /* of the last answer */
    unsigned too_big;
    uint32_t mtu;
    uint16_t peer_port;
};

static void on_datagram(void *arg, const char *name, const struct udptun_address *source,
                        const struct udptun_address *peer, const void *data, size_t size)
{
    struct inbox *in = (struct inbox *)arg;
    (void)name;
    (void)source;
    (void)peer;
    (void)data;
    pthread_mutex_lock(&in->lock);
    in->answers++;
    in->size = size;
    pthread_mutex_unlock(&in->lock);
}

static void on_too_big(void *arg, const char *name, const struct udptun_address *source,
                       const struct udptun_address *peer, uint32_t mtu)
{
    struct inbox *in = (struct inbox *)arg;
    assert_string_equal(name, "local");
    assert_int_equal(source->port, 7);
    pthread_mutex_lock(&in->lock);
    in->too_big++;
    in->mtu = mtu;
    in->peer_port = peer->port;
    pthread_mutex_unlock(&in->lock);
}

/* Both counts, once they add up to `total`. */
static void wait_for(struct inbox *in, unsigned total, unsigned answers)
{
    bool is_over = false;
    while (!is_over) {
        pthread_mutex_lock(&in->lock);
        is_over = in->answers + in->too_big >= total;
        pthread_mutex_unlock(&in->lock);
        nap();
    }
    assert_int_equal(in->answers, answers);
    assert_int_equal(in->too_big, total - answers);
}

static void what_does_not_pass_is_told(void **state)
{
    (void)state;
    static const uint8_t data[2 * MTU];
    struct inbox in = {.answers = 0};
    struct seen server_seen, local_seen;
    struct world w;
    char place[32];
    pthread_mutex_init(&in.lock, NULL);
    world_start(&w);
    struct udptun_tunnel_config server = server_config(&w, &server_seen);
    configure(&w, &server);
    struct udptun_tunnel_config local =
        local_config(&w, &local_seen, place_of(&server_seen, place));
    local.listen = NULL;
    local.target = NULL;
    local.callbacks.arg = &in;
    local.callbacks.ready = NULL;
    local.callbacks.state = NULL;
    local.callbacks.datagram = on_datagram;
    local.callbacks.too_big = on_too_big;
    configure(&w, &local);
    wait_state(&w, "local", UDPTUN_ESTABLISHED);
    struct udptun_address source = {.family = 4, .port = 7, .ip = {10, 0, 0, 1}};
    struct udptun_address peer = {.family = 4, .port = w.echo.port, .ip = {127, 0, 0, 1}};
    assert_int_equal(udptun_send_unfragmented(w.engine, "local", &source, &peer, data, LARGEST), 0);
    wait_for(&in, 1, 1);
    assert_int_equal(in.size, LARGEST);
    assert_int_equal(udptun_send_unfragmented(w.engine, "local", &source, &peer, data, LARGEST + 1),
                     0);
    wait_for(&in, 2, 1);
    assert_int_equal(in.mtu, MTU);
    assert_int_equal(in.peer_port, w.echo.port);
    assert_int_equal(status_of(&w, "server").counters.dropped_oversize, 1);
    /* Without the wish it passes, in fragments. */
    assert_int_equal(udptun_send(w.engine, "local", &source, &peer, data, LARGEST + 1), 0);
    wait_for(&in, 3, 2);
    assert_int_equal(in.size, LARGEST + 1);
    /* Larger than any network carries: told, and sent all the same. */
    assert_int_equal(udptun_send_unfragmented(w.engine, "local", &source, &peer, data, 2 * MTU), 0);
    wait_for(&in, 5, 3);
    assert_int_equal(in.size, 2 * MTU);
    assert_int_equal(status_of(&w, "server").counters.dropped_oversize, 1);
    world_stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_does_not_pass_is_told),
    };
    if (!own_net_enter() || system("ip link set lo mtu 1400") != 0) {
        printf("no namespaces here: skipped\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
