/* SPDX-License-Identifier: Apache-2.0 */
/* egress_port.c - which external port a binding gets. */
#include <sodium.h>

#include "daemon/engine/server/egress.h"

/* Ports of a range that are tried from a random start on. */
enum { MAX_TRIES = 128 };

static int bind_port(const struct socket_rules *rules, enum udptun_endpoint_family family,
                     uint32_t port, udptun_socket *made)
{
    struct udptun_endpoint ep = {.family = (uint8_t)family, .port = (uint16_t)port};
    return udp_open(&ep, rules, UDP_WANT_ERRORS, made);
}

/* Whether another port may do. */
static bool is_taken(int failure)
{
    enum io what = io_of(failure);
    return what == IO_IN_USE || what == IO_DENIED;
}

int egress_bind(struct tunnel *t, const struct socket_rules *rules,
                enum udptun_endpoint_family family, uint16_t want, udptun_socket *made)
{
    uint32_t low = t->config->port_low, high = t->config->port_high;
    bool ranged = low != 0;
    bool allowed = want >= 1024 && (!ranged || (want >= low && want <= high));
    int failure = allowed ? bind_port(rules, family, want, made) : io_error(IO_IN_USE);
    if (!is_taken(failure))
        return failure;
    if (!ranged)
        return bind_port(rules, family, 0, made);
    uint32_t count = high - low + 1;
    uint32_t start = randombytes_uniform(count);
    for (uint32_t i = 0; i < count && i < MAX_TRIES && is_taken(failure); i++)
        failure = bind_port(rules, family, low + (start + i) % count, made);
    return failure;
}
