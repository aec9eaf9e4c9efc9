/* SPDX-License-Identifier: Apache-2.0 */
/* request.c - the queue of calls: accepting, completing, timing out. */
#include "libclient/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "proto/error.h"
#include "proto/versioned.h"

void udptun_client_request_init_sized(struct udptun_client_request *request, const char *action,
                                      size_t size)
{
    const struct udptun_client_request defaults = {.size = sizeof defaults, .action = action};
    versioned_init(request, size, &defaults, sizeof defaults);
}

void request_close_fds(struct request *request)
{
    while (request->fd_count > 0)
        socket_close(request->fds[--request->fd_count]);
}

static void request_free(struct request *request)
{
    list_remove(&request->node);
    request_close_fds(request);
    free(request->text);
    free(request->subscription);
    free(request);
}

/* The message as it goes out. The parameters pass through jansson once, so that no app can break
 * the framing for itself. */
static int encode(struct request *request, const char *action, const char *parameters,
                  struct udptun_error *err)
{
    json_error_t where;
    json_t *object = parameters ? json_loads(parameters, JSON_REJECT_DUPLICATES, &where) : NULL;
    if (parameters && !object && json_failure(&where) == UDPTUN_E_NOMEM)
        return error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
    if (parameters && !json_is_object(object)) {
        int code = object ? error_set(err, UDPTUN_E_INVALID, "parameters",
                                      "parameters: must be a JSON object")
                          : error_set(err, UDPTUN_E_INVALID, "parameters",
                                      "parameters: not valid JSON at byte %d: %s", where.position,
                                      where.text);
        json_decref(object);
        return code;
    }
    json_t *message = object ? json_pack_ex(&where, 0, "{s:s,s:I,s:o}", "action", action, "id",
                                            (json_int_t)request->id, "parameters", object)
                             : json_pack_ex(&where, 0, "{s:s,s:I}", "action", action, "id",
                                            (json_int_t)request->id);
    if (!message && json_failure(&where) == UDPTUN_E_NOMEM)
        return error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
    if (!message)
        return error_set(err, UDPTUN_E_INVALID, "action", "action: not UTF-8 text");
    char *text = json_text(message, JSON_COMPACT | JSON_REAL_PRECISION(15));
    json_decref(message);
    if (!text)
        return error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");

    /* The NUL becomes the newline that ends the message. */
    request->size = strlen(text) + 1;
    text[request->size - 1] = '\n';
    request->text = realloc(text, request->size + DEADLINE_ROOM);
    if (!request->text) {
        free(text);
        return error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
    }
    if (request->size > MAX_REQUEST_BYTES - DEADLINE_ROOM)
        return error_set(err, UDPTUN_E_LIMIT, "parameters",
                         "parameters: the message is longer than %zu bytes",
                         MAX_REQUEST_BYTES - DEADLINE_ROOM);
    return UDPTUN_OK;
}

static int copy_fds(struct request *request, const struct udptun_client_request *wanted,
                    struct udptun_error *err)
{
    if (wanted->fd_count > UDPTUN_CLIENT_MAX_FDS)
        return error_set(err, UDPTUN_E_INVALID, "fd_count", "fd_count: at most %d descriptors",
                         UDPTUN_CLIENT_MAX_FDS);
    for (size_t i = 0; i < wanted->fd_count; i++) {
        int failure = socket_copy(wanted->fds[i], &request->fds[request->fd_count]);
        if (failure)
            return error_set_errno(
                err, io_is_shortage(io_of(failure)) ? UDPTUN_E_LIMIT : UDPTUN_E_INVALID, failure,
                "fds", "fds[%zu]", i);
        request->fd_count++;
    }
    return UDPTUN_OK;
}

static int64_t deadline_of(const struct udptun_client *client, int64_t timeout_ms)
{
    if (timeout_ms == 0)
        timeout_ms = client->config.timeout_ms;
    if (timeout_ms < 0)
        return -1;
    int64_t now = client_now_ms();
    return timeout_ms < INT64_MAX - now ? now + timeout_ms : -1;
}

int request_accept(struct udptun_client *client, const struct udptun_client_request *given,
                   udptun_client_reply_fn done, void *arg, struct request **out,
                   struct udptun_error *err)
{
    struct udptun_client_request whole;
    const struct udptun_client_request *wanted = &whole;
    udptun_client_request_init(&whole, NULL);
    if (client->freed)
        return error_set(err, UDPTUN_E_CANCELLED, NULL, "cancelled: the client is being freed");
    if (!versioned_read(&whole, sizeof whole, given,
                        VERSIONED_LEAST(struct udptun_client_request, action)))
        return error_set(err, UDPTUN_E_INVALID, "size", "size: not that of a known version");
    if (!wanted->action || !wanted->action[0])
        return error_set(err, UDPTUN_E_INVALID, "action", "action: is missing");
    if (wanted->timeout_ms < UDPTUN_CLIENT_NO_TIMEOUT)
        return error_set(err, UDPTUN_E_INVALID, "timeout_ms", "timeout_ms: is negative");

