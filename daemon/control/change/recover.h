/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recover.h - objects that the engine does not have because something local is missing: an address
 * that comes later, a port that another program has, an interface.
 *
 * A command that needs it is refused. An object of the config file or of the state is `failed`,
 * with the reason, and is tried again: at once when the network changed, else at intervals that
 * grow from one second to 30.
 */
#ifndef CONTROL_RECOVER_H
#define CONTROL_RECOVER_H

#include "daemon/control/store/state.h"

struct recovery {
    struct control *control;
    struct timer timer; /* for the earliest object */
};

void recovery_init(struct recovery *r, struct control *control);
void recovery_stop(struct recovery *r);

/* `message` could not be started for something that may come; else what is configured is wrong. */
bool recovery_is_for(const struct control *control, ProtobufCMessage *message,
                     const struct udptun_error *why);

/* `object`, which stays configured, could not be started: note why, and try again. */
void recovery_add(struct recovery *r, struct object *object, const struct udptun_error *why);

/* Something came that may have been missing: try all of them now. */
void recovery_now(struct recovery *r);

#endif
