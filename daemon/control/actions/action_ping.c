/* SPDX-License-Identifier: Apache-2.0 */
/* action_ping.c - pingTunnel: one round trip after another, answered when the last one is back.
 *
 * The engine calls back exactly once for each ping that it took, at the latest when it ends;
 * that may be inside udptun_ping() as well, so the next one is sent from here in a loop. */
#include "daemon/control/actions/actions.h"

#include <stdlib.h>

#include "daemon/control/store/state.h"

#define PING_TIMEOUT_MS 5000

struct pings {
    struct call *call;
    uint32_t wanted;
    size_t count;
    bool sending; /* udptun_ping() is up the stack */
    bool back;    /* the last ping sent has been answered */
    int code;     /* how the last one ended */
    double rtt_ms[];
};

static void action_ping_finish(struct pings *p)
{
    struct call *call = p->call;
    if (p->count == 0) {
        action_fail(call, p->code, NULL, "%s: no answer from the far end: %s",
                    ((const Udptun__Control__PingTunnelParameters *)call->parameters)->name,
                    error_text(p->code));
    } else {
        return_msg value = UDPTUN__CONTROL__RETURN_VALUE__INIT;
        Udptun__Control__PingTunnelReturn result = UDPTUN__CONTROL__PING_TUNNEL_RETURN__INIT;
        result.n_rtt_ms = p->count;
        result.rtt_ms = p->rtt_ms;
        value.action_case = UDPTUN__CONTROL__RETURN_VALUE__ACTION_PING_TUNNEL;
        value.ping_tunnel = &result;
        call_return(call, &value);
    }
    free(p);
}

static void send_next(struct pings *p);

static void on_ping(void *arg, int code, uint64_t rtt_us)
{
    struct pings *p = arg;
    p->code = code;
    p->back = true;
    if (code == 0)
        p->rtt_ms[p->count++] = (double)rtt_us / 1000.;
    if (!p->sending)
        send_next(p);
}

static void send_next(struct pings *p)
{
    const char *name = ((const Udptun__Control__PingTunnelParameters *)p->call->parameters)->name;
    while (p->code == 0 && p->count < p->wanted && p->call->conn) {
        p->back = false;
        p->sending = true;
        int rc = udptun_ping(p->call->control->engine, name, PING_TIMEOUT_MS, on_ping, p);
        p->sending = false;
        if (rc < 0)
            p->code = rc;
        else if (!p->back)
            return;
    }
    action_ping_finish(p);
}

void action_ping_tunnel(struct call *call)
{
    const Udptun__Control__PingTunnelParameters *given =
        (const Udptun__Control__PingTunnelParameters *)call->parameters;
    const struct object *object = objects_find(&call->control->objects, given->name);
    uint32_t wanted = given->has_count ? given->count : 1;
    if (!object || !object_tunnel(object->message)) {
        action_fail_not_found(call, given->name);
    } else if (object_tunnel(object->message)->role != UDPTUN__CONTROL__TUNNEL__ROLE__LOCAL) {
        action_fail(call, UDPTUN_E_INVALID, "parameters.name",
                    "%.64s is a udp-server; its clients can be asked to ping", given->name);
    } else if (wanted < 1 || wanted > MAX_PINGS) {
        action_fail(call, UDPTUN_E_INVALID, "parameters.count",
                    "parameters.count: 1 to %d are expected", MAX_PINGS);
    } else {
        struct pings *p = calloc(1, sizeof *p + wanted * sizeof p->rtt_ms[0]);
        if (!p) {
            action_fail(call, UDPTUN_E_NOMEM, NULL, "out of memory");
            return;
        }
        p->call = call;
        p->wanted = wanted;
        send_next(p);
    }
}