    struct request *request = calloc(1, sizeof *request);
    if (!request)
        return error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
    list_init(&request->node);
    request->id = ++client->last_id;
    request->done = done;
    request->arg = arg;
    request->deadline_ms = deadline_of(client, wanted->timeout_ms);

    int code = encode(request, wanted->action, wanted->parameters, err);
    if (code == UDPTUN_OK)
        code = copy_fds(request, wanted, err);
    if (code < 0) {
        request_free(request);
        return code;
    }
    list_append(&client->requests, &request->node);
    if (out)
        *out = request;
    if (err)
        *err = (struct udptun_error){0};
    return UDPTUN_OK;
}

int request_renew_subscription(struct udptun_client *client)
{
    struct udptun_client_request wanted;
    udptun_client_request_init(&wanted, "subscribe");
    wanted.parameters = client->subscription;
    struct request *request;
    int code = request_accept(client, &wanted, NULL, NULL, &request, NULL);
    if (code < 0)
        return code;
    request->kind = REQUEST_RENEWAL;
    list_remove(&request->node);
    list_insert_before(client->requests.next, &request->node);
    return UDPTUN_OK;
}

struct request *request_find(struct udptun_client *client, uint64_t id)
{
    LIST_FOREACH (node, &client->requests) {
        struct request *request = list_entry(node, struct request, node);
        if (request->id == id && !request->abandoned)
            return request;
    }
    return NULL;
}

struct request *request_oldest(struct udptun_client *client)
{
    LIST_FOREACH (node, &client->requests) {
        struct request *request = list_entry(node, struct request, node);
        if (!request->abandoned)
            return request;
    }
    return NULL;
}

struct request *request_to_send(const struct udptun_client *client)
{
    LIST_FOREACH (node, &client->requests) {
        struct request *request = list_entry(node, struct request, node);
        if (request->sent < request->size)
            return greeting_holds(client, request) && client->greeting == GREETING_SENT ? NULL
                                                                                        : request;
    }
    return NULL;
}

void request_drop(struct request *request)
{
    request_free(request);
}

void request_was_sent(struct request *request)
{
    request_close_fds(request);
    if (request->abandoned)
        request_free(request);
}

void request_complete(struct udptun_client *client, struct request *request,
                      const struct udptun_client_reply *reply)
{
    udptun_client_reply_fn done = request->done;
    void *arg = request->arg;
    bool half_sent = client->fd != NO_SOCKET && request->sent > 0 && request->sent < request->size;
    if (half_sent)
        request->abandoned = true;
    else
        request_free(request);
    if (done)
        done(arg, client, reply);
}

/* The daemon has it, and its caller does not wait for it any more. */
static void withdraw(struct udptun_client *client, const struct request *request)
{
    if (client->fd == NO_SOCKET || client->freed || request->kind != REQUEST_APP ||
        request->sent < request->size ||
        (client->greeting == GREETING_ANSWERED && !client->can_cancel))
        return;
    char parameters[48];
    struct udptun_client_request wanted;
    struct request *cancel;
    udptun_client_request_init(&wanted, "cancel");
    snprintf(parameters, sizeof parameters, "{\"call\":%" PRIu64 "}", request->id);
    wanted.parameters = parameters;
    wanted.timeout_ms = UDPTUN_CLIENT_NO_TIMEOUT;
    if (request_accept(client, &wanted, NULL, NULL, &cancel, NULL) == UDPTUN_OK)
        cancel->kind = REQUEST_CANCEL;
}

void request_fail(struct udptun_client *client, struct request *request,
                  const struct udptun_error *err)
{
    struct udptun_client_reply reply = {.error = *err};
    request_complete(client, request, &reply);
}

void requests_fail(struct udptun_client *client, bool sent_only, const struct udptun_error *err)
{
    /* Callbacks may cancel others and make new calls, so each turn looks afresh. Without a
     * connection the abandoned ones have nowhere to go either. */
    uint64_t newest = client->last_id;
    bool again = true;
    while (again) {
        again = false;
        LIST_FOREACH_SAFE (node, &client->requests) {
            struct request *request = list_entry(node, struct request, node);
            if (request->abandoned) {
                request_free(request);
                continue;
            }
            if (request->id > newest ||
                (sent_only && request->sent == 0 && request->kind == REQUEST_APP))
                continue;
            request_fail(client, request, err);
            again = true;
            break;
        }
    }
}

