/* SPDX-License-Identifier: Apache-2.0 */
/*
 * survey.h - a look at the network as others have set it up: the networks that this machine is
 * connected to, and the routes and rules that take traffic out beside the device.
 */
#ifndef PROXY_LINUX_SURVEY_H
#define PROXY_LINUX_SURVEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controller/proxy/linux/netlink.h"

enum {
    SURVEY_NAME_SIZE = 16, /* of a device, with the NUL */
    SURVEY_MAX_NETWORKS = 48,
    SURVEY_MAX_WARNINGS = 16,
};

/* A network on which a device has an address. */
struct survey_network {
    uint8_t family; /* AF_INET, AF_INET6 */
    uint8_t prefix_size;
    uint8_t to[16]; /* network byte order, bits behind the prefix 0 */
    uint32_t device;
    char name[SURVEY_NAME_SIZE]; /* of the device */
    bool is_lan;                 /* private, and narrow enough to be believed */
};

struct survey {
    struct survey_network networks[SURVEY_MAX_NETWORKS];
    size_t network_count;
    char warnings[SURVEY_MAX_WARNINGS][160]; /* ways out of the device, each a sentence */
    size_t warning_count;
    size_t more; /* ways out beyond these */
};

/* The networks but those of the device with index `device` and of loopback; and, with `with_ways`,
 * the warnings: `first` is the priority of our first rule, before which others may have theirs. */
int survey_take(struct nl *nl, uint32_t device, bool with_ways, uint32_t first, struct survey *s,
                struct udptun_error *err);

/* Inside RFC 1918, 100.64.0.0/10, 169.254.0.0/16, fc00::/7 or fe80::/10, and for IPv4 no wider than
 * /16: a larger "local" network may be a trick of its DHCP server. */
bool survey_is_lan(uint8_t family, const uint8_t *to, uint8_t prefix_size);

#endif
