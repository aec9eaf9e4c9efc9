/* SPDX-License-Identifier: Apache-2.0 */
/* sync.c - waiting for a call on this connection alone, and the functions for common actions. */
#include "libclient/internal.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "daemon/platform/wait.h"
#include "proto/error.h"

struct waiter {
    bool done;
    char *json;
    struct udptun_error error;
};

static void on_reply(void *arg, udptun_client *client, const struct udptun_client_reply *reply)
{
    (void)client;
    struct waiter *waiter = arg;
    waiter->done = true;
    waiter->error = reply->error;
    if (!reply->json)
        return;
    waiter->json = strdup(reply->json);
    if (!waiter->json)
        error_set(&waiter->error, UDPTUN_E_NOMEM, NULL, "out of memory");
}

/* Sleep until process() is due, or `limit_ms` (-1: no limit) is over. */
static void sleep_until_due(const struct udptun_client *client, int64_t limit_ms)
{
    unsigned events = udptun_client_get_events(client);
    struct wait_entry connection = {
        .socket = client->fd,
        .wanted = (events & UDPTUN_CLIENT_READ ? (unsigned)WAIT_READ : 0) |
                  (events & UDPTUN_CLIENT_WRITE ? (unsigned)WAIT_WRITE : 0),
    };
    int64_t timeout = udptun_client_get_timeout_ms(client);
    if (limit_ms >= 0 && (timeout < 0 || limit_ms < timeout))
        timeout = limit_ms;
    wait_for(&connection, 1, timeout);
}

int udptun_client_wait(udptun_client *client, int64_t timeout_ms)
{
    if (client->depth > 0)
        return UDPTUN_E_CONFLICT;
    sleep_until_due(client, timeout_ms);
    return udptun_client_process(client);
}

int udptun_client_call_wait(udptun_client *client, const struct udptun_client_request *request,
                            char **reply, struct udptun_error *err)
{
    if (reply)
        *reply = NULL;
    if (client->depth > 0)
        return error_set(err, UDPTUN_E_CONFLICT, NULL, "a callback cannot wait for a call");
    /* A daemon that was restarted while nobody looked: find out before the call is sent to it. */
    if (client->fd != NO_SOCKET && udptun_client_process(client) == UDPTUN_E_CANCELLED)
        return error_set(err, UDPTUN_E_CANCELLED, NULL, "cancelled: the client was freed");
    struct waiter waiter = {0};
    int code = udptun_client_call(client, request, on_reply, &waiter, NULL, err);
    if (code < 0)
        return code;
    /* A client that a callback frees completes this call as well. */
    bool is_freed = false;
    while (!(is_freed = udptun_client_process(client) == UDPTUN_E_CANCELLED) && !waiter.done)
        sleep_until_due(client, -1);
    if (!is_freed && waiter.error.code == UDPTUN_E_TIMEOUT)
        (void)udptun_client_process(client); /* the daemon is told that nobody waits any more */
    if (err)
        *err = waiter.error;
    if (reply)
        *reply = waiter.json;
    else
        free(waiter.json);
    return waiter.error.code;
}

void udptun_client_free_text(char *text)
{
    free(text);
}

/* ---- common actions ----------------------------------------------------------------------------
 */

static int sync_no_memory(struct udptun_error *err)
{
    return error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
}

/* {"name":name} */
static int named(const char *name, json_t **object, struct udptun_error *err)
{
    json_error_t where;
    *object = json_pack_ex(&where, 0, "{s:s}", "name", name);
    if (*object)
        return UDPTUN_OK;
    if (json_failure(&where) == UDPTUN_E_NOMEM)
        return sync_no_memory(err);
    return error_set(err, UDPTUN_E_INVALID, "name", "name: missing, or not UTF-8 text");
}

