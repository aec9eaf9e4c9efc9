/* SPDX-License-Identifier: Apache-2.0 */
/* actions.h - the handlers of the action table, and answers that they share. */
#ifndef CONTROL_ACTIONS_H
#define CONTROL_ACTIONS_H

#include "daemon/control/socket/dispatch.h"

#define FLOWS_PER_REPLY 1000
#define MAX_PINGS       100

/* The action table. */
extern const struct action control_actions[];
extern const size_t control_action_count;

/* Its row of that name; NULL: there is no such action. */
const struct action *action_find(const char *name);

void action_hello(struct call *call);
void action_shutdown(struct call *call);
void action_configure_udp_tunnel(struct call *call);
void action_remove_udp_tunnel(struct call *call);
void action_configure_tun2socks(struct call *call);
void action_remove_tun2socks(struct call *call);
void action_get_status(struct call *call);
void action_get_metrics(struct call *call);
void action_list_sessions(struct call *call);
void action_list_flows(struct call *call);
void action_ping_tunnel(struct call *call);
void action_close_session(struct call *call);
void action_export_config(struct call *call);
void action_apply_config(struct call *call);
void action_reload_config(struct call *call);
void action_set_log_level(struct call *call);
void action_subscribe(struct call *call);
void action_unsubscribe(struct call *call);
void action_cancel(struct call *call);

/* Tunnel `name` is configured: answer, or wait for it as the call asks. */
void action_configured(struct call *call, const char *name, bool changed);

/* A configure's answer, with the status as it is now. */
void action_return_configured(struct call *call, const char *name, bool changed);

/* {"changed":...} as the answer of an action that returns just this; about object `name` (NULL: of
 * nothing that is kept). */
void action_return_changed(struct call *call, const char *name, bool changed);

/* call_fail() in one line. */
void action_fail(struct call *call, int code, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* There is no `parameters.name`, or it is not of the kind that the action is about. */
void action_fail_not_found(struct call *call, const char *name);

#endif
