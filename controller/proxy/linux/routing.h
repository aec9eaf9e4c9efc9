/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
/*
 * routing.h - makes the kernel's routing be what a plan says, and nothing of ours otherwise.
 *
 * How the traffic of the machine gets into the device, and why so
 * ---------------------------------------------------------------
 * None of the user's routes is touched. A table of our own (PLAN_TABLE) has a default route into
 * the device, and rules in front of the main table lead there (the same for IPv6):
 *
 *     0      local                                    the machine's own addresses, as ever
 *     8500   to the proxy              goto 8510      what carries the tunnel stays outside:
 *            fwmark MARK               goto 8510      otherwise it would go in circles
 *            multicast, broadcast      goto 8510      (IPv4; IPv6 has them in table local)
 *     8501   main, without its default routes         local networks, and all that is more specific
 *     8502   PLAN_TABLE                               everything else: into the device
 *     8510   nothing                                  where what stays outside goes on
 *     32766  main                                     the user's routing, as ever
 *
 * - To delete the user's default route and put it back means a journal on disk, a moment without
 *   any route, and a wrong route if the network changed meanwhile. Here there is nothing to be put
 *   back: without our rules all is as it was, metrics, lifetimes and router advertisements
 *   included.
 * - "goto" rather than a host route by the present gateway: what goes outside meets the user's
 *   rules and routes as if ours were not there. So a new default route holds for the proxy at once,
 *   without our doing, and even while no ProxyController runs.
 * - The table has a second default route, "unreachable". It counts while the device is down or
 *   gone: then nothing passes beside it. IPv6 goes into the device, too; where the device may have
 *   no IPv6 (disable_ipv6), unreachable is the only one. So IPv6 is never switched off, and does
 *   not leak.
 * - No file tells what was added. Rules and routes bear a protocol number of ours (PLAN_PROTOCOL),
 *   and rules a priority from a range; those are ours and no others are. After kill -9 at whatever
 *   step, the next start makes an empty plan be (routing_set(NULL)) and all is as it was. A journal
 *   could only be less true than the kernel's own tables, and must be on disk before each step.
 * - What is there is compared with what is to be, so each operation may be broken off, repeated,
 *   and run again when something else (a network manager) has taken our rules away.
 *
 * The order of steps: routes first, then rules, that into the device last and for IPv4 after IPv6;
 * the other way round when it ends. So no step leaves a rule that leads nowhere, or the proxy's
 * own traffic in the device.
 *
 * Only one ProxyController may do so in a network namespace: routing_open() takes a lock on the
 * namespace itself, which ends with the process. It guards against a second start by mistake, whose
 * recovery would take the first one's routing away; not against malice, for any process may take
 * it.
 */
/* clang-format on */
#ifndef PROXY_LINUX_ROUTING_H
#define PROXY_LINUX_ROUTING_H

#include <stdbool.h>

#include "controller/proxy/linux/netlink.h"
#include "controller/proxy/linux/plan.h"

struct routing {
    struct nl nl;
    int lock;
    bool has_ip6;
};

/* UDPTUN_E_CONFLICT: another ProxyController holds this namespace. */
int routing_open(struct routing *r, struct udptun_error *err);
void routing_close(struct routing *r);

/* Rules and routes of ours become those of `plan` (NULL: none). What cannot be added ends it, with
 * nothing taken away yet; the caller makes another plan be then. `*repaired` (may be NULL):
 * something had to be added. 0, UDPTUN_E_ROUTING, UDPTUN_E_PERMISSION. */
int routing_set(struct routing *r, const struct plan *plan, bool *repaired,
                struct udptun_error *err);

/* Rules of ours are there. */
bool routing_is_set(struct routing *r);

enum route_kind {
    ROUTE_NONE,      /* unreachable */
    ROUTE_LOCAL,     /* an address of this machine */
    ROUTE_BROADCAST, /* of a network of this machine */
    ROUTE_REMOTE,
};

/* How an address is reached by a socket with `mark`, which as in the plan keeps outside of the
 * device; `*device` (may be NULL): the index of the device. 0 or a code. */
int routing_find(struct routing *r, const struct udptun_endpoint *to, uint32_t mark,
                 enum route_kind *kind, uint32_t *device, struct udptun_error *err);

#endif
