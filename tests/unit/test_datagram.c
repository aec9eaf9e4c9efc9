/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_datagram.c - batched UDP over real sockets on loopback.
 *
 * Built twice: over linux/ with DATAGRAM_IS_LINUX, and over posix/. What the header promises is
 * proven for both; what only Linux can is inside the one macro.
 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/platform/datagram.h"

enum { MAX_GOT = 4096, LARGEST = 65507, WAIT_MS = 10000 };

static uint8_t payload[LARGEST];

/* What came in: size and first four bytes, whole datagrams compared with `payload`. */
struct got {
    size_t count, runs;
    struct {
        struct udptun_endpoint source, local;
        size_t size;
        uint32_t number;
        bool intact;
    } datagrams[MAX_GOT];
    size_t stop_after; /* runs, 0: never */
};

static struct got got;

static bool receive_run(void *arg, const struct udp_run *run)
{
    struct got *g = (struct got *)arg;
    const uint8_t *data;
    size_t size, at = 0;
    while (udp_run_next(run, &at, &data, &size)) {
        assert_true(g->count < MAX_GOT);
        size_t i = g->count++;
        g->datagrams[i].source = run->source;
        g->datagrams[i].local = run->local;
        g->datagrams[i].size = size;
        g->datagrams[i].number = 0;
        if (size >= 4)
            memcpy(&g->datagrams[i].number, data, 4);
        g->datagrams[i].intact = size <= 4 || memcmp(data + 4, payload + 4, size - 4) == 0;
    }
    g->runs++;
    return g->runs != g->stop_after;
}

/* Receives until `count` datagrams have come. */
static void receive(struct udp_batch *batch, int fd, size_t count)
{
    while (got.count < count) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, WAIT_MS) != 1)
            fail_msg("%zu of %zu datagrams came", got.count, count);
        assert_true(udp_receive(batch, fd, receive_run, &got) >= 0);
    }
}

struct unsent {
    size_t count;
    enum io last;
    size_t tags[MAX_GOT];
};

static struct unsent unsent;
static struct datagram_owner owners[MAX_GOT]; /* the number of one is its tag */

static void note_unsent(struct datagram_owner *owner, const struct udptun_endpoint *to, size_t size,
                        enum io why)
{
    (void)to;
    (void)size;
    assert_true(unsent.count < MAX_GOT);
    unsent.tags[unsent.count++] = (size_t)(owner - owners);
    unsent.last = why;
}

static struct udp_batch *batch;
static struct udp_sender *sender;

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)(i * 7 + i / 251);
    memset(&got, 0, sizeof got);
    memset(&unsent, 0, sizeof unsent);
    for (size_t i = 0; i < MAX_GOT; i++)
        owners[i].unsent = note_unsent;
    batch = udp_batch_new();
    sender = udp_sender_new();
    return batch && sender ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    udp_batch_free(batch);
    udp_sender_free(sender);
    return 0;
}

static struct udptun_endpoint loopback6(void)
{
    struct udptun_endpoint ep;
    assert_true(endpoint_parse("[::1]:0", &ep));
    return ep;
}

static int open_socket(const struct udptun_endpoint *ep, unsigned wants,
                       struct udptun_endpoint *bound)
{
    int fd;
    int failure = udp_open(ep, NULL, wants, &fd);
    if (failure)
        fail_msg("bind: %d", failure);
    *bound = socket_own(fd);
    return fd;
}

static void sizes_pass(struct udptun_endpoint ep)
{
    static const size_t sizes[] = {0, 1, 1472, 1473, 9000, 65507};
    struct udptun_endpoint a_ep, b_ep;
    int a = open_socket(&ep, 0, &a_ep), b = open_socket(&ep, 0, &b_ep);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        udp_sender_add(sender, a, &b_ep, payload, sizes[i], &owners[0]);
        udp_sender_flush(sender);
        receive(batch, b, i + 1);
        assert_int_equal(got.datagrams[i].size, sizes[i]);
        assert_true(got.datagrams[i].intact);
        assert_true(endpoint_equal(&got.datagrams[i].source, &a_ep));
        assert_int_equal(got.datagrams[i].local.family, UDPTUN_ENDPOINT_NONE);
    }
    assert_int_equal(got.count, sizeof sizes / sizeof *sizes);
    assert_int_equal(unsent.count, 0);
    close(a);
    close(b);
}

static void every_size_passes_on_ip4(void **state)
{
    (void)state;
    sizes_pass(endpoint_ip4(127, 0, 0, 1, 0));
}

