/* SPDX-License-Identifier: Apache-2.0 */
/* route_watch.h - tells that links, addresses, routes, rules or nf_tables have changed, once they
 * have settled.
 */
#ifndef PROXY_LINUX_ROUTE_WATCH_H
#define PROXY_LINUX_ROUTE_WATCH_H

#include "daemon/platform/loop.h"
#include "proto/error.h"

struct route_watch {
    struct loop *loop; /* NULL: closed */
    struct io_watch routes;
    struct io_watch firewall; /* not on where the kernel has no nf_tables */
    struct timer settle;
    void (*changed)(void *arg);
    void *arg;
};

int route_watch_open(struct route_watch *w, struct loop *loop, void (*changed)(void *arg),
                     void *arg, struct udptun_error *err);
void route_watch_close(struct route_watch *w);

#endif
