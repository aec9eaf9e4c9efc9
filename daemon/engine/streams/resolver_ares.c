/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolver_ares.c - c-ares on a libev loop, with sockets that meet the tunnel's rules.
 *
 * c-ares tells which of its sockets wait for what; each has a watcher here, and one timer follows
 * its next timeout. It opens every socket through socket_open(), also those with which it asks
 * the routing table which address would be used (RFC 6724), so that a mark counts there as well.
 * Its library-wide initialisation is left out: outside Windows it does nothing that we need, and
 * it is not safe with several engines on several threads.
 */
#include "daemon/engine/streams/resolver_ares.h"

#include <ares.h>
#include <errno.h>
#include <ev.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "daemon/engine/streams/resolver.h"
#include "proto/list.h"

enum { TRY_TIMEOUT_MS = 2000, TRIES = 3 };

struct watched {
    struct list link;
    struct resolver_ares *owner;
    ev_io io;
};

struct resolver_ares {
    struct ev_loop *loop;
    const struct socket_rules *rules;
    ares_channel channel;
    struct list watched;
    ev_timer timeout;
};

struct question {
    resolver_ares_answer *answer;
    void *arg;
};

/* ---- sockets and time ---------------------------------------------------------------------- */

static void follow_timeout(struct resolver_ares *a)
{
    struct timeval space, *next = ares_timeout(a->channel, NULL, &space);
    ev_timer_stop(a->loop, &a->timeout);
    if (!next)
        return;
    ev_timer_set(&a->timeout, (double)next->tv_sec + (double)next->tv_usec / 1e6, 0.0);
    ev_timer_start(a->loop, &a->timeout);
}

static void on_timeout(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct resolver_ares *a = (struct resolver_ares *)timer->data;
    (void)loop;
    (void)events;
    ares_process_fd(a->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    follow_timeout(a);
}

static void on_io(struct ev_loop *loop, ev_io *io, int events)
{
    struct resolver_ares *a = ((struct watched *)io->data)->owner;
    int fd = io->fd; /* the watcher may be gone after the first call */
    (void)loop;
    ares_process_fd(a->channel, events & EV_READ ? fd : ARES_SOCKET_BAD,
                    events & EV_WRITE ? fd : ARES_SOCKET_BAD);
    follow_timeout(a);
}

static void unwatch(struct watched *w)
{
    ev_io_stop(w->owner->loop, &w->io);
    list_remove(&w->link);
    free(w);
}

static struct watched *watched_of(struct resolver_ares *a, int fd)
{
    LIST_FOREACH (node, &a->watched)
        if (list_entry(node, struct watched, link)->io.fd == fd)
            return list_entry(node, struct watched, link);
    return NULL;
}

static void on_state(void *data, ares_socket_t fd, int readable, int writable)
{
    struct resolver_ares *a = (struct resolver_ares *)data;
    struct watched *w = watched_of(a, fd);
    int events = (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0);
    if (events == 0) {
        if (w)
            unwatch(w);
        return;
    }
    if (w) {
        ev_io_stop(a->loop, &w->io);
    } else {
        w = (struct watched *)calloc(1, sizeof *w);
        if (!w)
            return; /* the question times out */
        w->owner = a;
        list_append(&a->watched, &w->link);
    }
    ev_io_init(&w->io, on_io, fd, events);
    w->io.data = w;
    ev_io_start(a->loop, &w->io);
}

static ares_socket_t open_socket(int family, int type, int protocol, void *data)
{
    const struct resolver_ares *a = (const struct resolver_ares *)data;
    (void)protocol;
    int fd = socket_open(family, type, a->rules);
    if (fd >= 0)
        return fd;
    errno = -fd;
    return ARES_SOCKET_BAD;
}

static int close_socket(ares_socket_t fd, void *data)
{
    /* c-ares also closes sockets of which it never said a word. */
    struct watched *w = watched_of((struct resolver_ares *)data, fd);
    if (w)
        unwatch(w);
    return close(fd);
}

static int connect_socket(ares_socket_t fd, const struct sockaddr *sa, ares_socklen_t size,
                          void *data)
{
    (void)data;
    return connect(fd, sa, size);
}

static ares_ssize_t receive(ares_socket_t fd, void *buffer, size_t size, int flags,
                            struct sockaddr *sa, ares_socklen_t *sa_size, void *data)
{
    (void)data;
    return recvfrom(fd, buffer, size, flags, sa, sa_size);
}

static ares_ssize_t send_vector(ares_socket_t fd, const struct iovec *iov, int count, void *data)
{
    struct msghdr header = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)count};
    (void)data;
    return sendmsg(fd, &header, MSG_NOSIGNAL);
}

