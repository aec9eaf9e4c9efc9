/* SPDX-License-Identifier: Apache-2.0 */
/*
 * latency_near.c - the near end: sends on time, takes what comes back, reports (latency.c)
 *
 * A `source` is something that sends at a pace; a `socket` is where answers are awaited. They are
 * one for one but for `dns`, whose every query has a socket of its own until it is answered or
 * given up. For each datagram one number is kept, its round trip, at its number in its class.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/latency_near.h"

#define MAX_SOCKETS 4096
#define GIVE_UP_NS  UINT64_C(5000000000) /* of a query's socket */
#define MAX_SOURCES (LATENCY_MAX_VOICE + 3)

struct source {
    enum traffic_class traffic_class;
    uint16_t flow;
    int fd; /* -1: a new socket for each */
    uint64_t next_ns, interval_ns;
};

struct near {
    const struct near_options *o;
    uint32_t run;
    uint64_t counts_from_ns;
    FILE *log;
    struct near_class classes[CLASS_COUNT];
    struct source sources[MAX_SOURCES];
    unsigned source_count;
    struct pollfd polled[MAX_SOCKETS];
    uint64_t close_ns[MAX_SOCKETS]; /* UINT64_MAX: stays */
    unsigned socket_count;
};

/* ---- sockets ------------------------------------------------------------------------------- */

static int socket_open(struct near *n, uint64_t close_ns)
{
    int fd = n->socket_count < MAX_SOCKETS ? socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;
    int size_bytes = 1 << 20;

    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size_bytes, sizeof(size_bytes));
    if (connect(fd, (const struct sockaddr *)&n->o->to, sizeof(n->o->to)) != 0) {
        close(fd);
        return -1;
    }
    n->polled[n->socket_count] = (struct pollfd){.fd = fd, .events = POLLIN};
    n->close_ns[n->socket_count++] = close_ns;
    return fd;
}

static void socket_close(struct near *n, unsigned at)
{
    close(n->polled[at].fd);
    n->polled[at] = n->polled[--n->socket_count];
    n->close_ns[at] = n->close_ns[n->socket_count];
}

/* ---- receiving ----------------------------------------------------------------------------- */

static void arrived(struct near *n, const struct latency_stamp *s, uint64_t now_ns)
{
    if (s->magic != LATENCY_MAGIC || s->run != n->run || s->traffic_class >= CLASS_COUNT ||
        s->flow >= LATENCY_MAX_VOICE)
        return;
    struct near_class *c = &n->classes[s->traffic_class];
    if (s->number >= c->sent)
        return;
    if (n->log) {
        fprintf(n->log, "%s %u %u %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
                traffic_class_name(s->traffic_class), s->flow, s->number, s->sent_ns, s->far_ns,
                now_ns);
    }
    if (c->rtts_us[s->number] != LATENCY_MISSING) {
        c->duplicates++;
        return;
    }
    c->rtts_us[s->number] = (uint32_t)((now_ns - s->sent_ns) / 1000);
    if (!s->counted)
        return;
    if (now_ns - s->far_ns > c->oldest_back_ns)
        c->oldest_back_ns = now_ns - s->far_ns;
    if (s->traffic_class == DNS)
        return;
    if (s->number < c->next[s->flow])
        c->reordered++;
    else
        c->next[s->flow] = s->number + 1;
}

/* True when an answer came. Errors (nobody listens just now) are losses like any other. */
static bool drain(struct near *n, int fd)
{
    union {
        struct latency_stamp stamp;
        uint8_t data[LATENCY_MAX_SIZE];
    } d;
    bool any = false;

    for (int i = 0; i < 64; i++) {
        ssize_t size = recv(fd, d.data, sizeof(d.data), MSG_DONTWAIT);
        if (size < 0 && errno == EAGAIN)
            break;
        if (size >= (ssize_t)sizeof(d.stamp)) {
            arrived(n, &d.stamp, latency_now_ns());
            any = true;
        }
    }
    return any;
}

static void receive(struct near *n, uint64_t until_ns)
{
    uint64_t now_ns = latency_now_ns();
    uint64_t wait_ns = until_ns > now_ns ? until_ns - now_ns : 0;
    struct timespec wait = {.tv_sec = (time_t)(wait_ns / 1000000000),
                            .tv_nsec = (long)(wait_ns % 1000000000)};
    int ready = ppoll(n->polled, n->socket_count, &wait, NULL);

    for (unsigned i = 0; i < n->socket_count;) {
        bool answered = ready > 0 && n->polled[i].revents && drain(n, n->polled[i].fd);
        bool for_one = n->close_ns[i] != UINT64_MAX;
        if (for_one && (answered || now_ns > n->close_ns[i]))
            socket_close(n, i); /* another one is in its place now */
        else
            i++;
    }
}

/* ---- sending ------------------------------------------------------------------------------- */

static bool make_room(struct near_class *c)
{
    if (c->sent < c->capacity)
        return true;
    uint32_t capacity = c->capacity ? c->capacity * 2 : 4096;
    uint32_t *grown = realloc(c->rtts_us, capacity * sizeof(*grown));
    if (!grown)
        return false;
    c->rtts_us = grown;
    c->capacity = capacity;
    return true;
}

