/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status_reply.h - what the engine tells, as messages of control.proto.
 *
 * Free the messages with protobuf_c_message_free_unpacked(). When memory is short a part may be
 * missing or the result NULL.
 */
#ifndef CONTROL_STATUS_REPLY_H
#define CONTROL_STATUS_REPLY_H

#include "daemon/control/store/state.h"

/* Whether the object was configured at run time and is on the disk. */
bool status_is_persistent(const struct control *control, const struct object *object);

/* NULL also for an object of the other kind, or one that is being removed. `*at_limit` is set when
 * a limit of it was reached lately, and otherwise left as it is. */
tunnel_status_msg *status_of_tunnel(struct control *control, const struct object *object,
                                    bool *at_limit);

tun2socks_status_msg *status_of_tun2socks(struct control *control, const struct object *object,
                                          bool *at_limit);

session_msg *status_of_session(const struct udptun_session_status *session);

flow_msg *status_of_flow(const struct udptun_flow_status *flow);

/* Everything; with `only`, that object alone. */
status_msg *status_of_all(struct control *control, const struct object *only);

/* Append `item` to an array of pointers to messages; takes it over and frees it when memory is
 * short. NULL is left out. */
void status_append(void *array, size_t *count, void *item);

#endif
