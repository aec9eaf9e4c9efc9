/* SPDX-License-Identifier: Apache-2.0 */
/*
 * packets.h - IPv4 packets of an app behind tun2socks: UDP, and the sending side of one TCP flow.
 *
 * The app is 10.0.0.2. Only what a benchmark on a lossless device needs: no retransmission,
 * the options of a SYN alone, and whatever the far end sends on the flow is acknowledged by the
 * next segment.
 */
#ifndef BENCH_PACKETS_H
#define BENCH_PACKETS_H

#include <stddef.h>
#include <stdint.h>

#define PACKETS_MOST 2048 /* bytes of the largest packet that is built */

enum { TCP_SYN = 2, TCP_PSH = 8, TCP_ACK = 16 };

struct tcp_flow {
    uint16_t from, to; /* ports */
    uint32_t next;     /* sequence number of what is sent next */
    uint32_t acked;    /* by the far end, up to here */
    uint32_t expects;  /* sequence number of what the far end sends next; 0: no SYN came yet */
};

/* Write a UDP packet to port `to` of 127.0.0.1; returns its size. */
size_t packets_udp(uint8_t *at, uint16_t from, uint16_t to, const void *payload, size_t size);

/* Write the flow's next segment to 127.0.0.1; returns its size. */
size_t packets_tcp(uint8_t *at, struct tcp_flow *flow, unsigned flags, const void *payload,
                   size_t size);

/* A packet came back from the device. Other than TCP, it is ignored. */
void packets_tcp_came(struct tcp_flow *flow, const uint8_t *packet, size_t size);

#endif