static void every_size_passes_on_ip6(void **state)
{
    (void)state;
    sizes_pass(loopback6());
}

static void connected_socket_needs_no_destination(void **state)
{
    (void)state;
    struct udptun_endpoint ep = endpoint_ip4(127, 0, 0, 1, 0), a_ep, b_ep;
    int a = open_socket(&ep, 0, &a_ep), b = open_socket(&ep, 0, &b_ep);
    assert_int_equal(udp_connect(a, &b_ep), 0);
    for (uintptr_t i = 0; i < 10; i++)
        udp_sender_add(sender, a, NULL, payload, 100 + i, &owners[0]);
    udp_sender_flush(sender);
    receive(batch, b, 10);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(got.datagrams[i].size, 100 + i);
    close(a);
    close(b);
}

/* Numbered datagrams of all sizes from three sockets in a mixture: runs of equal size, shorter
 * ones, empty ones, and destinations that change in between. */
static void order_is_kept_and_nothing_merges(void **state)
{
    (void)state;
    enum { SOCKETS = 3, ROUNDS = 12, PER_ROUND = 60 };
    static uint8_t numbered[PER_ROUND][1500];
    static uint32_t expected[SOCKETS][2][MAX_GOT];
    size_t added[SOCKETS][2] = {{0}}, seen[SOCKETS][2] = {{0}};
    struct udptun_endpoint any = endpoint_ip4(127, 0, 0, 1, 0), from[SOCKETS], to[2];
    int out[SOCKETS], in[2];
    for (size_t i = 0; i < SOCKETS; i++)
        out[i] = open_socket(&any, 0, &from[i]);
    for (size_t i = 0; i < 2; i++)
        in[i] = open_socket(&any, 0, &to[i]);
    srandom(42);
    uint32_t number = 1;
    size_t sizes[] = {1200, 1200, 1200, 1200, 600, 1200, 4, 0, 1500, 1500};
    for (size_t round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < PER_ROUND; i++, number++) {
            size_t socket = (size_t)random() % SOCKETS, dest = random() % 8 == 0;
            size_t size = sizes[(size_t)random() % (sizeof sizes / sizeof *sizes)];
            memcpy(numbered[i], payload, sizeof numbered[i]);
            memcpy(numbered[i], &number, 4);
            udp_sender_add(sender, out[socket], &to[dest], numbered[i], size, &owners[0]);
            expected[socket][dest][added[socket][dest]++] = size ? number : 0;
        }
        udp_sender_flush(sender);
        size_t total[2] = {0};
        for (size_t d = 0; d < 2; d++) {
            for (size_t s = 0; s < SOCKETS; s++)
                total[d] += added[s][d] - seen[s][d];
            got.count = 0;
            receive(batch, in[d], total[d]);
            assert_int_equal(got.count, total[d]);
            for (size_t i = 0; i < got.count; i++) {
                size_t s = 0;
                while (!endpoint_equal(&from[s], &got.datagrams[i].source))
                    s++;
                assert_true(got.datagrams[i].intact);
                assert_int_equal(got.datagrams[i].number, expected[s][d][seen[s][d]++]);
            }
        }
    }
    assert_int_equal(unsent.count, 0);
    for (size_t i = 0; i < SOCKETS; i++)
        close(out[i]);
    close(in[0]);
    close(in[1]);
}

/* More than the sender holds, on more sockets than it has chains. */
static void full_sender_flushes_itself(void **state)
{
    (void)state;
    enum { SOCKETS = 300 };
    struct udptun_endpoint any = endpoint_ip4(127, 0, 0, 1, 0), from, to;
    static int out[SOCKETS];
    int in = open_socket(&any, 0, &to);
    for (size_t i = 0; i < SOCKETS; i++) {
        out[i] = open_socket(&any, 0, &from);
        udp_sender_add(sender, out[i], &to, payload, 8, &owners[0]);
    }
    receive(batch, in, 200);
    udp_sender_flush(sender);
    receive(batch, in, SOCKETS);
    assert_int_equal(got.count, SOCKETS);
    for (size_t i = 0; i < SOCKETS; i++)
        close(out[i]);
    close(in);
}

static void nothing_waiting_is_no_error(void **state)
{
    (void)state;
    struct udptun_endpoint any = endpoint_ip4(127, 0, 0, 1, 0), ep;
    int fd = open_socket(&any, 0, &ep);
    assert_int_equal(udp_receive(batch, fd, receive_run, &got), 0);
    assert_int_equal(got.runs, 0);
    close(fd);
    assert_int_equal(udp_receive(batch, fd, receive_run, &got), 0);
}

