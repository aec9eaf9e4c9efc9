/* SPDX-License-Identifier: Apache-2.0 */
/* status.c - what a tunnel, its sessions and its flows look like from outside. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/engine/local/udp_local.h"
#include "proto/error.h"

static void copy_counters(struct udptun_counters *to, const struct udptun_machine_counters *from)
{
    *to = (struct udptun_counters){
        .tx_packets = from->tx_packets,
        .rx_packets = from->rx_packets,
        .tx_bytes = from->tx_bytes,
        .rx_bytes = from->rx_bytes,
        .dropped_stale = from->dropped[UDPTUN_MACHINE_DROP_STALE],
        .dropped_queue = from->dropped[UDPTUN_MACHINE_DROP_QUEUE],
        .dropped_oversize = from->dropped[UDPTUN_MACHINE_DROP_OVERSIZE],
        .dropped_policy = from->dropped[UDPTUN_MACHINE_DROP_POLICY],
        .dropped_no_flow = from->dropped[UDPTUN_MACHINE_DROP_NO_FLOW],
        .dropped_error = from->dropped[UDPTUN_MACHINE_DROP_ERROR],
    };
}

static const char *leg_state(enum udptun_leg_state state)
{
    switch (state) {
    case UDPTUN_LEG_DIALLING:
        return "connecting";
    case UDPTUN_LEG_HANDSHAKE:
        return "handshake";
    case UDPTUN_LEG_UP:
        return "up";
    }
    return "unknown";
}

static size_t copy_legs(struct udptun_connection_status *to, const struct udptun_session_info *from)
{
    for (size_t i = 0; i < from->leg_count; i++) {
        const struct udptun_leg_info *leg = &from->legs[i];
        to[i] = (struct udptun_connection_status){
            .control = leg->control,
            .state = leg_state(leg->state),
            .rtt_us = leg->rtt_us,
            .queue_us = (int64_t)leg->queue_us,
            .tx_bytes = leg->tx_bytes,
            .rx_bytes = leg->rx_bytes,
        };
    }
    return from->leg_count;
}

/* ---- the tunnel ---------------------------------------------------------------------------------
 */

struct status_call {
    struct udptun_engine *engine;
    const char *name;
    struct udptun_tunnel_status *status;
    int code;
};

static void look_at_machine(const struct tunnel *t, struct udptun_tunnel_status *status)
{
    uint64_t now_us = t->engine->loop.now_us;
    struct udptun_machine_info info;
    udptun_machine_look(t->machine, now_us, &info);
    status->sessions = info.sessions;
    status->flows = info.flows;
    status->reconnects = info.reconnects;
    status->refused = info.refused;
    status->resumed = info.resumed;
    status->rtt_us = info.rtt_us;
    copy_counters(&status->counters, &info.counters);
    const char *cap = cap_shown(&t->cap, now_us);
    if (!cap && info.cap[0])
        cap = info.cap;
    if (!cap)
        cap = cap_shown(&t->engine->buffers_cap, now_us);
    status->at_limit = cap_fill(cap, t->state, status->last_error, sizeof status->last_error);
    struct udptun_session *s = t->local ? udptun_session_next(t->machine, NULL) : NULL;
    if (!s)
        return;
    struct udptun_session_info session;
    udptun_session_look(s, now_us, &session);
    status->connection_count = copy_legs(status->connections, &session);
}

static void status_run(void *arg)
{
    struct status_call *call = (struct status_call *)arg;
    struct udptun_tunnel_status *status = call->status;
    engine_refresh(call->engine);
    const struct tunnel *t = tunnel_find(call->engine, call->name);
    if (!t) {
        call->code = UDPTUN_E_NOT_FOUND;
        return;
    }
    memset(status, 0, sizeof *status);
    snprintf(status->name, sizeof status->name, "%s", tunnel_name(t));
    status->role = t->config->given.role;
    status->state = t->state;
    status->rtt_us = -1;
    memcpy(status->last_error, t->last_error, sizeof status->last_error);
    if (t->listening.kind != URL_NONE)
        snprintf(status->listen, sizeof status->listen, "%s", t->listening.url);
    else if (t->config->listen.kind != URL_NONE)
        url_format(&t->config->listen, status->listen);
    if (t->config->server.kind != URL_NONE)
        url_format(&t->config->server, status->server);
    status->uptime_s = (t->engine->loop.now_us - t->started_us) / 1000000;
    if (t->machine)
        look_at_machine(t, status);
}