/* Make a call with `parameters` (taken) and give its returnValue, which the caller releases. */
static int sync_ask(udptun_client *client, const char *action, json_t *parameters,
                    int64_t timeout_ms, json_t **value, struct udptun_error *err)
{
    *value = NULL;
    char *text = parameters ? json_text(parameters, JSON_COMPACT) : NULL;
    json_decref(parameters);
    if (!text)
        return sync_no_memory(err);
    struct udptun_client_request request;
    udptun_client_request_init(&request, action);
    request.parameters = text;
    request.timeout_ms = timeout_ms;
    char *reply = NULL;
    int code = udptun_client_call_wait(client, &request, &reply, err);
    if (code == UDPTUN_OK) {
        /* It was read once already: what fails now is memory. */
        json_t *root = json_loads(reply, 0, NULL);
        *value = json_incref(json_object_get(root, "returnValue"));
        if (!root)
            code = sync_no_memory(err);
        json_decref(root);
    }
    free(reply);
    free(text);
    return code;
}

static int changed_by(udptun_client *client, const char *action, json_t *parameters,
                      int64_t timeout_ms, bool *changed, struct udptun_error *err)
{
    json_t *value;
    int code = sync_ask(client, action, parameters, timeout_ms, &value, err);
    if (code == UDPTUN_OK && changed)
        *changed = json_is_true(json_object_get(value, "changed"));
    json_decref(value);
    return code;
}

int udptun_client_configure_tunnel(udptun_client *client, const char *tunnel, bool merge,
                                   int wait_s, bool *changed, struct udptun_error *err)
{
    json_error_t where;
    json_t *object = json_loads(tunnel, JSON_REJECT_DUPLICATES, &where);
    if (!object && json_failure(&where) == UDPTUN_E_NOMEM)
        return sync_no_memory(err);
    if (!json_is_object(object)) {
        json_decref(object);
        return error_set(err, UDPTUN_E_INVALID, "tunnel", "tunnel: must be a JSON object");
    }
    int64_t timeout_ms = client->config.timeout_ms;
    if (wait_s > 0 && timeout_ms > 0)
        timeout_ms += (int64_t)wait_s * 1000;
    if ((merge && json_object_set_new(object, "merge", json_true()) < 0) ||
        (wait_s > 0 && json_object_set_new(object, "wait", json_integer(wait_s)) < 0)) {
        json_decref(object);
        return sync_no_memory(err);
    }
    return changed_by(client, "configureUdpTunnel", object, timeout_ms, changed, err);
}

int udptun_client_remove_tunnel(udptun_client *client, const char *name, bool *changed,
                                struct udptun_error *err)
{
    json_t *parameters;
    int code = named(name, &parameters, err);
    return code < 0 ? code : changed_by(client, "removeUdpTunnel", parameters, 0, changed, err);
}

int udptun_client_get_status(udptun_client *client, const char *name, char **status,
                             struct udptun_error *err)
{
    json_t *value, *parameters = NULL;
    *status = NULL;
    int code = UDPTUN_OK;
    if (name)
        code = named(name, &parameters, err);
    else
        parameters = json_object();
    if (code < 0)
        return code;
    code = sync_ask(client, "getStatus", parameters, 0, &value, err);
    if (code == UDPTUN_OK && value) {
        *status = json_text(value, JSON_COMPACT | JSON_REAL_PRECISION(15));
        if (!*status)
            code = sync_no_memory(err);
    } else if (code == UDPTUN_OK) {
        code = error_set(err, UDPTUN_E_BAD_REQUEST, NULL, "the reply has no returnValue");
    }
    json_decref(value);
    return code;
}

int udptun_client_ping(udptun_client *client, const char *name, int count, double *rtt_ms,
                       int *answered, struct udptun_error *err)
{
    json_t *value, *parameters;
    *answered = 0;
    int code = named(name, &parameters, err);
    if (code < 0)
        return code;
    if (json_object_set_new(parameters, "count", json_integer(count)) < 0) {
        json_decref(parameters);
        return sync_no_memory(err);
    }
    code = sync_ask(client, "pingTunnel", parameters, 0, &value, err);
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(value, "rttMs"), i, one)
    {
        if (json_is_number(one) && *answered < count)
            rtt_ms[(*answered)++] = json_number_value(one);
    }
    json_decref(value);
    return code;
}