static void too_large_is_told_and_the_rest_goes(void **state)
{
    (void)state;
    static uint8_t large[LARGEST + 1];
    struct udptun_endpoint any = endpoint_ip4(127, 0, 0, 1, 0), a_ep, b_ep;
    int a = open_socket(&any, 0, &a_ep), b = open_socket(&any, 0, &b_ep);
    udp_sender_add(sender, a, &b_ep, payload, 10, &owners[1]);
    udp_sender_add(sender, a, &b_ep, large, sizeof large, &owners[2]);
    udp_sender_add(sender, a, &b_ep, payload, 20, &owners[3]);
    udp_sender_flush(sender);
    receive(batch, b, 2);
    assert_int_equal(got.datagrams[0].size, 10);
    assert_int_equal(got.datagrams[1].size, 20);
    assert_int_equal(unsent.count, 1);
    assert_int_equal(unsent.tags[0], 2);
    assert_int_equal(unsent.last, IO_TOO_BIG);
    close(a);
    close(b);
}

static void unreachable_family_is_told(void **state)
{
    (void)state;
    struct udptun_endpoint any = endpoint_ip4(127, 0, 0, 1, 0), a_ep, remote = loopback6();
    int a = open_socket(&any, 0, &a_ep);
    remote.port = 9;
    udp_sender_add(sender, a, &remote, payload, 10, &owners[7]);
    udp_sender_flush(sender);
    assert_int_equal(unsent.count, 1);
    assert_int_equal(unsent.tags[0], 7);
    assert_true(unsent.last != IO_OK && unsent.last != IO_AGAIN);
    close(a);
}

/* The datagram after one to a closed port must go, whatever the closed port made the kernel say. */
static void refused_port_does_not_cost_another_datagram(void **state)
{
    (void)state;
    struct udptun_endpoint any = endpoint_ip4(127, 0, 0, 1, 0), a_ep, b_ep, closed_ep;
    int a = open_socket(&any, UDP_WANT_ERRORS, &a_ep), b = open_socket(&any, 0, &b_ep);
    int closed = open_socket(&any, 0, &closed_ep);
    close(closed);
    for (size_t i = 0; i < 5; i++) {
        udp_sender_add(sender, a, &closed_ep, payload, 10, &owners[0]);
        udp_sender_add(sender, a, &b_ep, payload, 20, &owners[0]);
        udp_sender_flush(sender);
        receive(batch, b, i + 1);
    }
    assert_int_equal(unsent.count, 0);
    assert_true(udp_receive(batch, a, receive_run, &got) == 0);
    close(a);
    close(b);
}

static void socket_that_is_full_is_told_for_all_that_is_left(void **state)
{
    (void)state;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    /* A Unix socket blocks its sender, as a UDP socket does behind a slow device. It knows no
     * segments, so no two are of one size. */
    for (uintptr_t i = 0; i < 250; i++)
        udp_sender_add(sender, pair[0], NULL, payload, 1000 + i, &owners[i + 1]);
    udp_sender_flush(sender);
    assert_in_range(unsent.count, 1, 249);
    assert_int_equal(unsent.last, IO_AGAIN);
    size_t delivered = 0;
    while (recv(pair[1], payload, sizeof payload, 0) > 0)
        delivered++;
    assert_int_equal(delivered + unsent.count, 250);
    for (size_t i = 0; i < unsent.count; i++)
        assert_int_equal(unsent.tags[i], delivered + i + 1);
    close(pair[0]);
    close(pair[1]);
}

static void trimmed_batch_goes_on(void **state)
{
    (void)state;
    udp_batch_trim(batch);
    sizes_pass(endpoint_ip4(127, 0, 0, 1, 0));
    udp_batch_trim(batch);
    udp_batch_trim(batch);
    memset(&got, 0, sizeof got);
    sizes_pass(endpoint_ip4(127, 0, 0, 1, 0));
}

#ifdef DATAGRAM_IS_LINUX

static void many_come_with_one_call(void **state)
{
    (void)state;
    struct udptun_endpoint any = endpoint_ip4(127, 0, 0, 1, 0), a_ep, b_ep;
    int a = open_socket(&any, 0, &a_ep), b = open_socket(&any, 0, &b_ep);
    for (size_t i = 0; i < 100; i++)
        udp_sender_add(sender, a, &b_ep, payload, 500, &owners[0]);
    udp_sender_flush(sender);
    int runs = udp_receive(batch, b, receive_run, &got);
    assert_in_range(runs, 1, 99);
    assert_true(got.count > (size_t)runs);
    receive(batch, b, 100);
    close(a);
    close(b);
}