int udptun_status(udptun_engine *engine, const char *name, struct udptun_tunnel_status *status)
{
    struct status_call call = {engine, name, status, UDPTUN_OK};
    engine_call(engine, status_run, &call);
    return call.code;
}

/* ---- sessions -----------------------------------------------------------------------------------
 */

struct sessions_call {
    struct udptun_engine *engine;
    const char *name;
    void (*each)(void *arg, const struct udptun_session_status *s);
    void *arg;
    int code;
};

/* Two hexadecimal digits a byte. */
static void format_id(const uint8_t id[UDPTUN_MACHINE_SESSION_ID_SIZE],
                      char text[2 * UDPTUN_MACHINE_SESSION_ID_SIZE + 1])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < UDPTUN_MACHINE_SESSION_ID_SIZE; i++) {
        text[2 * i] = digits[id[i] >> 4];
        text[2 * i + 1] = digits[id[i] & 15];
    }
    text[2 * UDPTUN_MACHINE_SESSION_ID_SIZE] = '\0';
}

static const char *session_state(enum udptun_machine_state state)
{
    switch (state) {
    case UDPTUN_MACHINE_CONNECTING:
        return "connecting";
    case UDPTUN_MACHINE_ESTABLISHED:
        return "established";
    case UDPTUN_MACHINE_DEGRADED:
        return "degraded";
    case UDPTUN_MACHINE_RECONNECTING:
        return "reconnecting";
    case UDPTUN_MACHINE_DETACHED:
        return "detached";
    case UDPTUN_MACHINE_CLOSED:
        return "closed";
    }
    return "unknown";
}

static void run_each_session(void *arg)
{
    struct sessions_call *call = (struct sessions_call *)arg;
    struct udptun_engine *e = call->engine;
    engine_refresh(e);
    struct tunnel *t = tunnel_find(e, call->name);
    if (!t) {
        call->code = UDPTUN_E_NOT_FOUND;
        return;
    }
    struct udptun_session *s = t->machine ? udptun_session_next(t->machine, NULL) : NULL;
    for (; s; s = udptun_session_next(t->machine, s)) {
        struct udptun_session_info info;
        struct udptun_session_status status = {0};
        udptun_session_look(s, e->loop.now_us, &info);
        format_id(info.id, status.session);
        if (t->local)
            url_format(&t->config->server, status.peer);
        else
            snprintf(status.peer, sizeof status.peer, "%s", info.peer ? info.peer : "");
        status.state = session_state(info.state);
        status.flows = info.flows;
        status.connection_count = copy_legs(status.connections, &info);
        status.tx_bytes = info.tx_bytes;
        status.rx_bytes = info.rx_bytes;
        status.age_s = info.age_us / 1000000;
        call->each(call->arg, &status);
    }
}

int udptun_each_session(udptun_engine *engine, const char *name,
                        void (*each)(void *arg, const struct udptun_session_status *s), void *arg)
{
    struct sessions_call call = {engine, name, each, arg, UDPTUN_OK};
    engine_call(engine, run_each_session, &call);
    return call.code;
}

/* ---- flows --------------------------------------------------------------------------------------
 */

struct flows_call {
    struct udptun_engine *engine;
    const char *name;
    const char *after;
    size_t limit;
    void (*each)(void *arg, const struct udptun_flow_status *f);
    void *arg;
    bool *more;
    int code;
};

