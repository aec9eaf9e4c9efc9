/* SPDX-License-Identifier: Apache-2.0 */
/* names_order.h - which family's addresses of a name are tried first. Private to names.c. */
#ifndef PLATFORM_POSIX_NAMES_ORDER_H
#define PLATFORM_POSIX_NAMES_ORDER_H

#include "daemon/platform/socket.h"

/* This host has a route to `to`. */
bool names_reach(const struct udptun_endpoint *to, const struct socket_rules *rules);

/* Whether IPv6 address `six` is to be tried before IPv4 address `four` (RFC 6724 section 6). */
bool names_prefer_ip6(const struct udptun_endpoint *six, const struct udptun_endpoint *four,
                      const struct socket_rules *rules);

#endif
