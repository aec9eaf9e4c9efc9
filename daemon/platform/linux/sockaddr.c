/* SPDX-License-Identifier: Apache-2.0 */
/* linux/sockaddr.c - opening, marking and tuning of sockets on Linux; elsewhere posix/sockaddr.c.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "daemon/platform/sockaddr.h"

enum {
    /* What may wait unsent in the kernel: beyond this it is better off in our queues, where old
     * datagrams can still be dropped. */
    NOTSENT_LOWAT_BYTES = 64 * 1024,
    /* A path that a NAT would forget is refreshed; a dead hop is noticed in two minutes even while
     * nothing is sent. The far end's liveness is the tunnel's own matter. */
    KEEPALIVE_IDLE_S = 60,
    KEEPALIVE_INTERVAL_S = 15,
    KEEPALIVE_COUNT = 4,
};

int socket_apply_rules(int fd, const struct socket_rules *rules)
{
    if (rules->mark != SOCKET_NO_MARK) {
        uint32_t mark = (uint32_t)rules->mark;
        if (setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) < 0)
            return -errno;
    }
    if (rules->bind_device[0]) {
        socklen_t size = (socklen_t)strnlen(rules->bind_device, SOCKET_DEVICE_SIZE);
        if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, rules->bind_device, size) < 0)
            return -errno;
    }
    if (rules->protect && rules->protect(rules->protect_arg, fd) != 0)
        return -EPERM;
    return 0;
}

int socket_open(int family, int type, const struct socket_rules *rules)
{
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int result = rules ? socket_apply_rules(fd, rules) : 0;
    if (result < 0) {
        close(fd);
        return result;
    }
    return fd;
}

int socket_accept(int fd, struct endpoint *peer)
{
    union socket_address sa = {0};
    socklen_t size = sizeof sa;
    int accepted = accept4(fd, &sa.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted < 0)
        return errno == EWOULDBLOCK ? -EAGAIN : -errno;
    if (peer)
        *peer = sockaddr_to_endpoint(&sa, size);
    return accepted;
}

void socket_tune_stream(int fd)
{
    static const struct {
        int level;
        int option;
        int value;
    } settings[] = {
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOTSENT_LOWAT_BYTES},
        {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S},
        {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT},
    };
    struct endpoint local = socket_local(fd);
    if (local.family == ENDPOINT_NONE)
        return;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        setsockopt(fd, settings[i].level, settings[i].option, &settings[i].value,
                   sizeof settings[i].value);
}

void socket_limit_unsent(int fd, int bytes)
{
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof bytes);
}
