/* SPDX-License-Identifier: Apache-2.0 */
/* feed.c - see feed.h. */
#include "controller/cli/top/feed.h"

#include <stdlib.h>
#include <string.h>

#include "controller/cli/top/prompt.h"
#include "daemon/platform/clock.h"

#define STATUS_PAUSE_MS   100 /* between two looks, however many changes are told */
#define RECONNECT_MOST_MS 1000

int64_t feed_now_ms(void)
{
    return (int64_t)(clock_us() / 1000);
}

/* ---- the status --------------------------------------------------------------------------------
 */

static void take_status(struct feed *feed, json_t *status)
{
    if (!json_is_object(status))
        return;
    model_status(feed->model, status, feed_now_ms());
    feed->changed = true;
}

static void on_feed_event(void *arg, udptun_client *client, const char *json)
{
    struct feed *feed = arg;
    json_t *root = json_loads(json, 0, NULL);
    (void)client;
    if (json_object_get(root, "statusCode"))
        take_status(feed, json_object_get(root, "returnValue")); /* the snapshot */
    else if (strcmp(text_of(root, "event"), "stats") == 0)
        take_status(feed, json_object_get(root, "data"));
    else
        feed->status_wanted = true;
    json_decref(root);
}

static void on_status(void *arg, udptun_client *client, const struct udptun_client_reply *reply)
{
    struct feed *feed = arg;
    (void)client;
    feed->status_asked = false;
    feed->status_due_ms = feed_now_ms() + STATUS_PAUSE_MS;
    if (reply->error.code != UDPTUN_OK)
        return;
    json_t *status = json_loads(reply->value, 0, NULL);
    take_status(feed, status);
    json_decref(status);
}

static void on_subscribed(void *arg, udptun_client *client, const struct udptun_client_reply *reply)
{
    struct feed *feed = arg;
    feed->subscribed = reply->error.code == UDPTUN_OK;
    (void)client;
    if (!feed->subscribed && reply->json)
        model_note(feed->model, reply->error.message);
}

/* Once; libclient renews it on every connection that follows. */
static void subscribe(struct feed *feed)
{
    if (!feed->subscribed)
        feed->subscribed = udptun_client_subscribe(feed->client, "state,config,stats", true,
                                                   on_subscribed, feed, NULL, NULL) == 0;
}

static void ask_for_status(struct feed *feed)
{
    struct udptun_client_request request;
    udptun_client_request_init(&request, "getStatus");
    feed->status_wanted = false;
    feed->status_asked =
        udptun_client_call(feed->client, &request, on_status, feed, NULL, NULL) == 0;
}

/* ---- flows and sessions ------------------------------------------------------------------------
 */

static void ask_for_page(struct feed *feed, const json_t *after);

static void end_list(struct feed *feed)
{
    feed->list_asked = false;
    feed->list_due_ms = feed_now_ms() + FEED_PAUSE_MS;
    feed->changed = true;
    json_decref(feed->flows);
    feed->flows = NULL;
}

static void on_flows(struct feed *feed, const json_t *value)
{
    const json_t *next = json_object_get(value, "next");
    if (!feed->flows)
        feed->flows = json_array();
    json_array_extend(feed->flows, json_object_get(value, "flows"));
    if (next && json_array_size(feed->flows) < FEED_FLOWS_MOST) {
        ask_for_page(feed, next);
        return;
    }
    model_objects(feed->model, TOP_FLOWS, feed->name, feed->flows, next != NULL, feed_now_ms());
    end_list(feed);
}

static void on_list(void *arg, udptun_client *client, const struct udptun_client_reply *reply)
{
    struct feed *feed = arg;
    (void)client;
    if (reply->error.code != UDPTUN_OK) {
        /* Without a reply: no daemon, of which more is said elsewhere, or nobody asks any more. */
        if (reply->json)
            model_refused(feed->model, feed->kind, feed->name, reply->error.message);
        else if (reply->error.code == UDPTUN_E_TIMEOUT)
            model_note(feed->model, reply->error.message);
        end_list(feed);
        return;
    }
    json_t *value = json_loads(reply->value, 0, NULL);
    if (feed->kind == TOP_FLOWS) {
        on_flows(feed, value);
    } else {
        model_objects(feed->model, feed->kind, feed->name, json_object_get(value, "sessions"),
                      false, feed_now_ms());
        end_list(feed);
    }
    json_decref(value);
}

static void ask_for_page(struct feed *feed, const json_t *after)
{
    struct udptun_client_request request;
    json_t *parameters = feed->kind == TOP_FLOWS
                             ? json_pack("{s:s,s:i,s:O*}", "name", feed->name, "limit",
                                         FEED_FLOWS_PAGE, "after", after)
                             : json_pack("{s:s}", "name", feed->name);
    char *text = parameters ? json_dumps(parameters, JSON_COMPACT) : NULL;
    udptun_client_request_init(&request, feed->kind == TOP_FLOWS ? "listFlows" : "listSessions");
    request.parameters = text;
    feed->list_asked = text && udptun_client_call(feed->client, &request, on_list, feed,
                                                  &feed->list_call, NULL) == 0;
    if (!feed->list_asked)
        end_list(feed);
    free(text);
    json_decref(parameters);
}

