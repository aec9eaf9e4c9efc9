/* SPDX-License-Identifier: Apache-2.0 */
/* port.c - lwIP's one copy in a process: who may use it, and its clock. */
#include "lwip/port.h"

#include <stdatomic.h>

#include "lwip/init.h"
#include "lwip/ip4_frag.h"
#include "lwip/ip6_frag.h"
#include "lwip/priv/tcp_priv.h"

/* Linux's own shortest delay: an app with Nagle on waits no longer here than with a real peer. */
#define ACK_DELAY_US  40000u
#define TCP_TICK_US   (TCP_TMR_INTERVAL * 1000u)
#define REASS_TICK_US (IP_TMR_INTERVAL * 1000u)
#define REASS_LIFE_US ((IP_REASS_MAXAGE + 2) * UINT64_C(1000000))

static _Thread_local char this_thread; /* its address tells threads apart */
static _Atomic(uintptr_t) owner;       /* 0: nobody */
static unsigned users;                 /* of the owner's */
static bool is_set_up;
static uint64_t tcp_at_us, reass_at_us; /* when each clock ticks next, 0: it stands */
static uint64_t ack_at_us = UINT64_MAX;
static uint64_t reass_until_us; /* no fragment is left by then */

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

void lwip_port_fragment(uint64_t now_us)
{
    reass_until_us = now_us + REASS_LIFE_US;
}

/* Whether a clock that ticks every `period_us` is due. One that is far behind (the machine slept,
 * or there was nothing to time) is set right, not made up for. */
static bool is_due(uint64_t *at_us, uint64_t now_us, uint64_t period_us)
{
    if (*at_us == 0 || *at_us > now_us + period_us)
        *at_us = now_us + period_us;
    if (*at_us > now_us)
        return false;
    *at_us += period_us;
    if (*at_us <= now_us)
        *at_us = now_us + period_us;
    return true;
}

uint64_t lwip_port_tick(uint64_t now_us)
{
    if (ack_at_us <= now_us) {
        ack_at_us = UINT64_MAX;
        tcp_fasttmr();
    }
    bool has_tcp = tcp_active_pcbs || tcp_tw_pcbs, has_fragments = reass_until_us > now_us;
    if (has_tcp && is_due(&tcp_at_us, now_us, TCP_TICK_US))
        tcp_tmr();
    if (has_fragments && is_due(&reass_at_us, now_us, REASS_TICK_US)) {
        ip_reass_tmr();
        ip6_reass_tmr();
    }
    uint64_t next = ack_at_us;
    if (has_tcp && tcp_at_us < next)
        next = tcp_at_us;
    if (has_fragments && reass_at_us < next)
        next = reass_at_us;
    return next;
}
