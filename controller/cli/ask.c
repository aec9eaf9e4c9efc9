/* SPDX-License-Identifier: Apache-2.0 */
/* ask.c - a call to the daemon, and what a failure is to the user: what, why, what to do. */
#include "controller/cli/cli.h"

#include <stdlib.h>

#define DEFAULT_TIMEOUT_S 10.0

int64_t cli_timeout_ms(const struct cli *cli, double more_s)
{
    return (int64_t)((option_seconds(cli, "timeout", DEFAULT_TIMEOUT_S) + more_s) * 1000) + 1;
}

udptun_client *cli_client_with_events(
    struct cli *cli, void (*event)(void *arg, udptun_client *client, const char *json), void *arg)
{
    struct udptun_client_config config;
    udptun_client_config_init(&config);
    config.socket_path = option_text(cli, "socket");
    config.timeout_ms = cli_timeout_ms(cli, 0);
    config.event = event;
    config.arg = arg;
    struct udptun_error err;
    cli->client = udptun_client_new(&config, &err);
    if (!cli->client)
        complain(EXIT_OTHER, "%s", err.message);
    return cli->client;
}

udptun_client *cli_client(struct cli *cli)
{
    return cli->client ? cli->client : cli_client_with_events(cli, NULL, NULL);
}

enum exit_status exit_status_of(const struct udptun_error *err, bool replied)
{
    switch ((enum udptun_code)err->code) {
    case UDPTUN_OK:
        return EXIT_OK;
    case UDPTUN_E_TIMEOUT:
        return EXIT_TIMEOUT;
    case UDPTUN_E_NOT_FOUND:
        return EXIT_NOT_FOUND;
    case UDPTUN_E_CONFLICT:
    case UDPTUN_E_EXISTS:
        return EXIT_CONFLICT;
    case UDPTUN_E_PERMISSION:
        return EXIT_PERMISSION;
    case UDPTUN_E_UNREACHABLE:
        return replied ? EXIT_FAILED : EXIT_NO_DAEMON;
    case UDPTUN_E_NOMEM:
    case UDPTUN_E_CANCELLED:
        return EXIT_OTHER;
    case UDPTUN_E_UNEXPECTED:
    case UDPTUN_E_AUTH:
    case UDPTUN_E_INVALID:
    case UDPTUN_E_ROUTING:
    case UDPTUN_E_SYSTEM:
    case UDPTUN_E_LIMIT:
    case UDPTUN_E_PORT_IN_USE:
    case UDPTUN_E_UNSUPPORTED:
    case UDPTUN_E_BAD_REQUEST:
        break;
    }
    return replied ? EXIT_FAILED : EXIT_OTHER;
}

/* A sentence on what to do, or "". */
static const char *advice_for(const struct udptun_error *err, bool replied)
{
    if (!replied) {
        if (err->code == UDPTUN_E_UNREACHABLE)
            return ". Is udptund running? (systemctl status udptund; another socket: -s)";
        if (err->code == UDPTUN_E_PERMISSION)
            return ". Only root and the group udptun may open it (usermod -aG udptun USER)";
        if (err->code == UDPTUN_E_TIMEOUT)
            return ". Wait longer with --timeout";
        return "";
    }
    if (err->code == UDPTUN_E_NOT_FOUND)
        return " (udptunctl status lists what there is)";
    return "";
}

enum exit_status tell_failure(struct cli *cli, const struct udptun_error *err, const char *reply)
{
    if (reply && cli->json) {
        json_t *root = json_loads(reply, 0, NULL);
        print_json(cli, root);
        json_decref(root);
    }
    return complain(exit_status_of(err, reply != NULL), "%s%s", err->message,
                    advice_for(err, reply != NULL));
}

enum exit_status ask_quietly(struct cli *cli, const char *action, json_t *parameters, double more_s,
                             json_t **value, char **reply, struct udptun_error *err)
{
    if (value)
        *value = NULL;
    *reply = NULL;
    *err = (struct udptun_error){.code = UDPTUN_E_NOMEM, .message = "out of memory"};
    udptun_client *client = cli_client(cli);
    char *text = parameters ? json_dumps(parameters, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
    if (!client || (parameters && !text)) {
        json_decref(parameters);
        return EXIT_OTHER;
    }
    struct udptun_client_request request;
    udptun_client_request_init(&request, action);
    request.parameters = text;
    request.timeout_ms = cli_timeout_ms(cli, more_s);
    udptun_client_call_wait(client, &request, reply, err);
    free(text);
    json_decref(parameters);
    if (err->code == UDPTUN_OK && value) {
        json_t *root = json_loads(*reply, 0, NULL);
        *value = json_incref(json_object_get(root, "returnValue"));
        json_decref(root);
    }
    return exit_status_of(err, *reply != NULL);
}

enum exit_status ask(struct cli *cli, const char *action, json_t *parameters, double more_s,
                     json_t **value)
{
    char *reply;
    struct udptun_error err;
    enum exit_status status = ask_quietly(cli, action, parameters, more_s, value, &reply, &err);
    if (status != EXIT_OK && cli->client)
        tell_failure(cli, &err, reply);
    udptun_client_free_text(reply);
    return status;
}
