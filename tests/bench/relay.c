/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay.c - the plain relay that the tunnel is compared with: UDP in TCP, done simply but well.
 *
 *     bench_relay local UDP-HOST:PORT TCP-HOST:PORT     datagrams come here, connect there
 *     bench_relay server TCP-HOST:PORT UDP-HOST:PORT    connections come here, datagrams go there
 *
 * One recv and one send per datagram in each direction, a length of two bytes in front of each on
 * the stream, TCP_NODELAY, one TCP connection for each source. It reads the stream in large
 * pieces and drains a socket before it waits again, as a good program of this kind does. There
 * is no handshake, no timeout, no reconnection and no limit: it ends when something fails.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define DRAIN        64        /* datagrams taken from one socket before others get their turn */
#define STREAM_SIZE  (1 << 17) /* holds the largest frame, and many small ones */
#define SOURCE_SLOTS 16384

/* One end's half of a flow: a TCP connection and where its datagrams go. */
struct flow {
    int tcp, udp;              /* udp: the server's own socket; the local's shared one */
    struct sockaddr_in source; /* local: who the datagrams are from */
    uint8_t *in;               /* bytes of the stream, an incomplete frame kept at the start */
    size_t in_size;
    uint8_t *rest; /* what a full TCP socket did not take of the last frame */
    size_t rest_size;
};

struct relay {
    bool local;
    int poll, listener;
    struct sockaddr_in to;
    struct flow *sources[SOURCE_SLOTS]; /* local: by address, open addressing */
    uint8_t frame[2 + 65536];
};

/* What an event is about; in the low bits of its pointer-sized tag. */
enum what { ON_LISTENER, ON_TCP, ON_UDP };

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void watch(struct relay *r, int fd, struct flow *f, enum what what, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.u64 = (uint64_t)(uintptr_t)f | what};
    if (epoll_ctl(r->poll, EPOLL_CTL_ADD, fd, &e) != 0)
        fail("epoll_ctl");
}

