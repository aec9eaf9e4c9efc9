/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instructions.c - a fixed load on the real engine, for callgrind to count its instructions.
 *
 *     bench_instructions WORKLOAD DATAGRAMS
 *
 * A udp-local, a udp-server and, for the last two workloads, a tun2socks instance run in this
 * process, on one loop, over real sockets of the loopback:
 *
 *     source(s) -> udp-local = connections = udp-server -> sink     one-way-N, echo-N
 *     app: device -> tun2socks -> udp-local = ... -> sink           tun-udp
 *     app: device -> tun2socks -> sink                              tun-tcp
 *
 * Bursts of BURST datagrams go in, and the loop runs until the whole burst arrived. So that two
 * runs do the same, time is virtual: clock_gettime() and epoll_wait() of this program, which libev
 * and the engine call, move it on by fixed steps and not by how slow the machine (or callgrind) is.
 * Randomness comes from a fixed sequence.
 *
 * instructions.py runs it with two counts of datagrams; the difference has no start-up in it. Only
 * what is inside ev_run() is counted, so the load itself costs nothing. It uses the public header
 * alone: another build of libudptun may take this one's place by LD_LIBRARY_PATH.
 */
#include <arpa/inet.h>
#include <ev.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <udptun/engine.h>

#include "tests/bench/packets.h"

enum { BURST = 16, SIZE = 1200, MOST_FLOWS = 64, WARM_UP = 64 * BURST };
#define TURN_NS        UINT64_C(20000)
#define WAIT_NS        UINT64_C(1000000) /* the longest step that time takes towards a timer */
#define BETWEEN_NS     UINT64_C(2000000) /* two bursts */
#define MOST_TURNS     5000              /* of a burst: 5 s, more than any timer of the path */
#define DELIVERY_MS    10                /* real time in which loopback delivers */
#define SETTLE_US      200               /* the same, of what was sent a moment ago */
#define FIRST_APP_PORT 20000

enum way { ONE_WAY, ECHO, TUN_UDP, TUN_TCP };

static const struct workload {
    const char *name;
    enum way way;
    unsigned flows;
} workloads[] = {{"one-way-1", ONE_WAY, 1}, {"one-way-64", ONE_WAY, 64}, {"echo-1", ECHO, 1},
                 {"echo-64", ECHO, 64},     {"tun-udp", TUN_UDP, 8},     {"tun-tcp", TUN_TCP, 1}};

struct bench {
    const struct workload *load;
    struct ev_loop *loop;
    udptun_engine *engine;
    uint16_t entrance, server; /* ports of udp-local and udp-server */
    int sink, accepted;        /* sockets; `accepted` is the sink's end of the TCP flow */
    uint16_t sink_port;
    int sources[MOST_FLOWS];
    struct tcp_flow tcp;
    uint64_t sent, bytes_in; /* datagrams handed in; bytes that arrived */
};

static uint64_t now_ns = UINT64_C(1000000000000);

/* Those of the program's own sockets that something may arrive at. */
static struct pollfd awaited[MOST_FLOWS + 2];
static nfds_t awaited_count = 1; /* the first is the loop's */

static void await(int fd)
{
    awaited[awaited_count++] = (struct pollfd){.fd = fd, .events = POLLIN};
}

/* These two are in the place of the C library's, also for libev and the engine: so they are to be
 * seen from libraries. */
#define EXPORTED __attribute__((visibility("default")))

EXPORTED int clock_gettime(clockid_t clock, struct timespec *to)
{
    (void)clock;
    to->tv_sec = (time_t)(now_ns / 1000000000);
    to->tv_nsec = (long)(now_ns % 1000000000);
    return 0;
}

/* Time moves on towards the next timer only when the kernel has nothing more to deliver. */
EXPORTED int epoll_wait(int fd, struct epoll_event *events, int most, int timeout_ms)
{
    usleep(SETTLE_US);
    int count = epoll_pwait(fd, events, most, 0, NULL);
    if (count != 0 || timeout_ms == 0)
        return count;
    awaited[0] = (struct pollfd){.fd = fd, .events = POLLIN};
    if (poll(awaited, awaited_count, DELIVERY_MS) > 0)
        return epoll_pwait(fd, events, most, 0, NULL);
    now_ns += WAIT_NS;
    return 0;
}

