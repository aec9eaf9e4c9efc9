/* SPDX-License-Identifier: Apache-2.0 */
/* path_guard.c - streams whose own address may go away: the addresses are looked at after news. */
#include "daemon/engine/core/path_guard.h"

#include "daemon/platform/datagram.h"

enum { SECOND_US = 1000000, ADDRESS_GRACE_S = 15, LOOK_AGAIN_S = 5 };

bool path_has_address(const struct udptun_endpoint *own)
{
    udptun_socket socket;
    int failure = udp_open(own, NULL, 0, &socket);
    if (failure == 0)
        socket_close(socket);
    /* IO_NO_DEVICE: its zone is gone. */
    return io_of(failure) != IO_NO_ADDRESS && io_of(failure) != IO_NO_DEVICE;
}

static void path_guard_look(void *arg)
{
    struct path_guards *all = (struct path_guards *)arg;
    struct list gone;
    const struct path_guard *last = NULL; /* most share one address */
    uint64_t now_us = all->check.loop->now_us;
    bool is_present = true, is_any_missing = false;
    list_init(&gone);
    LIST_FOREACH_SAFE (node, &all->guards) {
        struct path_guard *guard = list_entry(node, struct path_guard, node);
        if (!last || !endpoint_equal(&last->own, &guard->own))
            is_present = path_has_address(&guard->own);
        last = guard;
        if (is_present)
            guard->missing_since_us = 0;
        else if (guard->missing_since_us == 0)
            guard->missing_since_us = now_us;
        else if (now_us - guard->missing_since_us >= (uint64_t)ADDRESS_GRACE_S * SECOND_US)
            list_move(&gone, &guard->node);
        is_any_missing = is_any_missing || !is_present;
    }
    while (!list_empty(&gone)) { /* each may end others, which then leave this list */
        struct path_guard *guard = list_entry(gone.next, struct path_guard, node);
        list_remove(&guard->node);
        guard->gone(guard->arg);
    }
    if (is_any_missing || (!all->is_told && !list_empty(&all->guards)))
        timer_start(&all->check, (uint64_t)LOOK_AGAIN_S * SECOND_US);
}

void path_guards_look(struct path_guards *all)
{
    if (!list_empty(&all->guards) && !timer_is_on(&all->check))
        path_guard_look(all);
}

void path_guards_init(struct path_guards *all, struct loop *loop)
{
    list_init(&all->guards);
    timer_init(&all->check, loop, path_guard_look, all);
}

void path_guards_fini(struct path_guards *all)
{
    timer_stop(&all->check);
}

void path_guard_start(struct path_guard *guard, struct path_guards *all, udptun_socket socket,
                      path_guard_gone *gone, void *arg)
{
    struct udptun_endpoint own = socket_own(socket);
    *guard = (struct path_guard){.own = endpoint_unmapped(&own), .gone = gone, .arg = arg};
    list_init(&guard->node);
    guard->own.port = 0;
    if (guard->own.family != UDPTUN_ENDPOINT_IP4 && guard->own.family != UDPTUN_ENDPOINT_IP6)
        return;
    list_append(&all->guards, &guard->node);
    if (!all->is_told && !timer_is_on(&all->check))
        timer_start(&all->check, (uint64_t)LOOK_AGAIN_S * SECOND_US);
}

void path_guard_stop(struct path_guard *guard)
{
    if (guard->node.next)
        list_remove(&guard->node);
}
