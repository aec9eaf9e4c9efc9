/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names.c - name servers by c-ares, with sockets that meet the tunnel's rules.
 *
 * c-ares tells which of its sockets wait for what; each has a watcher here, and one timer follows
 * its next timeout. Every socket meets the rules before it connects, also those with which c-ares
 * asks the routing table which address would be used (RFC 6724), so that a mark counts there as
 * well; a name server on loopback is asked without mark and device.
 * Its library-wide initialisation is left out: outside Windows it does nothing that we need, and
 * it is not safe with several engines on several threads.
 */
#include "daemon/platform/names.h"

#include <ares.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "daemon/platform/loop.h"
#include "daemon/platform/posix/address.h"
#include "proto/list.h"

enum { TRY_TIMEOUT_MS = 2000, TRIES = 3 };

struct watched {
    struct list link;
    struct names *owner;
    struct io_watch watch;
};

struct names {
    struct loop *loop;
    const struct socket_rules *rules;
    ares_channel channel;
    struct list watched;
    struct timer timeout;
};

struct question {
    names_answer *answer;
    void *arg;
};

/* ---- sockets and time ---------------------------------------------------------------------- */

static void follow_timeout(struct names *a)
{
    struct timeval space, *next = ares_timeout(a->channel, NULL, &space);
    if (next)
        timer_start(&a->timeout, (uint64_t)next->tv_sec * 1000000 + (uint64_t)next->tv_usec);
    else
        timer_stop(&a->timeout);
}

static void on_timeout(void *arg)
{
    struct names *a = (struct names *)arg;
    ares_process_fd(a->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    follow_timeout(a);
}

static void on_ready(void *arg, unsigned events)
{
    const struct watched *w = (const struct watched *)arg;
    struct names *a = w->owner;
    udptun_socket s = w->watch.socket; /* the watch may be gone after the first call */
    ares_process_fd(a->channel, events & LOOP_READ ? s : ARES_SOCKET_BAD,
                    events & LOOP_WRITE ? s : ARES_SOCKET_BAD);
    follow_timeout(a);
}

static void unwatch(struct watched *w)
{
    watch_stop(&w->watch);
    list_remove(&w->link);
    free(w);
}

static struct watched *watched_of(struct names *a, int fd)
{
    LIST_FOREACH (node, &a->watched)
        if (list_entry(node, struct watched, link)->watch.socket == fd)
            return list_entry(node, struct watched, link);
    return NULL;
}

static void on_state(void *data, ares_socket_t fd, int readable, int writable)
{
    struct names *a = (struct names *)data;
    struct watched *w = watched_of(a, fd);
    unsigned events = (readable ? LOOP_READ : 0u) | (writable ? LOOP_WRITE : 0u);
    if (events == 0) {
        if (w)
            unwatch(w);
        return;
    }
    if (w) {
        watch_set(&w->watch, events);
        return;
    }
    w = (struct watched *)calloc(1, sizeof *w);
    if (!w)
        return; /* the question times out */
    w->owner = a;
    watch_init(&w->watch, a->loop, on_ready, w);
    if (watch_start(&w->watch, fd, events) == UDPTUN_OK)
        list_append(&a->watched, &w->link);
    else
        free(w);
}

static ares_socket_t open_socket(int family, int type, int protocol, void *data)
{
    (void)protocol;
    (void)data;
    udptun_socket s;
    int failure = socket_make(family, type, NULL, &s);
    if (failure == 0)
        return s;
    errno = failure;
    return ARES_SOCKET_BAD;
}

static int close_socket(ares_socket_t fd, void *data)
{
    /* c-ares also closes sockets of which it never said a word. */
    struct watched *w = watched_of((struct names *)data, fd);
    if (w)
        unwatch(w);
    return close(fd);
}

static int connect_socket(ares_socket_t fd, const struct sockaddr *sa, ares_socklen_t size,
                          void *data)
{
    const struct names *a = (const struct names *)data;
    union socket_address to = {0};
    memcpy(&to, sa, size < sizeof to ? size : sizeof to);
    struct udptun_endpoint ep = sockaddr_to_endpoint(&to, size);
    struct socket_rules rules = socket_rules_for(a->rules, &ep);
    int failure = socket_apply_rules(fd, &rules);
    if (failure == 0)
        return connect(fd, sa, size);
    errno = failure;
    return -1;
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

struct names *names_new(struct loop *loop, const struct socket_rules *rules)
{
    struct names *a = (struct names *)calloc(1, sizeof *a);
    if (!a)
        return NULL;
    a->loop = loop;
    a->rules = rules;
    list_init(&a->watched);
    timer_init(&a->timeout, loop, on_timeout, a);
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

void names_free(struct names *a)
{
    if (!a)
        return;
    ares_destroy(a->channel);
    timer_stop(&a->timeout);
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

static bool same_address(const struct udptun_endpoint *eps, size_t count,
                         const struct udptun_endpoint *ep)
{
    for (size_t i = 0; i < count; i++)
        if (endpoint_same_ip(&eps[i], ep))
            return true;
    return false;
}

/* The next of the list from `*node` on that is of `family`, or, with 0, of any. */
static bool next_address(const struct ares_addrinfo_node **node, int family,
                         struct udptun_endpoint *ep)
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
        if (ep->family == UDPTUN_ENDPOINT_NONE)
            continue;
        *node = (*node)->ai_next;
        return true;
    }
    return false;
}

/* The families take turns, beginning with that of the best address (RFC 8305 section 4). */
static size_t interleave(const struct ares_addrinfo_node *first, struct udptun_endpoint *eps)
{
    const struct ares_addrinfo_node *at[2] = {first, first};
    int families[2] = {first->ai_family, first->ai_family == AF_INET6 ? AF_INET : AF_INET6};
    size_t count = 0;
    for (int turn = 0; count < NAMES_MAX_ADDRESSES && (at[0] || at[1]); turn = 1 - turn) {
        struct udptun_endpoint ep;
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
    struct udptun_endpoint eps[NAMES_MAX_ADDRESSES];
    size_t count = 0;
    int ttl_s = 0;
    (void)timeouts;
    if (status == ARES_SUCCESS && info && info->nodes) {
        count = interleave(info->nodes, eps);
        ttl_s = info->nodes->ai_ttl;
        for (const struct ares_addrinfo_node *n = info->nodes; n; n = n->ai_next)
            ttl_s = n->ai_ttl < ttl_s ? n->ai_ttl : ttl_s;
    }
    if (status == ARES_SUCCESS && count == 0)
        status = ARES_ENODATA;
    q->answer(q->arg, eps, count, ttl_s > 0 ? (uint32_t)ttl_s : 0,
              count ? NULL : clause_of(status));
    if (info)
        ares_freeaddrinfo(info);
    free(q);
}

void names_ask(struct names *a, const char *name, names_answer *answer, void *arg)
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
