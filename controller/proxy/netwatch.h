/* SPDX-License-Identifier: Apache-2.0 */
/* netwatch.h - tells that links, addresses, routes or rules have changed, once they have settled.
 */
#ifndef PROXY_NETWATCH_H
#define PROXY_NETWATCH_H

#include <ev.h>

#include "proto/error.h"

struct netwatch {
    struct ev_loop *loop;
    ev_io readable;
    ev_timer settle;
    void (*changed)(void *arg);
    void *arg;
};

int netwatch_open(struct netwatch *w, struct ev_loop *loop, void (*changed)(void *arg), void *arg,
                  struct udptun_error *err);
void netwatch_close(struct netwatch *w);

#endif
