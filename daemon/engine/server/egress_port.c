/* SPDX-License-Identifier: Apache-2.0 */
/* egress_port.c - which external port a binding gets. */
#include <errno.h>
#include <sodium.h>

#include "daemon/engine/server/egress.h"

/* Ports of a range that are tried from a random start on. */
enum { MAX_TRIES = 128 };

static int bind_port(const struct socket_rules *rules, enum endpoint_family family, uint32_t port)
{
    struct endpoint ep = {.family = (uint8_t)family, .port = (uint16_t)port};
    return socket_bind_udp(&ep, rules);
}

static bool may_be_tried(int result)
{
    return result == -EADDRINUSE || result == -EACCES;
}

int egress_bind(struct tunnel *t, enum endpoint_family family, uint16_t want)
{
    struct socket_rules rules = tunnel_rules(t);
    uint32_t low = t->config->port_low, high = t->config->port_high;
    bool ranged = low != 0;
    bool allowed = want >= 1024 && (!ranged || (want >= low && want <= high));
    int fd = allowed ? bind_port(&rules, family, want) : -EADDRINUSE;
    if (!may_be_tried(fd))
        return fd;
    if (!ranged)
        return bind_port(&rules, family, 0);
    uint32_t count = high - low + 1;
    uint32_t start = randombytes_uniform(count);
    for (uint32_t i = 0; i < count && i < MAX_TRIES && may_be_tried(fd); i++)
        fd = bind_port(&rules, family, low + (start + i) % count);
    return fd;
}
