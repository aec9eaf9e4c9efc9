/* SPDX-License-Identifier: Apache-2.0 */
/* socket_make.c - opening, marking and tuning of sockets on Linux. */
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "daemon/platform/posix/address.h"

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

int socket_apply_rules(udptun_socket s, const struct socket_rules *rules)
{
    if (rules->mark != SOCKET_NO_MARK) {
        uint32_t mark = (uint32_t)rules->mark;
        if (setsockopt(s, SOL_SOCKET, SO_MARK, &mark, sizeof mark) < 0)
            return errno;
    }
    if (rules->bind_device[0]) {
        socklen_t size = (socklen_t)strnlen(rules->bind_device, SOCKET_DEVICE_SIZE);
        if (setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, rules->bind_device, size) < 0)
            return errno;
    }
    if (rules->protect && rules->protect(rules->protect_arg, s) != 0)
        return EPERM;
    return 0;
}

int socket_make(int family, int type, const struct socket_rules *rules, udptun_socket *made)
{
    *made = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (*made < 0) {
        *made = NO_SOCKET;
        return socket_making_error();
    }
    int failure = rules && rules->leaves_spare && socket_is_spare(*made) ? EMFILE : 0;
    if (failure == 0 && rules)
        failure = socket_apply_rules(*made, rules);
    if (failure) {
        close(*made);
        *made = NO_SOCKET;
    }
    return failure;
}

int socket_take(udptun_socket listening, union socket_address *sa, socklen_t *size)
{
    return accept4(listening, &sa->any, size, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

void socket_tune(udptun_socket s)
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
    struct udptun_endpoint own = socket_own(s);
    if (own.family == UDPTUN_ENDPOINT_NONE)
        return;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        setsockopt(s, settings[i].level, settings[i].option, &settings[i].value,
                   sizeof settings[i].value);
}

void socket_limit_unsent(udptun_socket s, int bytes)
{
    (void)setsockopt(s, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof bytes);
}
