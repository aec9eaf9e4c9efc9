/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netwatch.h - being told when the host's network came back or changed.
 *
 * linux/netwatch.c listens to rtnetlink; posix/netwatch.c, for systems without a file of their own,
 * never calls. Changes come in bursts, so they are reported once, a moment after the first.
 */
#ifndef PLATFORM_NETWATCH_H
#define PLATFORM_NETWATCH_H

#include <ev.h>

struct netwatch;

typedef void netwatch_changed(void *arg);

/* NULL where there is nothing to listen to, or no memory: the caller goes without. */
struct netwatch *netwatch_new(struct ev_loop *loop, netwatch_changed *changed, void *arg);
/* NULL is accepted. */
void netwatch_free(struct netwatch *watch);

#endif