static void callback_can_stop_the_batch(void **state)
{
    (void)state;
    struct udptun_endpoint any = endpoint_ip4(127, 0, 0, 1, 0), a_ep, b_ep;
    int a = open_socket(&any, 0, &a_ep), b = open_socket(&any, 0, &b_ep);
    for (size_t i = 0; i < 6; i++)
        udp_sender_add(sender, a, &b_ep, payload, 10 + i, &owners[0]);
    udp_sender_flush(sender);
    got.stop_after = 2;
    assert_int_equal(udp_receive(batch, b, receive_run, &got), 2);
    assert_int_equal(got.runs, 2);
    close(a);
    close(b);
}

static void local_address_is_told_and_can_be_answered_from(void **state)
{
    (void)state;
    struct udptun_endpoint wild = endpoint_ip4(0, 0, 0, 0, 0), any = endpoint_ip4(127, 0, 0, 1, 0);
    struct udptun_endpoint a_ep, b_ep;
    int a = open_socket(&any, 0, &a_ep), b = open_socket(&wild, UDP_WANT_LOCAL, &b_ep);
    struct udptun_endpoint to = endpoint_ip4(127, 9, 9, 9, b_ep.port);
    udp_sender_add(sender, a, &to, payload, 10, &owners[0]);
    udp_sender_flush(sender);
    receive(batch, b, 1);
    struct udptun_endpoint expected = endpoint_ip4(127, 9, 9, 9, 0);
    assert_true(endpoint_equal(&got.datagrams[0].local, &expected));
    for (size_t i = 0; i < 3; i++)
        udp_sender_add_from(sender, b, &got.datagrams[0].local, &a_ep, payload, 30, &owners[0]);
    udp_sender_flush(sender);
    receive(batch, a, 4);
    for (size_t i = 1; i < 4; i++)
        assert_true(endpoint_equal(&got.datagrams[i].source, &to));
    close(a);
    close(b);
}

/* What cannot be a source is not told as one: the interface's address stands for it. */
static void a_broadcast_is_answered_from_the_interface(void **state)
{
    (void)state;
    struct udptun_endpoint wild = endpoint_ip4(0, 0, 0, 0, 0), any = endpoint_ip4(127, 0, 0, 1, 0);
    struct udptun_endpoint a_ep, b_ep;
    int a = open_socket(&any, 0, &a_ep), b = open_socket(&wild, UDP_WANT_LOCAL, &b_ep), on = 1;
    struct udptun_endpoint to = endpoint_ip4(127, 255, 255, 255, b_ep.port);
    assert_int_equal(setsockopt(a, SOL_SOCKET, SO_BROADCAST, &on, sizeof on), 0);
    udp_sender_add(sender, a, &to, payload, 10, &owners[0]);
    udp_sender_flush(sender);
    receive(batch, b, 1);
    udp_sender_add_from(sender, b, &got.datagrams[0].local, &a_ep, payload, 30, &owners[0]);
    udp_sender_flush(sender);
    receive(batch, a, 2);
    struct udptun_endpoint expected = endpoint_ip4(127, 0, 0, 1, b_ep.port);
    assert_true(endpoint_equal(&got.datagrams[1].source, &expected));
    close(a);
    close(b);
}

static void local_address_is_told_on_ip6(void **state)
{
    (void)state;
    struct udptun_endpoint wild = {.family = UDPTUN_ENDPOINT_IP6}, any = loopback6(), a_ep, b_ep;
    int a = open_socket(&any, 0, &a_ep), b = open_socket(&wild, UDP_WANT_LOCAL, &b_ep);
    struct udptun_endpoint to = any;
    to.port = b_ep.port;
    udp_sender_add(sender, a, &to, payload, 10, &owners[0]);
    udp_sender_flush(sender);
    receive(batch, b, 1);
    assert_true(endpoint_equal(&got.datagrams[0].local, &any));
    udp_sender_add_from(sender, b, &any, &a_ep, payload, 30, &owners[0]);
    udp_sender_flush(sender);
    receive(batch, a, 2);
    assert_true(endpoint_equal(&got.datagrams[1].source, &to));
    close(a);
    close(b);
}

struct failures {
    size_t count;
    struct udptun_endpoint dest;
    enum io why;
};

static void note_failure(void *arg, const struct udptun_endpoint *dest, enum io why, uint32_t mtu)
{
    struct failures *f = (struct failures *)arg;
    (void)mtu;
    f->count++;
    f->dest = *dest;
    f->why = why;
}

