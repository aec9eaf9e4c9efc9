/* SPDX-License-Identifier: Apache-2.0 */
/* test_sockaddr.c - endpoints as socket addresses, and what every socket of ours is. */
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

#include "daemon/platform/sockaddr.h"
#include "proto/error.h"
#include "tests/unit/own_net.h"

static bool own_net;

static struct endpoint endpoint_of(const char *text)
{
    struct endpoint ep;
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
        struct endpoint ep = endpoint_of(texts[i]);
        socklen_t size = sockaddr_from_endpoint(&sa, &ep);
        struct endpoint back = sockaddr_to_endpoint(&sa, size);
        assert_true(endpoint_equal(&ep, &back));
    }
}

static void what_is_no_address_becomes_nothing(void **state)
{
    (void)state;
    union socket_address sa;
    struct endpoint none = {0}, ep = endpoint_of("192.0.2.1:53");
    assert_int_equal(sockaddr_from_endpoint(&sa, &none), 0);
    socklen_t size = sockaddr_from_path(&sa, "/tmp/x");
    assert_true(size > 0);
    assert_int_equal(sockaddr_to_endpoint(&sa, size).family, ENDPOINT_NONE);
    size = sockaddr_from_endpoint(&sa, &ep);
    assert_int_equal(sockaddr_to_endpoint(&sa, size - 1).family, ENDPOINT_NONE);
    assert_int_equal(sockaddr_to_endpoint(&sa, 0).family, ENDPOINT_NONE);
}

static void zone_counts_for_link_local_addresses_only(void **state)
{
    (void)state;
    union socket_address sa;
    struct endpoint global = endpoint_of("[2001:db8::1]:53");
    socklen_t size = sockaddr_from_endpoint(&sa, &global);
    sa.ip6.sin6_scope_id = 7;
    struct endpoint back = sockaddr_to_endpoint(&sa, size);
    assert_true(endpoint_equal(&global, &back));
}

static void paths_are_bounded(void **state)
{
    (void)state;
    union socket_address sa;
    char path[SOCKET_PATH_SIZE + 1];
    memset(path, 'x', sizeof path);
    path[SOCKET_PATH_SIZE] = '\0';
    assert_int_equal(sockaddr_from_path(&sa, path), 0);
    assert_int_equal(socket_listen_path(path), -ENAMETOOLONG);
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

static void sockets_never_block_and_are_not_inherited(void **state)
{
    (void)state;
    struct endpoint any = endpoint_of("127.0.0.1:0"), peer;
    union socket_address sa;
    int listener = socket_listen(&any), udp = socket_bind_udp(&any, NULL);
    int stream = socket_open(AF_INET, SOCK_STREAM, NULL);
    assert_prepared(listener);
    assert_prepared(udp);
    assert_prepared(stream);
    assert_int_equal(socket_accept(listener, &peer), -EAGAIN);
    struct endpoint local = socket_local(listener);
    socklen_t size = sockaddr_from_endpoint(&sa, &local);
    assert_true(connect(stream, &sa.any, size) == 0 || errno == EINPROGRESS);
    struct pollfd p = {.fd = listener, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 10000), 1);
    int accepted = socket_accept(listener, &peer);
    assert_prepared(accepted);
    struct endpoint far = socket_local(stream);
    assert_true(endpoint_equal(&peer, &far));
    far = socket_remote(accepted);
    assert_true(endpoint_equal(&peer, &far));
    assert_int_equal(socket_take_error(stream), 0);
    int made_elsewhere = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(socket_prepare(made_elsewhere), 0);
    assert_prepared(made_elsewhere);
    assert_int_equal(socket_prepare(-1), -EBADF);
    int all[] = {listener, udp, stream, accepted, made_elsewhere};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        close(all[i]);
}

static void families_share_a_port(void **state)
{
    (void)state;
    struct endpoint four = endpoint_of("0.0.0.0:0"), six = endpoint_of("[::]:0");
    int a = socket_listen(&four);
    six.port = socket_local(a).port;
    int b = socket_listen(&six);
    assert_true(a >= 0 && b >= 0);
    four.port = six.port;
    assert_int_equal(socket_listen(&four), -EADDRINUSE);
    close(a);
    close(b);
    a = socket_bind_udp(&four, NULL);
    b = socket_bind_udp(&six, NULL);
    assert_true(a >= 0 && b >= 0);
    assert_int_equal(socket_bind_udp(&four, NULL), -EADDRINUSE);
    close(a);
    close(b);
    struct endpoint none = {0};
    assert_int_equal(socket_listen(&none), -EAFNOSUPPORT);
    assert_int_equal(socket_bind_udp(&none, NULL), -EAFNOSUPPORT);
}

