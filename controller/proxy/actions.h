/* SPDX-License-Identifier: Apache-2.0 */
/* actions.h - the handlers of commands; client_command.c has the table. Each replies to its
 * command. */
#ifndef PROXY_ACTIONS_H
#define PROXY_ACTIONS_H

#include "controller/proxy/client_command.h"

/* action_routing.c */
void proxy_action_configure_routing(struct client_command *command);
void proxy_action_reset_routing(struct client_command *command);
void proxy_action_get_device_name(struct client_command *command);

/* action_tunnel.c, action_remove.c */
void proxy_action_configure_udp_tunnel(struct client_command *command);
void proxy_action_get_status(struct client_command *command);
void proxy_action_remove_udp_tunnel(struct client_command *command);

#endif
