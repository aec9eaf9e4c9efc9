/* SPDX-License-Identifier: Apache-2.0 */
/* latency.h - what the near and the far end of the latency load have in common (latency.c) */
#ifndef BENCH_LATENCY_H
#define BENCH_LATENCY_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#define LATENCY_MAGIC     0x6c61746eU
#define LATENCY_MAX_SIZE  1472
#define LATENCY_MAX_VOICE 256 /* flows */

enum traffic_class { VOICE, DNS, FIXED, BULK, CLASS_COUNT };

/* Head of every payload. In host byte order and on one monotonic clock: both ends are on one
 * machine, in namespaces. */
struct latency_stamp {
    uint32_t magic;
    uint16_t flow; /* within the class; every query of DNS is a flow of its own: 0 */
    uint8_t traffic_class;
    uint8_t counted; /* 0: sent while warming up */
    uint32_t run;    /* tells runs apart */
    uint32_t number; /* counts up within the class */
    uint64_t sent_ns;
    uint64_t far_ns; /* when the far end had it; 0 on the way there */
};

struct near_options {
    struct sockaddr_in to;
    unsigned voice;  /* flows */
    double dns;      /* queries a second, each from a port of its own */
    double fixed;    /* queries a second, all from one port */
    double bulk_bps; /* one way */
    unsigned voice_size, dns_size, bulk_size;
    double voice_ms; /* between datagrams of a flow */
    double seconds, warmup_seconds, drain_seconds;
    double path_ms, late_ms; /* later than their sum is late */
    const char *log;
    bool json;
};

const char *traffic_class_name(enum traffic_class c);
uint64_t latency_now_ns(void);

/* Both return an exit status and complain on standard error. */
int latency_near(const struct near_options *o);
int latency_far(const struct sockaddr_in *at, const char *log);

#endif