static struct flow *flow_new(struct relay *r, int tcp, int udp)
{
    struct flow *f = calloc(1, sizeof *f);
    if (!f || !(f->in = malloc(STREAM_SIZE)) || !(f->rest = malloc(sizeof r->frame)))
        fail("flow");
    f->tcp = tcp;
    f->udp = udp;
    int on = 1;
    if (setsockopt(tcp, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        fail("TCP_NODELAY");
    watch(r, tcp, f, ON_TCP, EPOLLIN);
    return f;
}

static void flow_end(struct relay *r, struct flow *f)
{
    if (r->local)
        fail("the server closed the connection");
    close(f->tcp);
    close(f->udp);
    free(f->in);
    free(f->rest);
    free(f);
}

/* ---- datagrams to the stream ------------------------------------------------------------------
 */

/* False while an earlier frame is not out yet: the datagram is dropped, as UDP does. */
static bool flush(struct flow *f)
{
    while (f->rest_size > 0) {
        ssize_t n = send(f->tcp, f->rest, f->rest_size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0)
            return false;
        f->rest_size -= (size_t)n;
        memmove(f->rest, f->rest + n, f->rest_size);
    }
    return true;
}

static void to_stream(struct relay *r, struct flow *f, size_t size)
{
    if (!flush(f))
        return;
    r->frame[0] = (uint8_t)(size >> 8);
    r->frame[1] = (uint8_t)size;
    ssize_t n = send(f->tcp, r->frame, size + 2, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 || (size_t)n == size + 2)
        return;
    f->rest_size = size + 2 - (size_t)n;
    memcpy(f->rest, r->frame + n, f->rest_size);
}

/* local: the flow of a source, a new one if need be. */
static struct flow *flow_of(struct relay *r, const struct sockaddr_in *source, int udp)
{
    uint32_t hash = (source->sin_addr.s_addr ^ (uint32_t)source->sin_port << 7) * 2654435761u;
    size_t slot = hash % SOURCE_SLOTS;
    for (size_t tries = 0; tries < SOURCE_SLOTS; tries++, slot = (slot + 1) % SOURCE_SLOTS) {
        struct flow *f = r->sources[slot];
        if (!f)
            break;
        if (f->source.sin_addr.s_addr == source->sin_addr.s_addr &&
            f->source.sin_port == source->sin_port)
            return f;
    }
    int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (tcp < 0 || connect(tcp, (struct sockaddr *)&r->to, sizeof r->to) != 0)
        fail("connect");
    struct flow *f = flow_new(r, tcp, udp);
    f->source = *source;
    r->sources[slot] = f;
    return f;
}

/* local: the shared socket is readable. */
static void from_sources(struct relay *r)
{
    for (int i = 0; i < DRAIN; i++) {
        struct sockaddr_in source;
        socklen_t source_size = sizeof source;
        ssize_t n = recvfrom(r->listener, r->frame + 2, sizeof r->frame - 2, MSG_DONTWAIT,
                             (struct sockaddr *)&source, &source_size);
        if (n < 0)
            return;
        to_stream(r, flow_of(r, &source, r->listener), (size_t)n);
    }
}

/* server: a flow's own socket is readable. */
static void from_target(struct relay *r, struct flow *f)
{
    for (int i = 0; i < DRAIN; i++) {
        ssize_t n = recv(f->udp, r->frame + 2, sizeof r->frame - 2, MSG_DONTWAIT);
        if (n < 0)
            return;
        to_stream(r, f, (size_t)n);
    }
}

/* ---- the stream to datagrams ------------------------------------------------------------------
 */

static void to_datagram(struct relay *r, struct flow *f, const uint8_t *data, size_t size)
{
    const struct sockaddr *to = r->local ? (struct sockaddr *)&f->source : NULL;
    /* What cannot be sent is lost, as anywhere in UDP. */
    (void)!sendto(f->udp, data, size, 0, to, to ? sizeof f->source : 0);
}

static void from_stream(struct relay *r, struct flow *f)
{
    ssize_t n = recv(f->tcp, f->in + f->in_size, STREAM_SIZE - f->in_size, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        flow_end(r, f);
        return;
    }
    f->in_size += (size_t)n;
    size_t at = 0;
    while (f->in_size - at >= 2) {
        size_t size = (size_t)f->in[at] << 8 | f->in[at + 1];
        if (f->in_size - at - 2 < size)
            break;
        to_datagram(r, f, f->in + at + 2, size);
        at += 2 + size;
    }
    f->in_size -= at;
    memmove(f->in, f->in + at, f->in_size);
}

/* ---- set-up -------------------------------------------------------------------------------------
 */

static void accept_one(struct relay *r)
{
    int tcp = accept4(r->listener, NULL, NULL, SOCK_CLOEXEC);
    if (tcp < 0)
        return;
    int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (udp < 0 || connect(udp, (struct sockaddr *)&r->to, sizeof r->to) != 0)
        fail("udp");
    watch(r, udp, flow_new(r, tcp, udp), ON_UDP, EPOLLIN);
}

static void run(struct relay *r)
{
    for (;;) {
        struct epoll_event events[64];
        int n = epoll_wait(r->poll, events, 64, -1);
        for (int i = 0; i < n; i++) {
            struct flow *f = (struct flow *)(uintptr_t)(events[i].data.u64 & ~(uint64_t)3);
            enum what what = (enum what)(events[i].data.u64 & 3);
            if (what == ON_UDP)
                from_target(r, f);
            else if (what == ON_TCP)
                from_stream(r, f);
            else if (r->local)
                from_sources(r);
            else
                accept_one(r);
        }
    }
}

static bool parse_address(const char *text, struct sockaddr_in *out)
{
    char host[64];
    unsigned port;
    char end;
    if (sscanf(text, "%63[0-9.]:%5u%c", host, &port, &end) != 2 || port > 65535)
        return false;
    *out = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    return inet_pton(AF_INET, host, &out->sin_addr) == 1;
}

int main(int argc, char **argv)
{
    static struct relay r;
    struct sockaddr_in at;
    if (argc != 4 || (strcmp(argv[1], "local") != 0 && strcmp(argv[1], "server") != 0) ||
        !parse_address(argv[2], &at) || !parse_address(argv[3], &r.to)) {
        fputs("usage: bench_relay local|server HOST:PORT HOST:PORT\n", stderr);
        return 2;
    }
    r.local = strcmp(argv[1], "local") == 0;
    r.poll = epoll_create1(EPOLL_CLOEXEC);
    r.listener = socket(AF_INET, (r.local ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    int on = 1;
    if (r.poll < 0 || r.listener < 0 ||
        setsockopt(r.listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(r.listener, (struct sockaddr *)&at, sizeof at) != 0 ||
        (!r.local && listen(r.listener, SOMAXCONN) != 0))
        fail(argv[2]);
    watch(&r, r.listener, NULL, ON_LISTENER, EPOLLIN);
    run(&r);
}
