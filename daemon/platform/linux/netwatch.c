/* SPDX-License-Identifier: Apache-2.0 */
/* linux/netwatch.c - changes of links, addresses and routes, by rtnetlink (RFC 3549). */
#include "daemon/platform/netwatch.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* A link that comes up brings an address and routes within milliseconds. */
static const double SETTLE_S = 0.05;

struct netwatch {
    struct ev_loop *loop;
    ev_io io;
    ev_timer settle;
    netwatch_changed *changed;
    void *arg;
};

/* What the messages say does not matter, nor does it when some were lost (ENOBUFS). */
static void on_message(struct ev_loop *loop, ev_io *io, int events)
{
    (void)events;
    struct netwatch *watch = (struct netwatch *)io->data;
    char bytes[8192];
    while (recv(io->fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        ;
    if (!ev_is_active(&watch->settle)) {
        ev_now_update(loop);
        ev_timer_set(&watch->settle, SETTLE_S, 0.);
        ev_timer_start(loop, &watch->settle);
    }
}

static void on_settled(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct netwatch *watch = (struct netwatch *)timer->data;
    watch->changed(watch->arg);
}

static int open_socket(void)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    struct sockaddr_nl at = {.nl_family = AF_NETLINK,
                             .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE |
                                          RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE};
    if (fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

struct netwatch *netwatch_new(struct ev_loop *loop, netwatch_changed *changed, void *arg)
{
    struct netwatch *watch = (struct netwatch *)calloc(1, sizeof *watch);
    int fd = watch ? open_socket() : -1;
    if (fd < 0) {
        free(watch);
        return NULL;
    }
    watch->loop = loop;
    watch->changed = changed;
    watch->arg = arg;
    ev_io_init(&watch->io, on_message, fd, EV_READ);
    ev_timer_init(&watch->settle, on_settled, SETTLE_S, 0.);
    watch->io.data = watch;
    watch->settle.data = watch;
    ev_io_start(loop, &watch->io);
    return watch;
}

void netwatch_free(struct netwatch *watch)
{
    if (!watch)
        return;
    ev_io_stop(watch->loop, &watch->io);
    ev_timer_stop(watch->loop, &watch->settle);
    close(watch->io.fd);
    free(watch);
}
