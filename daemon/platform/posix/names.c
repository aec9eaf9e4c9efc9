/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names.c - name servers by c-ares, with sockets that meet the tunnel's rules.
 *
 * Theory of operation. A question about a name is two of c-ares, one for each family, since some
 * name servers never answer the one for AAAA (RFC 8305 section 3). The family that has addresses
 * first waits OTHER_FAMILY_US for the other and is told then, unless this host has no route to it.
 * The other's answer, when it comes, is told in a second call with the addresses of both.
 *
 *     asked -> one family answered -(50 ms)-> told -> both answered -> told, gone
 *
 * A name that does not exist for one family does not exist (RFC 8020), so the other family is
 * awaited only for ABSENT_US then. c-ares cannot take a question back: one that nobody awaits any
 * more stays until c-ares ends it.
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
#include "daemon/platform/posix/file_stamp.h"
#include "daemon/platform/posix/names_order.h"
#include "proto/list.h"

#define SETTINGS_PATH "/etc/resolv.conf"

/*
 * A name server that is dead costs TRY_TIMEOUT_MS before the next one is asked; c-ares doubles the
 * time in each further round, and an answer that is late still counts.
 */
enum { TRY_TIMEOUT_MS = 250, TRIES = 5 };

enum {
    OTHER_FAMILY_US = 50 * 1000, /* RFC 8305 section 3, "Resolution Delay" */
    ABSENT_US = 2 * 1000 * 1000,
};

enum { IP6, IP4, FAMILIES };

struct watched {
    struct list link;
    struct names *owner;
    struct io_watch watch;
};

struct names {
    struct loop *loop;
    const struct socket_rules *rules;
    struct hosts *hosts; /* NULL: none */
    struct file_stamp settings;
    ares_channel channel;
    struct list watched;
    struct timer timeout;
};

/* What is asked of c-ares about one family. */
struct part {
    struct question *question;
    int family; /* AF_INET6 or AF_INET */
    bool is_open;
    int status; /* ARES_...; ARES_SUCCESS: there are addresses */
    size_t count;
    struct udptun_endpoint addresses[NAMES_MAX_ADDRESSES];
    int ttl_s;
};

