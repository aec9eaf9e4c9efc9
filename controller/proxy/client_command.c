/* SPDX-License-Identifier: Apache-2.0 */
/* client_command.c - see client_command.h. */
#include "controller/proxy/client_command.h"

#include <stdlib.h>
#include <string.h>

#include "controller/proxy/actions.h"
#include "controller/proxy/controller.h"
#include "daemon/platform/result.h"

static const struct {
    const char *name;
    void (*run)(struct client_command *command);
} actions[] = {
    {"configureRouting", proxy_action_configure_routing},
    {"resetRouting", proxy_action_reset_routing},
    {"getDeviceName", proxy_action_get_device_name},
    {"configureUdpTunnel", proxy_action_configure_udp_tunnel},
    {"removeUdpTunnel", proxy_action_remove_udp_tunnel},
    {"getStatus", proxy_action_get_status},
};

/* ---- replies --------------------------------------------------------------------------------- */

static void send_line(struct controller *c, uint64_t client, const json_t *message)
{
    char *line = message ? json_dumps(message, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
    if (!line) {
        log_write(c->log, UDPTUN_LOG_ERROR, "proxy", "out of memory: a reply is lost");
        return;
    }
    size_t size = strlen(line);
    line[size] = '\n'; /* in the place of the NUL: one write */
    clients_send(&c->clients, client, line, size + 1);
    free(line);
}

/* Send the reply, in which the status code and what comes after "action" are, and be done. */
static void client_command_finish(struct client_command *command, int code, json_t *rest)
{
    struct controller *c = command->controller;
    json_t *reply = json_pack("{s:i,s:s}", "statusCode", code, "action", command->action);
    json_t *id = json_object_get(command->message, "id");
    if (reply && (json_is_integer(id) || json_is_string(id)))
        json_object_set(reply, "id", id);
    if (reply && rest)
        json_object_update(reply, rest);
    send_line(c, command->who.id, reply);
    json_decref(reply);
    json_decref(rest);
    clients_answered(&c->clients, command->who.id);
    json_decref(command->message);
    free(command);
}

static void add_status(json_t *rest, int connection_status)
{
    if (connection_status != CLIENT_COMMAND_NO_STATUS)
        json_object_set_new(rest, "connectionStatus", json_integer(connection_status));
}

void client_command_return_with(struct client_command *command, json_t *value,
                                int connection_status, json_t *warnings)
{
    json_t *rest = json_object();
    if (value)
        json_object_set_new(rest, "returnValue", value);
    add_status(rest, connection_status);
    if (warnings)
        json_object_set_new(rest, "warnings", warnings);
    client_command_finish(command, UDPTUN_OK, rest);
}

void client_command_return(struct client_command *command, json_t *value, int connection_status)
{
    client_command_return_with(command, value, connection_status, NULL);
}

/* The number on the wire; our codes without one are UNEXPECTED. */
static int status_code(int code)
{
    return code <= -200 ? -UDPTUN_E_UNEXPECTED : -code;
}

void client_command_fail_with(struct client_command *command, const struct udptun_error *err,
                              json_t *more)
{
    json_t *rest = json_object();
    json_t *error = json_pack("{s:s}", "code", error_name(err->code));
    if (err->field[0])
        json_object_set_new(error, "field", json_string(err->field));
    if (err->sys_errno && io_name(err->sys_errno))
        json_object_set_new(error, "errno", json_string(io_name(err->sys_errno)));
    if (more)
        json_object_update(error, more);
    json_decref(more);
    json_object_set_new(rest, "errorMessage", json_string_nocheck(err->message));
    json_object_set_new(rest, "error", error);
    log_write(command->controller->log, UDPTUN_LOG_WARN, "proxy",
              "%s of process %ld (user %ld): %s", command->action, (long)command->who.pid,
              (long)command->who.uid, err->message);
    client_command_finish(command, status_code(err->code), rest);
}

void client_command_fail(struct client_command *command, const struct udptun_error *err)
{
    client_command_fail_with(command, err, NULL);
}

void client_command_fail_memory(struct client_command *command)
{
    struct udptun_error err;
    error_set(&err, UDPTUN_E_NOMEM, NULL, "out of memory");
    client_command_fail(command, &err);
}

void client_command_return_reply(struct client_command *command,
                                 const struct udptun_client_reply *reply, json_t *value,
                                 int connection_status, json_t *warnings)
{
    static const char *const members[] = {"returnValue", "errorMessage", "error"};
    json_t *whole = reply->json ? json_loads(reply->json, 0, NULL) : NULL;
    if (!whole) {
        json_decref(value);
        json_decref(warnings);
        if (reply->error.code < 0)
            client_command_fail(command, &reply->error);
        else
            client_command_fail_memory(command);
        return;
    }
    json_t *rest = json_object();
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        json_t *member = json_object_get(whole, members[i]);
        if (member)
            json_object_set(rest, members[i], member);
    }
    if (value)
        json_object_set_new(rest, "returnValue", value);
    add_status(rest, connection_status);
    if (warnings)
        json_object_set_new(rest, "warnings", warnings);
    json_decref(whole);
    client_command_finish(command, status_code(reply->error.code), rest);
}

