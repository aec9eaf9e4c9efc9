/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway_loop.c - packets of the engine's own sockets that come back into the instance's device.
 *
 * A route that leads them there is wrong: each flow would be served by a socket whose packets are
 * the next flow. The stack drops the first one, and the instance is degraded until there was none
 * for a while.
 */
#include <stdio.h>

#include "daemon/engine/gateway/gateway.h"

enum { OVER_AFTER_US = 30 * 1000 * 1000 };

static void on_over(void *arg)
{
    gateway_far_end((struct gateway *)arg, GATEWAY_SIDE_LOOP, NULL);
}

void gateway_loop_init(struct gateway *t)
{
    timer_init(&t->loop_over, &t->engine->loop, on_over, t);
}

void gateway_loop_stop(struct gateway *t)
{
    timer_stop(&t->loop_over);
}

bool gateway_loop_check(void *arg, bool is_stream, const struct udptun_endpoint *source,
                        const struct udptun_endpoint *destination)
{
    struct gateway *t = (struct gateway *)arg;
    char text[sizeof t->far_error[0]], to[ENDPOINT_TEXT_SIZE];
    if (!own_sockets_has(&t->engine->own, is_stream, source))
        return false;
    snprintf(text, sizeof text, "our own %s to %s enter this device; route that address around it",
             is_stream ? "connections" : "datagrams", endpoint_format(destination, to));
    gateway_far_end(t, GATEWAY_SIDE_LOOP, text);
    engine_log_gated(t->engine, &t->gate, UDPTUN_LOG_WARN, "tun2socks", "%s: loop: %s",
                     gateway_name(t), text);
    if (!t->is_closing)
        timer_start(&t->loop_over, OVER_AFTER_US);
    return true;
}
