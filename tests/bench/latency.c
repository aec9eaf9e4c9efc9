/* SPDX-License-Identifier: Apache-2.0 */
/*
 * latency.c - a load of voice, queries and bulk, and how late and how complete it comes back
 *
 *   bench_latency near --to HOST:PORT [OPTION ...]     sends, takes what comes back, reports
 *   bench_latency far HOST:PORT [--log FILE]           answers, and counts what comes
 *
 * Loads: `voice`, small datagrams at a steady pace, echoed; `dns`, a small query now and then,
 * each from a port of its own, echoed; `fixed`, the same queries from one port; `bulk`, large
 * datagrams at a given rate, one way. The near end knows round trips and what was lost
 * (latency_near.c); the far end knows what came at all, in what order, how old, and from which
 * source (latency_far.c): it reports and starts again for every line on its standard input.
 * Both run on one machine, so one clock times either way on its own.
 */
#include "tests/bench/latency.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *traffic_class_name(enum traffic_class c)
{
    static const char *const names[CLASS_COUNT] = {"voice", "dns", "fixed", "bulk"};
    return names[c];
}

uint64_t latency_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
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

static int usage(void)
{
    fputs(
        "usage: bench_latency far HOST:PORT [--log FILE]\n"
        "       bench_latency near --to HOST:PORT [--voice FLOWS] [--voice-size BYTES]\n"
        "                     [--voice-ms MS] [--dns PER-SECOND] [--fixed PER-SECOND]\n"
        "                     [--dns-size BYTES] [--bulk MBIT] [--bulk-size BYTES]\n"
        "                     [--seconds S] [--warmup S] [--drain S] [--path MS] [--late MS]\n"
        "                     [--log FILE] [--json]\n",
        stderr);
    return 2;
}

static bool parse_amount(const char *text, double most, double *out)
{
    char *end = NULL;
    *out = strtod(text, &end);
    return end != text && *end == 0 && *out >= 0 && *out <= most;
}

static bool parse_count(const char *text, unsigned least, unsigned most, unsigned *out)
{
    double amount = 0;
    bool ok = parse_amount(text, most, &amount) && amount >= least;
    *out = (unsigned)amount;
    return ok;
}

/* One option of the near end; false when it has no value. */
static bool take_option(struct near_options *o, int c, const char *value)
{
    const unsigned least = sizeof(struct latency_stamp);
    bool ok = true;

    switch (c) {
    case 't':
        return parse_address(value, &o->to);
    case 'v':
        return parse_count(value, 0, LATENCY_MAX_VOICE, &o->voice);
    case 'V':
        return parse_count(value, least, LATENCY_MAX_SIZE, &o->voice_size);
    case 'i':
        return parse_amount(value, 10000, &o->voice_ms) && o->voice_ms >= 0.1;
    case 'd':
        return parse_amount(value, 1000, &o->dns);
    case 'f':
        return parse_amount(value, 1000, &o->fixed);
    case 'D':
        return parse_count(value, least, LATENCY_MAX_SIZE, &o->dns_size);
    case 'b':
        ok = parse_amount(value, 10000, &o->bulk_bps);
        o->bulk_bps *= 1e6;
        return ok;
    case 'B':
        return parse_count(value, least, LATENCY_MAX_SIZE, &o->bulk_size);
    case 's':
        return parse_amount(value, 86400, &o->seconds);
    case 'w':
        return parse_amount(value, 86400, &o->warmup_seconds);
    case 'r':
        return parse_amount(value, 86400, &o->drain_seconds);
    case 'p':
        return parse_amount(value, 60000, &o->path_ms);
    case 'L':
        return parse_amount(value, 60000, &o->late_ms);
    case 'l':
        o->log = value;
        return true;
    case 'j':
        o->json = true;
        return true;
    default:
        return false;
    }
}

static int near(int argc, char **argv)
{
    static const struct option longs[] = {
        {"to", 1, NULL, 't'},       {"voice", 1, NULL, 'v'},  {"voice-size", 1, NULL, 'V'},
        {"voice-ms", 1, NULL, 'i'}, {"dns", 1, NULL, 'd'},    {"fixed", 1, NULL, 'f'},
        {"dns-size", 1, NULL, 'D'}, {"bulk", 1, NULL, 'b'},   {"bulk-size", 1, NULL, 'B'},
        {"seconds", 1, NULL, 's'},  {"warmup", 1, NULL, 'w'}, {"drain", 1, NULL, 'r'},
        {"path", 1, NULL, 'p'},     {"late", 1, NULL, 'L'},   {"log", 1, NULL, 'l'},
        {"json", 0, NULL, 'j'},     {NULL, 0, NULL, 0},
    };
    struct near_options o = {.voice_size = 172,
                             .voice_ms = 20,
                             .dns_size = 60,
                             .bulk_size = 1200,
                             .seconds = 10,
                             .warmup_seconds = 1,
                             .drain_seconds = 3,
                             .late_ms = 100};

    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (!take_option(&o, c, optarg)) {
            if (c != '?')
                fprintf(stderr, "bench_latency: '%s' is out of range\n", optarg);
            return usage();
        }
    }
    if (optind != argc || !o.to.sin_port) {
        return usage();
    }
    return latency_near(&o);
}

int main(int argc, char **argv)
{
    struct sockaddr_in at;

    if (argc >= 2 && strcmp(argv[1], "near") == 0) {
        return near(argc - 1, argv + 1);
    }
    if ((argc == 3 || (argc == 5 && strcmp(argv[3], "--log") == 0)) &&
        strcmp(argv[1], "far") == 0 && parse_address(argv[2], &at)) {
        return latency_far(&at, argc == 5 ? argv[4] : NULL);
    }
    return usage();
}
