/* SPDX-License-Identifier: Apache-2.0 */
/* events.c - events as they happen, one JSON object a line, until Ctrl-C. */
#include "controller/cli/cli.h"

#include <stdlib.h>
#include <string.h>

static void on_event(void *arg, udptun_client *client, const char *json)
{
    (void)arg;
    (void)client;
    puts(json);
    fflush(stdout);
}

struct outcome {
    bool known;
    struct udptun_error error;
    char *reply;
};

static void on_subscribed(void *arg, udptun_client *client, const struct udptun_client_reply *reply)
{
    (void)client;
    struct outcome *outcome = arg;
    outcome->known = true;
    outcome->error = reply->error;
    outcome->reply = reply->json ? strdup(reply->json) : NULL;
}

static char *topics_of(const struct cli *cli)
{
    const json_t *topics = json_object_get(cli->options, "topics");
    size_t i, size = 1;
    json_t *topic;
    json_array_foreach(topics, i, topic)
    {
        size += json_string_length(topic) + 1;
    }
    char *text = calloc(1, size);
    json_array_foreach(topics, i, topic)
    {
        if (text && i > 0)
            strcat(text, ",");
        if (text)
            strcat(text, json_string_value(topic));
    }
    return text;
}

enum exit_status run_events(struct cli *cli)
{
    struct udptun_client_config config;
    udptun_client_config_init(&config);
    config.socket_path = option_text(cli, "socket");
    config.event = on_event;
    struct udptun_error err;
    cli->client = udptun_client_new(&config, &err);
    if (!cli->client)
        return complain(EXIT_OTHER, "%s", err.message);

    if (!json_object_get(cli->options, "topics"))
        json_object_set_new(cli->options, "topics", json_pack("[s,s]", "state", "config"));
    char *topics = topics_of(cli);
    struct outcome outcome = {0};
    int code = topics ? udptun_client_subscribe(cli->client, topics, true, on_subscribed, &outcome,
                                                NULL, &err)
                      : UDPTUN_E_NOMEM;
    free(topics);
    if (code < 0)
        return complain(EXIT_OTHER, "events: %s", err.message);

    while (!outcome.known)
        udptun_client_wait(cli->client, -1);
    enum exit_status status = exit_status_of(&outcome.error, outcome.reply != NULL);
    if (status != EXIT_OK) {
        tell_failure(cli, &outcome.error, outcome.reply);
        free(outcome.reply);
        return status;
    }
    on_event(NULL, cli->client, outcome.reply); /* the snapshot */
    free(outcome.reply);
    while (udptun_client_get_fd(cli->client) >= 0)
        udptun_client_wait(cli->client, -1);
    return complain(EXIT_NO_DAEMON, "the daemon closed the connection");
}