static bool send_one(struct near *n, const struct source *s)
{
    union {
        struct latency_stamp stamp;
        uint8_t data[LATENCY_MAX_SIZE];
    } d;
    struct near_class *c = &n->classes[s->traffic_class];
    uint64_t now_ns = latency_now_ns();
    int fd = s->fd >= 0 ? s->fd : socket_open(n, now_ns + GIVE_UP_NS);

    if (fd < 0 || !make_room(c))
        return false;
    bool counted = now_ns >= n->counts_from_ns;
    if (!counted)
        c->first_counted = c->sent + 1;
    memset(d.data + sizeof(d.stamp), 0x55, c->size - sizeof(d.stamp));
    d.stamp = (struct latency_stamp){.magic = LATENCY_MAGIC,
                                     .flow = s->flow,
                                     .traffic_class = (uint8_t)s->traffic_class,
                                     .counted = counted,
                                     .run = n->run,
                                     .number = c->sent,
                                     .sent_ns = now_ns};
    c->rtts_us[c->sent++] = LATENCY_MISSING;
    /* The first attempt may only fetch the error of an earlier datagram. */
    if (send(fd, d.data, c->size, 0) < 0)
        (void)!send(fd, d.data, c->size, 0);
    return true;
}

static bool add_source(struct near *n, enum traffic_class class, unsigned flow, double per_second,
                       double phase)
{
    uint64_t interval_ns = (uint64_t)(1e9 / per_second);
    int fd = class == DNS ? -1 : socket_open(n, UINT64_MAX);

    n->sources[n->source_count++] =
        (struct source){.traffic_class = class,
                        .flow = (uint16_t)flow,
                        .fd = fd,
                        .interval_ns = interval_ns,
                        .next_ns = latency_now_ns() + (uint64_t)(phase * (double)interval_ns)};
    return fd >= 0 || class == DNS;
}

static bool add_sources(struct near *n)
{
    const struct near_options *o = n->o;
    bool ok = true;
    /* Flows of voice start one after the other, as calls do, not all in one moment. */
    for (unsigned i = 0; i < o->voice; i++)
        ok = ok && add_source(n, VOICE, i, 1000 / o->voice_ms, (double)i / o->voice);
    if (o->dns > 0)
        ok = ok && add_source(n, DNS, 0, o->dns, 0.5);
    if (o->fixed > 0)
        ok = ok && add_source(n, FIXED, 0, o->fixed, 0.5);
    if (o->bulk_bps > 0)
        ok = ok && add_source(n, BULK, 0, o->bulk_bps / 8 / o->bulk_size, 0);
    return ok;
}

static bool drive(struct near *n, uint64_t end_ns)
{
    for (;;) {
        uint64_t now_ns = latency_now_ns();
        uint64_t next_ns = end_ns;
        for (unsigned i = 0; i < n->source_count; i++) {
            struct source *s = &n->sources[i];
            for (; s->next_ns <= now_ns && s->next_ns < end_ns; s->next_ns += s->interval_ns) {
                if (!send_one(n, s))
                    return false;
            }
            if (s->next_ns < next_ns)
                next_ns = s->next_ns;
        }
        if (now_ns >= end_ns)
            return true;
        receive(n, next_ns);
    }
}

static bool all_answered(const struct near *n)
{
    for (int i = 0; i < BULK; i++) {
        const struct near_class *c = &n->classes[i];
        for (uint32_t k = c->first_counted; k < c->sent; k++) {
            if (c->rtts_us[k] == LATENCY_MISSING)
                return false;
        }
    }
    return true;
}

/* ---- the whole ----------------------------------------------------------------------------- */

static bool measure(struct near *n)
{
    uint64_t start_ns = latency_now_ns();
    double whole_s = n->o->warmup_seconds + n->o->seconds;

    n->run = (uint32_t)start_ns ^ (uint32_t)getpid();
    n->counts_from_ns = start_ns + (uint64_t)(n->o->warmup_seconds * 1e9);
    if (!add_sources(n) || !drive(n, start_ns + (uint64_t)(whole_s * 1e9)))
        return false;
    uint64_t give_up_ns = latency_now_ns() + (uint64_t)(n->o->drain_seconds * 1e9);
    while (!all_answered(n) && latency_now_ns() < give_up_ns)
        receive(n, latency_now_ns() + 100000000);
    return true;
}

int latency_near(const struct near_options *o)
{
    struct near *n = calloc(1, sizeof(*n));
    int status = 1;

    if (!n) {
        perror("bench_latency");
        return 1;
    }
    n->o = o;
    n->classes[VOICE].size = o->voice_size;
    n->classes[DNS].size = n->classes[FIXED].size = o->dns_size;
    n->classes[BULK].size = o->bulk_size;
    prctl(PR_SET_TIMERSLACK, 1);
    if (o->log && !(n->log = fopen(o->log, "w"))) {
        perror(o->log);
    } else if (!measure(n)) {
        perror("bench_latency: socket or memory");
    } else {
        latency_report(o, n->classes);
        status = 0;
    }
    if (n->log)
        fclose(n->log);
    while (n->socket_count > 0)
        socket_close(n, 0);
    for (int i = 0; i < CLASS_COUNT; i++)
        free(n->classes[i].rtts_us);
    free(n);
    return status;
}
