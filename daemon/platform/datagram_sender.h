/* SPDX-License-Identifier: Apache-2.0 */
/*
 * datagram_sender.h - what datagram_sender.c gathers and the files of the systems send. Private to
 * them.
 */
#ifndef PLATFORM_DATAGRAM_SENDER_H
#define PLATFORM_DATAGRAM_SENDER_H

#include "daemon/platform/datagram.h"

#define UDP_SENDER_ENTRIES 256
#define UDP_SENDER_END     UINT16_MAX

/* A datagram that waits. */
struct udp_entry {
    const void *data; /* the caller's */
    size_t size;
    struct datagram_owner *owner;
    struct udptun_endpoint dest; /* family NONE: the socket is connected */
    struct udptun_endpoint from; /* family NONE: as routes have it; port 0 */
    uint16_t next;               /* of the same socket, or UDP_SENDER_END */
};

/* Those of one socket, in order. */
struct udp_chain {
    udptun_socket socket;
    uint16_t first, last;
};

struct udp_sender {
    uint16_t count, chain_count;
    uint16_t slots[2 * UDP_SENDER_ENTRIES]; /* open hash by socket: index of a chain + 1, 0 free */
    uint16_t used[UDP_SENDER_ENTRIES];      /* the slot of each chain */
    struct udp_chain chains[UDP_SENDER_ENTRIES];
    struct udp_entry entries[UDP_SENDER_ENTRIES];
};

/* Sends a chain in order; tells of each entry that could not be sent. By the files of the systems.
 */
void udp_send_chain(struct udp_sender *sender, const struct udp_chain *chain);

/* Tells that an entry, or it and all behind it, were not sent. */
void udp_sender_report(struct udp_sender *sender, const struct udp_entry *entry, enum io why);
void udp_sender_report_rest(struct udp_sender *sender, uint16_t first, enum io why);

#endif
