/* SPDX-License-Identifier: Apache-2.0 */
/* latency_far.c - the far end: answers all but bulk, and counts what comes (latency.c) */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/latency.h"

struct far_class {
    uint64_t received, bytes, reordered;
    uint64_t first_ns, last_ns, oldest_ns;
    uint32_t next[LATENCY_MAX_VOICE]; /* one more than the highest number that a flow has shown */
};

struct far {
    int fd;
    FILE *log;
    struct far_class classes[CLASS_COUNT];
    in_port_t source[CLASS_COUNT]; /* of flow 0, as last seen; kept over reports */
    unsigned moves[CLASS_COUNT];   /* how often that changed */
};

/* A datagram that has come; its warm-up siblings only tell where a flow comes from. */
static void count(struct far *f, const struct latency_stamp *s, size_t size, in_port_t source)
{
    struct far_class *c = &f->classes[s->traffic_class];
    uint64_t age_ns = s->far_ns - s->sent_ns;

    if (s->flow == 0 && s->traffic_class != DNS) {
        f->moves[s->traffic_class] +=
            f->source[s->traffic_class] != 0 && f->source[s->traffic_class] != source;
        f->source[s->traffic_class] = source;
    }
    if (f->log) {
        fprintf(f->log, "%s %u %u %" PRIu64 " %" PRIu64 " %u\n",
                traffic_class_name(s->traffic_class), s->flow, s->number, s->sent_ns, s->far_ns,
                ntohs(source));
    }
    if (!s->counted)
        return;
    if (c->received++ == 0)
        c->first_ns = s->far_ns;
    c->last_ns = s->far_ns;
    c->bytes += size;
    if (age_ns > c->oldest_ns)
        c->oldest_ns = age_ns;
    if (s->traffic_class == DNS)
        return;
    if (s->number < c->next[s->flow])
        c->reordered++;
    else
        c->next[s->flow] = s->number + 1;
}

static void receive(struct far *f)
{
    union {
        struct latency_stamp stamp;
        uint8_t data[65536];
    } d;
    struct sockaddr_in from;

    for (int i = 0; i < 64; i++) {
        socklen_t from_size = sizeof(from);
        ssize_t n = recvfrom(f->fd, d.data, sizeof(d.data), MSG_DONTWAIT, (struct sockaddr *)&from,
                             &from_size);
        if (n < 0)
            return;
        struct latency_stamp *s = &d.stamp;
        if ((size_t)n < sizeof(*s) || s->magic != LATENCY_MAGIC ||
            s->traffic_class >= CLASS_COUNT || s->flow >= LATENCY_MAX_VOICE)
            continue;
        s->far_ns = latency_now_ns();
        count(f, s, (size_t)n, from.sin_port);
        if (s->traffic_class != BULK)
            (void)!sendto(f->fd, d.data, (size_t)n, 0, (struct sockaddr *)&from, from_size);
    }
}

static void report(struct far *f)
{
    putchar('{');
    for (int i = 0; i < CLASS_COUNT; i++) {
        const struct far_class *c = &f->classes[i];
        double seconds = (double)(c->last_ns - c->first_ns) / 1e9;
        printf("%s\"%s\":{\"received\":%" PRIu64 ",\"reordered\":%" PRIu64
               ",\"oldestMs\":%.1f,\"mbit\":%.3f,\"source\":%u,\"moves\":%u}",
               i ? "," : "", traffic_class_name((enum traffic_class)i), c->received, c->reordered,
               (double)c->oldest_ns / 1e6, seconds > 0 ? (double)c->bytes * 8 / seconds / 1e6 : 0.0,
               ntohs(f->source[i]), f->moves[i]);
    }
    puts("}");
    fflush(stdout);
    if (f->log)
        fflush(f->log);
    memset(f->classes, 0, sizeof(f->classes));
}

/* Until standard input ends. */
static int run(struct far *f)
{
    struct pollfd polled[] = {{.fd = f->fd, .events = POLLIN},
                              {.fd = STDIN_FILENO, .events = POLLIN}};
    char line[256];

    for (;;) {
        if (poll(polled, 2, -1) < 0 && errno != EINTR) {
            perror("bench_latency: poll");
            return 1;
        }
        if (polled[0].revents)
            receive(f);
        if (polled[1].revents) {
            if (read(STDIN_FILENO, line, sizeof(line)) <= 0)
                return 0;
            report(f);
        }
    }
}

int latency_far(const struct sockaddr_in *at, const char *log)
{
    struct far f = {.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    int size_bytes = 4 << 20;
    int status = 1;

    if (f.fd < 0 || bind(f.fd, (const struct sockaddr *)at, sizeof(*at)) != 0) {
        perror("bench_latency: bind");
        goto done;
    }
    (void)setsockopt(f.fd, SOL_SOCKET, SO_RCVBUF, &size_bytes, sizeof(size_bytes));
    if (log && !(f.log = fopen(log, "w"))) {
        perror(log);
        goto done;
    }
    puts("ready");
    fflush(stdout);
    status = run(&f);
done:
    if (f.log)
        fclose(f.log);
    if (f.fd >= 0)
        close(f.fd);
    return status;
}
