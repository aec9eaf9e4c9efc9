/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load.c - the benchmark's generator and sink in one process.
 *
 * It holds `window` datagrams in flight between its sending socket and its sink: what the sink
 * has seen is known at once, without an acknowledgement through the tunnel, and makes room for
 * as many more. So the tunnel runs as fast as it can without being flooded, and what it cannot
 * lose by overload it ought not to lose at all. With --echo the sink answers and the sender
 * counts the answers and takes their round trip times. With --gro the sink takes runs of
 * datagrams whole, as a program with UDP_GRO does; else the kernel takes them apart for it.
 *
 * The result is one line of JSON. Processor time is that of the processes named by --pid, over
 * the measured time only, warm-up left out.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/cpu.h"
#include "tests/bench/traffic.h"

#define MAX_PIDS    8
#define MAX_SAMPLES (1u << 22)

struct options {
    struct sockaddr_in to, sink;
    struct in_addr from;
    unsigned flows, window;
    size_t size;
    double seconds, warmup_seconds;
    bool echo, gro;
    uint64_t each; /* not 0: send that many datagrams of each flow and stop */
    int pids[MAX_PIDS];
    unsigned pid_count;
};

struct run {
    struct options o;
    struct traffic *traffic;
    int sink_fd, read_fd;
    uint32_t epoch;
    unsigned in_flight;
    uint64_t sent, received, lost, late;
    uint32_t *rtts_ns;
    size_t rtt_count;
    uint64_t batch_ns;
};

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

static int usage(void)
{
    fputs(
        "usage: bench_load --to HOST:PORT --sink HOST:PORT [--from HOST] [--flows N] [--size "
        "BYTES]\n"
        "                  [--window N] [--seconds S] [--warmup S] [--each N] [--echo | --gro]\n"
        "                  [--pid PID]...\n",
        stderr);
    return 2;
}

static bool parse_options(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {
        {"to", 1, NULL, 't'},     {"sink", 1, NULL, 's'},   {"flows", 1, NULL, 'f'},
        {"size", 1, NULL, 'b'},   {"window", 1, NULL, 'w'}, {"seconds", 1, NULL, 'd'},
        {"warmup", 1, NULL, 'u'}, {"echo", 0, NULL, 'e'},   {"pid", 1, NULL, 'p'},
        {"each", 1, NULL, 'n'},   {"gro", 0, NULL, 'g'},    {"from", 1, NULL, 'm'},
        {NULL, 0, NULL, 0},
    };
    *o = (struct options){.from.s_addr = htonl(0x7f010001u), /* 127.1.0.1 and following */
                          .flows = 1,
                          .window = 80,
                          .size = 1200,
                          .seconds = 1,
                          .warmup_seconds = 0.1};
    bool ok = true;
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        unsigned long number = optarg ? strtoul(optarg, NULL, 10) : 0;
        if (c == 't')
            ok &= parse_address(optarg, &o->to);
        else if (c == 's')
            ok &= parse_address(optarg, &o->sink);
        else if (c == 'm')
            ok &= inet_pton(AF_INET, optarg, &o->from) == 1;
        else if (c == 'f')
            o->flows = (unsigned)number;
        else if (c == 'b')
            o->size = number;
        else if (c == 'w')
            o->window = (unsigned)number;
        else if (c == 'd')
            o->seconds = strtod(optarg, NULL);
        else if (c == 'u')
            o->warmup_seconds = strtod(optarg, NULL);
        else if (c == 'e')
            o->echo = true;
        else if (c == 'g')
            o->gro = true;
        else if (c == 'n')
            o->each = number;
        else if (c == 'p' && o->pid_count < MAX_PIDS)
            o->pids[o->pid_count++] = (int)number;
        else
            ok = false;
    }
    return ok && optind == argc && o->to.sin_port && o->sink.sin_port && o->flows > 0 &&
           o->flows <= 60000 && o->window > 0 && o->size >= TRAFFIC_MIN_SIZE && o->size <= 65507;
}

static void *echo_thread(void *arg)
{
    const struct run *r = arg;
    traffic_echo(r->sink_fd, r->o.size);
    return NULL;
}

static void arrived(void *arg, const struct stamp *s)
{
    struct run *r = arg;
    if (s->epoch != r->epoch || r->in_flight == 0) {
        r->late++;
        return;
    }
    r->received++;
    r->in_flight--;
    if (r->o.echo && r->rtt_count < MAX_SAMPLES) {
        uint64_t rtt_ns = r->batch_ns - s->sent_ns;
        r->rtts_ns[r->rtt_count++] = rtt_ns < UINT32_MAX ? (uint32_t)rtt_ns : UINT32_MAX;
    }
}

