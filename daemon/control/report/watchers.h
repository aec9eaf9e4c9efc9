/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watchers.h - telling watchers what happens, without waiting for them.
 *
 * A connection that subscribed is a watcher. Its events are queued behind its answers and are
 * written when the loop turns, so that any of these functions may be called from anywhere. What
 * waits for a watcher is bounded: beyond WATCHER_HIGH bytes events of the topics state and config
 * are left out, beyond WATCHER_LOW those of log; when there is room again the event `overflow`
 * says so, before any other. Of stats only the newest is of use, so a watcher that has not read
 * the last is not sent another. A watcher that reads nothing for WATCHER_TIME_US is cut off.
 */
#ifndef CONTROL_WATCHERS_H
#define CONTROL_WATCHERS_H

#include <udptun/engine.h>

#include "daemon/control/socket/command_socket.h"
#include "daemon/control/store/objects.h"
#include "proto/control/messages.h"

#define WATCHER_LOW   ((size_t)64 << 10)
#define WATCHER_HIGH  ((size_t)256 << 10)
#define STATS_TIME_US 1000000 /* between two events of stats */

struct control;

struct watchers {
    struct control *control;
    struct timer stats; /* active while somebody watches stats */
};

void watchers_init(struct watchers *e, struct control *control);
void watchers_stop(struct watchers *e);

/* `conn` watches `topics` (bits) from now on. */
void watchers_watch(struct command_conn *conn, unsigned topics);

/* There is room again: tell of what was left out. */
void watchers_room(struct command_conn *conn);

void watchers_state(struct control *control, bool is_tunnel, const char *name,
                    enum udptun_state state, const char *reason);
void watchers_config(struct control *control, const struct edit *edit, bool persistent);
void watchers_log(struct control *control, enum udptun_log_level level, const char *module,
                  const char *text);

#endif
