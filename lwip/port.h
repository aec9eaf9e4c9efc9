/* SPDX-License-Identifier: Apache-2.0 */
/*
 * port.h - lwIP's one copy in a process: who may use it, and its clock.
 *
 * lwIP keeps its connections in global variables and takes no locks. One thread uses it at a
 * time; which one stands here, beside lwIP's own state, because the floors above keep none.
 */
#ifndef LWIP_PORT_H
#define LWIP_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include "lwip/netif.h"

/* A connection that begins: lwIP's addresses of its two ends, the interface it came by. */
struct lwip_port_flow {
    struct netif *netif;
    const ip_addr_t *local_ip, *remote_ip;
    uint16_t local_port, remote_port;
};

/* Its first sequence number. */
typedef uint32_t lwip_port_sequence(const struct lwip_port_flow *flow);

/* Count one more user on this thread and set lwIP up before the first; `sequence` is the same for
 * all. False: another thread has users. */
bool lwip_port_enter(lwip_port_sequence *sequence);

/* One user less, on the thread that entered. After the last another thread may enter. */
void lwip_port_leave(void);

/*
 * lwIP finds the connection of a segment in a list, from its head. With thousands of them that is
 * most of a packet's cost, so those that the floor above can find by itself are held outside the
 * list: put in front of it for a packet of theirs, and back into it while the clocks run.
 */
struct tcp_pcb;
struct lwip_held {
    struct lwip_held *next, *prev; /* NULL: lwIP has the connection in its list */
    struct tcp_pcb *pcb;
};

/* Take `pcb`, the first of lwIP's active connections, out of the list. */
void lwip_port_hold(struct lwip_held *held, struct tcp_pcb *pcb);
/* Put it in front of the list, for one packet; and take it out again. False: it has moved to
 * lwIP's list of those in TIME-WAIT, and is held no more. */
void lwip_port_lend(struct lwip_held *held);
bool lwip_port_take_back(struct lwip_held *held);
/* lwIP has it in its list again. Without effect on one that is not held. */
void lwip_port_release(struct lwip_held *held);
/* lwIP has freed it, and so taken it out of its list. */
void lwip_port_forget(struct lwip_held *held);

/* Say before each packet whether lwIP may keep bytes beyond a gap, of the packet's connection.
 * Where it may not, it drops those that it has when more come; the peer sends them again. */
void lwip_port_limit_out_of_order(bool may_keep);

/* A segment came in whose acknowledgement lwIP may hold back: bound by how long. */
void lwip_port_ack_later(uint64_t now_us);

/* Run what is due of lwIP's clocks. Returns the time of the next, UINT64_MAX when lwIP holds
 * nothing that ages. */
uint64_t lwip_port_tick(uint64_t now_us);

#endif