static uint32_t next_random(void)
{
    static uint64_t state = 1;
    state = state * UINT64_C(6364136223846793005) + 1442695040888963407; /* Knuth's MMIX */
    return (uint32_t)(state >> 32);
}

static void fill_random(void *const to, const size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)to)[i] = (uint8_t)next_random();
}

static const char *random_name(void)
{
    return "fixed";
}

static struct randombytes_implementation fixed_random = {
    .implementation_name = random_name, .random = next_random, .buf = fill_random};

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int loopback_socket(int kind, uint16_t *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t at_size = sizeof at;
    int room = 1 << 20, fd = socket(AF_INET, kind | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room) != 0 ||
        bind(fd, (struct sockaddr *)&at, at_size) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &at_size) != 0)
        fail("bench_instructions: socket");
    *port = ntohs(at.sin_port);
    await(fd);
    return fd;
}

/* ---- the engine ---------------------------------------------------------------------------- */

static void on_ready(void *arg, const char *name, const struct udptun_bound *bounds, size_t count)
{
    struct bench *b = arg;
    if (count > 0)
        *(strcmp(name, "server") == 0 ? &b->server : &b->entrance) = bounds[0].address->port;
}

static void on_packet(void *arg, const char *name, const void *data, size_t size)
{
    struct bench *b = arg;
    (void)name;
    packets_tcp_came(&b->tcp, data, size);
}

static void must(int code, const struct udptun_error *err)
{
    if (code == UDPTUN_OK)
        return;
    fprintf(stderr, "bench_instructions: %s\n", err->message);
    exit(1);
}

static void configure(struct bench *b)
{
    struct udptun_error err;
    struct udptun_tunnel_config server, local;
    static const char *const loopback[] = {"127.0.0.0/8"};
    char place[32], target[32];
    udptun_tunnel_config_init(&server, UDPTUN_SERVER);
    server.name = "server";
    server.listen = "127.0.0.1:0";
    server.allow_targets = loopback;
    server.allow_count = 1;
    server.allow_given = true;
    server.callbacks.arg = b;
    server.callbacks.ready = on_ready;
    must(udptun_configure(b->engine, &server, NULL, &err), &err);
    snprintf(place, sizeof place, "127.0.0.1:%u", b->server);
    snprintf(target, sizeof target, "127.0.0.1:%u", b->sink_port);
    udptun_tunnel_config_init(&local, UDPTUN_LOCAL);
    local.name = "local";
    local.listen = "udp://127.0.0.1:0";
    local.target = target;
    local.server = place;
    local.callbacks = server.callbacks;
    must(udptun_configure(b->engine, &local, NULL, &err), &err);
    if (b->load->way != TUN_UDP && b->load->way != TUN_TCP)
        return;
    struct udptun_tun2socks_config tun;
    udptun_tun2socks_config_init(&tun);
    tun.name = "tun";
    tun.device = "app:";
    tun.tcp = "direct";
    tun.udp = "tunnel:local";
    tun.arg = b;
    tun.packet = on_packet;
    must(udptun_tun2socks_configure(b->engine, &tun, NULL, &err), &err);
}

static void turn(struct bench *b)
{
    now_ns += TURN_NS;
    ev_run(b->loop, EVRUN_ONCE);
}

/* ---- the load ------------------------------------------------------------------------------ */

static void to_device(struct bench *b, const uint8_t *packet, size_t size)
{
    if (udptun_tun2socks_packet(b->engine, "tun", packet, size) != UDPTUN_OK)
        fail("bench_instructions: packet");
}

static void send_one(struct bench *b)
{
    static uint8_t payload[SIZE];
    uint8_t packet[PACKETS_MOST];
    unsigned flow = (unsigned)(b->sent++ % b->load->flows);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(b->entrance),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    switch (b->load->way) {
    case ONE_WAY:
    case ECHO:
        if (sendto(b->sources[flow], payload, SIZE, 0, (struct sockaddr *)&to, sizeof to) != SIZE)
            fail("bench_instructions: send");
        break;
    case TUN_UDP:
        to_device(
            b, packet,
            packets_udp(packet, (uint16_t)(FIRST_APP_PORT + flow), b->sink_port, payload, SIZE));
        break;
    case TUN_TCP:
        to_device(b, packet, packets_tcp(packet, &b->tcp, TCP_ACK | TCP_PSH, payload, SIZE));
        break;
    }
}

