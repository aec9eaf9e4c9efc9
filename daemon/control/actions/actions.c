/* SPDX-License-Identifier: Apache-2.0 */
/* actions.c - the one action table, and the actions that concern the daemon itself. */
#include "daemon/control/actions/actions.h"

#include <stdarg.h>
#include <stdio.h>

#include <udptun/engine.h>

#include "daemon/control/change/reload.h"
#include "daemon/control/report/watchers.h"
#include "daemon/control/socket/command_socket.h"
#include "daemon/control/store/state.h"
#include "daemon/platform/clock.h"
#include "proto/control/scan.h"

#define KIND(name) &udptun__control__##name##__descriptor

/* clang-format off */ /* one line an action */
const struct action control_actions[] = {
    {"hello", ROLE_OBSERVER, LOAD_SMALL, KIND(hello_parameters), {NULL}, action_hello, "who answers, what it can do, and your role; or step down from it"},
    {"configureUdpTunnel", ROLE_OPERATOR, LOAD_OBJECT, KIND(tunnel), {"name"}, action_configure_udp_tunnel, "create a udp-local or udp-server, or make it be as given"},
    {"removeUdpTunnel", ROLE_OPERATOR, LOAD_SMALL, KIND(name_parameters), {"name"}, action_remove_udp_tunnel, "end a tunnel"},
    {"configureTun2socks", ROLE_OPERATOR, LOAD_OBJECT, KIND(tun2socks), {"name"}, action_configure_tun2socks, "create a tun2socks instance, or make it be as given"},
    {"removeTun2socks", ROLE_OPERATOR, LOAD_SMALL, KIND(name_parameters), {"name"}, action_remove_tun2socks, "end a tun2socks instance"},
    {"getStatus", ROLE_OBSERVER, LOAD_SMALL, KIND(name_parameters), {NULL}, action_get_status, "what runs and how it fares"},
    {"listSessions", ROLE_OPERATOR, LOAD_SMALL, KIND(name_parameters), {"name"}, action_list_sessions, "the sessions of a tunnel"},
    {"closeSession", ROLE_OPERATOR, LOAD_SMALL, KIND(close_session_parameters), {"name", "session"}, action_close_session, "end one session of a udp-server"},
    {"listFlows", ROLE_OPERATOR, LOAD_SMALL, KIND(list_flows_parameters), {"name"}, action_list_flows, "the flows of a tunnel, a page at a time"},
    {"pingTunnel", ROLE_OPERATOR, LOAD_SMALL, KIND(ping_tunnel_parameters), {"name"}, action_ping_tunnel, "round trips through the tunnel to its far end"},
    {"subscribe", ROLE_OBSERVER, LOAD_SMALL, KIND(subscribe_parameters), {NULL}, action_subscribe, "be told of events"},
    {"unsubscribe", ROLE_OBSERVER, LOAD_SMALL, KIND(subscribe_parameters), {NULL}, action_unsubscribe, "be told no more"},
    {"exportConfig", ROLE_OPERATOR, LOAD_SMALL, KIND(export_config_parameters), {NULL}, action_export_config, "all objects as they are configured"},
    {"applyConfig", ROLE_OPERATOR, LOAD_OBJECTS, KIND(apply_config_parameters), {"config"}, action_apply_config, "make all objects be as given"},
    {"getMetrics", ROLE_OBSERVER, LOAD_SMALL, KIND(no_parameters), {NULL}, action_get_metrics, "statistics as OpenMetrics text"},
    {"setLogLevel", ROLE_OPERATOR, LOAD_SMALL, KIND(set_log_level_parameters), {"level"}, action_set_log_level, "how much is logged, of everything or of one module"},
    {"reloadConfig", ROLE_ADMIN, LOAD_SMALL, KIND(no_parameters), {NULL}, action_reload_config, "read the config file again"},
    {"shutdown", ROLE_ADMIN, LOAD_SMALL, KIND(no_parameters), {NULL}, action_shutdown, "stop the daemon"},
    {"cancel", ROLE_OBSERVER, LOAD_SMALL, KIND(cancel_parameters), {"call"}, action_cancel, "withdraw a wait of this connection"},
};
/* clang-format on */

const size_t control_action_count = sizeof control_actions / sizeof *control_actions;

const struct action *action_find(const char *name)
{
    for (size_t i = 0; i < control_action_count; i++) {
        if (strcmp(control_actions[i].name, name) == 0)
            return &control_actions[i];
    }
    return NULL;
}

