/* SPDX-License-Identifier: Apache-2.0 */
/*
 * events.h - telling watchers what happens, without waiting for them.
 *
 * A connection that subscribed is a watcher. Its events are queued behind its answers and are
 * written when the loop turns, so that any of these functions may be called from anywhere. What
 * waits for a watcher is bounded: beyond EVENTS_HIGH bytes events of the topics state and config
 * are left out, beyond EVENTS_LOW those of log; when there is room again the event `overflow`
 * says so, before any other. Of stats only the newest is of use, so a watcher that has not read
 * the last is not sent another. A watcher that reads nothing for WATCHER_TIME_S is cut off.
 */
#ifndef CONTROL_EVENTS_H
#define CONTROL_EVENTS_H

#include <ev.h>

#include <udptun/engine.h>

#include "daemon/control/objects.h"
#include "proto/control/messages.h"

#define EVENTS_LOW     ((size_t)64 << 10)
#define EVENTS_HIGH    ((size_t)256 << 10)
#define WATCHER_TIME_S 10.
#define STATS_TIME_S   1. /* between two events of stats */

struct control;
struct conn;

/* What a connection watches; part of struct conn. */
struct watch {
    unsigned topics;      /* bit n: topic n of control.proto */
    unsigned lost_topics; /* of which events were left out, and the watcher was not told */
    uint64_t lost;
    uint64_t seq; /* of the last event */
};

struct events {
    struct control *control;
    ev_timer stats; /* active while somebody watches stats */
};

void events_init(struct events *e, struct control *control);
void events_stop(struct events *e);

/* `conn` watches `topics` (bits) from now on. */
void events_watch(struct conn *conn, unsigned topics);

/* There is room again: tell of what was left out. */
void events_room(struct conn *conn);

void events_state(struct control *control, bool is_tunnel, const char *name,
                  enum udptun_state state, const char *reason);
void events_config(struct control *control, const struct edit *edit, bool persistent);
void events_log(struct control *control, enum udptun_log_level level, const char *module,
                const char *text);

#endif
