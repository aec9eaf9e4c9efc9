/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sockaddr.c - endpoints as socket addresses, and what sockets are made of on any system.
 *
 * What differs between systems (how a socket is opened, marked and tuned) is in linux/sockaddr.c
 * and posix/sockaddr.c.
 */
#include "daemon/platform/sockaddr.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BACKLOG = 512 };

struct socket_rules socket_rules_none(void)
{
    return (struct socket_rules){.mark = SOCKET_NO_MARK};
}

socklen_t sockaddr_from_endpoint(union socket_address *sa, const struct endpoint *ep)
{
    if (ep->family == ENDPOINT_IP4) {
        memset(&sa->ip4, 0, sizeof sa->ip4);
        sa->ip4.sin_family = AF_INET;
        sa->ip4.sin_port = htons(ep->port);
        memcpy(&sa->ip4.sin_addr, ep->ip, 4);
        return sizeof sa->ip4;
    }
    if (ep->family == ENDPOINT_IP6) {
        memset(&sa->ip6, 0, sizeof sa->ip6);
        sa->ip6.sin6_family = AF_INET6;
        sa->ip6.sin6_port = htons(ep->port);
        sa->ip6.sin6_scope_id = ep->scope;
        memcpy(&sa->ip6.sin6_addr, ep->ip, 16);
        return sizeof sa->ip6;
    }
    return 0;
}

socklen_t sockaddr_from_path(union socket_address *sa, const char *path)
{
    size_t len = strlen(path);
    if (len == 0 || len >= SOCKET_PATH_SIZE)
        return 0;
    memset(&sa->path, 0, sizeof sa->path);
    sa->path.sun_family = AF_UNIX;
    memcpy(sa->path.sun_path, path, len + 1);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
}

struct endpoint sockaddr_to_endpoint(const union socket_address *sa, socklen_t size)
{
    struct endpoint ep = {0};
    if (size >= sizeof sa->ip4 && sa->any.sa_family == AF_INET) {
        ep.family = ENDPOINT_IP4;
        ep.port = ntohs(sa->ip4.sin_port);
        memcpy(ep.ip, &sa->ip4.sin_addr, 4);
    } else if (size >= sizeof sa->ip6 && sa->any.sa_family == AF_INET6) {
        ep.family = ENDPOINT_IP6;
        ep.port = ntohs(sa->ip6.sin6_port);
        memcpy(ep.ip, &sa->ip6.sin6_addr, 16);
        /* The zone of a global address says nothing, and would make two of one. */
        ep.scope = endpoint_is_link_local(&ep) ? sa->ip6.sin6_scope_id : 0;
    }
    return ep;
}

int socket_try_mark(int64_t mark)
{
    struct socket_rules rules = socket_rules_none();
    rules.mark = mark;
    if (mark == SOCKET_NO_MARK)
        return 0;
    int fd = socket_open(AF_INET, SOCK_DGRAM, &rules);
    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

/* Binds, and reports the failure with the socket closed. */
static int bind_or_close(int fd, const struct endpoint *ep)
{
    union socket_address sa;
    socklen_t size = sockaddr_from_endpoint(&sa, ep);
    int on = 1, result = 0;
    /* One address, one socket: 0.0.0.0 is a listener of its own. */
    if (ep->family == ENDPOINT_IP6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0)
        result = -errno;
    if (result == 0 && bind(fd, &sa.any, size) < 0)
        result = -errno;
    if (result < 0) {
        close(fd);
        return result;
    }
    return fd;
}

static int family_of(const struct endpoint *ep)
{
    return ep->family == ENDPOINT_IP4 ? AF_INET : ep->family == ENDPOINT_IP6 ? AF_INET6 : -1;
}

int socket_listen(const struct endpoint *ep)
{
    int family = family_of(ep), on = 1;
    if (family < 0)
        return -EAFNOSUPPORT;
    int fd = socket_open(family, SOCK_STREAM, NULL);
    if (fd < 0)
        return fd;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    fd = bind_or_close(fd, ep);
    if (fd >= 0 && listen(fd, BACKLOG) < 0) {
        int result = -errno;
        close(fd);
        return result;
    }
    return fd;
}

/* Whether the socket file is one that nobody serves any more. */
static bool is_stale(const union socket_address *sa, socklen_t size)
{
    struct stat info;
    if (lstat(sa->path.sun_path, &info) < 0 || !S_ISSOCK(info.st_mode))
        return false;
    int fd = socket_open(AF_UNIX, SOCK_STREAM, NULL);
    if (fd < 0)
        return false;
    bool refused = connect(fd, &sa->any, size) < 0 && errno == ECONNREFUSED;
    close(fd);
    return refused;
}

int socket_listen_path(const char *path)
{
    union socket_address sa;
    socklen_t size = sockaddr_from_path(&sa, path);
    if (size == 0)
        return -ENAMETOOLONG;
    int fd = socket_open(AF_UNIX, SOCK_STREAM, NULL);
    if (fd < 0)
        return fd;
    int failed = bind(fd, &sa.any, size);
    if (failed && errno == EADDRINUSE) {
        if (is_stale(&sa, size) && unlink(path) == 0)
            failed = bind(fd, &sa.any, size);
        else
            errno = EADDRINUSE;
    }
    if (failed || listen(fd, BACKLOG) < 0) {
        int result = -errno;
        close(fd);
        return result;
    }
    return fd;
}

int socket_bind_udp(const struct endpoint *ep, const struct socket_rules *rules)
{
    int family = family_of(ep);
    if (family < 0)
        return -EAFNOSUPPORT;
    int fd = socket_open(family, SOCK_DGRAM, rules);
    if (fd >= 0)
        fd = bind_or_close(fd, ep);
    if (fd >= 0 && rules && rules->opened)
        rules->opened(rules->opened_arg, fd);
    return fd;
}

static struct endpoint name_of(int fd, int (*ask)(int, struct sockaddr *, socklen_t *))
{
    union socket_address sa = {0};
    socklen_t size = sizeof sa;
    if (ask(fd, &sa.any, &size) < 0)
        return (struct endpoint){0};
    return sockaddr_to_endpoint(&sa, size);
}

struct endpoint socket_local(int fd)
{
    return name_of(fd, getsockname);
}

struct endpoint socket_remote(int fd)
{
    return name_of(fd, getpeername);
}

int socket_take_error(int fd)
{
    int value = 0;
    socklen_t size = sizeof value;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &size) < 0 ? errno : value;
}

int socket_prepare(int fd)
{
    int status = fcntl(fd, F_GETFL), flags = fcntl(fd, F_GETFD);
    if (status < 0 || flags < 0 || fcntl(fd, F_SETFL, status | O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, flags | FD_CLOEXEC) < 0)
        return -errno;
    return 0;
}
