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
#define SETTLE_US UINT64_C(100000)

static void read_all(struct route_watch *w, udptun_socket socket)
{
    char bytes[8192];
    while (recv(socket, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        ;
    if (!timer_is_on(&w->settle))
        timer_start(&w->settle, SETTLE_US);
}

static void on_routes(void *arg, unsigned events)
{
    struct route_watch *w = arg;
    (void)events;
    read_all(w, w->routes.socket);
}

static void on_firewall(void *arg, unsigned events)
{
    struct route_watch *w = arg;
    (void)events;
    read_all(w, w->firewall.socket);
}

static void on_settled(void *arg)
{
    struct route_watch *w = arg;
    w->changed(w->arg);
}

/* What others do to nf_tables: one that flushes its rules takes ours along. */
static void watch_firewall(struct route_watch *w)
{
    static const int group = NFNLGRP_NFTABLES;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER);
    const struct sockaddr_nl any = {.nl_family = AF_NETLINK};
    bool watched = fd >= 0 && bind(fd, (const struct sockaddr *)&any, sizeof any) == 0 &&
                   setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) == 0 &&
                   watch_start(&w->firewall, fd, LOOP_READ) == 0;
    if (!watched && fd >= 0)
        close(fd);
}

int route_watch_open(struct route_watch *w, struct loop *loop, void (*changed)(void *arg),
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
    *w = (struct route_watch){.changed = changed, .arg = arg};
    watch_init(&w->routes, loop, on_routes, w);
    watch_init(&w->firewall, loop, on_firewall, w);
    timer_init(&w->settle, loop, on_settled, w);
    if (watch_start(&w->routes, fd, LOOP_READ) < 0) {
        close(fd);
        return error_set(err, UDPTUN_E_NOMEM, NULL, "netlink: out of memory");
    }
    w->loop = loop;
    watch_firewall(w);
    return UDPTUN_OK;
}

void route_watch_close(struct route_watch *w)
{
    if (!w->loop)
        return;
    timer_stop(&w->settle);
    if (watch_is_on(&w->firewall)) {
        watch_stop(&w->firewall);
        close(w->firewall.socket);
    }
    watch_stop(&w->routes);
    close(w->routes.socket);
    w->loop = NULL;
}
