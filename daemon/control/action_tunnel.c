/* SPDX-License-Identifier: Apache-2.0 */
/* action_tunnel.c - configureUdpTunnel and removeUdpTunnel; change.c does the work. */
#include "daemon/control/actions.h"

#include "daemon/control/control.h"
#include "daemon/control/status.h"
#include "daemon/control/tunnel_config.h"
#include "proto/control/codec.h"

#define MAX_WAIT_S 86400.

void action_configure_udp_tunnel(struct call *call)
{
    const tunnel_msg *given = (const tunnel_msg *)call->parameters;
    struct udptun_error err;
    if (call->role < ROLE_ADMIN && object_check_admin_fields(&given->base, "parameters", &err) < 0)
        call_fail(call, &err);
    else if (given->has_wait && !(given->wait >= 0. && given->wait <= MAX_WAIT_S))
        action_fail(call, UDPTUN_E_INVALID, "parameters.wait", "parameters.wait: out of range");
    else
        change_start(call);
}

void action_remove_udp_tunnel(struct call *call)
{
    change_start(call);
}

void action_return_changed(struct call *call, bool changed)
{
    return_msg value = UDPTUN__CONTROL__RETURN_VALUE__INIT;
    Udptun__Control__ChangedReturn result = UDPTUN__CONTROL__CHANGED_RETURN__INIT;
    result.has_changed = 1;
    result.changed = changed;
    value.action_case = UDPTUN__CONTROL__RETURN_VALUE__ACTION_REMOVE_UDP_TUNNEL;
    value.remove_udp_tunnel = &result;
    call_return(call, &value);
}

void action_return_configured(struct call *call, const char *name, bool changed)
{
    struct control *control = call->control;
    const struct object *object = objects_find(&control->objects, name);
    return_msg value = UDPTUN__CONTROL__RETURN_VALUE__INIT;
    Udptun__Control__ConfigureTunnelReturn result = UDPTUN__CONTROL__CONFIGURE_TUNNEL_RETURN__INIT;
    result.has_changed = result.has_persistent = 1;
    result.changed = changed;
    result.persistent = object && object_is_kept(object) && control->store.dir >= 0;
    result.tunnel = object ? status_of_tunnel(control, object) : NULL;
    value.action_case = UDPTUN__CONTROL__RETURN_VALUE__ACTION_CONFIGURE_UDP_TUNNEL;
    value.configure_udp_tunnel = &result;
    tunnel_status_msg *tunnel = result.tunnel;
    call_return(call, &value);
    if (tunnel)
        protobuf_c_message_free_unpacked(&tunnel->base, NULL);
}

void action_configured(struct call *call, const char *name, bool changed)
{
    const tunnel_msg *given = (const tunnel_msg *)call->parameters;
    if (given->has_wait && given->wait > 0.)
        wait_start(call, name, changed, given->wait);
    else
        action_return_configured(call, name, changed);
}
