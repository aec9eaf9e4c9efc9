/* SPDX-License-Identifier: Apache-2.0 */
/* actions.c - a function for each action of the command socket, over udptun_client_call_wait(). */
#include <stdlib.h>
#include <string.h>

#include "libclient/internal.h"
#include "proto/error.h"

static int actions_no_memory(struct udptun_error *err)
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
        return actions_no_memory(err);
    return error_set(err, UDPTUN_E_INVALID, "name", "name: missing, or not UTF-8 text");
}

/* Make a call with `parameters` (taken) and give its returnValue, which the caller releases. */
static int actions_ask(udptun_client *client, const char *action, json_t *parameters,
                       int64_t timeout_ms, json_t **value, struct udptun_error *err)
{
    *value = NULL;
    char *text = parameters ? json_text(parameters, JSON_COMPACT) : NULL;
    json_decref(parameters);
    if (!text)
        return actions_no_memory(err);
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
            code = actions_no_memory(err);
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
    int code = actions_ask(client, action, parameters, timeout_ms, &value, err);
    if (code == UDPTUN_OK && changed)
        *changed = json_is_true(json_object_get(value, "changed"));
    json_decref(value);
    return code;
}

/* The object that an app gave as text; released by the caller. */
static int given_object(const char *text, const char *field, json_t **object,
                        struct udptun_error *err)
{
    json_error_t where;
    *object = text ? json_loads(text, JSON_REJECT_DUPLICATES, &where) : NULL;
    if (json_is_object(*object))
        return UDPTUN_OK;
    bool no_memory = text && !*object && json_failure(&where) == UDPTUN_E_NOMEM;
    json_decref(*object);
    *object = NULL;
    return no_memory ? actions_no_memory(err)
                     : error_set(err, UDPTUN_E_INVALID, field, "%s: must be a JSON object", field);
}

/* The returnValue as text. */
static int text_by(udptun_client *client, const char *action, json_t *parameters, char **text,
                   struct udptun_error *err)
{
    json_t *value;
    *text = NULL;
    int code = actions_ask(client, action, parameters, 0, &value, err);
    if (code == UDPTUN_OK && value) {
        *text = json_is_string(value) ? strdup(json_string_value(value))
                                      : json_text(value, JSON_COMPACT | JSON_REAL_PRECISION(15));
        if (!*text)
            code = actions_no_memory(err);
    } else if (code == UDPTUN_OK) {
        code = error_set(err, UDPTUN_E_BAD_REQUEST, NULL, "the reply has no returnValue");
    }
    json_decref(value);
    return code;
}

/* Set a member of what is a call's parameters; what is absent stays absent. */
static bool put_text(json_t *parameters, const char *name, const char *text)
{
    return !text || json_object_set_new(parameters, name, json_string(text)) == 0;
}

static bool put_true(json_t *parameters, const char *name, bool is_set)
{
    return !is_set || json_object_set_new(parameters, name, json_true()) == 0;
}

/* The parameters could not be made: text that is no UTF-8, or no memory. */
static int not_made(json_t *parameters, const char *field, struct udptun_error *err)
{
    json_decref(parameters);
    return error_set(err, UDPTUN_E_INVALID, field, "%s: not UTF-8 text", field);
}

/* configureUdpTunnel and configureTun2socks. */
static int configure(udptun_client *client, const char *action, json_t *object, bool merge,
                     int wait_s, bool *changed, struct udptun_error *err)
{
    int64_t timeout_ms = client->config.timeout_ms;
    if (wait_s > 0 && timeout_ms > 0)
        timeout_ms += (int64_t)wait_s * 1000;
    if (!put_true(object, "merge", merge) ||
        (wait_s > 0 && json_object_set_new(object, "wait", json_integer(wait_s)) < 0)) {
        json_decref(object);
        return actions_no_memory(err);
    }
    return changed_by(client, action, object, timeout_ms, changed, err);
}

/* ---- objects -----------------------------------------------------------------------------------
 */

int udptun_client_configure_tunnel(udptun_client *client, const char *tunnel, bool merge,
                                   int wait_s, bool *changed, struct udptun_error *err)
{
    json_t *object;
    int code = given_object(tunnel, "tunnel", &object, err);
    return code < 0 ? code
                    : configure(client, "configureUdpTunnel", object, merge, wait_s, changed, err);
}

int udptun_client_remove_tunnel(udptun_client *client, const char *name, bool *changed,
                                struct udptun_error *err)
{
    json_t *parameters;
    int code = named(name, &parameters, err);
    return code < 0 ? code : changed_by(client, "removeUdpTunnel", parameters, 0, changed, err);
}