struct question {
    struct names *owner;
    names_answered *answered; /* NULL: nobody awaits it any more */
    void *arg;
    struct part parts[FAMILIES];
    struct timer patience; /* how long the other family is awaited */
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

static void names_unwatch(struct watched *w)
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

static void on_names_state(void *data, ares_socket_t fd, int readable, int writable)
{
    struct names *a = (struct names *)data;
    struct watched *w = watched_of(a, fd);
    unsigned events = (readable ? LOOP_READ : 0u) | (writable ? LOOP_WRITE : 0u);
    if (events == 0) {
        if (w)
            names_unwatch(w);
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

static ares_socket_t names_open_socket(int family, int type, int protocol, void *data)
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

static int names_close_socket(ares_socket_t fd, void *data)
{
    /* c-ares also closes sockets of which it never said a word. */
    struct watched *w = watched_of((struct names *)data, fd);
    if (w)
        names_unwatch(w);
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

static ares_ssize_t names_receive(ares_socket_t fd, void *buffer, size_t size, int flags,
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
    .asocket = names_open_socket,
    .aclose = names_close_socket,
    .aconnect = connect_socket,
    .arecvfrom = names_receive,
    .asendv = send_vector,
};

struct names *names_new(struct loop *loop, const struct socket_rules *rules, struct hosts *hosts)
{
    char lookups[] = "b"; /* name servers alone: the hosts file is ours */
    struct names *a = (struct names *)calloc(1, sizeof *a);
    if (!a)
        return NULL;
    a->loop = loop;
    a->rules = rules;
    a->hosts = hosts;
    a->settings = file_stamp_at(SETTINGS_PATH);
    list_init(&a->watched);
    timer_init(&a->timeout, loop, on_timeout, a);
    struct ares_options options = {.timeout = TRY_TIMEOUT_MS,
                                   .tries = TRIES,
                                   .lookups = lookups,
                                   .sock_state_cb = on_names_state,
                                   .sock_state_cb_data = a};
    int given = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB;
    if (ares_init_options(&a->channel, &options, given) != ARES_SUCCESS) {
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
        names_unwatch(list_entry(node, struct watched, link));
    free(a);
}

bool names_are_outdated(const struct names *a)
{
    struct file_stamp now = file_stamp_at(SETTINGS_PATH);
    return !file_stamp_equal(&now, &a->settings);
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

/* The families take turns, beginning with the one to prefer (RFC 8305 section 4). */
static size_t interleave(const struct part parts[FAMILIES], const struct socket_rules *rules,
                         struct udptun_endpoint eps[NAMES_MAX_ADDRESSES])
{
    size_t at[FAMILIES] = {0}, count = 0;
    int turn = IP6;
    if (parts[IP6].count && parts[IP4].count &&
        !names_prefer_ip6(&parts[IP6].addresses[0], &parts[IP4].addresses[0], rules))
        turn = IP4;
    for (; at[IP6] < parts[IP6].count || at[IP4] < parts[IP4].count; turn = 1 - turn)
        if (at[turn] < parts[turn].count && count < NAMES_MAX_ADDRESSES)
            eps[count++] = parts[turn].addresses[at[turn]++];
        else if (count == NAMES_MAX_ADDRESSES)
            break;
    return count;
}

static bool is_absence(int status)
{
    return status == ARES_ENODATA || status == ARES_ENOTFOUND || status == ARES_EBADNAME;
}

static bool is_open(const struct question *q)
{
    return q->parts[IP6].is_open || q->parts[IP4].is_open;
}

/* Of two failures that of a name server that does not work says more than absence, but for a name
 * that does not exist at all. */
static int failure_of(const struct question *q)
{
    int status = q->parts[IP6].status;
    for (int i = 0; i < FAMILIES; i++)
        if (q->parts[i].status == ARES_ENOTFOUND)
            return ARES_ENOTFOUND;
    return is_absence(status) ? q->parts[IP4].status : status;
}

static void tell(struct question *q, bool is_last)
{
    struct udptun_endpoint eps[NAMES_MAX_ADDRESSES];
    struct names_answer answer = {.addresses = eps, .is_last = is_last};
    answer.count = interleave(q->parts, q->owner->rules, eps);
    int ttl_s = -1;
    for (int i = 0; i < FAMILIES; i++)
        if (q->parts[i].count && (ttl_s < 0 || q->parts[i].ttl_s < ttl_s))
            ttl_s = q->parts[i].ttl_s;
    answer.ttl_s = ttl_s > 0 ? (uint32_t)ttl_s : 0;
    if (answer.count == 0) {
        int status = failure_of(q);
        answer.failure = clause_of(status);
        answer.is_absent = is_absence(status);
    }
    names_answered *answered = q->answered;
    if (is_last)
        q->answered = NULL;
    if (answered)
        answered(q->arg, &answer);
}

/* One family has answered long enough ago. What this host cannot reach is of no use alone. */
static void on_patience(void *arg)
{
    struct question *q = (struct question *)arg;
    const struct part *done = q->parts[IP6].is_open ? &q->parts[IP4] : &q->parts[IP6];
    if (done->count == 0)
        tell(q, true);
    else if (names_reach(&done->addresses[0], q->owner->rules))
        tell(q, false);
}

static void take_addresses(struct part *p, const struct ares_addrinfo *info)
{
    for (const struct ares_addrinfo_node *n = info->nodes; n; n = n->ai_next) {
        union socket_address sa = {0};
        if (n->ai_addrlen > sizeof sa || n->ai_family != p->family)
            continue;
        memcpy(&sa, n->ai_addr, n->ai_addrlen);
        struct udptun_endpoint ep = sockaddr_to_endpoint(&sa, n->ai_addrlen);
        ep.port = 0;
        if (p->count == 0 || n->ai_ttl < p->ttl_s)
            p->ttl_s = n->ai_ttl;
        if (ep.family != UDPTUN_ENDPOINT_NONE && p->count < NAMES_MAX_ADDRESSES &&
            !same_address(p->addresses, p->count, &ep))
            p->addresses[p->count++] = ep;
    }
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
    struct part *p = (struct part *)arg;
    struct question *q = p->question;
    (void)timeouts;
    if (status == ARES_SUCCESS && info)
        take_addresses(p, info);
    if (info)
        ares_freeaddrinfo(info);
    p->status = status == ARES_SUCCESS && p->count == 0 ? ARES_ENODATA : status;
    p->is_open = false;
    if (!is_open(q)) {
        timer_stop(&q->patience);
        tell(q, true);
        free(q);
    } else if (p->count) {
        timer_start(&q->patience, OTHER_FAMILY_US);
    } else if (p->status == ARES_ENOTFOUND) {
        timer_start(&q->patience, ABSENT_US);
    }
}

static bool answer_from_hosts(const struct names *a, const char *name, names_answered *answered,
                              void *arg)
{
    struct udptun_endpoint found[NAMES_MAX_ADDRESSES], eps[NAMES_MAX_ADDRESSES];
    size_t count = a->hosts ? hosts_find(a->hosts, name, found, NAMES_MAX_ADDRESSES) : 0;
    struct part parts[FAMILIES] = {{0}};
    for (size_t i = 0; i < count; i++) {
        struct part *p = &parts[found[i].family == UDPTUN_ENDPOINT_IP6 ? IP6 : IP4];
        if (!same_address(p->addresses, p->count, &found[i]))
            p->addresses[p->count++] = found[i];
    }
    if (count == 0)
        return false;
    struct names_answer answer = {.addresses = eps, .is_last = true};
    answer.count = interleave(parts, a->rules, eps);
    answered(arg, &answer);
    return true;
}

void names_ask(struct names *a, const char *name, names_answered *answered, void *arg)
{
    static const int families[FAMILIES] = {[IP6] = AF_INET6, [IP4] = AF_INET};
    if (answer_from_hosts(a, name, answered, arg))
        return;
    struct question *q = (struct question *)calloc(1, sizeof *q);
    if (!q) {
        const struct names_answer answer = {.failure = clause_of(ARES_ENOMEM), .is_last = true};
        answered(arg, &answer);
        return;
    }
    q->owner = a;
    q->answered = answered;
    q->arg = arg;
    timer_init(&q->patience, a->loop, on_patience, q);
    for (int i = 0; i < FAMILIES; i++)
        q->parts[i] = (struct part){.question = q, .family = families[i], .is_open = true};
    /* Either may be answered at once, and the second one's answer frees the question. */
    for (int i = 0; i < FAMILIES; i++) {
        struct ares_addrinfo_hints hints = {.ai_family = families[i], .ai_socktype = SOCK_STREAM};
        ares_getaddrinfo(a->channel, name, NULL, &hints, on_answer, &q->parts[i]);
    }
    follow_timeout(a);
}
