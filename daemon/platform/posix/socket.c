/* SPDX-License-Identifier: Apache-2.0 */
/*
 * socket.c - streams on POSIX. What differs between its systems (how a socket is made, marked and
 * tuned) is in socket_make.c.
 */
#include "daemon/platform/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/platform/posix/address.h"
#include "daemon/platform/posix/vector.h"

enum {
    BACKLOG = 512,
    /* Descriptors that flows leave to streams and commands: a quarter, or so many. */
    SPARE_PART = 4,
    SPARE_MOST = 64,
};

/* ---- rules --------------------------------------------------------------------------------- */

struct socket_rules socket_rules_none(void)
{
    return (struct socket_rules){.mark = SOCKET_NO_MARK};
}

struct socket_rules socket_rules_for(const struct socket_rules *rules,
                                     const struct udptun_endpoint *to)
{
    struct socket_rules own = *rules;
    if (endpoint_is_loopback(to) || endpoint_is_unspecified(to)) { /* connect() means loopback */
        own.mark = SOCKET_NO_MARK;
        own.bind_device[0] = '\0';
    }
    return own;
}

int socket_try_mark(int64_t mark)
{
    struct socket_rules rules = socket_rules_none();
    udptun_socket s;
    rules.mark = mark;
    if (mark == SOCKET_NO_MARK)
        return 0;
    int failure = socket_make(AF_INET, SOCK_DGRAM, &rules, &s);
    if (failure == 0)
        close(s);
    return failure;
}

unsigned socket_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > INT_MAX)
        return INT_MAX;
    return (unsigned)limit.rlim_cur;
}

/* A new descriptor is the lowest that is free (POSIX), so its number tells how many are taken. */
bool socket_is_spare(udptun_socket s)
{
    unsigned limit = socket_limit(), spare = limit / SPARE_PART;
    return (unsigned)s >= limit - (spare < SPARE_MOST ? spare : SPARE_MOST);
}

int socket_adopt(udptun_socket s)
{
    int status = fcntl(s, F_GETFL), flags = fcntl(s, F_GETFD);
    if (status < 0 || flags < 0 || fcntl(s, F_SETFL, status | O_NONBLOCK) < 0 ||
        fcntl(s, F_SETFD, flags | FD_CLOEXEC) < 0)
        return errno;
    return 0;
}

int socket_copy(udptun_socket s, udptun_socket *made)
{
    *made = fcntl(s, F_DUPFD_CLOEXEC, 0);
    return *made < 0 ? errno : 0;
}

int socket_making_error(void)
{
    return errno == ENOBUFS ? ENOMEM : errno;
}

/* What `failure` was made of it: closed, and told. */
static int give_up(udptun_socket *made, int failure)
{
    close(*made);
    *made = NO_SOCKET;
    return failure;
}

/* ---- connecting ---------------------------------------------------------------------------- */

static int socket_begin(udptun_socket *made, const union socket_address *sa, socklen_t size)
{
    if (connect(*made, &sa->any, size) == 0 || errno == EINPROGRESS || errno == EINTR)
        return 0;
    return give_up(made, socket_making_error());
}

int socket_connect(const struct udptun_endpoint *to, const struct socket_rules *rules,
                   udptun_socket *made)
{
    union socket_address sa;
    socklen_t size = sockaddr_from_endpoint(&sa, to);
    struct socket_rules own = rules ? socket_rules_for(rules, to) : socket_rules_none();
    *made = NO_SOCKET;
    int failure = size ? socket_make(sa.any.sa_family, SOCK_STREAM, &own, made) : EAFNOSUPPORT;
    if (failure == 0)
        failure = socket_begin(made, &sa, size);
    if (failure == 0 && rules && rules->opened)
        rules->opened(rules->opened_arg, *made);
    return failure;
}

/* A connect to a Unix socket is over at once, but for a full backlog: EAGAIN, nothing under way. */
int socket_connect_local(const char *path, udptun_socket *made)
{
    union socket_address sa;
    socklen_t size = sockaddr_from_path(&sa, path);
    *made = NO_SOCKET;
    int failure = size ? socket_make(AF_UNIX, SOCK_STREAM, NULL, made) : ENAMETOOLONG;
    return failure ? failure : socket_begin(made, &sa, size);
}

/* Linux connects a socket to itself when the kernel picks the port that it is to connect to. */
static bool is_connected_to_itself(udptun_socket s)
{
    struct udptun_endpoint own = socket_own(s), far = socket_far(s);
    return own.family != UDPTUN_ENDPOINT_NONE && endpoint_equal(&own, &far);
}

int socket_connected(udptun_socket s)
{
    int value = 0;
    socklen_t size = sizeof value;
    if (getsockopt(s, SOL_SOCKET, SO_ERROR, &value, &size) < 0)
        return errno;
    return value == 0 && is_connected_to_itself(s) ? ECONNREFUSED : value;
}

/* ---- listening ----------------------------------------------------------------------------- */

int socket_bind(udptun_socket s, const struct udptun_endpoint *at)
{
    union socket_address sa;
    socklen_t size = sockaddr_from_endpoint(&sa, at);
    int on = 1;
    /* One address, one socket: 0.0.0.0 is a listener of its own. */
    if (at->family == UDPTUN_ENDPOINT_IP6 &&
        setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0)
        return errno;
    return bind(s, &sa.any, size) < 0 ? socket_making_error() : 0;
}

