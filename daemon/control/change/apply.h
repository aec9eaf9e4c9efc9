/* SPDX-License-Identifier: Apache-2.0 */
/* apply.h - objects of either kind to and from the engine. `path` goes before the field of an
 * error. */
#ifndef CONTROL_APPLY_H
#define CONTROL_APPLY_H

#include "daemon/control/store/object_inputs.h"
#include "daemon/control/store/state.h"

/* `message` (NULL is accepted) is a local whose session may be kept on the disk, and nothing that
 * runs knows it better. */
bool control_needs_identity(const struct control *control, ProtobufCMessage *message);

/* Make what runs be as `message` says. */
int control_apply(struct control *control, ProtobufCMessage *message,
                  const struct object_inputs *inputs, const char *path, bool *changed,
                  struct udptun_error *err);

/* End what runs under that name; that nothing does is no error. */
int control_remove(struct control *control, const char *name, const char *path,
                   struct udptun_error *err);

/* Log that others may read the key of `message`. */
void control_warn_exposed(struct control *control, ProtobufCMessage *message);

#endif