int udptun_client_configure_tun2socks(udptun_client *client, const char *instance, bool merge,
                                      int wait_s, bool *changed, struct udptun_error *err)
{
    json_t *object;
    int code = given_object(instance, "instance", &object, err);
    return code < 0 ? code
                    : configure(client, "configureTun2socks", object, merge, wait_s, changed, err);
}

int udptun_client_remove_tun2socks(udptun_client *client, const char *name, bool *changed,
                                   struct udptun_error *err)
{
    json_t *parameters;
    int code = named(name, &parameters, err);
    return code < 0 ? code : changed_by(client, "removeTun2socks", parameters, 0, changed, err);
}

int udptun_client_export_config(udptun_client *client, bool show_secrets, char **config,
                                struct udptun_error *err)
{
    json_t *parameters = json_object();
    if (!put_true(parameters, "showSecrets", show_secrets)) {
        json_decref(parameters);
        parameters = NULL;
    }
    return text_by(client, "exportConfig", parameters, config, err);
}

int udptun_client_apply_config(udptun_client *client, const char *config, bool prune, bool dry_run,
                               char **done, struct udptun_error *err)
{
    json_t *object, *parameters = json_object();
    *done = NULL;
    int code = given_object(config, "config", &object, err);
    if (code < 0) {
        json_decref(parameters);
        return code;
    }
    if (json_object_set_new(parameters, "config", object) < 0 ||
        !put_true(parameters, "prune", prune) || !put_true(parameters, "dryRun", dry_run)) {
        json_decref(parameters);
        return actions_no_memory(err);
    }
    return text_by(client, "applyConfig", parameters, done, err);
}

/* ---- looking -----------------------------------------------------------------------------------
 */

int udptun_client_hello(udptun_client *client, const char *role, char **hello,
                        struct udptun_error *err)
{
    json_t *parameters = json_object();
    *hello = NULL;
    if (!put_text(parameters, "role", role))
        return not_made(parameters, "role", err);
    return text_by(client, "hello", parameters, hello, err);
}

int udptun_client_get_status(udptun_client *client, const char *name, char **status,
                             struct udptun_error *err)
{
    json_t *parameters = json_object();
    *status = NULL;
    if (!put_text(parameters, "name", name))
        return not_made(parameters, "name", err);
    return text_by(client, "getStatus", parameters, status, err);
}

int udptun_client_list_sessions(udptun_client *client, const char *name, char **sessions,
                                struct udptun_error *err)
{
    json_t *parameters;
    *sessions = NULL;
    int code = named(name, &parameters, err);
    return code < 0 ? code : text_by(client, "listSessions", parameters, sessions, err);
}

int udptun_client_close_session(udptun_client *client, const char *name, const char *session,
                                struct udptun_error *err)
{
    json_t *parameters;
    int code = named(name, &parameters, err);
    if (code < 0)
        return code;
    if (!session || !put_text(parameters, "session", session))
        return not_made(parameters, "session", err);
    return changed_by(client, "closeSession", parameters, 0, NULL, err);
}

int udptun_client_list_flows(udptun_client *client, const char *name, const char *after,
                             unsigned limit, char **flows, struct udptun_error *err)
{
    json_t *parameters;
    *flows = NULL;
    int code = named(name, &parameters, err);
    if (code < 0)
        return code;
    if (!put_text(parameters, "after", after) ||
        (limit > 0 && json_object_set_new(parameters, "limit", json_integer(limit)) < 0))
        return not_made(parameters, "after", err);
    return text_by(client, "listFlows", parameters, flows, err);
}

int udptun_client_get_metrics(udptun_client *client, char **metrics, struct udptun_error *err)
{
    return text_by(client, "getMetrics", json_object(), metrics, err);
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
        return actions_no_memory(err);
    }
    code = actions_ask(client, "pingTunnel", parameters, 0, &value, err);
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

/* ---- the daemon as a whole ---------------------------------------------------------------------
 */

int udptun_client_set_log_level(udptun_client *client, const char *level, const char *module,
                                struct udptun_error *err)
{
    json_t *parameters = json_object();
    if (!level || !put_text(parameters, "level", level))
        return not_made(parameters, "level", err);
    if (!put_text(parameters, "module", module))
        return not_made(parameters, "module", err);
    return changed_by(client, "setLogLevel", parameters, 0, NULL, err);
}

int udptun_client_reload_config(udptun_client *client, struct udptun_error *err)
{
    return changed_by(client, "reloadConfig", json_object(), 0, NULL, err);
}

int udptun_client_shutdown(udptun_client *client, struct udptun_error *err)
{
    return changed_by(client, "shutdown", json_object(), 0, NULL, err);
}
