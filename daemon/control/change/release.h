/* SPDX-License-Identifier: Apache-2.0 */
/* release.h - an object that other edits of its change wait for releases what they need, and stays
 * there: its session is not over, and it can be put back. */
#ifndef CONTROL_RELEASE_H
#define CONTROL_RELEASE_H

#include "daemon/control/change/change.h"

/* The object that ran before the change; NULL: none did. */
const struct object *edit_ran_before(const struct change *c, const struct edit *e);

/* The name of the object that `message` names as its way out; NULL: none. */
const char *object_used_by(ProtobufCMessage *message);

/* Stop what the object runs, so that another may have its port, name or device; the objects that
 * name it keep it. False: it failed. */
bool edit_release(struct change *c, struct edit *e);

/* Release the objects that a failed edit waits for. Returns whether one was released that had not
 * been before. */
bool change_release_waited(struct change *c);

#endif