void client_command_push_status(struct controller *c, uint64_t client, int connection_status)
{
    json_t *message = json_pack("{s:i,s:s,s:i}", "statusCode", 0, "action", "statusChanged",
                                "connectionStatus", connection_status);
    send_line(c, client, message);
    json_decref(message);
}

/* ---- reading --------------------------------------------------------------------------------- */

static struct client_command *client_command_new(struct controller *c, const struct client_who *who,
                                                 json_t *message)
{
    struct client_command *command = calloc(1, sizeof *command);
    if (!message)
        message = json_object();
    if (!command || !message) {
        log_write(c->log, UDPTUN_LOG_ERROR, "proxy", "out of memory: a command is lost");
        json_decref(message);
        free(command);
        clients_answered(&c->clients, who->id);
        return NULL;
    }
    json_t *action = json_object_get(message, "action");
    *command =
        (struct client_command){.controller = c,
                                .who = *who,
                                .message = message,
                                .action = json_is_string(action) ? json_string_value(action) : "",
                                .parameters = json_object_get(message, "parameters")};
    return command;
}

void client_command_refuse(struct controller *c, const struct client_who *who, const char *why)
{
    struct udptun_error err;
    struct client_command *command = client_command_new(c, who, NULL);
    error_set(&err, UDPTUN_E_BAD_REQUEST, NULL, "%s", why);
    if (command)
        client_command_fail(command, &err);
}

static void give_to_handler(struct client_command *command)
{
    struct udptun_error err;
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        if (strcmp(actions[i].name, command->action) == 0) {
            actions[i].run(command);
            return;
        }
    }
    if (command->action[0])
        error_set(&err, UDPTUN_E_BAD_REQUEST, "action", "action: '%.64s' is unknown",
                  command->action);
    else
        error_set(&err, UDPTUN_E_BAD_REQUEST, "action", "action: is missing");
    client_command_fail(command, &err);
}

void client_command_run(struct controller *c, const struct client_who *who, const char *text,
                        size_t size)
{
    json_error_t where;
    json_t *message = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
    if (!message) {
        char why[sizeof where.text + 64];
        snprintf(why, sizeof why, "not valid JSON at byte %d: %s", where.position, where.text);
        client_command_refuse(c, who, why);
        return;
    }
    struct client_command *command = client_command_new(c, who, message);
    if (!command)
        return;
    if (!command->parameters) {
        command->parameters = json_object();
        json_object_set_new(message, "parameters", command->parameters);
    }
    struct udptun_error err;
    if (json_is_object(command->parameters)) {
        give_to_handler(command);
    } else {
        error_set(&err, UDPTUN_E_INVALID, "parameters", "parameters: must be an object");
        client_command_fail(command, &err);
    }
}
