/* SPDX-License-Identifier: Apache-2.0 */
/* action_watch.c - subscribe and unsubscribe; watchers.c does the telling. */
#include "daemon/control/actions/actions.h"

#include "daemon/control/report/status_reply.h"
#include "daemon/control/report/watchers.h"
#include "daemon/control/socket/command_socket.h"
#include "daemon/control/store/state.h"

#define TOPIC(name) (1u << UDPTUN__CONTROL__TOPIC__##name)
#define ALL_TOPICS  (TOPIC(STATE) | TOPIC(CONFIG) | TOPIC(STATS) | TOPIC(LOG))

/* The topics given; without any, all that the caller may watch. */
static unsigned action_watch_topics_of(const struct call *call)
{
    const Udptun__Control__SubscribeParameters *given =
        (const Udptun__Control__SubscribeParameters *)call->parameters;
    unsigned topics = 0;
    for (size_t i = 0; i < given->n_topics; i++)
        topics |= 1u << given->topics[i];
    if (given->n_topics > 0)
        return topics;
    return call->role < ROLE_OPERATOR ? ALL_TOPICS & ~TOPIC(LOG) : ALL_TOPICS;
}

void action_subscribe(struct call *call)
{
    const Udptun__Control__SubscribeParameters *given =
        (const Udptun__Control__SubscribeParameters *)call->parameters;
    return_msg value = UDPTUN__CONTROL__RETURN_VALUE__INIT;
    unsigned topics = action_watch_topics_of(call);
    if (topics & TOPIC(LOG) && call->role < ROLE_OPERATOR) {
        action_fail(call, UDPTUN_E_PERMISSION, "parameters.topics",
                    "parameters.topics: log needs the role operator");
        return;
    }
    bool snapshot = !given->has_snapshot || given->snapshot;
    status_msg *status = snapshot ? status_of_all(call->control, NULL) : NULL;
    if (snapshot && !status) {
        action_fail(call, UDPTUN_E_NOMEM, NULL, "out of memory");
        return;
    }
    /* What was lost before is in the snapshot. */
    if (snapshot)
        call->conn->watch.lost_topics &= ~(TOPIC(STATE) | TOPIC(CONFIG));
    watchers_watch(call->conn, call->conn->watch.topics | topics);
    value.action_case = UDPTUN__CONTROL__RETURN_VALUE__ACTION_SUBSCRIBE;
    value.subscribe = status;
    call_return(call, status ? &value : NULL);
    if (status)
        protobuf_c_message_free_unpacked(&status->base, NULL);
}

void action_unsubscribe(struct call *call)
{
    watchers_watch(call->conn, call->conn->watch.topics & ~action_watch_topics_of(call));
    call_return(call, NULL);
}
