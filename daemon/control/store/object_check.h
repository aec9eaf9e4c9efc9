/* SPDX-License-Identifier: Apache-2.0 */
/* object_check.h - whether an object is one that the engine takes. */
#ifndef CONTROL_OBJECT_CHECK_H
#define CONTROL_OBJECT_CHECK_H

#include "daemon/control/store/object_inputs.h"

/* Whether the engine would take it. Without its `means` (NULL: none) a key file is read here. Any
 * thread. */
int object_check(ProtobufCMessage *message, const struct object_inputs *inputs, const char *path,
                 struct udptun_error *err);

#endif
