/* SPDX-License-Identifier: Apache-2.0 */
/*
 * path_guard.h - streams whose own address may go away, as when a host changes networks.
 *
 * No packet of such a stream leaves the host any more, and none reaches it: it would hang until TCP
 * gives up, which takes a quarter of an hour while data is under way. An address that comes back
 * within ADDRESS_GRACE_S harms nobody; a path that is merely down keeps its addresses and its
 * streams.
 */
#ifndef ENGINE_PATH_GUARD_H
#define ENGINE_PATH_GUARD_H

#include "daemon/platform/loop.h"
#include "daemon/platform/socket.h"
#include "proto/endpoint.h"
#include "proto/list.h"

struct path_guards {
    struct list guards; /* struct path_guard.node */
    struct timer check;
    bool is_told; /* the system brings news of its network; else it is looked at in intervals */
};

/* The address has been away for long enough: end the stream. Guards may end from inside. */
typedef void path_guard_gone(void *arg);

struct path_guard {
    struct list node;
    struct udptun_endpoint own; /* without a port */
    uint64_t missing_since_us;  /* 0: the host has the address */
    path_guard_gone *gone;
    void *arg;
};

/* This host has the address `own`, which has no port. Asked of the system, which knows of addresses
 * that no interface lists, too. */
bool path_has_address(const struct udptun_endpoint *own);

void path_guards_init(struct path_guards *all, struct loop *loop);
/* After all guards have ended. */
void path_guards_fini(struct path_guards *all);
/* The host's network changed. */
void path_guards_look(struct path_guards *all);

/* Watch over a connected socket. One without an address of its own (a Unix socket) is left alone.
 */
void path_guard_start(struct path_guard *guard, struct path_guards *all, udptun_socket socket,
                      path_guard_gone *gone, void *arg);
/* Harmless on a guard that is all zero, and more than once. */
void path_guard_stop(struct path_guard *guard);

#endif
