/* SPDX-License-Identifier: Apache-2.0 */
/*
 * path.c - how large a packet may be that is to reach an app.
 *
 * An app on this host takes what the device takes. An app behind this host (a container, a virtual
 * machine, a LAN) has links of its own, and those are smaller than a device of 65,535 bytes. What
 * is known of them: what a router said (ICMP fragmentation needed, RFC 1191; ICMPv6 packet too big,
 * RFC 8201), and what the app shows: its MSS, the size of the fragments that it sends, a packet
 * that came in one piece. Before anything is known an IPv6 packet is no larger than Ethernet's; one
 * of IPv4 can be cut on its way.
 *
 * Invariant: an entry never says less than each IP version guarantees, so an app can slow down its
 * own traffic, and no more. Entries are few, end by themselves, and the oldest makes room.
 */
#include "tun2socks/internal.h"

enum {
    LEAST_MTU4 = 552, /* below it IPv4 packets are cut by routers, as Linux does it */
    LEAST_MTU6 = 1280,
};

/* RFC 8201 section 5.3: the way may have changed by then. */
static const uint64_t life_us = UINT64_C(600000000);

static struct app_path *path_find(const struct tun2socks *t, const struct udptun_endpoint *app)
{
    for (unsigned i = 0; i < t->path_count; i++) {
        const struct app_path *path = &t->paths[i];
        if (path->until_us > stack_now(t) && endpoint_same_ip(&path->app, app))
            return (struct app_path *)(uintptr_t)path;
    }
    return NULL;
}

static struct app_path *find_or_new(struct tun2socks *t, const struct udptun_endpoint *app)
{
    struct app_path *path = path_find(t, app);
    if (!path) {
        path = &t->paths[t->next_path++ % PATHS];
        if (t->path_count < PATHS)
            t->path_count++;
        *path = (struct app_path){.app = *app};
    }
    path->until_us = stack_now(t) + life_us;
    return path;
}

static uint32_t path_least(const struct udptun_endpoint *app)
{
    return app->family == UDPTUN_ENDPOINT_IP4 ? LEAST_MTU4 : LEAST_MTU6;
}

uint32_t path_mtu(const struct tun2socks *t, const struct udptun_endpoint *app)
{
    uint32_t device = t->device ? t->device->mtu : ETHERNET_MTU;
    const struct app_path *path = path_find(t, app);
    uint32_t mtu = path ? path->mtu : app->family == UDPTUN_ENDPOINT_IP4 ? device : ETHERNET_MTU;
    return mtu < device ? mtu : device;
}

uint32_t path_proved(struct tun2socks *t, const struct udptun_endpoint *app, uint32_t mtu)
{
    if (mtu < path_least(app))
        mtu = path_least(app);
    uint32_t known = path_mtu(t, app);
    struct app_path *path = find_or_new(t, app);
    path->mtu = mtu < known ? mtu : known;
    path->is_proved = true;
    t->has_small_path = true;
    return path->mtu;
}

void path_told(struct tun2socks *t, const struct udptun_endpoint *app, uint32_t mtu)
{
    if (app->family != UDPTUN_ENDPOINT_IP6)
        return;
    struct app_path *path = find_or_new(t, app);
    if (mtu < LEAST_MTU6)
        mtu = LEAST_MTU6;
    if (!path->is_proved && mtu > path->mtu)
        path->mtu = mtu;
}

void path_seen(struct tun2socks *t, const struct packet *p, bool is_whole)
{
    bool is_large = is_whole && p->protocol != PROTOCOL_TCP && p->size > ETHERNET_MTU;
    if (p->is_fragment ? p->fragment_more : is_large)
        path_told(t, &p->source, (uint32_t)p->size);
}
