/* SPDX-License-Identifier: Apache-2.0 */
/* wait.h - `wait` of a configure: an answer held back until the object is established. */
#ifndef CONTROL_WAIT_H
#define CONTROL_WAIT_H

#include <udptun/engine.h>

#include "daemon/control/socket/dispatch.h"
#include "proto/list.h"

/* Answers the call, which is its own then. */
typedef void wait_answer(struct call *call, const char *name, bool changed);

struct waits {
    struct list all;
};

void waits_init(struct waits *w);

/* A wait is an object and two timers that its client keeps here for hours. */
#define WAITS_PER_CONNECTION 16
#define WAITS_PER_USER       128

/* Whether the client of `call` may have one more: 0 or UDPTUN_E_LIMIT. */
int waits_check(const struct call *call, struct udptun_error *err);

/* The other requests of the connection go on meanwhile, and the wait ends when the connection does.
 * `answer` it when object `name` is established (or listens), with TIMEOUT after `seconds`. */
void wait_start(struct call *call, const char *name, bool changed, double seconds,
                wait_answer *answer);

/* The object entered a state, or was removed (UDPTUN_DISABLED). */
void wait_state(struct control *control, const char *name, enum udptun_state state);

/* Every call that waits fails: the daemon stops. */
void waits_stop(struct control *control);

#endif
