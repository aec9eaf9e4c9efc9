/* SPDX-License-Identifier: Apache-2.0 */
/* ask.c - a call to the daemon. */
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
        tell_failure(cli, &err, NULL);
    return cli->client;
}

udptun_client *cli_client(struct cli *cli)
{
    return cli->client ? cli->client : cli_client_with_events(cli, NULL, NULL);
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