static int bind_both(udptun_socket s, const struct udptun_endpoint *at)
{
    union socket_address sa;
    socklen_t size = sockaddr_from_endpoint(&sa, at);
    return bind(s, &sa.any, size) < 0 ? socket_making_error() : 0;
}

static int listen_at(const struct udptun_endpoint *at,
                     int (*bind_it)(udptun_socket, const struct udptun_endpoint *),
                     udptun_socket *made)
{
    int family = sockaddr_family(at), on = 1;
    *made = NO_SOCKET;
    int failure = family < 0 ? EAFNOSUPPORT : socket_make(family, SOCK_STREAM, NULL, made);
    if (failure)
        return failure;
    setsockopt(*made, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    failure = bind_it(*made, at);
    if (failure == 0 && listen(*made, BACKLOG) < 0)
        failure = socket_making_error();
    return failure ? give_up(made, failure) : 0;
}

int socket_listen(const struct udptun_endpoint *at, udptun_socket *made)
{
    return listen_at(at, socket_bind, made);
}

int socket_listen_both(const struct udptun_endpoint *at, udptun_socket *made)
{
    return listen_at(at, bind_both, made);
}

/* Whether the socket file is one that nobody serves any more. */
static bool socket_is_stale(const union socket_address *sa, socklen_t size)
{
    struct stat info;
    udptun_socket s;
    if (lstat(sa->path.sun_path, &info) < 0 || !S_ISSOCK(info.st_mode))
        return false;
    if (socket_make(AF_UNIX, SOCK_STREAM, NULL, &s) != 0)
        return false;
    bool refused = connect(s, &sa->any, size) < 0 && errno == ECONNREFUSED;
    close(s);
    return refused;
}

static int bind_path(udptun_socket s, const union socket_address *sa, socklen_t size)
{
    if (bind(s, &sa->any, size) == 0)
        return 0;
    if (errno != EADDRINUSE)
        return socket_making_error();
    if (!socket_is_stale(sa, size) || unlink(sa->path.sun_path) < 0)
        return EADDRINUSE;
    return bind(s, &sa->any, size) < 0 ? socket_making_error() : 0;
}

int socket_listen_local(const char *path, udptun_socket *made)
{
    union socket_address sa;
    socklen_t size = sockaddr_from_path(&sa, path);
    *made = NO_SOCKET;
    int failure = size ? socket_make(AF_UNIX, SOCK_STREAM, NULL, made) : ENAMETOOLONG;
    if (failure)
        return failure;
    failure = bind_path(*made, &sa, size);
    if (failure == 0 && listen(*made, BACKLOG) < 0)
        failure = socket_making_error();
    return failure ? give_up(made, failure) : 0;
}

void socket_unlink_local(const char *path)
{
    unlink(path);
}

int socket_accept(udptun_socket listening, struct udptun_endpoint *peer, udptun_socket *made)
{
    union socket_address sa = {0};
    socklen_t size = sizeof sa;
    *made = socket_take(listening, &sa, &size);
    if (*made < 0) {
        *made = NO_SOCKET;
        return errno == EINTR ? ECONNABORTED : socket_making_error();
    }
    if (peer)
        *peer = sockaddr_to_endpoint(&sa, size);
    return 0;
}

/* ---- reading and writing ------------------------------------------------------------------- */

static int socket_receive(udptun_socket s, void *to, size_t size, int flags, size_t *got)
{
    ssize_t result = recv(s, to, size, flags | MSG_DONTWAIT);
    *got = result < 0 ? 0 : (size_t)result;
    return result < 0 ? errno : 0;
}

int socket_read(udptun_socket s, void *to, size_t size, size_t *got)
{
    return socket_receive(s, to, size, 0, got);
}

int socket_peek(udptun_socket s, void *to, size_t size, size_t *got)
{
    return socket_receive(s, to, size, MSG_PEEK, got);
}

int socket_write(udptun_socket s, const void *data, size_t size, size_t *sent)
{
    ssize_t result = send(s, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    *sent = result < 0 ? 0 : (size_t)result;
    return result < 0 ? errno : 0;
}

int socket_write_spans(udptun_socket s, const struct io_span *spans, size_t count, size_t *sent)
{
    struct msghdr message = {.msg_iov = vector_of(spans)};
    message.msg_iovlen = (__typeof__(message.msg_iovlen))count; /* int on some systems */
    ssize_t result = sendmsg(s, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    *sent = result < 0 ? 0 : (size_t)result;
    return result < 0 ? errno : 0;
}

void socket_end(udptun_socket s)
{
    shutdown(s, SHUT_WR);
}

void socket_close(udptun_socket s)
{
    close(s);
}

void socket_abort(udptun_socket s)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(s, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(s);
}

/* ---- addresses ----------------------------------------------------------------------------- */

static struct udptun_endpoint socket_name_of(udptun_socket s,
                                             int (*ask)(int, struct sockaddr *, socklen_t *))
{
    union socket_address sa = {0};
    socklen_t size = sizeof sa;
    if (ask(s, &sa.any, &size) < 0)
        return (struct udptun_endpoint){0};
    return sockaddr_to_endpoint(&sa, size);
}

struct udptun_endpoint socket_own(udptun_socket s)
{
    return socket_name_of(s, getsockname);
}

struct udptun_endpoint socket_far(udptun_socket s)
{
    return socket_name_of(s, getpeername);
}

bool socket_is_stream(udptun_socket s)
{
    int type = 0;
    socklen_t size = sizeof type;
    return getsockopt(s, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}
