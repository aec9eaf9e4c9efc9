/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix/sockaddr.c - opening and tuning of sockets on systems that are not Linux: the BSDs and
 * Darwin (macOS, iOS).
 *
 * A socket is made and then set, in two steps; marks and devices, which have no common way, are
 * refused. What a system has no option for is left out by the preprocessor. linux/sockaddr.c is its
 * twin behind the same header.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "daemon/platform/sockaddr.h"

#if !defined(TCP_KEEPIDLE) && defined(TCP_KEEPALIVE)
#define TCP_KEEPIDLE TCP_KEEPALIVE /* Darwin's name */
#endif

enum {
    /* See linux/sockaddr.c. */
    NOTSENT_LOWAT_BYTES = 64 * 1024,
    KEEPALIVE_IDLE_S = 60,
    KEEPALIVE_INTERVAL_S = 15,
    KEEPALIVE_COUNT = 4,
};

int socket_apply_rules(int fd, const struct socket_rules *rules)
{
    if (rules->mark != SOCKET_NO_MARK || rules->bind_device[0])
        return -EOPNOTSUPP;
    if (rules->protect && rules->protect(rules->protect_arg, fd) != 0)
        return -EPERM;
    return 0;
}

/* What every socket of ours is; closed if it cannot be. */
static int prepare_or_close(int fd)
{
    int result = socket_prepare(fd);
#ifdef SO_NOSIGPIPE
    int on = 1;
    if (result == 0 && setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on) < 0)
        result = -errno;
#endif
    if (result < 0) {
        close(fd);
        return result;
    }
    return fd;
}

int socket_open(int family, int type, const struct socket_rules *rules)
{
    int fd = socket(family, type, 0);
    if (fd < 0)
        return -errno;
    fd = prepare_or_close(fd);
    int result = fd >= 0 && rules ? socket_apply_rules(fd, rules) : 0;
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
    int accepted = accept(fd, &sa.any, &size);
    if (accepted < 0)
        return errno == EWOULDBLOCK ? -EAGAIN : -errno;
    if (peer)
        *peer = sockaddr_to_endpoint(&sa, size);
    return prepare_or_close(accepted);
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
    struct endpoint local = socket_local(fd);
    if (local.family == ENDPOINT_NONE)
        return;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        setsockopt(fd, settings[i].level, settings[i].option, &settings[i].value,
                   sizeof settings[i].value);
    socket_limit_unsent(fd, NOTSENT_LOWAT_BYTES);
}

void socket_limit_unsent(int fd, int bytes)
{
#ifdef TCP_NOTSENT_LOWAT
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof bytes);
#else
    (void)fd;
    (void)bytes;
#endif
}