static void on_stamp(void *arg, const struct stamp *s)
{
    struct run *r = arg;
    if (r->batch_ns == 0)
        r->batch_ns = clock_now_ns();
    arrived(arg, s);
}

/* Fill the window, take what arrives; false and errno when a socket fails. */
static bool turn(struct run *r, uint64_t may_send)
{
    uint64_t room = r->o.window - r->in_flight;
    unsigned count = (unsigned)(room < may_send ? room : may_send);
    if (!traffic_send(r->traffic, count, r->epoch))
        return false;
    r->in_flight += count;
    r->sent += count;
    r->batch_ns = 0;
    int n = traffic_receive(r->traffic, r->read_fd, on_stamp, r);
    if (n < 0)
        return false;
    if (n == 0) { /* nothing for 100 ms: what was in flight is lost */
        r->lost += r->in_flight;
        r->in_flight = 0;
        r->epoch++;
    }
    return true;
}

/* For `seconds`, or until `datagrams` were sent and came or were lost. */
static bool drive(struct run *r, double seconds, uint64_t datagrams)
{
    uint64_t end_ns = clock_now_ns() + (uint64_t)(seconds * 1e9);
    uint64_t first = r->sent;
    while (datagrams ? r->sent - first < datagrams || r->in_flight > 0 : clock_now_ns() < end_ns) {
        uint64_t may_send = datagrams ? datagrams - (r->sent - first) : UINT64_MAX;
        if (!turn(r, may_send))
            return false;
    }
    return true;
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double percentile_us(const struct run *r, double part)
{
    if (r->rtt_count == 0)
        return 0;
    return r->rtts_ns[(size_t)((double)(r->rtt_count - 1) * part)] / 1e3;
}

static void report(struct run *r, double seconds, const uint64_t cpu_ns[MAX_PIDS])
{
    qsort(r->rtts_ns, r->rtt_count, sizeof *r->rtts_ns, by_size);
    printf("{\"seconds\":%.6f,\"sent\":%" PRIu64 ",\"received\":%" PRIu64 ",\"lost\":%" PRIu64
           ",\"late\":%" PRIu64 ",\"rttP50Us\":%.1f,\"rttP99Us\":%.1f,\"cpuNs\":[",
           seconds, r->sent, r->received, r->lost, r->late, percentile_us(r, 0.5),
           percentile_us(r, 0.99));
    for (unsigned i = 0; i < r->o.pid_count; i++)
        printf("%s%" PRIu64, i ? "," : "", cpu_ns[i]);
    puts("]}");
}

static int measure(struct run *r)
{
    uint64_t cpu_ns[MAX_PIDS] = {0};
    if (!drive(r, r->o.warmup_seconds, r->o.each ? r->o.flows : 0))
        return -1;
    r->sent = r->in_flight;
    r->received = r->lost = r->late = r->rtt_count = 0;
    for (unsigned i = 0; i < r->o.pid_count; i++)
        cpu_ns[i] = cpu_of_process_ns(r->o.pids[i]);
    uint64_t start_ns = clock_now_ns();
    uint64_t datagrams = r->o.each > 1 ? (r->o.each - 1) * r->o.flows : 0;
    if (!drive(r, r->o.seconds, datagrams))
        return -1;
    double seconds = (double)(clock_now_ns() - start_ns) / 1e9;
    for (unsigned i = 0; i < r->o.pid_count; i++)
        cpu_ns[i] = cpu_of_process_ns(r->o.pids[i]) - cpu_ns[i];
    report(r, seconds, cpu_ns);
    return 0;
}

int main(int argc, char **argv)
{
    struct run r = {0};
    if (!parse_options(argc, argv, &r.o))
        return usage();
    r.traffic = traffic_new(&r.o.to, r.o.from, r.o.flows, r.o.size);
    r.sink_fd = traffic_bind(&r.o.sink, 100);
    r.rtts_ns = malloc(MAX_SAMPLES * sizeof *r.rtts_ns);
    if (!r.traffic || r.sink_fd < 0 || !r.rtts_ns) {
        perror("bench_load: set-up");
        return 1;
    }
    if (r.o.gro && !traffic_join_runs(r.traffic, r.sink_fd)) {
        perror("bench_load: UDP_GRO");
        return 1;
    }
    r.read_fd = r.o.echo ? traffic_socket(r.traffic) : r.sink_fd;
    pthread_t thread;
    if (r.o.echo && pthread_create(&thread, NULL, echo_thread, &r) != 0) {
        perror("bench_load: thread");
        return 1;
    }
    if (measure(&r) != 0) {
        perror("bench_load");
        return 1;
    }
    /* Not a return: the echo thread goes on, and what it uses stays until the process ends. */
    exit(0);
}
