/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device.h - the TUN device.
 *
 * It is persistent: it stays while nobody reads it, so that a tun2socks may come and go, one that
 * attaches by name as well as udptund, which is given a descriptor. It ends when it is deleted,
 * which also ends descriptors that others hold.
 *
 * A device of ours bears an alias (ifalias). It is given while the device is not persistent yet: if
 * we die before, the device goes with us, so one that a crash has left can always be told from
 * somebody else's of the same name.
 *
 * It is up, and has its addresses, only while traffic is routed into it. Down it has no route, in
 * no table, so that the routing is as it was.
 */
#ifndef PROXY_LINUX_DEVICE_H
#define PROXY_LINUX_DEVICE_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "controller/proxy/linux/netlink.h"
#include "proto/endpoint.h"

/* An address with the size of its network's prefix; family UDPTUN_ENDPOINT_NONE: none. */
struct device_address {
    struct udptun_endpoint ip;
    uint8_t prefix_size;
};

struct proxy_device {
    struct nl *nl;
    char name[IFNAMSIZ];
    struct device_address address, address6;
    uint32_t index; /* 0: there is none of ours */
    int fd;         /* attached to it, or -1 */
};

/* "10.0.85.1/24" into its parts. False: it is none. */
bool device_address_parse(const char *text, struct device_address *address);
/* `ip` is in its network. */
bool device_address_covers(const struct device_address *address, const struct udptun_endpoint *ip);

/* Delete every device that bears our alias: what a crash has left. With `adopt` that of our name is
 * not deleted: it is ours again. */
int proxy_device_clear(struct proxy_device *d, bool adopt, struct udptun_error *err);

/* Have it, down. One that is there already is left as it is. UDPTUN_E_CONFLICT: the name is taken;
 * UDPTUN_E_PERMISSION. */
int proxy_device_make(struct proxy_device *d, struct udptun_error *err);
/* It is there, under our name and index. */
bool proxy_device_exists(const struct proxy_device *d);
/* Some program is attached to it. */
bool proxy_device_is_read(const struct proxy_device *d);
/* Delete it. */
void proxy_device_destroy(struct proxy_device *d);

/* Addresses on, up. */
int proxy_device_up(struct proxy_device *d, struct udptun_error *err);
/* Down, addresses off. */
int proxy_device_down(struct proxy_device *d, struct udptun_error *err);

/* Have d->fd, for a tun2socks. `mtu` 0: the largest that suits. UDPTUN_E_CONFLICT: another program
 * is attached. */
int proxy_device_attach(struct proxy_device *d, uint32_t mtu, struct udptun_error *err);
void proxy_device_detach(struct proxy_device *d);
/* Drop the packets that wait in it: while no tun2socks ran they have become old. */
void proxy_device_drain(const struct proxy_device *d);

#endif
