/* SPDX-License-Identifier: Apache-2.0 */
/* tunnels_state.h - what udptund says of the tunnel and the instance on our device: whether they
 * are established, and which relays the proxy has named for the instance's datagrams. */
#ifndef PROXY_TUNNELS_STATE_H
#define PROXY_TUNNELS_STATE_H

#include <jansson.h>

#include "controller/proxy/tunnels.h"

/* An event of udptund's, as JSON text; those that are not of interest are ignored. */
void tunnels_state_event(struct tunnels *t, const char *json);
/* A status object of udptund's. */
void tunnels_state_note(struct tunnels *t, const json_t *status);
/* Ask udptund for the state of everything. */
void tunnels_state_look(struct tunnels *t);

/* What is on the device is established; else `why` it is not. */
bool tunnels_state_is_up(const struct kept_tunnel *tunnel, char *why, size_t size);

#endif
