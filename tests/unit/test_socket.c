/* SPDX-License-Identifier: Apache-2.0 */
/* test_socket.c - endpoints as socket addresses, and what every socket of ours is. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/platform/datagram.h"
#include "daemon/platform/posix/address.h"
#include "tests/unit/own_net.h"

static bool own_net;

static struct udptun_endpoint endpoint_of(const char *text)
{
    struct udptun_endpoint ep;
    assert_true(endpoint_parse(text, &ep));
    return ep;
}

static void endpoints_survive_the_round_trip(void **state)
{
    (void)state;
    static const char *const texts[] = {"192.0.2.1:53", "[2001:db8::1]:53", "[fe80::1%3]:5353",
                                        "[::ffff:192.0.2.1]:1", "0.0.0.0:0"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        union socket_address sa;
        memset(&sa, 0xee, sizeof sa);
        struct udptun_endpoint ep = endpoint_of(texts[i]);
        socklen_t size = sockaddr_from_endpoint(&sa, &ep);
        struct udptun_endpoint back = sockaddr_to_endpoint(&sa, size);
        assert_true(endpoint_equal(&ep, &back));
    }
}

static void what_is_no_address_becomes_nothing(void **state)
{
    (void)state;
    union socket_address sa;
    struct udptun_endpoint none = {0}, ep = endpoint_of("192.0.2.1:53");
    assert_int_equal(sockaddr_from_endpoint(&sa, &none), 0);
    socklen_t size = sockaddr_from_path(&sa, "/tmp/x");
    assert_true(size > 0);
    assert_int_equal(sockaddr_to_endpoint(&sa, size).family, UDPTUN_ENDPOINT_NONE);
    size = sockaddr_from_endpoint(&sa, &ep);
    assert_int_equal(sockaddr_to_endpoint(&sa, size - 1).family, UDPTUN_ENDPOINT_NONE);
    assert_int_equal(sockaddr_to_endpoint(&sa, 0).family, UDPTUN_ENDPOINT_NONE);
}

static void zone_counts_for_link_local_addresses_only(void **state)
{
    (void)state;
    union socket_address sa;
    struct udptun_endpoint global = endpoint_of("[2001:db8::1]:53");
    socklen_t size = sockaddr_from_endpoint(&sa, &global);
    sa.ip6.sin6_scope_id = 7;
    struct udptun_endpoint back = sockaddr_to_endpoint(&sa, size);
    assert_true(endpoint_equal(&global, &back));
}

static void paths_are_bounded(void **state)
{
    (void)state;
    union socket_address sa;
    char path[SOCKET_PATH_SIZE + 1];
    udptun_socket s;
    memset(path, 'x', sizeof path);
    path[SOCKET_PATH_SIZE] = '\0';
    assert_int_equal(sockaddr_from_path(&sa, path), 0);
    assert_int_equal(io_of(socket_listen_local(path, &s)), IO_BAD_NAME);
    assert_int_equal(s, NO_SOCKET);
    path[SOCKET_PATH_SIZE - 1] = '\0';
    assert_true(sockaddr_from_path(&sa, path) > 0);
    assert_int_equal(sockaddr_from_path(&sa, ""), 0);
}

static void assert_prepared(int fd)
{
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static void wait_for(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    assert_int_equal(poll(&p, 1, 10000), 1);
}

static void sockets_never_block_and_are_not_inherited(void **state)
{
    (void)state;
    struct udptun_endpoint any = endpoint_of("127.0.0.1:0"), peer;
    udptun_socket listening, udp, stream, accepted;
    assert_int_equal(socket_listen(&any, &listening), 0);
    assert_int_equal(udp_open(&any, NULL, 0, &udp), 0);
    assert_prepared(listening);
    assert_prepared(udp);
    assert_int_equal(io_of(socket_accept(listening, &peer, &accepted)), IO_AGAIN);
    assert_int_equal(accepted, NO_SOCKET);
    struct udptun_endpoint own = socket_own(listening);
    assert_int_equal(socket_connect(&own, NULL, &stream), 0);
    assert_prepared(stream);
    wait_for(listening, POLLIN);
    assert_int_equal(socket_accept(listening, &peer, &accepted), 0);
    assert_prepared(accepted);
    struct udptun_endpoint far = socket_own(stream);
    assert_true(endpoint_equal(&peer, &far));
    far = socket_far(accepted);
    assert_true(endpoint_equal(&peer, &far));
    wait_for(stream, POLLOUT);
    assert_int_equal(socket_connected(stream), 0);
    int made_elsewhere = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(socket_adopt(made_elsewhere), 0);
    assert_prepared(made_elsewhere);
    assert_int_equal(io_of(socket_adopt(-1)), IO_FAILED);
    int all[] = {listening, udp, stream, accepted, made_elsewhere};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        socket_close(all[i]);
}

/* Two connected streams. */
static void connect_pair(udptun_socket pair[2])
{
    struct udptun_endpoint any = endpoint_of("127.0.0.1:0");
    udptun_socket listening;
    assert_int_equal(socket_listen(&any, &listening), 0);
    struct udptun_endpoint own = socket_own(listening);
    assert_int_equal(socket_connect(&own, NULL, &pair[0]), 0);
    wait_for(listening, POLLIN);
    assert_int_equal(socket_accept(listening, NULL, &pair[1]), 0);
    socket_close(listening);
}

