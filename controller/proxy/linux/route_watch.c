/* SPDX-License-Identifier: Apache-2.0 */
/* route_watch.c - see route_watch.h. What the messages say does not matter, nor does it when some
 * were lost (ENOBUFS): who is told looks at everything. */
#include "controller/proxy/linux/route_watch.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

/* A change comes as many messages. It also bounds how often we put back what another program that
 * insists takes away. */
static const double SETTLE_S = 0.1;

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)events;
    struct route_watch *w = watcher->data;
    char bytes[8192];
    while (recv(watcher->fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        ;
    if (!ev_is_active(&w->settle)) {
        ev_now_update(loop);
        ev_timer_set(&w->settle, SETTLE_S, 0.);
        ev_timer_start(loop, &w->settle);
    }
}

static void on_settled(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    struct route_watch *w = watcher->data;
    w->changed(w->arg);
}

/* What others do to nf_tables: one that flushes its rules takes ours along. */
static void watch_firewall(struct route_watch *w)
{
    static const int group = NFNLGRP_NFTABLES;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER);
    const struct sockaddr_nl any = {.nl_family = AF_NETLINK};
    if (fd >= 0 && bind(fd, (const struct sockaddr *)&any, sizeof any) == 0 &&
        setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) == 0) {
        ev_io_init(&w->firewall, on_readable, fd, EV_READ);
        w->firewall.data = w;
        ev_io_start(w->loop, &w->firewall);
    } else if (fd >= 0) {
        close(fd);
    }
}

int route_watch_open(struct route_watch *w, struct ev_loop *loop, void (*changed)(void *arg),
                     void *arg, struct udptun_error *err)
{
    static const int groups[] = {RTNLGRP_LINK,       RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
                                 RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,  RTNLGRP_IPV4_RULE,
                                 RTNLGRP_IPV6_RULE};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    const struct sockaddr_nl any = {.nl_family = AF_NETLINK};
    if (fd < 0 || bind(fd, (const struct sockaddr *)&any, sizeof any) < 0) {
        error_set_errno(err, UDPTUN_E_SYSTEM, errno, NULL, "netlink");
        if (fd >= 0)
            close(fd);
        return err->code;
    }
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof groups[i]);
    *w = (struct route_watch){.loop = loop, .changed = changed, .arg = arg};
    ev_io_init(&w->readable, on_readable, fd, EV_READ);
    ev_timer_init(&w->settle, on_settled, SETTLE_S, 0.);
    w->readable.data = w->settle.data = w;
    ev_io_start(loop, &w->readable);
    watch_firewall(w);
    return UDPTUN_OK;
}

void route_watch_close(struct route_watch *w)
{
    if (!w->loop)
        return;
    ev_io_stop(w->loop, &w->readable);
    ev_timer_stop(w->loop, &w->settle);
    if (ev_is_active(&w->firewall)) {
        ev_io_stop(w->loop, &w->firewall);
        close(w->firewall.fd);
    }
    close(w->readable.fd);
    w->loop = NULL;
}