static void port_unreachable_is_told(struct udptun_endpoint any)
{
    struct udptun_endpoint a_ep, closed_ep;
    struct failures failures = {0};
    int a = open_socket(&any, UDP_WANT_ERRORS, &a_ep), closed = open_socket(&any, 0, &closed_ep);
    close(closed);
    udp_sender_add(sender, a, &closed_ep, payload, 10, &owners[0]);
    udp_sender_flush(sender);
    struct pollfd p = {.fd = a, .events = POLLIN};
    assert_int_equal(poll(&p, 1, WAIT_MS), 1);
    assert_true(udp_receive(batch, a, receive_run, &got) == 0);
    assert_int_equal(udp_errors(a, note_failure, &failures), 1);
    assert_int_equal(failures.count, 1);
    assert_int_equal(failures.why, IO_REFUSED);
    assert_true(endpoint_equal(&failures.dest, &closed_ep));
    assert_int_equal(udp_errors(a, note_failure, &failures), 0);
    /* It is all drained: the socket is quiet, a loop on it would sleep. */
    assert_int_equal(poll(&p, 1, 0), 0);
    close(a);
}

static void port_unreachable_is_told_on_ip4(void **state)
{
    (void)state;
    port_unreachable_is_told(endpoint_ip4(127, 0, 0, 1, 0));
}

static void port_unreachable_is_told_on_ip6(void **state)
{
    (void)state;
    port_unreachable_is_told(loopback6());
}

/* A socket that sends no checksums cannot segment, and the kernel says so as it does where a path
 * cannot; all must go all the same. */
static void refused_segmentation_goes_one_by_one(void **state)
{
    (void)state;
    struct udptun_endpoint any = endpoint_ip4(127, 0, 0, 1, 0), a_ep, b_ep;
    int a = open_socket(&any, 0, &a_ep), b = open_socket(&any, 0, &b_ep), on = 1;
    assert_int_equal(setsockopt(a, SOL_SOCKET, SO_NO_CHECK, &on, sizeof on), 0);
    for (uintptr_t i = 0; i < 40; i++)
        udp_sender_add(sender, a, &b_ep, payload, 900, &owners[i + 1]);
    udp_sender_flush(sender);
    receive(batch, b, 40);
    assert_int_equal(got.count, 40);
    assert_int_equal(unsent.count, 0);
    close(a);
    close(b);
}

/* Kilobytes of the process that are resident. */
static long resident_kib(void)
{
    long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%ld %ld", &pages, &resident), 2);
    fclose(f);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void trim_gives_memory_back(void **state)
{
    (void)state;
    struct udptun_endpoint any = endpoint_ip4(127, 0, 0, 1, 0), a_ep, b_ep;
    int a = open_socket(&any, 0, &a_ep), b = open_socket(&any, 0, &b_ep), on = 0, large = 1 << 23;
    /* Without UDP_GRO, and room for a burst that touches many slots in full. */
    setsockopt(b, 17, 104, &on, sizeof on);
    setsockopt(b, SOL_SOCKET, SO_RCVBUFFORCE, &large, sizeof large);
    long before = resident_kib();
    for (size_t i = 0; i < 3; i++)
        udp_sender_add(sender, a, &b_ep, payload, 60000, &owners[0]);
    udp_sender_flush(sender);
    receive(batch, b, 1);
    long burst = resident_kib();
    assert_true(burst > before + 40);
    udp_batch_trim(batch);
    assert_true(resident_kib() < burst - 40);
    close(a);
    close(b);
}

#endif

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_size_passes_on_ip4),
        TEST(every_size_passes_on_ip6),
        TEST(connected_socket_needs_no_destination),
        TEST(order_is_kept_and_nothing_merges),
        TEST(full_sender_flushes_itself),
        TEST(nothing_waiting_is_no_error),
        TEST(too_large_is_told_and_the_rest_goes),
        TEST(unreachable_family_is_told),
        TEST(refused_port_does_not_cost_another_datagram),
        TEST(socket_that_is_full_is_told_for_all_that_is_left),
        TEST(trimmed_batch_goes_on),
#ifdef DATAGRAM_IS_LINUX
        TEST(many_come_with_one_call),
        TEST(callback_can_stop_the_batch),
        TEST(local_address_is_told_and_can_be_answered_from),
        TEST(a_broadcast_is_answered_from_the_interface),
        TEST(local_address_is_told_on_ip6),
        TEST(port_unreachable_is_told_on_ip4),
        TEST(port_unreachable_is_told_on_ip6),
        TEST(refused_segmentation_goes_one_by_one),
        TEST(trim_gives_memory_back),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
