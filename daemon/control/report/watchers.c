/* SPDX-License-Identifier: Apache-2.0 */
/* watchers.c - see watchers.h. */
#include "daemon/control/report/watchers.h"

#include "daemon/control/report/status_reply.h"
#include "daemon/control/socket/command_conn.h"
#include "daemon/control/socket/command_socket.h"
#include "daemon/control/store/state.h"
#include "daemon/platform/clock.h"

#define TOPIC(name) (1u << UDPTUN__CONTROL__TOPIC__##name)

typedef Udptun__Control__EventData event_data;

/* Queue one event. Returns false when memory is short. */
static bool send_event(struct command_conn *conn, const char *name, event_data *data)
{
    envelope_msg message = UDPTUN__CONTROL__ENVELOPE__INIT;
    struct envelope_bytes bytes;
    message.event = (char *)(uintptr_t)name;
    message.has_seq = 1;
    message.seq = conn->watch.seq + 1;
    message.data = data;
    if (envelope_encode(conn->scan.encoding, &message, &bytes) < 0 ||
        !command_conn_queue_event(conn, bytes))
        return false;
    conn->watch.seq++;
    return true;
}

static void note_loss(struct watcher *w, unsigned topic)
{
    w->lost_topics |= topic;
    w->lost++;
}

void watchers_room(struct command_conn *conn)
{
    struct watcher *w = &conn->watch;
    Udptun__Control__Topic topics[8];
    Udptun__Control__OverflowEvent overflow = UDPTUN__CONTROL__OVERFLOW_EVENT__INIT;
    event_data data = UDPTUN__CONTROL__EVENT_DATA__INIT;
    if (w->lost == 0 || command_conn_waiting(conn) > WATCHER_LOW)
        return;
    for (unsigned i = 0; i < 8; i++) {
        if (w->lost_topics & 1u << i)
            topics[overflow.n_topics++] = (Udptun__Control__Topic)i;
    }
    overflow.topics = topics;
    overflow.has_lost = 1;
    overflow.lost = w->lost;
    data.event_case = UDPTUN__CONTROL__EVENT_DATA__EVENT_OVERFLOW;
    data.overflow = &overflow;
    if (!send_event(conn, "overflow", &data))
        return;
    w->lost = 0;
    w->lost_topics = 0;
}

/* To everybody who watches `topic` and has less than `limit` bytes waiting. */
static void publish(struct control *control, unsigned topic, size_t limit, const char *name,
                    event_data *data)
{
    LIST_FOREACH (node, &control->socket->connections) {
        struct command_conn *conn = list_entry(node, struct command_conn, node);
        if (!(conn->watch.topics & topic) || conn->ended || conn->closing)
            continue;
        watchers_room(conn);
        /* Of one topic nothing comes before the loss of what was earlier is told. */
        if (conn->watch.lost_topics & topic || command_conn_waiting(conn) > limit ||
            !send_event(conn, name, data))
            note_loss(&conn->watch, topic);
    }
}

void watchers_state(struct control *control, bool is_tunnel, const char *name,
                    enum udptun_state state, const char *reason)
{
    Udptun__Control__TunnelStateEvent event = UDPTUN__CONTROL__TUNNEL_STATE_EVENT__INIT;
    event_data data = UDPTUN__CONTROL__EVENT_DATA__INIT;
    event.name = (char *)(uintptr_t)name;
    event.state = (char *)(uintptr_t)udptun_state_name(state);
    event.reason = *reason ? (char *)(uintptr_t)reason : NULL;
    data.event_case = is_tunnel ? UDPTUN__CONTROL__EVENT_DATA__EVENT_TUNNEL_STATE
                                : UDPTUN__CONTROL__EVENT_DATA__EVENT_TUN2SOCKS_STATE;
    data.tunnel_state = &event; /* of a union of pointers to this struct, for either */
    publish(control, TOPIC(STATE), WATCHER_HIGH, is_tunnel ? "tunnel.state" : "tun2socks.state",
            &data);
}

void watchers_config(struct control *control, const struct edit *edit, bool persistent)
{
    Udptun__Control__ConfigChangedEvent event = UDPTUN__CONTROL__CONFIG_CHANGED_EVENT__INIT;
    event_data data = UDPTUN__CONTROL__EVENT_DATA__INIT;
    const char *change = edit->is_removal ? "removed" : edit->is_new ? "created" : "changed";
    event.name = (char *)(uintptr_t)edit->name;
    event.change = (char *)(uintptr_t)change;
    event.has_persistent = 1;
    event.persistent = persistent;
    data.event_case = UDPTUN__CONTROL__EVENT_DATA__EVENT_CONFIG_CHANGED;
    data.config_changed = &event;
    publish(control, TOPIC(CONFIG), WATCHER_HIGH, "config.changed", &data);
}

void watchers_log(struct control *control, enum udptun_log_level level, const char *module,
                  const char *text)
{
    Udptun__Control__LogEvent event = UDPTUN__CONTROL__LOG_EVENT__INIT;
    event_data data = UDPTUN__CONTROL__EVENT_DATA__INIT;
    event.has_time = 1;
    event.time = (double)clock_wall_ms() / 1e3;
    event.level = (char *)(uintptr_t)log_level_name(level);
    event.module = (char *)(uintptr_t)module;
    event.message = (char *)(uintptr_t)text;
    data.event_case = UDPTUN__CONTROL__EVENT_DATA__EVENT_LOG;
    data.log = &event;
    publish(control, TOPIC(LOG), WATCHER_LOW, "log", &data);
}

/* ---- stats ----------------------------------------------------------------------------------- */

static bool watches_stats(const struct command_conn *conn)
{
    return (conn->watch.topics & TOPIC(STATS)) && !conn->ended && !conn->closing;
}

static void on_stats(void *arg)
{
    struct watchers *e = arg;
    struct control *control = e->control;
    event_data data = UDPTUN__CONTROL__EVENT_DATA__INIT;
    bool watched = false;
    LIST_FOREACH (node, &control->socket->connections) {
        struct command_conn *conn = list_entry(node, struct command_conn, node);
        watched = watched || watches_stats(conn);
        if (!watches_stats(conn) || command_conn_waiting(conn) > 0)
            continue;
        if (!data.stats)
            data.stats = status_of_all(control, NULL);
        data.event_case = UDPTUN__CONTROL__EVENT_DATA__EVENT_STATS;
        if (data.stats)
            (void)!send_event(conn, "stats", &data); /* without memory: the next will do */
    }
    if (data.stats)
        protobuf_c_message_free_unpacked(&data.stats->base, NULL);
    if (watched)
        timer_start(&e->stats, STATS_TIME_US);
}

void watchers_watch(struct command_conn *conn, unsigned topics)
{
    struct control *control = conn->server->control;
    conn->watch.topics = topics;
    conn->watch.lost_topics &= topics;
    if (conn->watch.lost_topics == 0)
        conn->watch.lost = 0;
    if (topics & TOPIC(STATS) && !timer_is_on(&control->watchers->stats))
        timer_start(&control->watchers->stats, STATS_TIME_US);
}

void watchers_init(struct watchers *e, struct control *control)
{
    e->control = control;
    timer_init(&e->stats, control->loop, on_stats, e);
}

void watchers_stop(struct watchers *e)
{
    timer_stop(&e->stats);
}
