/* SPDX-License-Identifier: Apache-2.0 */
/* action_cancel.c - cancel: a client gives up one of its own calls that wait. */
#include "daemon/control/actions/actions.h"

#include <string.h>

#include "daemon/control/socket/command_socket.h"

typedef Udptun__Control__Id id_msg;

static bool is_same(const id_msg *a, const id_msg *b)
{
    if (a->value_case != b->value_case)
        return false;
    switch (a->value_case) {
    case UDPTUN__CONTROL__ID__VALUE_NUMBER:
        return a->number == b->number;
    case UDPTUN__CONTROL__ID__VALUE_TEXT:
        return strcmp(a->text, b->text) == 0;
    case UDPTUN__CONTROL__ID__VALUE__NOT_SET:
    case _UDPTUN__CONTROL__ID__VALUE__CASE_IS_INT_SIZE:
        break;
    }
    return false;
}

/* The first one with that id; NULL: it was answered, or never was. */
static struct call *find_waiting(const struct command_conn *conn, const id_msg *id)
{
    LIST_FOREACH (node, &conn->aside) {
        struct call *call = list_entry(node, struct call, aside);
        if (is_same(call->request->id, id))
            return call;
    }
    return NULL;
}

void action_cancel(struct call *call)
{
    const Udptun__Control__CancelParameters *given =
        (const Udptun__Control__CancelParameters *)call->parameters;
    struct call *waiting = find_waiting(call->conn, given->call);
    bool is_cancelled = waiting && waiting->give_up;
    if (is_cancelled)
        waiting->give_up(waiting, waiting->give_up_arg);
    action_return_changed(call, NULL, is_cancelled);
}