static void streams_carry_bytes_and_their_end(void **state)
{
    (void)state;
    const struct io_span spans[] = {{"abc", 3}, {"defgh", 5}};
    udptun_socket pair[2];
    char bytes[16];
    size_t size;
    connect_pair(pair);
    socket_tune(pair[0]);
    assert_int_equal(io_of(socket_read(pair[1], bytes, sizeof bytes, &size)), IO_AGAIN);
    assert_int_equal(size, 0);
    assert_int_equal(socket_write_spans(pair[0], spans, 2, &size), 0);
    assert_int_equal(size, 8);
    wait_for(pair[1], POLLIN);
    assert_int_equal(socket_peek(pair[1], bytes, 2, &size), 0);
    assert_int_equal(size, 2);
    assert_int_equal(socket_read(pair[1], bytes, sizeof bytes, &size), 0);
    assert_int_equal(size, 8);
    assert_memory_equal(bytes, "abcdefgh", 8);
    socket_end(pair[0]);
    wait_for(pair[1], POLLIN);
    assert_int_equal(socket_read(pair[1], bytes, sizeof bytes, &size), 0);
    assert_int_equal(size, 0);
    while (socket_write(pair[1], spans, sizeof spans, &size) == 0)
        ;
    assert_int_equal(io_of(socket_write(pair[1], spans, sizeof spans, &size)), IO_AGAIN);
    socket_abort(pair[1]);
    wait_for(pair[0], POLLIN);
    int failure;
    do
        failure = socket_read(pair[0], bytes, sizeof bytes, &size);
    while (failure == 0 && size > 0);
    assert_int_equal(io_of(failure), IO_RESET);
    socket_close(pair[0]);
}

static void writing_to_a_closed_stream_raises_no_signal(void **state)
{
    (void)state;
    udptun_socket pair[2];
    size_t size;
    connect_pair(pair);
    socket_close(pair[1]);
    int failure;
    do
        failure = socket_write(pair[0], "x", 1, &size);
    while (failure == 0);
    assert_true(io_of(failure) == IO_CLOSED || io_of(failure) == IO_RESET);
    socket_close(pair[0]);
}

static void what_nobody_listens_on_refuses(void **state)
{
    (void)state;
    struct udptun_endpoint any = endpoint_of("127.0.0.1:0");
    udptun_socket listening, stream;
    assert_int_equal(socket_listen(&any, &listening), 0);
    any = socket_own(listening);
    socket_close(listening);
    assert_int_equal(socket_connect(&any, NULL, &stream), 0);
    wait_for(stream, POLLOUT);
    assert_int_equal(io_of(socket_connected(stream)), IO_REFUSED);
    socket_close(stream);
    struct udptun_endpoint none = {0};
    assert_int_equal(io_of(socket_connect(&none, NULL, &stream)), IO_NO_FAMILY);
    assert_int_equal(stream, NO_SOCKET);
}

