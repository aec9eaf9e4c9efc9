/* SPDX-License-Identifier: Apache-2.0 */
/* device_link.h - what device.c does to a link, by netlink: one request each. 0 or a code. */
#ifndef PROXY_LINUX_DEVICE_LINK_H
#define PROXY_LINUX_DEVICE_LINK_H

#include "controller/proxy/linux/device.h"

/* Our alias, no IPv6 address of the kernel's making, MTU, a longer queue. */
int link_prepare(struct nl *nl, uint32_t index, uint32_t mtu, struct udptun_error *err);
int link_set_mtu(struct nl *nl, uint32_t index, uint32_t mtu, struct udptun_error *err);
int link_set_up(struct nl *nl, uint32_t index, bool up, struct udptun_error *err);

/* Of a TUN device: a program is attached. */
bool link_has_carrier(struct nl *nl, uint32_t index);

/* One that is there already, or gone already, is no error. */
int link_add_address(struct nl *nl, uint32_t index, const struct device_address *address,
                     struct udptun_error *err);
int link_delete_address(struct nl *nl, uint32_t index, const struct device_address *address,
                        struct udptun_error *err);

void link_delete(struct nl *nl, uint32_t index);
/* Every one with our alias but that with the index `kept` (0: none); `*found`: there is that one.
 */
int link_delete_ours(struct nl *nl, uint32_t kept, bool *found, struct udptun_error *err);

#endif
