/* SPDX-License-Identifier: Apache-2.0 */
/* action_tunnel.c - configureUdpTunnel, removeUdpTunnel and closeSession; change.c does the work.
 */
#include "daemon/control/actions/actions.h"

#include <string.h>

#include "daemon/control/change/authority.h"
#include "daemon/control/change/change.h"
#include "daemon/control/change/wait.h"
#include "daemon/control/report/status_reply.h"
#include "daemon/control/store/secrets.h"
#include "daemon/control/store/state.h"
#include "daemon/control/store/tunnel_message.h"
#include "proto/control/codec.h"

#define MAX_WAIT_S 86400.

static void start_configure(struct call *call, double wait_s)
{
    struct udptun_error err;
    if (authority_check_given(call, call->parameters, "parameters", &err) < 0)
        call_fail(call, &err);
    else if (!(wait_s >= 0. && wait_s <= MAX_WAIT_S))
        action_fail(call, UDPTUN_E_INVALID, "parameters.wait", "parameters.wait: out of range");
    else if (wait_s > 0. && waits_check(call, &err) < 0)
        call_fail(call, &err);
    else
        change_start(call->control, &change_configure, call, NULL);
}

void action_configure_udp_tunnel(struct call *call)
{
    const tunnel_msg *given = (const tunnel_msg *)call->parameters;
    start_configure(call, given->has_wait ? given->wait : 0.);
}

void action_remove_udp_tunnel(struct call *call)
{
    change_start(call->control, &change_remove, call, NULL);
}

void action_configure_tun2socks(struct call *call)
{
    const tun2socks_msg *given = (const tun2socks_msg *)call->parameters;
    start_configure(call, given->has_wait ? given->wait : 0.);
}

void action_remove_tun2socks(struct call *call)
{
    change_start(call->control, &change_remove, call, NULL);
}

void action_close_session(struct call *call)
{
    const Udptun__Control__CloseSessionParameters *given =
        (const Udptun__Control__CloseSessionParameters *)call->parameters;
    struct udptun_error err = {0};
    int rc = udptun_close_session(call->control->engine, given->name, given->session, &err);
    if (rc == UDPTUN_E_NOT_FOUND && strcmp(err.field, "session") == 0) {
        action_return_changed(call, NULL, false);
    } else if (rc < 0) {
        tunnel_message_error_path(&err, "parameters");
        call_fail(call, &err);
    } else {
        action_return_changed(call, NULL, true);
    }
}

static char *unwritten(const struct call *call, const char *name)
{
    return (char *)(uintptr_t)unwritten_reason(&call->control->unwritten, name);
}

void action_return_changed(struct call *call, const char *name, bool changed)
{
    return_msg value = UDPTUN__CONTROL__RETURN_VALUE__INIT;
    Udptun__Control__ChangedReturn result = UDPTUN__CONTROL__CHANGED_RETURN__INIT;
    result.has_changed = 1;
    result.changed = changed;
    result.unwritten = name ? unwritten(call, name) : NULL;
    /* The members of this kind have one struct; which of them it is follows from the action. */
    const ProtobufCFieldDescriptor *member = codec_field(value.base.descriptor, call->action->name);
    value.action_case = (Udptun__Control__ReturnValue__ActionCase)member->id;
    value.remove_udp_tunnel = &result;
    call_return(call, &value);
}

static void return_tunnel(struct call *call, const struct object *object, bool changed)
{
    return_msg value = UDPTUN__CONTROL__RETURN_VALUE__INIT;
    Udptun__Control__ConfigureTunnelReturn result = UDPTUN__CONTROL__CONFIGURE_TUNNEL_RETURN__INIT;
    bool at_limit = false; /* not told here */
    tunnel_status_msg *status = object ? status_of_tunnel(call->control, object, &at_limit) : NULL;
    result.has_changed = result.has_persistent = 1;
    result.changed = changed;
    result.persistent = object && status_is_persistent(call->control, object);
    result.tunnel = status;
    result.unwritten = object ? unwritten(call, object->name) : NULL;
    value.action_case = UDPTUN__CONTROL__RETURN_VALUE__ACTION_CONFIGURE_UDP_TUNNEL;
    value.configure_udp_tunnel = &result;
    call_return(call, &value);
    if (status)
        protobuf_c_message_free_unpacked(&status->base, NULL);
}

