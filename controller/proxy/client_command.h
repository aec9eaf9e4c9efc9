/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_command.h - one command of a client, from its text to its reply.
 *
 * A command is freed by its reply, of which there is exactly one, at once or later; the client may
 * be gone by then.
 */
#ifndef PROXY_CLIENT_COMMAND_H
#define PROXY_CLIENT_COMMAND_H

#include <jansson.h>
#include <udptun/client.h>

#include "controller/proxy/clients.h"
#include "proto/error.h"

struct controller;

struct client_command {
    struct controller *controller;
    struct client_who who;
    json_t *message;    /* the whole of it */
    const char *action; /* in it; "" when there is none */
    json_t *parameters; /* in it, or an empty object */
};

/* Read, and given to its handler: one of action_routing.c or action_tunnel.c. */
void client_command_run(struct controller *c, const struct client_who *who, const char *text,
                        size_t size);
/* What came is no command; `why` is what the client is told. */
void client_command_refuse(struct controller *c, const struct client_who *who, const char *why);

#define CLIENT_COMMAND_NO_STATUS (-1)

/* Done. `value`, which may be NULL, is taken over; `connection_status` or CLIENT_COMMAND_NO_STATUS.
 */
void client_command_return(struct client_command *command, json_t *value, int connection_status);
/* With a list of warnings, which may be NULL and is taken over. */
void client_command_return_with(struct client_command *command, json_t *value,
                                int connection_status, json_t *warnings);
void client_command_fail(struct client_command *command, const struct udptun_error *err);
/* As client_command_fail(), with further members of the reply's "error", which is taken over. */
void client_command_fail_with(struct client_command *command, const struct udptun_error *err,
                              json_t *more);
void client_command_fail_memory(struct client_command *command);
/* As udptund replied: status, messages and returnValue. `value` (may be NULL, taken over) in the
 * place of its returnValue; `warnings` as above. */
void client_command_return_reply(struct client_command *command,
                                 const struct udptun_client_reply *reply, json_t *value,
                                 int connection_status, json_t *warnings);

/* {"statusCode":0,"action":"statusChanged","connectionStatus":n} */
void client_command_push_status(struct controller *c, uint64_t client, int connection_status);

#endif
