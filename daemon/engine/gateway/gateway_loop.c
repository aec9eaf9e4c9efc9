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

static const double over_after_s = 30.;

static void on_over(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)events;
    ev_timer_stop(loop, timer);
    gateway_far_end((struct gateway *)timer->data, GATEWAY_SIDE_LOOP, NULL);
}

void gateway_loop_init(struct gateway *t)
{
    ev_init(&t->loop_over, on_over);
    t->loop_over.repeat = over_after_s;
    t->loop_over.data = t;
}

void gateway_loop_stop(struct gateway *t)
{
    ev_timer_stop(t->engine->loop, &t->loop_over);
}

bool gateway_loop_check(void *arg, bool is_stream, const struct endpoint *source,
                        const struct endpoint *destination)
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
        ev_timer_again(t->engine->loop, &t->loop_over);
    return true;
}