/* A cursor is "SESSION/NUMBER": flows are listed by session, then by number. */
static bool parse_cursor(const char *text, char session[2 * UDPTUN_MACHINE_SESSION_ID_SIZE + 1],
                         uint64_t *number)
{
    enum { ID_LEN = 2 * UDPTUN_MACHINE_SESSION_ID_SIZE };
    char *end = NULL;
    if (strspn(text, "0123456789abcdef") != ID_LEN || text[ID_LEN] != '/' ||
        text[ID_LEN + 1] < '0' || text[ID_LEN + 1] > '9')
        return false;
    memcpy(session, text, ID_LEN);
    session[ID_LEN] = '\0';
    *number = strtoull(text + ID_LEN + 1, &end, 10);
    return *end == '\0';
}

static void fill_flow(const struct tunnel *t, struct udptun_binding *b, const char *session,
                      struct udptun_flow_status *status)
{
    struct udptun_binding_info info;
    udptun_binding_look(b, t->engine->loop.now_us, &info);
    *status = (struct udptun_flow_status){
        .peers = info.peers,
        .idle_s = info.idle_us / 1000000,
        .age_s = info.age_us / 1000000,
    };
    copy_counters(&status->counters, &info.counters);
    snprintf(status->id, sizeof status->id, "%s/%" PRIu64, session, info.id);
    if (t->local)
        endpoint_format(&((struct flow *)udptun_binding_host(b))->source, status->source);
    else
        memcpy(status->source, status->id, sizeof status->id);
    if (info.external4.family != UDPTUN_ENDPOINT_NONE)
        endpoint_format(&info.external4, status->external);
    else if (info.external6.family != UDPTUN_ENDPOINT_NONE)
        endpoint_format(&info.external6, status->external);
}

/* Where the listing begins: after the cursor, or with the session that follows its own when that
 * has ended since. */
static struct udptun_session *first_session(const struct tunnel *t, const char *cursor)
{
    struct udptun_session *s = udptun_session_next(t->machine, NULL);
    for (; *cursor && s; s = udptun_session_next(t->machine, s)) {
        char id[2 * UDPTUN_MACHINE_SESSION_ID_SIZE + 1];
        struct udptun_session_info info;
        udptun_session_look(s, t->engine->loop.now_us, &info);
        format_id(info.id, id);
        if (strcmp(id, cursor) == 0)
            break;
    }
    return s;
}

static bool list_flows(struct flows_call *call, struct tunnel *t, struct udptun_session *s,
                       uint64_t after)
{
    size_t listed = 0;
    for (; s; s = udptun_session_next(t->machine, s), after = 0) {
        char id[2 * UDPTUN_MACHINE_SESSION_ID_SIZE + 1];
        struct udptun_session_info info;
        udptun_session_look(s, t->engine->loop.now_us, &info);
        format_id(info.id, id);
        struct udptun_binding *b;
        while ((b = udptun_binding_after(s, after))) {
            if (listed == call->limit)
                return true;
            struct udptun_binding_info binding;
            struct udptun_flow_status status;
            udptun_binding_look(b, t->engine->loop.now_us, &binding);
            fill_flow(t, b, id, &status);
            after = binding.id;
            listed++;
            call->each(call->arg, &status);
        }
    }
    return false;
}

static void run_each_flow(void *arg)
{
    struct flows_call *call = (struct flows_call *)arg;
    struct udptun_engine *e = call->engine;
    char session[2 * UDPTUN_MACHINE_SESSION_ID_SIZE + 1] = "";
    uint64_t after = 0;
    bool more = false;
    engine_refresh(e);
    struct tunnel *t = tunnel_find(e, call->name);
    if (!t)
        call->code = UDPTUN_E_NOT_FOUND;
    else if (call->after && !parse_cursor(call->after, session, &after))
        call->code = UDPTUN_E_INVALID;
    else if (t->machine)
        more = list_flows(call, t, first_session(t, session), after);
    if (call->more)
        *call->more = more;
}

int udptun_each_flow(udptun_engine *engine, const char *name, const char *after, size_t limit,
                     void (*each)(void *arg, const struct udptun_flow_status *f), void *arg,
                     bool *more)
{
    struct flows_call call = {engine, name, after, limit, each, arg, more, UDPTUN_OK};
    engine_call(engine, run_each_flow, &call);
    return call.code;
}
