/* SPDX-License-Identifier: Apache-2.0 */
/* action_status.c - getStatus, getMetrics, listSessions, listFlows. */
#include "daemon/control/actions/actions.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/control/report/metrics.h"
#include "daemon/control/report/status_reply.h"
#include "daemon/control/store/state.h"
#include "proto/control/codec.h"

#define FLOWS_UNLESS_TOLD 100

void action_fail_not_found(struct call *call, const char *name)
{
    const struct object *o = objects_find(&call->control->objects, name);
    if (o && o->message && !object_tunnel(o->message))
        action_fail(call, UDPTUN_E_NOT_FOUND, "parameters.name",
                    "%.64s: is a tun2socks instance, not a tunnel", name);
    else
        action_fail(call, UDPTUN_E_NOT_FOUND, "parameters.name", "%.64s: not found", name);
}

void action_get_status(struct call *call)
{
    const char *name = ((const Udptun__Control__NameParameters *)call->parameters)->name;
    const struct object *only = name ? objects_find(&call->control->objects, name) : NULL;
    if (name && (!only || !only->message)) {
        action_fail_not_found(call, name);
        return;
    }
    return_msg value = UDPTUN__CONTROL__RETURN_VALUE__INIT;
    status_msg *status = status_of_all(call->control, only);
    if (!status) {
        action_fail(call, UDPTUN_E_NOMEM, NULL, "out of memory");
        return;
    }
    value.action_case = UDPTUN__CONTROL__RETURN_VALUE__ACTION_GET_STATUS;
    value.get_status = status;
    call_return(call, &value);
    protobuf_c_message_free_unpacked(&status->base, NULL);
}

static void action_status_add_session(void *arg, const struct udptun_session_status *session)
{
    Udptun__Control__ListSessionsReturn *list = arg;
    status_append(&list->sessions, &list->n_sessions, status_of_session(session));
}

void action_list_sessions(struct call *call)
{
    const char *name = ((const Udptun__Control__NameParameters *)call->parameters)->name;
    ProtobufCMessage *list = codec_new(&udptun__control__list_sessions_return__descriptor);
    return_msg value = UDPTUN__CONTROL__RETURN_VALUE__INIT;
    if (!list) {
        action_fail(call, UDPTUN_E_NOMEM, NULL, "out of memory");
    } else if (udptun_each_session(call->control->engine, name, action_status_add_session, list) <
               0) {
        action_fail_not_found(call, name);
    } else {
        value.action_case = UDPTUN__CONTROL__RETURN_VALUE__ACTION_LIST_SESSIONS;
        value.list_sessions = (Udptun__Control__ListSessionsReturn *)list;
        call_return(call, &value);
    }
    if (list)
        protobuf_c_message_free_unpacked(list, NULL);
}

struct flow_page {
    Udptun__Control__ListFlowsReturn *list;
    char last[sizeof((struct udptun_flow_status *)0)->id];
};

static void action_status_add_flow(void *arg, const struct udptun_flow_status *flow)
{
    struct flow_page *page = arg;
    status_append(&page->list->flows, &page->list->n_flows, status_of_flow(flow));
    memcpy(page->last, flow->id, sizeof page->last);
}

void action_list_flows(struct call *call)
{
    const Udptun__Control__ListFlowsParameters *given =
        (const Udptun__Control__ListFlowsParameters *)call->parameters;
    uint32_t limit = given->has_limit ? given->limit : FLOWS_UNLESS_TOLD;
    if (limit == 0) {
        action_fail(call, UDPTUN_E_INVALID, "parameters.limit", "parameters.limit: out of range");
        return;
    }
    struct flow_page page = {(void *)codec_new(&udptun__control__list_flows_return__descriptor),
                             ""};
    if (!page.list) {
        action_fail(call, UDPTUN_E_NOMEM, NULL, "out of memory");
        return;
    }
    bool more = false;
    int rc = udptun_each_flow(call->control->engine, given->name, given->after,
                              limit < FLOWS_PER_REPLY ? limit : FLOWS_PER_REPLY,
                              action_status_add_flow, &page, &more);
    if (rc == UDPTUN_E_NOT_FOUND) {
        action_fail_not_found(call, given->name);
    } else if (rc < 0) {
        action_fail(call, UDPTUN_E_INVALID, "parameters.after",
                    "parameters.after: no cursor of this tunnel");
    } else {
        return_msg value = UDPTUN__CONTROL__RETURN_VALUE__INIT;
        if (more)
            page.list->next = strdup(page.last);
        value.action_case = UDPTUN__CONTROL__RETURN_VALUE__ACTION_LIST_FLOWS;
        value.list_flows = page.list;
        call_return(call, &value);
    }
    protobuf_c_message_free_unpacked(&page.list->base, NULL);
}

void action_get_metrics(struct call *call)
{
    return_msg value = UDPTUN__CONTROL__RETURN_VALUE__INIT;
    status_msg *status = status_of_all(call->control, NULL);
    char *text = status ? metrics_text(status) : NULL;
    value.action_case = UDPTUN__CONTROL__RETURN_VALUE__ACTION_GET_METRICS;
    value.get_metrics = text;
    if (text)
        call_return(call, &value);
    else
        action_fail(call, UDPTUN_E_NOMEM, NULL, "out of memory");
    free(text);
    if (status)
        protobuf_c_message_free_unpacked(&status->base, NULL);
}
