/* SPDX-License-Identifier: Apache-2.0 */
/* wish.h - what a client wants of the machine's traffic: the one input of plan.h and firewall.h. */
#ifndef PROXY_LINUX_WISH_H
#define PROXY_LINUX_WISH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/endpoint.h"

enum { WISH_MAX_ASIDE = 32 };

/* The mark that firewall.h gives to a DNS question of a socket with a device of its own. */
#define WISH_DNS_MARK 8553u

struct wish {
    struct udptun_endpoint aside[WISH_MAX_ASIDE]; /* what goes there stays outside of the device */
    size_t aside_count;
    uint32_t device; /* index of the TUN device */
    char device_name[16];
    struct udptun_endpoint address, address6; /* of the device; family none: it has none */
    uint32_t mark;                            /* of sockets that stay outside; 0: none do */
    bool has_ip6;                             /* the system knows IPv6 */
    bool strict;                              /* no route of another program takes traffic out */
    bool allow_lan;                           /* with `strict`: connected private networks do */
    bool dns;      /* port 53 goes into the device, whatever the server */
    bool firewall; /* firewall.h is in force: what a rule alone cannot do may count on it */
};

#endif
