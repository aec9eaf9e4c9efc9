/* SPDX-License-Identifier: Apache-2.0 */
/* port.c - lwIP's one copy in a process: who may use it, and its clock. */
#include "lwip/port.h"

#include <stdatomic.h>

#include "lwip/init.h"
#include "lwip/priv/tcp_priv.h"

/* Linux's own shortest delay: an app with Nagle on waits no longer here than with a real peer. */
#define ACK_DELAY_US 40000u
#define TCP_TICK_US  (TCP_TMR_INTERVAL * 1000u)

static _Thread_local char this_thread; /* its address tells threads apart */
static _Atomic(uintptr_t) owner;       /* 0: nobody */
static unsigned users;                 /* of the owner's */
static bool is_set_up;
static uint64_t tcp_at_us; /* when it ticks next, 0: it stands */
static uint64_t ack_at_us = UINT64_MAX;

bool lwip_port_enter(void)
{
    uintptr_t me = (uintptr_t)&this_thread, nobody = 0;
    if (!atomic_compare_exchange_strong(&owner, &nobody, me) && nobody != me)
        return false;
    users++;
    if (!is_set_up)
        lwip_init();
    is_set_up = true;
    return true;
}

void lwip_port_leave(void)
{
    if (--users == 0)
        atomic_store(&owner, 0);
}

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
        tcp_fasttmr();
    }
    if (!tcp_active_pcbs && !tcp_tw_pcbs) {
        tcp_at_us = 0;
        return ack_at_us;
    }
    if (is_due(now_us))
        tcp_tmr();
    return tcp_at_us < ack_at_us ? tcp_at_us : ack_at_us;
}
