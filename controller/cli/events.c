/* SPDX-License-Identifier: Apache-2.0 */
/*
 * events.c - events as they happen, until Ctrl-C: for people on a terminal; elsewhere, and with
 * -j, one JSON object a line.
 */
#include "controller/cli/cli.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/platform/clock.h"

/* "2026-11-20T21:57:11 " of now, or of `at_s`. */
static void events_print_time(double at_s)
{
    char text[CLOCK_TEXT_SIZE];
    printf("%s ", clock_local_text(at_s > 0 ? (uint64_t)at_s : clock_wall_ms() / 1000, text));
}

static void print_state(const struct cli *cli, const json_t *data, const char *reason)
{
    const char *state = text_of(data, "state");
    enum colour colour = colour_of_state(state);
    events_print_time(0);
    print_clean(stdout, text_of(data, "name"));
    printf(" %s", colour_on(cli->colour, colour));
    print_clean(stdout, state);
    fputs(colour_off(cli->colour, colour), stdout);
    if (text_of(data, reason)[0]) {
        fputs(": ", stdout);
        print_clean(stdout, text_of(data, reason));
    }
    putchar('\n');
}

static void print_change(const json_t *data)
{
    events_print_time(0);
    print_clean(stdout, text_of(data, "name"));
    putchar(' ');
    print_clean(stdout, text_of(data, "change"));
    puts(json_is_false(json_object_get(data, "persistent")) ? " (until a restart)" : "");
}

static void print_log(const json_t *data)
{
    events_print_time(json_number_value(json_object_get(data, "time")));
    print_clean(stdout, text_of(data, "level"));
    putchar(' ');
    print_clean(stdout, text_of(data, "module"));
    fputs(": ", stdout);
    print_clean(stdout, text_of(data, "message"));
    putchar('\n');
}

static void print_stats(const json_t *status)
{
    static const char *const kinds[] = {"udpTunnels", "tun2socks"};
    for (size_t kind = 0; kind < 2; kind++) {
        size_t i;
        json_t *object;
        json_array_foreach(json_object_get(status, kinds[kind]), i, object)
        {
            char tx[UNIT_TEXT_SIZE], rx[UNIT_TEXT_SIZE];
            events_print_time(0);
            print_clean(stdout, text_of(object, "name"));
            printf(" tx %s, rx %s\n", unit_bytes(number_of(object, "txBytes"), tx),
                   unit_bytes(number_of(object, "rxBytes"), rx));
        }
    }
}

static void print_snapshot(const struct cli *cli, const json_t *status)
{
    static const char *const kinds[] = {"udpTunnels", "tun2socks"};
    for (size_t kind = 0; kind < 2; kind++) {
        size_t i;
        json_t *object;
        json_array_foreach(json_object_get(status, kinds[kind]), i, object)
        {
            print_state(cli, object, "");
        }
    }
}

/* For people. What an event of a newer daemon says is shown as it came. */
static void print_text(const struct cli *cli, const char *json)
{
    json_t *root = json_loads(json, 0, NULL);
    const char *event = text_of(root, "event");
    const json_t *data = json_object_get(root, "data");
    if (json_object_get(root, "statusCode")) {
        print_snapshot(cli, json_object_get(root, "returnValue"));
    } else if (strcmp(event, "tunnel.state") == 0 || strcmp(event, "tun2socks.state") == 0) {
        print_state(cli, data, "reason");
    } else if (strcmp(event, "config.changed") == 0) {
        print_change(data);
    } else if (strcmp(event, "log") == 0) {
        print_log(data);
    } else if (strcmp(event, "stats") == 0) {
        print_stats(data);
    } else if (strcmp(event, "overflow") == 0) {
        events_print_time(0);
        printf("%llu events were lost: this terminal is too slow\n",
               (unsigned long long)number_of(data, "lost"));
    } else {
        print_clean(stdout, json);
        putchar('\n');
    }
    json_decref(root);
}

static void on_event_told(void *arg, udptun_client *client, const char *json)
{
    const struct cli *cli = arg;
    (void)client;
    if (cli->width > 0 && !cli->json)
        print_text(cli, json);
    else
        puts(json);
    fflush(stdout);
}

struct outcome {
    struct cli *cli;
    bool known;
    struct udptun_error error;
    char *refusal; /* the reply, if it was an error */
};

/* The snapshot follows, to on_event_told(). */
static void on_subscribed(void *arg, udptun_client *client, const struct udptun_client_reply *reply)
{
    struct outcome *outcome = arg;
    outcome->known = true;
    outcome->error = reply->error;
    (void)client;
    if (reply->error.code != UDPTUN_OK && reply->json)
        outcome->refusal = strdup(reply->json);
}

static char *events_topics_of(const struct cli *cli)
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
    if (!cli_client_with_events(cli, on_event_told, cli))
        return EXIT_OTHER;

    if (!json_object_get(cli->options, "topics"))
        json_object_set_new(cli->options, "topics", json_pack("[s,s]", "state", "config"));
    char *topics = events_topics_of(cli);
    struct outcome outcome = {.cli = cli};
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
    while (udptun_client_get_fd(cli->client) >= 0 && !ferror(stdout))
        udptun_client_wait(cli->client, -1);
    return complain(EXIT_NO_DAEMON, "the daemon closed the connection");
}