static void only_a_stale_socket_is_replaced(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "/tmp/sockaddr-test-%d", (int)getpid());
    int first = socket_listen_path(path);
    assert_prepared(first);
    assert_int_equal(socket_listen_path(path), -EADDRINUSE);
    close(first);
    int second = socket_listen_path(path);
    assert_prepared(second);
    assert_int_equal(socket_accept(second, NULL), -EAGAIN);
    close(second);
    unlink(path);
    int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    close(file);
    assert_int_equal(socket_listen_path(path), -EADDRINUSE);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_true(S_ISREG(info.st_mode));
    unlink(path);
}

static int note_fd(void *arg, int fd)
{
    *(int *)arg = fd;
    return 0;
}

static int refuse(void *arg, int fd)
{
    *(int *)arg = fd;
    return 1;
}

static void protect_hook_sees_the_socket_and_can_refuse_it(void **state)
{
    (void)state;
    int seen = -1;
    struct socket_rules rules = socket_rules_none();
    rules.protect = note_fd;
    rules.protect_arg = &seen;
    int fd = socket_open(AF_INET6, SOCK_DGRAM, &rules);
    assert_prepared(fd);
    assert_int_equal(seen, fd);
    close(fd);
    rules.protect = refuse;
    assert_int_equal(socket_open(AF_INET6, SOCK_DGRAM, &rules), -EPERM);
    assert_int_equal(fcntl(seen, F_GETFD), -1);
    struct endpoint any = endpoint_of("127.0.0.1:0");
    assert_int_equal(socket_bind_udp(&any, &rules), -EPERM);
}

#ifdef SOCKADDR_IS_POSIX
static void mark_and_device_are_refused(void **state)
{
    (void)state;
    struct socket_rules rules = socket_rules_none();
    rules.mark = 7;
    assert_int_equal(socket_open(AF_INET, SOCK_STREAM, &rules), -EOPNOTSUPP);
    rules = socket_rules_none();
    strcpy(rules.bind_device, "lo");
    assert_int_equal(socket_open(AF_INET, SOCK_STREAM, &rules), -EOPNOTSUPP);
}
#else
static void mark_and_device_are_set(void **state)
{
    (void)state;
    if (!own_net)
        skip();
    struct socket_rules rules = socket_rules_none();
    rules.mark = 4294967295;
    strcpy(rules.bind_device, "lo");
    int fd = socket_open(AF_INET, SOCK_STREAM, &rules);
    assert_prepared(fd);
    uint32_t mark = 0;
    char device[SOCKET_DEVICE_SIZE] = "";
    socklen_t size = sizeof mark;
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_MARK, &mark, &size), 0);
    assert_int_equal(mark, 4294967295);
    size = sizeof device;
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, &size), 0);
    assert_string_equal(device, "lo");
    close(fd);
    strcpy(rules.bind_device, "absent0");
    assert_int_equal(socket_open(AF_INET, SOCK_STREAM, &rules), -ENODEV);
}
#endif

static void cause_reads_as_the_end_of_a_clause(void **state)
{
    (void)state;
    char text[ERRNO_TEXT_SIZE];
    assert_string_equal(errno_text(ECONNREFUSED, text), "connection refused");
    assert_string_equal(errno_text(EADDRINUSE, text), "address already in use");
    assert_true(strlen(errno_text(123456, text)) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endpoints_survive_the_round_trip),
        cmocka_unit_test(what_is_no_address_becomes_nothing),
        cmocka_unit_test(zone_counts_for_link_local_addresses_only),
        cmocka_unit_test(paths_are_bounded),
        cmocka_unit_test(sockets_never_block_and_are_not_inherited),
        cmocka_unit_test(families_share_a_port),
        cmocka_unit_test(only_a_stale_socket_is_replaced),
        cmocka_unit_test(protect_hook_sees_the_socket_and_can_refuse_it),
#ifdef SOCKADDR_IS_POSIX
        cmocka_unit_test(mark_and_device_are_refused),
#else
        cmocka_unit_test(mark_and_device_are_set),
#endif
        cmocka_unit_test(cause_reads_as_the_end_of_a_clause),
    };
    own_net = own_net_enter();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
