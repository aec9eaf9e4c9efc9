/* SPDX-License-Identifier: Apache-2.0 */
/* egress_port.c - which external port a binding gets. */
#include <sodium.h>

#include "daemon/engine/server/egress.h"

enum {
    MAX_TRIES = 128,   /* ports of a range, from a random start on */
    PARITY_TRIES = 16, /* of the system's choice: each has an even chance */
};

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

/* A port of any number that the system gives; several are tried for the parity. */
static int bind_any(const struct socket_rules *rules, enum udptun_endpoint_family family,
                    const struct port_wish *wish, udptun_socket *made)
{
    int failure = bind_port(rules, family, 0, made);
    for (int i = 0; i < PARITY_TRIES && failure == 0 && wish->parity; i++) {
        if (socket_own(*made).port % 2 == wish->like % 2)
            return 0;
        udptun_socket other = *made;
        failure = bind_port(rules, family, 0, made); /* while that one is taken */
        socket_close(other);
    }
    return failure;
}

/* A port of the range, from a random one on; with a step of 2 those of one parity. */
static int bind_range(const struct tunnel *t, const struct socket_rules *rules,
                      enum udptun_endpoint_family family, const struct port_wish *wish,
                      uint32_t step, udptun_socket *made)
{
    uint32_t low = t->config->port_low, high = t->config->port_high;
    if (step == 2 && low % 2 != wish->like % 2)
        low++;
    int failure = io_error(IO_IN_USE);
    if (low > high)
        return failure;
    uint32_t count = (high - low) / step + 1, start = randombytes_uniform(count);
    for (uint32_t i = 0; i < count && i < MAX_TRIES && is_taken(failure); i++)
        failure = bind_port(rules, family, low + (start + i) % count * step, made);
    return failure;
}

int egress_bind(struct tunnel *t, const struct socket_rules *rules,
                enum udptun_endpoint_family family, const struct port_wish *wish,
                udptun_socket *made)
{
    uint32_t low = t->config->port_low, high = t->config->port_high;
    bool ranged = low != 0;
    bool allowed = wish->port >= 1024 && (!ranged || (wish->port >= low && wish->port <= high));
    int failure = allowed ? bind_port(rules, family, wish->port, made) : io_error(IO_IN_USE);
    if (!is_taken(failure))
        return failure;
    if (!ranged)
        return bind_any(rules, family, wish, made);
    if (wish->parity)
        failure = bind_range(t, rules, family, wish, 2, made);
    return is_taken(failure) ? bind_range(t, rules, family, wish, 1, made) : failure;
}
