/* SPDX-License-Identifier: Apache-2.0 */
/*
 * udp_sender.h - what udp_sender.c gathers and udp_io_*.c sends. Private to the two.
 */
#ifndef PLATFORM_UDP_SENDER_H
#define PLATFORM_UDP_SENDER_H

#include "daemon/platform/udp_io.h"

#define UDP_SENDER_ENTRIES 256
#define UDP_SENDER_END     UINT16_MAX

/* A datagram that waits. */
struct udp_entry {
    const void *data; /* the caller's */
    size_t size;
    void *tag;
    struct endpoint dest; /* family NONE: the socket is connected */
    struct endpoint from; /* family NONE: as routes have it; port 0 */
    uint16_t next;        /* of the same socket, or UDP_SENDER_END */
};

/* Those of one socket, in order. */
struct udp_chain {
    int fd;
    uint16_t first, last;
};

struct udp_sender {
    udp_unsent *unsent;
    void *arg;
    uint16_t count, chain_count;
    uint16_t slots[2 * UDP_SENDER_ENTRIES]; /* open hash by fd: index of a chain + 1, 0 free */
    uint16_t used[UDP_SENDER_ENTRIES];      /* the slot of each chain */
    struct udp_chain chains[UDP_SENDER_ENTRIES];
    struct udp_entry entries[UDP_SENDER_ENTRIES];
};

/* Sends a chain in order; tells of each entry that could not be sent. By udp_io_*.c. */
void udp_send_chain(struct udp_sender *sender, const struct udp_chain *chain);

/* Tells that an entry, or it and all behind it, were not sent. */
void udp_sender_report(struct udp_sender *sender, const struct udp_entry *entry, int sys_errno);
void udp_sender_report_rest(struct udp_sender *sender, uint16_t first, int sys_errno);

/* Linux: whether it is an ICMP error of an earlier datagram, not of this call (the table of the
 * kernel's net/ipv4/icmp.c). */
bool udp_is_icmp_error(int sys_errno);

#endif
