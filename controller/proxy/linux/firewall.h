/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
/*
 * firewall.h - what rules and routes alone cannot do, as one nf_tables table of our own.
 *
 *     chain refuse   prerouting   packets for the device's address from another device: dropped
 *     chain steer    output       `dns`: questions that would leave by another device are marked,
 *                                 and so routed once more, into ours
 *     chain last     postrouting  `dns`: marked questions that leave elsewhere all the same: dropped
 *     chain leave    output       `dns`: port 53 that is not marked and would leave elsewhere: dropped
 *                                 `strict`: all that would leave elsewhere: dropped
 *     chain pass     forward      the same for packets of others (containers, virtual machines)
 *
 * - refuse: whoever is on the same LAN may send packets to the device's address, and see by the
 *   answers whether and where a VPN is in use (CVE-2019-14899). wg-quick has the same rule.
 * - steer: a socket with a device of its own (IP_UNICAST_IF, as systemd's resolver has it) is never
 *   routed into ours by a rule.
 * - leave, pass: a socket that is bound to a device, a rule before ours, IPv6 multicast, which the
 *   local table routes.
 *
 * What is accepted there and is not for the proxy: neighbour discovery and multicast listeners'
 * reports of IPv6, without which no router is reached, DHCP, and with `allowLan` the LAN. ARP and
 * what DHCP clients send as raw packets do not come here.
 *
 * The table is replaced as a whole, in one step. It stays after a crash as the rules do, and the
 * next start removes it.
 */
/* clang-format on */
#ifndef PROXY_LINUX_FIREWALL_H
#define PROXY_LINUX_FIREWALL_H

#include "controller/proxy/linux/survey.h"
#include "controller/proxy/linux/wish.h"

struct firewall {
    int rules;  /* how many we have set; 0: the table is not there, or is not known to be */
    char *last; /* the batch that did it; NULL: not known */
    size_t last_size;
};

/* Make the table be as `wish` says (NULL: be gone), unless it is. 0 or -errno; -EOPNOTSUPP: the
 * kernel has no nf_tables. `*repaired` (may be NULL): somebody had taken it away. */
int firewall_set(struct firewall *f, const struct wish *wish, const struct survey *survey,
                 bool *repaired);
/* Free what is remembered; the table stays as it is. */
void firewall_forget(struct firewall *f);

#endif