static void families_share_a_port(void **state)
{
    (void)state;
    struct udptun_endpoint four = endpoint_of("0.0.0.0:0"), six = endpoint_of("[::]:0");
    udptun_socket a, b, c;
    assert_int_equal(socket_listen(&four, &a), 0);
    six.port = socket_own(a).port;
    assert_int_equal(socket_listen(&six, &b), 0);
    four.port = six.port;
    assert_int_equal(io_of(socket_listen(&four, &c)), IO_IN_USE);
    socket_close(a);
    socket_close(b);
    assert_int_equal(udp_open(&four, NULL, 0, &a), 0);
    assert_int_equal(udp_open(&six, NULL, 0, &b), 0);
    assert_int_equal(io_of(udp_open(&four, NULL, 0, &c)), IO_IN_USE);
    assert_int_equal(c, NO_SOCKET);
    socket_close(a);
    socket_close(b);
    struct udptun_endpoint none = {0};
    assert_int_equal(io_of(socket_listen(&none, &a)), IO_NO_FAMILY);
    assert_int_equal(io_of(udp_open(&none, NULL, 0, &a)), IO_NO_FAMILY);
}

static void only_a_stale_socket_is_replaced(void **state)
{
    (void)state;
    char path[64];
    udptun_socket first, second, third;
    snprintf(path, sizeof path, "/tmp/socket-test-%d", (int)getpid());
    assert_int_equal(socket_listen_local(path, &first), 0);
    assert_prepared(first);
    assert_int_equal(io_of(socket_listen_local(path, &second)), IO_IN_USE);
    assert_int_equal(socket_connect_local(path, &third), 0);
    assert_prepared(third);
    socket_close(third);
    socket_close(first);
    assert_int_equal(io_of(socket_connect_local(path, &third)), IO_REFUSED);
    assert_int_equal(socket_listen_local(path, &second), 0);
    assert_prepared(second);
    assert_int_equal(io_of(socket_accept(second, NULL, &third)), IO_AGAIN);
    socket_close(second);
    socket_unlink_local(path);
    assert_int_equal(io_of(socket_connect_local(path, &third)), IO_NOT_FOUND);
    int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    close(file);
    assert_int_equal(io_of(socket_listen_local(path, &first)), IO_IN_USE);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_true(S_ISREG(info.st_mode));
    unlink(path);
}

static int note_socket(void *arg, udptun_socket s)
{
    *(udptun_socket *)arg = s;
    return 0;
}

static int refuse(void *arg, udptun_socket s)
{
    *(udptun_socket *)arg = s;
    return 1;
}

static void protect_hook_sees_the_socket_and_can_refuse_it(void **state)
{
    (void)state;
    udptun_socket seen = NO_SOCKET, s;
    struct udptun_endpoint any = endpoint_of("127.0.0.1:0");
    struct socket_rules rules = socket_rules_none();
    rules.protect = note_socket;
    rules.protect_arg = &seen;
    assert_int_equal(udp_open(&any, &rules, 0, &s), 0);
    assert_prepared(s);
    assert_int_equal(seen, s);
    socket_close(s);
    rules.protect = refuse;
    assert_int_equal(io_of(udp_open(&any, &rules, 0, &s)), IO_DENIED);
    assert_int_equal(fcntl(seen, F_GETFD), -1);
    any.port = 9;
    assert_int_equal(io_of(socket_connect(&any, &rules, &s)), IO_DENIED);
    assert_int_equal(fcntl(seen, F_GETFD), -1);
}