/* Another list is looked at than the one that is asked for: no need to wait for that. */
static void settle_list(struct feed *feed)
{
    enum top_kind wanted = model_wanted(feed->model);
    if (wanted == feed->kind &&
        (wanted == TOP_TUNNELS || (feed->name && strcmp(feed->name, feed->model->name) == 0)))
        return;
    if (feed->list_asked)
        udptun_client_cancel(feed->client, feed->list_call);
    free(feed->name);
    feed->kind = wanted;
    feed->name = wanted == TOP_TUNNELS ? NULL : strdup(feed->model->name);
    feed->list_due_ms = 0;
}

/* ---- wishes ------------------------------------------------------------------------------------
 */

static void on_wish(void *arg, udptun_client *client, const struct udptun_client_reply *reply)
{
    struct feed *feed = arg;
    (void)client;
    model_note(feed->model,
               reply->error.code == UDPTUN_OK ? feed->wish.done : reply->error.message);
    wish_fini(&feed->wish);
    feed->list_due_ms = 0;
    feed->status_wanted = feed->changed = true;
}

/* One at a time: a second waits until the first was answered. */
static void send_wish(struct feed *feed)
{
    struct udptun_client_request request;
    feed->wish = feed->model->wish;
    feed->model->wish = (struct top_wish){0};
    char *text = feed->wish.parameters ? json_dumps(feed->wish.parameters, JSON_COMPACT) : NULL;
    udptun_client_request_init(&request, feed->wish.action);
    request.parameters = text;
    struct udptun_error err = {.message = "out of memory"};
    if (!text || udptun_client_call(feed->client, &request, on_wish, feed, NULL, &err) != 0) {
        model_note(feed->model, err.message);
        wish_fini(&feed->wish);
    }
    free(text);
}

/* ---- life --------------------------------------------------------------------------------------
 */

static void on_feed_state(void *arg, udptun_client *client, enum udptun_client_state state,
                          const struct udptun_error *err)
{
    struct feed *feed = arg;
    (void)err; /* only of the connection that was lost, not of the attempts since */
    if (state == UDPTUN_CLIENT_CONNECTED) {
        model_connected(feed->model);
        subscribe(feed);
    } else {
        model_disconnected(feed->model, udptun_client_get_socket_path(client));
    }
    feed->list_due_ms = 0;
    feed->changed = true;
}

enum exit_status feed_open(struct feed *feed, struct cli *cli, struct top_model *model)
{
    struct udptun_client_config config;
    struct udptun_error err;
    *feed = (struct feed){.model = model, .changed = true};
    udptun_client_config_init(&config);
    config.socket_path = option_text(cli, "socket");
    config.timeout_ms = cli_timeout_ms(cli, 0);
    config.reconnect = true;
    config.reconnect_max_ms = RECONNECT_MOST_MS;
    config.arg = feed;
    config.state = on_feed_state;
    config.event = on_feed_event;
    feed->client = udptun_client_new(&config, &err);
    if (!feed->client)
        return complain(EXIT_OTHER, "top: %s", err.message);
    model_disconnected(model, udptun_client_get_socket_path(feed->client));
    return EXIT_OK;
}

void feed_close(struct feed *feed)
{
    udptun_client_free(feed->client);
    json_decref(feed->flows);
    wish_fini(&feed->wish);
    free(feed->name);
}

void feed_run(struct feed *feed)
{
    udptun_client_process(feed->client);
    int64_t now_ms = feed_now_ms();
    if (!feed->model->connected)
        return;
    if (feed->status_wanted && !feed->status_asked && now_ms >= feed->status_due_ms)
        ask_for_status(feed);
    if (feed->model->wish.action && !feed->wish.action)
        send_wish(feed);
    settle_list(feed);
    if (feed->name && !feed->list_asked && now_ms >= feed->list_due_ms)
        ask_for_page(feed, NULL);
}

static int64_t sooner(int64_t one_ms, int64_t other_ms)
{
    if (one_ms < 0 || (other_ms >= 0 && other_ms < one_ms))
        return other_ms;
    return one_ms;
}

int64_t feed_timeout_ms(const struct feed *feed)
{
    int64_t least_ms = udptun_client_get_timeout_ms(feed->client);
    int64_t now_ms = feed_now_ms();
    if (!feed->model->connected)
        return least_ms;
    if (feed->status_wanted && !feed->status_asked)
        least_ms =
            sooner(least_ms, feed->status_due_ms > now_ms ? feed->status_due_ms - now_ms : 0);
    if (feed->name && !feed->list_asked)
        least_ms = sooner(least_ms, feed->list_due_ms > now_ms ? feed->list_due_ms - now_ms : 0);
    return least_ms;
}
