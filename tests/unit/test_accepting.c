/* SPDX-License-Identifier: Apache-2.0 */
/* test_accepting.c - accepting while descriptors run out, and what goes over a command connection.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/platform/accepting.h"
#include "daemon/platform/local.h"

enum { MOST = 16 };

struct world {
    char folder[64], path[80];
    struct loop loop;
    struct accepting accepting;
    udptun_socket listening, taken[MOST], clients[MOST];
    unsigned taken_count, client_count, wanted, shortages;
    bool waits_on; /* a shortage does not end the run */
    struct timer patience;
    struct rlimit limit;
};

static void on_taken(void *arg, udptun_socket socket, const struct udptun_endpoint *from)
{
    struct world *w = arg;
    assert_int_equal(from->family, UDPTUN_ENDPOINT_NONE);
    w->taken[w->taken_count++] = socket;
    if (w->taken_count >= w->wanted)
        loop_stop(&w->loop);
}

static void on_shortage(void *arg, int failure)
{
    struct world *w = arg;
    assert_int_equal(io_of(failure), IO_FULL);
    w->shortages++;
    if (!w->waits_on)
        loop_stop(&w->loop);
}

static const struct accepting_ops ops = {.taken = on_taken, .shortage = on_shortage};

static void on_patience(void *arg)
{
    struct world *w = arg;
    loop_stop(&w->loop);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    strcpy(w->folder, "/tmp/test_accepting.XXXXXX");
    if (!mkdtemp(w->folder) || loop_init_own(&w->loop, NULL, NULL) < 0)
        return -1;
    snprintf(w->path, sizeof w->path, "%s/s", w->folder);
    getrlimit(RLIMIT_NOFILE, &w->limit);
    timer_init(&w->patience, &w->loop, on_patience, w);
    accepting_init(&w->accepting, &w->loop, &ops, w, 4);
    *state = w;
    return socket_listen_local(w->path, &w->listening) ||
           accepting_start(&w->accepting, w->listening) < 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    setrlimit(RLIMIT_NOFILE, &w->limit);
    for (unsigned i = 0; i < w->taken_count; i++)
        socket_close(w->taken[i]);
    for (unsigned i = 0; i < w->client_count; i++)
        socket_close(w->clients[i]);
    accepting_stop(&w->accepting);
    timer_stop(&w->patience);
    socket_close(w->listening);
    socket_unlink_local(w->path);
    loop_fini(&w->loop);
    int failed = rmdir(w->folder);
    free(w);
    return failed;
}

static void add_clients(struct world *w, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(local_connect(w->path, &w->clients[w->client_count++]), 0);
}

/* Run until `wanted` are taken in all, or a shortage is told. */
static void run(struct world *w, unsigned wanted)
{
    w->wanted = wanted;
    timer_start(&w->patience, 30000000);
    loop_run(&w->loop);
    assert_true(timer_is_on(&w->patience));
}

/* No number is free from now on. */
static void use_up(struct world *w)
{
    struct rlimit none = w->limit;
    int next = dup(0);
    assert_true(next >= 0);
    close(next);
    none.rlim_cur = (rlim_t)next;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
}

static void test_more_than_a_turn_takes(void **state)
{
    struct world *w = *state;
    add_clients(w, 10);
    run(w, 10);
    assert_int_equal(w->shortages, 0);
}

/* A rest, in which the loop does not turn for nothing; then it goes on by itself. */
static void test_shortage(void **state)
{
    struct world *w = *state;
    add_clients(w, 2);
    use_up(w);
    w->waits_on = true;
    w->wanted = 2;
    timer_start(&w->patience, 50000);
    loop_run(&w->loop);
    assert_true(w->shortages > 0 && w->shortages < 10); /* without a rest: thousands */
    assert_int_equal(w->taken_count, 0);
    w->shortages = 1;
    setrlimit(RLIMIT_NOFILE, &w->limit);
    run(w, 2);
    assert_int_equal(w->shortages, 1);
    assert_int_equal(w->taken_count, 2);
}

static void test_spares(void **state)
{
    struct world *w = *state;
    accepting_keep_spares(&w->accepting);
    add_clients(w, ACCEPTING_SPARES + 1);
    use_up(w);
    run(w, ACCEPTING_SPARES);
    assert_int_equal(w->taken_count, ACCEPTING_SPARES);
    assert_int_equal(w->shortages, 0);
    run(w, ACCEPTING_SPARES + 1);
    assert_int_equal(w->shortages, 1);
    assert_int_equal(w->taken_count, ACCEPTING_SPARES);
    /* One connection ends: its number is a spare again, for the next who comes. */
    socket_close(w->taken[--w->taken_count]);
    accepting_refill(&w->accepting);
    run(w, ACCEPTING_SPARES);
    assert_int_equal(w->taken_count, ACCEPTING_SPARES);
}

static void test_descriptors_go_along(void **state)
{
    struct world *w = *state;
    char text[8];
    size_t sent, got, count = 4;
    udptun_socket came[4];
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    add_clients(w, 1);
    run(w, 1);
    assert_int_equal(local_write(w->clients[0], "abc", 3, &sent, pair, 1), 0);
    assert_int_equal(sent, 3);
    assert_int_equal(local_read(w->taken[0], text, sizeof text, &got, came, &count), 0);
    assert_int_equal(got, 3);
    assert_memory_equal(text, "abc", 3);
    assert_int_equal(count, 1);
    assert_int_equal(send(came[0], "x", 1, 0), 1); /* it is the one that was sent */
    assert_int_equal(recv(pair[1], text, 1, 0), 1);
    socket_close(came[0]);
    close(pair[0]);
    close(pair[1]);
}

static void test_the_peer(void **state)
{
    struct world *w = *state;
    struct local_user user;
    add_clients(w, 1);
    run(w, 1);
    assert_int_equal(local_peer(w->taken[0], &user), 0);
    assert_true(user.is_self);
    assert_int_equal(user.is_root, local_is_root());
    assert_int_equal(user.id, geteuid());
#ifdef SO_PEERCRED
    assert_int_equal(user.process, getpid());
#endif
    assert_false(local_is_gone(w->taken[0]));
    socket_end(w->clients[0]);
    assert_false(local_is_gone(w->taken[0]));
    socket_close(w->clients[--w->client_count]);
    assert_true(local_is_gone(w->taken[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_more_than_a_turn_takes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shortage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spares, setup, teardown),
        cmocka_unit_test_setup_teardown(test_descriptors_go_along, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_peer, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