/* Take what arrived, from where it counts; an echo's sink sends it back first. */
static void take(struct bench *b)
{
    static uint8_t data[1 << 16];
    struct sockaddr_in from;
    socklen_t from_size = sizeof from;
    ssize_t got;
    int fd = b->load->way == TUN_TCP ? b->accepted : b->sink;
    while ((got = recvfrom(fd, data, sizeof data, 0, (struct sockaddr *)&from, &from_size)) > 0)
        if (b->load->way != ECHO)
            b->bytes_in += (uint64_t)got;
        else if (sendto(fd, data, (size_t)got, 0, (struct sockaddr *)&from, from_size) != got)
            fail("bench_instructions: echo");
    for (unsigned i = 0; b->load->way == ECHO && i < b->load->flows; i++)
        while ((got = recv(b->sources[i], data, sizeof data, 0)) > 0)
            b->bytes_in += (uint64_t)got;
}

/* Send a burst and run until it arrived; false when it does not. */
static bool burst(struct bench *b)
{
    now_ns += BETWEEN_NS;
    for (unsigned i = 0; i < BURST; i++)
        send_one(b);
    for (unsigned i = 0; i < MOST_TURNS; i++) {
        turn(b);
        take(b);
        if (b->bytes_in == b->sent * SIZE)
            return true;
    }
    return false;
}

static bool established(struct bench *b)
{
    struct udptun_tunnel_status status;
    return udptun_status(b->engine, "local", &status) == UDPTUN_OK &&
           status.state == UDPTUN_ESTABLISHED;
}

static void open_tcp(struct bench *b)
{
    uint8_t packet[PACKETS_MOST];
    b->tcp = (struct tcp_flow){.from = FIRST_APP_PORT, .to = b->sink_port, .next = 1000};
    b->accepted = -1;
    to_device(b, packet, packets_tcp(packet, &b->tcp, TCP_SYN, "", 0));
    for (unsigned i = 0; i < MOST_TURNS && (b->tcp.expects == 0 || b->accepted < 0); i++) {
        turn(b);
        if (b->accepted < 0)
            b->accepted = accept4(b->sink, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    }
    awaited[1].fd = b->accepted; /* in the place of the listening socket */
    if (b->tcp.expects == 0 || b->accepted < 0)
        fail("bench_instructions: no TCP flow");
    to_device(b, packet, packets_tcp(packet, &b->tcp, TCP_ACK, "", 0));
}

static void set_up(struct bench *b)
{
    bool tcp = b->load->way == TUN_TCP;
    b->sink = loopback_socket(tcp ? SOCK_STREAM : SOCK_DGRAM, &b->sink_port);
    if (tcp && listen(b->sink, 1) != 0)
        fail("bench_instructions: listen");
    uint16_t unused;
    for (unsigned i = 0; i < b->load->flows; i++)
        b->sources[i] = loopback_socket(SOCK_DGRAM, &unused);
    struct udptun_engine_config config;
    struct udptun_error err;
    udptun_engine_config_init(&config);
    b->loop = config.loop = ev_loop_new(EVFLAG_AUTO);
    b->engine = udptun_engine_new(&config, &err);
    if (!b->engine)
        must(err.code, &err);
    configure(b);
    for (unsigned i = 0; i < MOST_TURNS && !established(b); i++)
        turn(b);
    if (!established(b))
        fail("bench_instructions: the tunnel is not established");
    if (tcp)
        open_tcp(b);
}

int main(int argc, char **argv)
{
    static struct bench b;
    uint64_t datagrams = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;
    for (size_t i = 0; argc == 3 && i < sizeof workloads / sizeof *workloads; i++)
        if (strcmp(argv[1], workloads[i].name) == 0)
            b.load = &workloads[i];
    if (!b.load || datagrams == 0 || datagrams % BURST != 0) {
        fprintf(stderr, "usage: bench_instructions WORKLOAD DATAGRAMS (a multiple of %d)\n", BURST);
        return 2;
    }
    randombytes_set_implementation(&fixed_random);
    set_up(&b);
    for (uint64_t i = 0; i < WARM_UP + datagrams; i += BURST) {
        if (burst(&b))
            continue;
        fprintf(stderr, "bench_instructions: %s: of %llu bytes, %llu arrived\n", b.load->name,
                (unsigned long long)(b.sent * SIZE), (unsigned long long)b.bytes_in);
        return 1;
    }
    udptun_engine_free(b.engine);
    return 0;
}
