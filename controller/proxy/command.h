/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command.h - one command of a client, from its text to its reply.
 *
 * A command is freed by its reply, of which there is exactly one, at once or later; the client may
 * be gone by then.
 */
#ifndef PROXY_COMMAND_H
#define PROXY_COMMAND_H

#include <jansson.h>
#include <udptun/client.h>

#include "controller/proxy/clients.h"
#include "proto/error.h"

struct controller;

struct command {
    struct controller *controller;
    struct client_who who;
    json_t *message;    /* the whole of it */
    const char *action; /* in it; "" when there is none */
    json_t *parameters; /* in it, or an empty object */
};

/* Read, and given to its handler: one of action_routing.c or action_tunnel.c. */
void command_run(struct controller *c, const struct client_who *who, const char *text, size_t size);
/* What came is no command; `why` is what the client is told. */
void command_refuse(struct controller *c, const struct client_who *who, const char *why);

#define COMMAND_NO_STATUS (-1)

/* Done. `value`, which may be NULL, is taken over; `connection_status` or COMMAND_NO_STATUS. */
void command_return(struct command *command, json_t *value, int connection_status);
void command_fail(struct command *command, const struct udptun_error *err);
/* As command_fail(), with further members of the reply's "error", which is taken over. */
void command_fail_with(struct command *command, const struct udptun_error *err, json_t *more);
void command_fail_memory(struct command *command);
/* As udptund replied: status, messages and returnValue. `value` (may be NULL, taken over) in the
 * place of its returnValue. */
void command_return_reply(struct command *command, const struct udptun_client_reply *reply,
                          json_t *value, int connection_status);

/* {"statusCode":0,"action":"statusChanged","connectionStatus":n} */
void command_push_status(struct controller *c, uint64_t client, int connection_status);

#endif