void action_fail(struct call *call, int code, const char *field, const char *format, ...)
{
    char text[200];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    struct udptun_error err;
    error_set(&err, code, field, "%s", text);
    call_fail(call, &err);
}

void action_hello(struct call *call)
{
    static const char *const features[] = {"json",   "protobuf", "udpTunnels", "tun2socks",
                                           "merge",  "wait",     "apply",      "logModules",
                                           "events", "metrics",  "cancel",     "deadline"};
    Udptun__Control__HelloReturn hello = UDPTUN__CONTROL__HELLO_RETURN__INIT;
    Udptun__Control__Limits limits = UDPTUN__CONTROL__LIMITS__INIT;
    return_msg value = UDPTUN__CONTROL__RETURN_VALUE__INIT;
    const Udptun__Control__HelloParameters *given =
        (const Udptun__Control__HelloParameters *)call->parameters;
    if (given->has_role) {
        if ((enum role)given->role > call->role) {
            action_fail(call, UDPTUN_E_PERMISSION, "parameters.role",
                        "parameters.role: your role is %s; hello steps down, never up",
                        role_name(call->role));
            return;
        }
        call->role = call->conn->peer.role = (enum role)given->role;
        if (call->role < ROLE_OPERATOR)
            watchers_watch(call->conn,
                           call->conn->watch.topics & ~(1u << UDPTUN__CONTROL__TOPIC__LOG));
    }
    limits.has_message_size = limits.has_depth = limits.has_id_size = 1;
    limits.message_size = SCAN_MAX_SIZE;
    limits.depth = SCAN_MAX_DEPTH;
    limits.id_size = DISPATCH_ID_SIZE;
    limits.has_connections = limits.has_connections_per_user = 1;
    limits.connections = COMMAND_SOCKET_MAX_CONNECTIONS;
    limits.connections_per_user = COMMAND_SLOTS_PER_USER;
    limits.has_flows_per_reply = limits.has_pings = 1;
    limits.flows_per_reply = FLOWS_PER_REPLY;
    limits.pings = MAX_PINGS;
    limits.has_values = limits.has_containers = 1;
    limits.values = DISPATCH_MAX_VALUES;
    limits.containers = DISPATCH_MAX_CONTAINERS;
    hello.server = (char *)(uintptr_t) "udptund";
    hello.version = (char *)(uintptr_t)udptun_version();
    hello.has_api = 1;
    hello.api = 1;
    hello.features = (char **)(uintptr_t)features;
    hello.n_features = sizeof features / sizeof *features;
    hello.limits = &limits;
    hello.has_clock = 1;
    hello.clock = clock_us() / 1000;
    hello.has_role = 1;
    hello.role = (Udptun__Control__AccessRole)call->role;
    value.action_case = UDPTUN__CONTROL__RETURN_VALUE__ACTION_HELLO;
    value.hello = &hello;
    call_return(call, &value);
}

void action_shutdown(struct call *call)
{
    struct control *control = call->control;
    log_write(control->log, UDPTUN_LOG_INFO, "control", "shutdown asked for by a client");
    call_return(call, NULL);
    control->shutdown(control->arg);
}

void action_reload_config(struct call *call)
{
    control_reload(call->control, call);
}

void action_set_log_level(struct call *call)
{
    static const enum udptun_log_level levels[] = {
        [UDPTUN__CONTROL__SET_LOG_LEVEL_PARAMETERS__LEVEL__ERROR] = UDPTUN_LOG_ERROR,
        [UDPTUN__CONTROL__SET_LOG_LEVEL_PARAMETERS__LEVEL__WARN] = UDPTUN_LOG_WARN,
        [UDPTUN__CONTROL__SET_LOG_LEVEL_PARAMETERS__LEVEL__INFO] = UDPTUN_LOG_INFO,
        [UDPTUN__CONTROL__SET_LOG_LEVEL_PARAMETERS__LEVEL__DEBUG] = UDPTUN_LOG_DEBUG,
    };
    const Udptun__Control__SetLogLevelParameters *given =
        (const Udptun__Control__SetLogLevelParameters *)call->parameters;
    if (!log_set_level(call->control->log, given->module, levels[given->level])) {
        char names[128];
        action_fail(call, UDPTUN_E_INVALID, "parameters.module", "parameters.module: there are %s",
                    log_module_names(names, sizeof names));
        return;
    }
    log_write(call->control->log, UDPTUN_LOG_INFO, "control", "log level of %s is %s",
              given->module ? given->module : "everything", log_level_name(levels[given->level]));
    call_return(call, NULL);
}
