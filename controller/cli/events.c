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
    char *refusal; /* the reply, if it was an error */
};

/* The snapshot is printed here: events may follow it in the same read. */
static void on_subscribed(void *arg, udptun_client *client, const struct udptun_client_reply *reply)
{
    struct outcome *outcome = arg;
    outcome->known = true;
    outcome->error = reply->error;
    if (reply->error.code == UDPTUN_OK)
        on_event(NULL, client, reply->json);
    else if (reply->json)
        outcome->refusal = strdup(reply->json);
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
    struct udptun_error err;
    if (!cli_client_with_events(cli, on_event, NULL))
        return EXIT_OTHER;

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
    if (outcome.error.code != UDPTUN_OK) {
        enum exit_status status = tell_failure(cli, &outcome.error, outcome.refusal);
        free(outcome.refusal);
        return status;
    }
    while (udptun_client_get_fd(cli->client) >= 0)
        udptun_client_wait(cli->client, -1);
    return complain(EXIT_NO_DAEMON, "the daemon closed the connection");
}
