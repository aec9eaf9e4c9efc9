/* SPDX-License-Identifier: Apache-2.0 */
/* network.c - changes of links, addresses and routes, by rtnetlink (RFC 3549). */
#include "daemon/platform/network.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* A link that comes up brings an address and routes within milliseconds. */
enum { SETTLE_US = 50 * 1000 };

struct network_watch {
    struct io_watch news;
    struct timer settle;
    network_changed *changed;
    void *arg;
};

/* What the messages say does not matter, nor does it when some were lost (ENOBUFS). */
static void on_network_news(void *arg, unsigned events)
{
    (void)events;
    struct network_watch *watch = (struct network_watch *)arg;
    char bytes[8192];
    while (recv(watch->news.socket, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        ;
    if (!timer_is_on(&watch->settle))
        timer_start(&watch->settle, SETTLE_US);
}

static void on_settled(void *arg)
{
    struct network_watch *watch = (struct network_watch *)arg;
    watch->changed(watch->arg);
}

static int network_open_socket(void)
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

struct network_watch *network_watch_new(struct loop *loop, network_changed *changed, void *arg)
{
    struct network_watch *watch = (struct network_watch *)calloc(1, sizeof *watch);
    int fd = watch ? network_open_socket() : -1;
    if (fd < 0) {
        free(watch);
        return NULL;
    }
    watch->changed = changed;
    watch->arg = arg;
    watch_init(&watch->news, loop, on_network_news, watch);
    timer_init(&watch->settle, loop, on_settled, watch);
    if (watch_start(&watch->news, fd, LOOP_READ) == UDPTUN_OK)
        return watch;
    close(fd);
    free(watch);
    return NULL;
}

void network_watch_free(struct network_watch *watch)
{
    if (!watch)
        return;
    watch_stop(&watch->news);
    timer_stop(&watch->settle);
    close(watch->news.socket);
    free(watch);
}