static const struct ares_socket_functions socket_functions = {
    .asocket = open_socket,
    .aclose = close_socket,
    .aconnect = connect_socket,
    .arecvfrom = receive,
    .asendv = send_vector,
};

struct resolver_ares *resolver_ares_new(struct ev_loop *loop, const struct socket_rules *rules)
{
    struct resolver_ares *a = (struct resolver_ares *)calloc(1, sizeof *a);
    if (!a)
        return NULL;
    a->loop = loop;
    a->rules = rules;
    list_init(&a->watched);
    ev_timer_init(&a->timeout, on_timeout, 0.0, 0.0);
    a->timeout.data = a;
    struct ares_options options = {.timeout = TRY_TIMEOUT_MS,
                                   .tries = TRIES,
                                   .sock_state_cb = on_state,
                                   .sock_state_cb_data = a};
    if (ares_init_options(&a->channel, &options,
                          ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB) !=
        ARES_SUCCESS) {
        free(a);
        return NULL;
    }
    ares_set_socket_functions(a->channel, &socket_functions, a);
    return a;
}

void resolver_ares_free(struct resolver_ares *a)
{
    if (!a)
        return;
    ares_destroy(a->channel);
    ev_timer_stop(a->loop, &a->timeout);
    LIST_FOREACH_SAFE (node, &a->watched)
        unwatch(list_entry(node, struct watched, link));
    free(a);
}

/* ---- questions ----------------------------------------------------------------------------- */

static const char *clause_of(int status)
{
    switch (status) {
    case ARES_ENODATA:
    case ARES_ENOTFOUND:
    case ARES_EBADNAME:
        return "no such host";
    case ARES_ETIMEOUT:
        return "name server did not answer";
    case ARES_ECONNREFUSED:
        return "no name server could be reached";
    case ARES_ENOMEM:
        return "out of memory";
    }
    return "name resolution failed";
}

static bool same_address(const struct endpoint *eps, size_t count, const struct endpoint *ep)
{
    for (size_t i = 0; i < count; i++)
        if (endpoint_same_ip(&eps[i], ep))
            return true;
    return false;
}

/* The next of the list from `*node` on that is of `family`, or, with 0, of any. */
static bool next_address(const struct ares_addrinfo_node **node, int family, struct endpoint *ep)
{
    for (; *node; *node = (*node)->ai_next) {
        if (family && (*node)->ai_family != family)
            continue;
        union socket_address sa = {0};
        if ((*node)->ai_addrlen > sizeof sa)
            continue;
        memcpy(&sa, (*node)->ai_addr, (*node)->ai_addrlen);
        *ep = sockaddr_to_endpoint(&sa, (*node)->ai_addrlen);
        ep->port = 0;
        if (ep->family == ENDPOINT_NONE)
            continue;
        *node = (*node)->ai_next;
        return true;
    }
    return false;
}

/* The families take turns, beginning with that of the best address (RFC 8305 section 4). */
static size_t interleave(const struct ares_addrinfo_node *first, struct endpoint *eps)
{
    const struct ares_addrinfo_node *at[2] = {first, first};
    int families[2] = {first->ai_family, first->ai_family == AF_INET6 ? AF_INET : AF_INET6};
    size_t count = 0;
    for (int turn = 0; count < RESOLVER_MAX_ADDRESSES && (at[0] || at[1]); turn = 1 - turn) {
        struct endpoint ep;
        while (next_address(&at[turn], families[turn], &ep))
            if (!same_address(eps, count, &ep)) {
                eps[count++] = ep;
                break;
            }
    }
    return count;
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
    struct question *q = (struct question *)arg;
    struct endpoint eps[RESOLVER_MAX_ADDRESSES];
    size_t count = 0;
    double ttl_s = 0;
    (void)timeouts;
    if (status == ARES_SUCCESS && info && info->nodes) {
        count = interleave(info->nodes, eps);
        ttl_s = info->nodes->ai_ttl;
        for (const struct ares_addrinfo_node *n = info->nodes; n; n = n->ai_next)
            ttl_s = n->ai_ttl < ttl_s ? n->ai_ttl : ttl_s;
    }
    if (status == ARES_SUCCESS && count == 0)
        status = ARES_ENODATA;
    q->answer(q->arg, eps, count, ttl_s, count ? NULL : clause_of(status));
    if (info)
        ares_freeaddrinfo(info);
    free(q);
}

void resolver_ares_ask(struct resolver_ares *a, const char *name, resolver_ares_answer *answer,
                       void *arg)
{
    struct question *q = (struct question *)calloc(1, sizeof *q);
    if (!q) {
        answer(arg, NULL, 0, 0, clause_of(ARES_ENOMEM));
        return;
    }
    q->answer = answer;
    q->arg = arg;
    struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    ares_getaddrinfo(a->channel, name, NULL, &hints, on_answer, q);
    follow_timeout(a);
}