static void return_tun2socks(struct call *call, const struct object *object, bool changed)
{
    return_msg value = UDPTUN__CONTROL__RETURN_VALUE__INIT;
    Udptun__Control__ConfigureTun2socksReturn result =
        UDPTUN__CONTROL__CONFIGURE_TUN2SOCKS_RETURN__INIT;
    bool at_limit = false; /* not told here */
    tun2socks_status_msg *status =
        object ? status_of_tun2socks(call->control, object, &at_limit) : NULL;
    result.has_changed = result.has_persistent = 1;
    result.changed = changed;
    result.persistent = object && status_is_persistent(call->control, object);
    result.tun2socks = status;
    result.unwritten = object ? unwritten(call, object->name) : NULL;
    value.action_case = UDPTUN__CONTROL__RETURN_VALUE__ACTION_CONFIGURE_TUN2SOCKS;
    value.configure_tun2socks = &result;
    call_return(call, &value);
    if (status)
        protobuf_c_message_free_unpacked(&status->base, NULL);
}

static bool is_about_tunnels(const struct call *call)
{
    return call->action->parameters == &udptun__control__tunnel__descriptor ||
           strcmp(call->action->name, "removeUdpTunnel") == 0;
}

void action_return_configured(struct call *call, const char *name, bool changed)
{
    const struct object *object = objects_find(&call->control->objects, name);
    if (is_about_tunnels(call))
        return_tunnel(call, object, changed);
    else
        return_tun2socks(call, object, changed);
}

static double wait_s(const struct call *call)
{
    const tunnel_msg *tunnel = (const tunnel_msg *)call->parameters;
    const tun2socks_msg *tun2socks = (const tun2socks_msg *)call->parameters;
    if (is_about_tunnels(call))
        return tunnel->has_wait ? tunnel->wait : 0.;
    return tun2socks->has_wait ? tun2socks->wait : 0.;
}

void action_configured(struct call *call, const char *name, bool changed)
{
    double seconds = wait_s(call);
    if (seconds > 0.)
        wait_start(call, name, changed, seconds, action_return_configured);
    else
        action_return_configured(call, name, changed);
}

/* ---- the changes ----------------------------------------------------------------------------- */

static const char *name_in(const struct call *call)
{
    const ProtobufCFieldDescriptor *name = codec_field(call->action->parameters, "name");
    return *(char *const *)((const char *)call->parameters + name->offset);
}

/* Take the fields of the command away, and say whether it was to merge. */
static bool strip_command(ProtobufCMessage *message)
{
    static const char *const names[] = {"merge", "wait"};
    const ProtobufCFieldDescriptor *merge = codec_field(message->descriptor, "merge");
    bool wanted = codec_has(message, merge) &&
                  *(const protobuf_c_boolean *)((const char *)message + merge->offset);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const ProtobufCFieldDescriptor *field = codec_field(message->descriptor, names[i]);
        *(protobuf_c_boolean *)((char *)message + field->quantifier_offset) = 0;
    }
    return wanted;
}

/* The object that a configure asks for, whole. */
static int plan_configure(struct change *c)
{
    const char *name = name_in(c->call);
    const struct object *object = objects_find(&c->control->objects, name);
    const ProtobufCMessage *present = object ? object->message : NULL;
    ProtobufCMessage *wanted = codec_copy(c->call->parameters);
    if (!wanted)
        return error_set(&c->err, UDPTUN_E_NOMEM, NULL, "out of memory");
    bool merge = strip_command(wanted);
    bool same_kind = present && present->descriptor == wanted->descriptor;
    int rc = object_fill_redacted(wanted, same_kind ? present : NULL, "parameters", &c->err);
    if (rc == 0 && merge && same_kind) {
        ProtobufCMessage *whole = codec_copy(present);
        if (whole) {
            codec_merge(whole, wanted);
            protobuf_c_message_free_unpacked(wanted, NULL);
            wanted = whole;
        } else {
            rc = error_set(&c->err, UDPTUN_E_NOMEM, NULL, "out of memory");
        }
    }
    if (rc < 0) {
        protobuf_c_message_free_unpacked(wanted, NULL);
        return rc;
    }
    return change_edit(c, name, wanted, object && object->of_file, "parameters");
}

static int plan_remove(struct change *c)
{
    const char *name = name_in(c->call);
    const struct object *object = objects_find(&c->control->objects, name);
    ProtobufCMessage *present = object ? object->message : NULL;
    /* One of the other kind is not what was meant. */
    if (is_about_tunnels(c->call) ? !object_tunnel(present) : !object_tun2socks(present))
        return 0;
    return change_edit(c, name, NULL, object->of_file, "parameters");
}

static void configured(struct change *c)
{
    if (c->err.code < 0)
        call_fail(c->call, &c->err);
    else
        action_configured(c->call, c->edits[0].name, c->edits[0].changed);
}

static void action_tunnel_removed(struct change *c)
{
    if (c->err.code < 0)
        call_fail(c->call, &c->err);
    else
        action_return_changed(c->call, name_in(c->call), c->count > 0 && c->edits[0].changed);
}

const struct change_kind change_configure = {plan_configure, configured, .is_of_all = false};
const struct change_kind change_remove = {plan_remove, action_tunnel_removed, .is_of_all = false};
