/* SPDX-License-Identifier: Apache-2.0 */
/* reply.c - what came: replies to their requests, events to the app. */
#include "libclient/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "daemon/platform/result.h"
#include "proto/error.h"

/* The error that a reply tells of; code UDPTUN_OK when it tells of none. */
static void error_of(const json_t *root, struct udptun_error *err)
{
    *err = (struct udptun_error){0};
    const json_t *status = json_object_get(root, "statusCode");
    if (!json_is_integer(status)) {
        error_set(err, UDPTUN_E_BAD_REQUEST, NULL, "the reply has no statusCode");
        return;
    }
    if (json_integer_value(status) == 0)
        return;
    json_int_t code = json_integer_value(status);
    const json_t *detail = json_object_get(root, "error");
    const char *message = json_string_value(json_object_get(root, "errorMessage"));
    const char *field = json_string_value(json_object_get(detail, "field"));
    error_set(err, code > 0 && code < 1000 ? -(int)code : UDPTUN_E_UNEXPECTED, field, "%s",
              message ? message : error_text(-(int)code));
    const char *name = json_string_value(json_object_get(detail, "errno"));
    err->sys_errno = name ? io_by_name(name) : 0;
}

static struct request *request_of(struct udptun_client *client, const json_t *root)
{
    const json_t *id = json_object_get(root, "id");
    if (json_is_integer(id))
        return request_find(client, (uint64_t)json_integer_value(id));
    /* A limit of connections is about no call: it parts from all of them. */
    const json_t *status = json_object_get(root, "statusCode");
    if (!id && json_integer_value(status) == -UDPTUN_E_LIMIT)
        return NULL;
    /* The daemon could not make out the id: of what is outstanding it came to the oldest first. */
    return id ? NULL : request_oldest(client);
}

static void tell_event(struct udptun_client *client, const char *text)
{
    if (client->config.event)
        client->config.event(client->config.arg, client, text);
}

static void reply_answer(struct udptun_client *client, struct request *request, const json_t *root,
                         const char *text)
{
    struct udptun_client_reply reply = {.json = text};
    error_of(root, &reply.error);

    bool is_subscribed = reply.error.code == UDPTUN_OK && request->subscription;
    if (is_subscribed) {
        free(client->subscription);
        client->subscription = request->subscription;
        request->subscription = NULL;
    }
    char *value = NULL;
    const json_t *returned = json_object_get(root, "returnValue");
    if (request->done && returned) {
        value = json_text(returned, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
        if (!value && reply.error.code == UDPTUN_OK)
            error_set(&reply.error, UDPTUN_E_NOMEM, NULL, "out of memory");
    }
    reply.value = value;
    client->pause_ms = client->config.reconnect_min_ms;
    request_complete(client, request, &reply);
    free(value);
    /* The first snapshot comes to the same callback as those of later connections. */
    if (is_subscribed && !client->freed)
        tell_event(client, text);
}

static int renewed(struct udptun_client *client, struct request *request, const json_t *root,
                   const char *text, struct udptun_error *err)
{
    error_of(root, err);
    struct udptun_client_reply reply = {.error = *err, .json = text};
    request_complete(client, request, &reply);
    if (err->code == UDPTUN_OK) {
        client->pause_ms = client->config.reconnect_min_ms;
        tell_event(client, text);
    }
    return err->code;
}

static int dispatch_reply(struct udptun_client *client, const json_t *root, const char *text,
                          struct udptun_error *err)
{
    struct request *request = request_of(client, root);
    if (!request) {
        if (!json_object_get(root, "id"))
            error_of(root, &client->parting); /* a farewell, such as "too many connections" */
        return UDPTUN_OK;
    }
    switch (request->kind) {
    case REQUEST_APP:
        reply_answer(client, request, root, text);
        break;
    case REQUEST_GREETING:
        greeting_answered(client, root);
        request_drop(request);
        break;
    case REQUEST_RENEWAL:
        return renewed(client, request, root, text, err);
    case REQUEST_CANCEL:
        request_drop(request);
        break;
    }
    return UDPTUN_OK;
}

int reply_dispatch(struct udptun_client *client, const char *text, size_t size,
                   struct udptun_error *err)
{
    json_error_t where;
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
    if (!root) {
        if (json_failure(&where) == UDPTUN_E_NOMEM)
            return error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
        return error_set(err, UDPTUN_E_BAD_REQUEST, NULL, "the reply is not valid JSON: %s",
                         where.text);
    }
    int code = UDPTUN_OK;
    if (json_is_string(json_object_get(root, "event"))) {
        tell_event(client, text);
    } else {
        code = dispatch_reply(client, root, text, err);
    }
    json_decref(root);
    return code;
}
