/* SPDX-License-Identifier: Apache-2.0 */
/* make_way.h - an object that others of its change wait for lets go of what they need, and stays
 * there: its session is not over, and it can be put back. */
#ifndef CONTROL_MAKE_WAY_H
#define CONTROL_MAKE_WAY_H

#include "daemon/control/change/change.h"

/* The object that ran before the change; NULL: none did. */
const struct object *edit_ran_before(const struct change *c, const struct edit *e);

/* The name of the object that `message` names as its way out; NULL: none. */
const char *object_used_by(ProtobufCMessage *message);

/* It stays there, for those that name it, but it has nothing that another could want. False: it
 * failed like this. */
bool edit_stop(struct change *c, struct edit *e);

/* Those that an edit waits for that could not be carried out: whether any did make way that had
 * not before. */
bool change_make_way(struct change *c);

#endif