#ifdef SOCKET_IS_LINUX
static void mark_and_device_are_set(void **state)
{
    (void)state;
    if (!own_net)
        skip();
    udptun_socket s;
    struct udptun_endpoint any = endpoint_of("0.0.0.0:0");
    struct socket_rules rules = socket_rules_none();
    rules.mark = 4294967295;
    strcpy(rules.bind_device, "lo");
    assert_int_equal(udp_open(&any, &rules, 0, &s), 0);
    assert_prepared(s);
    uint32_t mark = 0;
    char device[SOCKET_DEVICE_SIZE] = "";
    socklen_t size = sizeof mark;
    assert_int_equal(getsockopt(s, SOL_SOCKET, SO_MARK, &mark, &size), 0);
    assert_int_equal(mark, 4294967295);
    size = sizeof device;
    assert_int_equal(getsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, device, &size), 0);
    assert_string_equal(device, "lo");
    socket_close(s);
    assert_int_equal(socket_try_mark(7), 0);
    strcpy(rules.bind_device, "absent0");
    assert_int_equal(io_of(udp_open(&any, &rules, 0, &s)), IO_NO_DEVICE);
}
#else
static void mark_and_device_are_refused(void **state)
{
    (void)state;
    udptun_socket s;
    struct udptun_endpoint any = endpoint_of("0.0.0.0:0");
    struct socket_rules rules = socket_rules_none();
    rules.mark = 7;
    assert_int_equal(io_of(udp_open(&any, &rules, 0, &s)), IO_UNSUPPORTED);
    assert_int_equal(io_of(socket_try_mark(7)), IO_UNSUPPORTED);
    assert_int_equal(socket_try_mark(SOCKET_NO_MARK), 0);
    rules = socket_rules_none();
    strcpy(rules.bind_device, "lo");
    assert_int_equal(io_of(udp_open(&any, &rules, 0, &s)), IO_UNSUPPORTED);
}
#endif

static void every_meaning_has_a_number_and_a_text(void **state)
{
    (void)state;
    char text[IO_TEXT_SIZE];
    for (enum io what = IO_OK; what <= IO_FAILED; what++) {
        assert_int_equal(io_of(io_error(what)), what);
        assert_true(strlen(io_text(io_error(what), text)) > 0);
        assert_int_equal(io_code(what) == UDPTUN_OK, what == IO_OK);
    }
    assert_int_equal(io_of(EINTR), IO_AGAIN);
    assert_int_equal(io_of(ENOBUFS), IO_AGAIN);
    assert_int_equal(io_of(EWOULDBLOCK), IO_AGAIN);
    assert_int_equal(io_of(ENFILE), IO_FULL);
    assert_int_equal(io_of(123456), IO_FAILED);
}

static void cause_reads_as_the_end_of_a_clause(void **state)
{
    (void)state;
    char text[IO_TEXT_SIZE];
    assert_string_equal(io_text(ECONNREFUSED, text), "connection refused");
    assert_string_equal(io_text(EADDRINUSE, text), "address already in use");
    assert_true(strlen(io_text(123456, text)) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endpoints_survive_the_round_trip),
        cmocka_unit_test(what_is_no_address_becomes_nothing),
        cmocka_unit_test(zone_counts_for_link_local_addresses_only),
        cmocka_unit_test(paths_are_bounded),
        cmocka_unit_test(sockets_never_block_and_are_not_inherited),
        cmocka_unit_test(streams_carry_bytes_and_their_end),
        cmocka_unit_test(writing_to_a_closed_stream_raises_no_signal),
        cmocka_unit_test(what_nobody_listens_on_refuses),
        cmocka_unit_test(families_share_a_port),
        cmocka_unit_test(only_a_stale_socket_is_replaced),
        cmocka_unit_test(protect_hook_sees_the_socket_and_can_refuse_it),
#ifdef SOCKET_IS_LINUX
        cmocka_unit_test(mark_and_device_are_set),
#else
        cmocka_unit_test(mark_and_device_are_refused),
#endif
        cmocka_unit_test(every_meaning_has_a_number_and_a_text),
        cmocka_unit_test(cause_reads_as_the_end_of_a_clause),
    };
    own_net = own_net_enter();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
