/* SPDX-License-Identifier: Apache-2.0 */
/* port.c - lwIP's one copy in a process: who may use it, and its clock. */
#include "lwip/port.h"

#include <stdatomic.h>

#include "lwip/hooks.h"
#include "lwip/init.h"
#include "lwip/priv/tcp_priv.h"

/* Linux's own shortest delay: an app with Nagle on waits no longer here than with a real peer. */
#define ACK_DELAY_US 40000u
#define TCP_TICK_US  (TCP_TMR_INTERVAL * 1000u)

static _Thread_local char this_thread; /* its address tells threads apart */
static _Atomic(uintptr_t) owner;       /* 0: nobody */
static unsigned users;                 /* of the owner's */
static bool is_set_up;
static lwip_port_sequence *first_sequence; /* set while there are users */
static uint64_t tcp_at_us;                 /* when it ticks next, 0: it stands */
static uint64_t ack_at_us = UINT64_MAX;
static u32_t out_of_order_bytes = TCP_WND;
static struct lwip_held held; /* head of a list */
static size_t held_count;

bool lwip_port_enter(lwip_port_sequence *sequence)
{
    uintptr_t me = (uintptr_t)&this_thread, nobody = 0;
    if (!atomic_compare_exchange_strong(&owner, &nobody, me) && nobody != me)
        return false;
    users++;
    first_sequence = sequence;
    if (!is_set_up)
        lwip_init();
    is_set_up = true;
    return true;
}

/* lwIP's hook. A SYN is being read, by the default interface: tun2socks names it before. */
u32_t lwip_port_isn(const ip_addr_t *local_ip, u16_t local_port, const ip_addr_t *remote_ip,
                    u16_t remote_port)
{
    const struct lwip_port_flow flow = {netif_default, local_ip, remote_ip, local_port,
                                        remote_port};
    return flow.netif && first_sequence ? first_sequence(&flow) : tcp_ticks;
}

void lwip_port_limit_out_of_order(bool may_keep)
{
    out_of_order_bytes = may_keep ? TCP_WND : 0;
}

/* lwIP's hook. */
u32_t lwip_port_out_of_order(const struct tcp_pcb *pcb)
{
    (void)pcb;
    return out_of_order_bytes;
}

void lwip_port_leave(void)
{
    if (--users == 0)
        atomic_store(&owner, 0);
}

/* ---- connections outside lwIP's list ------------------------------------------------------------
 */

static void push(struct tcp_pcb *pcb)
{
    pcb->next = tcp_active_pcbs;
    tcp_active_pcbs = pcb;
}

static void pop(void)
{
    struct tcp_pcb *pcb = tcp_active_pcbs;
    tcp_active_pcbs = pcb->next;
    pcb->next = NULL;
}

void lwip_port_hold(struct lwip_held *h, struct tcp_pcb *pcb)
{
    h->pcb = pcb;
    h->next = held.next;
    h->prev = &held;
    if (h->next)
        h->next->prev = h;
    held.next = h;
    held_count++;
    pop();
}

void lwip_port_forget(struct lwip_held *h)
{
    if (!h->prev)
        return;
    h->prev->next = h->next;
    if (h->next)
        h->next->prev = h->prev;
    h->next = h->prev = NULL;
    h->pcb = NULL;
    held_count--;
}

void lwip_port_release(struct lwip_held *h)
{
    struct tcp_pcb *pcb = h->pcb;
    if (!h->prev)
        return;
    lwip_port_forget(h);
    push(pcb);
}

void lwip_port_lend(struct lwip_held *h)
{
    push(h->pcb);
}

bool lwip_port_take_back(struct lwip_held *h)
{
    if (!h->prev) /* freed meanwhile */
        return true;
    if (h->pcb->state == TIME_WAIT) {
        lwip_port_forget(h);
        return false;
    }
    pop();
    return true;
}

/* lwIP's clocks go over its list: all are in it meanwhile. What they free is told, and so
 * forgotten; nothing is added. Those left are the first of the list. */
static void run_clock(void (*clock)(void))
{
    for (struct lwip_held *h = held.next; h; h = h->next)
        push(h->pcb);
    clock();
    for (size_t left = held_count; left > 0; left--)
        pop();
}

/* ---- time ---------------------------------------------------------------------------------------
 */

void lwip_port_ack_later(uint64_t now_us)
{
    if (ack_at_us == UINT64_MAX)
        ack_at_us = now_us + ACK_DELAY_US;
}

/* Whether lwIP's clock is due. One that is far behind (the machine slept, or there was nothing to
 * time) is set right, not made up for. */
static bool is_due(uint64_t now_us)
{
    if (tcp_at_us == 0 || tcp_at_us > now_us + TCP_TICK_US)
        tcp_at_us = now_us + TCP_TICK_US;
    if (tcp_at_us > now_us)
        return false;
    tcp_at_us += TCP_TICK_US;
    if (tcp_at_us <= now_us)
        tcp_at_us = now_us + TCP_TICK_US;
    return true;
}

uint64_t lwip_port_tick(uint64_t now_us)
{
    if (ack_at_us <= now_us) {
        ack_at_us = UINT64_MAX;
        run_clock(tcp_fasttmr);
    }
    if (!tcp_active_pcbs && !tcp_tw_pcbs && held_count == 0) {
        tcp_at_us = 0;
        return ack_at_us;
    }
    if (is_due(now_us))
        run_clock(tcp_tmr);
    return tcp_at_us < ack_at_us ? tcp_at_us : ack_at_us;
}
