/* SPDX-License-Identifier: Apache-2.0 */
/* hooks.h - functions of ours that lwIP calls; lwip/port.c has them. */
#ifndef LWIP_HOOKS_H
#define LWIP_HOOKS_H

#include "lwip/ip_addr.h"

struct tcp_pcb;

u32_t lwip_port_isn(const ip_addr_t *local_ip, u16_t local_port, const ip_addr_t *remote_ip,
                    u16_t remote_port);

/* Bytes that lwIP may hold of a connection beyond a gap. */
u32_t lwip_port_out_of_order(const struct tcp_pcb *pcb);

#endif
