/* SPDX-License-Identifier: Apache-2.0 */
/*
 * socket_make.c - opening and tuning of sockets on any POSIX system: the BSDs and Darwin (macOS,
 * iOS).
 *
 * A socket is made and then set, in two steps; marks and devices, which have no common way, are
 * refused. What a system has no option for is left out by the preprocessor.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "daemon/platform/posix/address.h"

#if !defined(TCP_KEEPIDLE) && defined(TCP_KEEPALIVE)
#define TCP_KEEPIDLE TCP_KEEPALIVE /* Darwin's name */
#endif

enum {
    /* See linux/socket_make.c. */
    NOTSENT_LOWAT_BYTES = 64 * 1024,
    KEEPALIVE_IDLE_S = 60,
    KEEPALIVE_INTERVAL_S = 15,
    KEEPALIVE_COUNT = 4,
};

int socket_apply_rules(udptun_socket s, const struct socket_rules *rules)
{
    if (rules->mark != SOCKET_NO_MARK || rules->bind_device[0])
        return EOPNOTSUPP;
    if (rules->protect && rules->protect(rules->protect_arg, s) != 0)
        return EPERM;
    return 0;
}

/* What every socket of ours is. */
static int socket_make_prepare(udptun_socket s)
{
    int failure = socket_adopt(s);
#ifdef SO_NOSIGPIPE
    int on = 1;
    if (failure == 0 && setsockopt(s, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on) < 0)
        failure = errno;
#endif
    return failure;
}

int socket_make(int family, int type, const struct socket_rules *rules, udptun_socket *made)
{
    *made = socket(family, type, 0);
    if (*made < 0) {
        *made = NO_SOCKET;
        return socket_making_error();
    }
    int failure = socket_make_prepare(*made);
    if (failure == 0 && rules && rules->leaves_spare && socket_is_spare(*made))
        failure = EMFILE;
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
    int taken = accept(listening, &sa->any, size);
    int failure = taken < 0 ? 0 : socket_make_prepare(taken);
    if (failure == 0)
        return taken;
    close(taken);
    errno = failure;
    return -1;
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
#ifdef TCP_KEEPIDLE
        {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
#endif
#ifdef TCP_KEEPINTVL
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S},
#endif
#ifdef TCP_KEEPCNT
        {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT},
#endif
    };
    struct udptun_endpoint own = socket_own(s);
    if (own.family == UDPTUN_ENDPOINT_NONE)
        return;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        setsockopt(s, settings[i].level, settings[i].option, &settings[i].value,
                   sizeof settings[i].value);
    socket_limit_unsent(s, NOTSENT_LOWAT_BYTES);
}

void socket_limit_unsent(udptun_socket s, int bytes)
{
#ifdef TCP_NOTSENT_LOWAT
    (void)setsockopt(s, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof bytes);
#else
    (void)s;
    (void)bytes;
#endif
}
