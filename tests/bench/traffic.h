/* SPDX-License-Identifier: Apache-2.0 */
/*
 * traffic.h - numbered datagrams, sent and received in batches.
 *
 * All flows leave from one socket: each datagram says its own source address (127.1.x.y, by
 * IP_PKTINFO), so 64 flows cost the generator what one flow costs, and 10,000 are as easy.
 */
#ifndef BENCH_TRAFFIC_H
#define BENCH_TRAFFIC_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRAFFIC_BATCH    64
#define TRAFFIC_MIN_SIZE 24

/* What the payload starts with; in host byte order, for it never leaves the machine. */
struct stamp {
    uint32_t run;   /* tells this run's datagrams from those of an earlier one */
    uint32_t epoch; /* grows when the window is given up for lost */
    uint64_t number;
    uint64_t sent_ns;
};

struct traffic;

/* Datagrams of `size` bytes to `to`, from `flows` sources in turn. NULL and errno. */
struct traffic *traffic_new(const struct sockaddr_in *to, struct in_addr from, unsigned flows,
                            size_t size);
void traffic_free(struct traffic *t);

/* The sending socket, on which echoes come back. */
int traffic_socket(const struct traffic *t);

/* Send `count` datagrams (any count); false and errno when the kernel refuses. */
bool traffic_send(struct traffic *t, unsigned count, uint32_t epoch);

/*
 * Receive what is there, waiting for the first: calls `each` for the stamp of every datagram of
 * this run and returns how many datagrams came, 0 when none came in time, -1 and errno.
 */
int traffic_receive(struct traffic *t, int fd, void (*each)(void *arg, const struct stamp *s),
                    void *arg);

/* From here on `fd` takes runs of datagrams as the kernel joined them (UDP_GRO), which
 * traffic_receive() takes apart. False and errno. */
bool traffic_join_runs(struct traffic *t, int fd);

/* A UDP socket bound to `at` whose reads wait at most `wait_ms`. -1 and errno. */
int traffic_bind(const struct sockaddr_in *at, unsigned wait_ms);

/* Send everything that comes to `fd` back to where it came from, until the process ends. */
void traffic_echo(int fd, size_t size);

#endif