void requests_time_out(struct udptun_client *client)
{
    int64_t now = client_now_ms();
    bool again = true;
    while (again && !client->freed) {
        again = false;
        LIST_FOREACH (node, &client->requests) {
            struct request *request = list_entry(node, struct request, node);
            if (request->abandoned || request->deadline_ms < 0 || request->deadline_ms > now)
                continue;
            struct udptun_error err;
            if (client->fd == NO_SOCKET && client->last_error.code)
                err = client->last_error; /* tells more than "no reply" */
            else
                error_set(&err, UDPTUN_E_TIMEOUT, NULL, "no reply from the daemon in time");
            withdraw(client, request);
            request_fail(client, request, &err);
            again = true;
            break;
        }
    }
}

int64_t requests_deadline_ms(const struct udptun_client *client)
{
    int64_t due = -1;
    LIST_FOREACH (node, &client->requests) {
        const struct request *request = list_entry(node, struct request, node);
        if (request->abandoned || request->deadline_ms < 0)
            continue;
        if (due < 0 || request->deadline_ms < due)
            due = request->deadline_ms;
    }
    return due;
}

/* ---- public -------------------------------------------------------------------------------- */

int udptun_client_call(udptun_client *client, const struct udptun_client_request *request,
                       udptun_client_reply_fn done, void *arg, uint64_t *id,
                       struct udptun_error *err)
{
    struct request *accepted;
    int code = request_accept(client, request, done, arg, &accepted, err);
    if (code == UDPTUN_OK && id)
        *id = accepted->id;
    return code;
}

int udptun_client_cancel(udptun_client *client, uint64_t id)
{
    struct request *request = request_find(client, id);
    if (!request || request->kind != REQUEST_APP)
        return UDPTUN_E_NOT_FOUND;
    client_enter(client);
    withdraw(client, request);
    struct udptun_error err;
    error_set(&err, UDPTUN_E_CANCELLED, NULL, "cancelled");
    request_fail(client, request, &err);
    client_leave(client);
    return UDPTUN_OK;
}

/* One word of "state,config", which `*rest` goes on behind; an empty one is left out. */
static int append_topic(json_t *list, const char **rest)
{
    size_t size = strcspn(*rest, ",");
    json_error_t where;
    json_t *topic = size ? json_pack_ex(&where, 0, "s%", *rest, size) : NULL;
    if (size && !topic)
        return json_failure(&where);
    *rest += size + ((*rest)[size] == ',');
    if (topic && json_array_append_new(list, topic) < 0)
        return UDPTUN_E_NOMEM;
    return UDPTUN_OK;
}

/* {"topics":["state","config"],"snapshot":true} */
static int subscription_text(const char *topics, bool snapshot, char **text)
{
    json_t *list = json_array(), *object = NULL;
    int code = list ? UDPTUN_OK : UDPTUN_E_NOMEM;
    while (code == UDPTUN_OK && topics[0])
        code = append_topic(list, &topics);
    if (code == UDPTUN_OK)
        object = json_pack("{s:O,s:b}", "topics", list, "snapshot", snapshot);
    *text = object ? json_text(object, JSON_COMPACT) : NULL;
    json_decref(object);
    json_decref(list);
    return code < 0 || *text ? code : UDPTUN_E_NOMEM;
}

int udptun_client_subscribe(udptun_client *client, const char *topics, bool snapshot,
                            udptun_client_reply_fn done, void *arg, uint64_t *id,
                            struct udptun_error *err)
{
    char *text;
    int code = subscription_text(topics, snapshot, &text);
    if (code == UDPTUN_E_NOMEM)
        return error_set(err, code, NULL, "out of memory");
    if (code < 0)
        return error_set(err, code, "topics", "topics: not UTF-8 text");
    struct udptun_client_request wanted;
    udptun_client_request_init(&wanted, "subscribe");
    wanted.parameters = text;
    struct request *request;
    code = request_accept(client, &wanted, done, arg, &request, err);
    if (code < 0) {
        free(text);
        return code;
    }
    request->subscription = text;
    if (id)
        *id = request->id;
    return UDPTUN_OK;
}

int udptun_client_unsubscribe(udptun_client *client, udptun_client_reply_fn done, void *arg,
                              uint64_t *id, struct udptun_error *err)
{
    struct udptun_client_request wanted;
    udptun_client_request_init(&wanted, "unsubscribe");
    wanted.parameters = "{\"topics\":[\"state\",\"config\",\"stats\",\"log\"]}";
    int code = udptun_client_call(client, &wanted, done, arg, id, err);
    if (code == UDPTUN_OK) {
        free(client->subscription);
        client->subscription = NULL;
    }
    return code;
}
