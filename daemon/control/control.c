/* SPDX-License-Identifier: Apache-2.0 */
/* control.c - putting the control plane together, and taking it apart; see control.h. */
#include "daemon/control/control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/control/actions/actions.h"
#include "daemon/control/change/apply.h"
#include "daemon/control/change/change.h"
#include "daemon/control/change/record.h"
#include "daemon/control/change/recover.h"
#include "daemon/control/change/wait.h"
#include "daemon/control/report/metrics_http.h"
#include "daemon/control/report/watchers.h"
#include "daemon/control/socket/command_socket.h"
#include "daemon/control/store/config_file.h"
#include "daemon/control/store/state.h"
#include "proto/control/codec.h"

static void on_engine_log(void *arg, enum udptun_log_level level, const char *module,
                          const char *text)
{
    struct control *control = arg;
    log_write(control->log, level, module, "%s", text);
}

static void on_line(void *arg, enum udptun_log_level level, const char *module, const char *text)
{
    watchers_log(arg, level, module, text);
}

/* The parts that struct control points to. */
struct parts {
    struct control control;
    struct command_socket socket;
    struct watchers watchers;
    struct changes changes;
    struct waits waits;
    struct recovery recovery;
};

static int add_object(struct control *control, ProtobufCMessage *message,
                      struct object_inputs *inputs, bool of_file, struct udptun_error *err)
{
    ProtobufCMessage *copy = codec_copy(message);
    struct object *object = copy ? objects_add(&control->objects, object_name(message)) : NULL;
    if (!object) {
        if (copy)
            protobuf_c_message_free_unpacked(copy, NULL);
        return error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
    }
    object->of_file = of_file;
    object->inputs = *inputs;
    *inputs = (struct object_inputs){0};
    objects_set(&control->objects, object, copy);
    return 0;
}

/* Read its key and its session and start it, before the loop runs and anything can be held up. */
static int start_object(struct control *control, ProtobufCMessage *message, const char *path,
                        struct object_inputs *inputs, struct udptun_error *err)
{
    int rc = object_read_key(message, path, inputs, err);
    if (rc == 0 && inputs->exposed)
        control_warn_exposed(control, message);
    if (rc == 0 && control_needs_identity(control, message))
        object_inputs_read_identity(inputs, &control->store, object_name(message));
    return rc == 0 ? control_apply(control, message, inputs, path, NULL, err) : rc;
}

/* It stays configured and is shown as failed; something that it needs is missing. */
static void leave_failed(struct control *control, const char *name, const struct udptun_error *why)
{
    struct object *object = objects_find(&control->objects, name);
    if (object)
        recovery_add(control->recovery, object, why);
}

/* What is wrong in the config file ends the start: who wrote it wants to know at once. */
static int start_of_file(struct control *control, ProtobufCMessage *message, const char *kind,
                         size_t i, struct udptun_error *err)
{
    char path[OBJECT_PATH_SIZE];
    struct object_inputs inputs = {0};
    snprintf(path, sizeof path, "%s[%zu]", kind, i);
    struct udptun_error why = {0};
    int rc = start_object(control, message, path, &inputs, &why);
    if (rc < 0 && !recovery_is_for(control, message, &why)) {
        object_inputs_fini(&inputs);
        *err = why;
        return config_file_error(control->config_path, err);
    }
    if (add_object(control, message, &inputs, true, err) < 0)
        return err->code;
    if (rc < 0)
        leave_failed(control, object_name(message), &why);
    return 0;
}

/* Tunnels first: instances may name them. */
static int start_file(struct control *control, const config_msg *file, struct udptun_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && file && i < file->n_udp_tunnels; i++)
        rc = start_of_file(control, &file->udp_tunnels[i]->base, "udpTunnels", i, err);
    for (size_t i = 0; rc == 0 && file && i < file->n_tun2socks; i++)
        rc = start_of_file(control, &file->tun2socks[i]->base, "tun2socks", i, err);
    return rc;
}

/* An object of the state that cannot start stays configured, is logged and shown as failed. */
static int start_of_state(struct control *control, ProtobufCMessage *message,
                          struct udptun_error *err)
{
    const char *name = object_name(message);
    if (!name)
        return error_set(err, UDPTUN_E_INVALID, NULL, "%s: an object has no name",
                         control->store.path);
    if (objects_find(&control->objects, name)) { /* the config file has that name now */
        unwritten_add_silent(&control->unwritten, name);
        return 0;
    }
    struct udptun_error why;
    struct object_inputs inputs = {0};
    object_lose_fd(message);
    int rc = start_object(control, message, "", &inputs, &why);
    if (add_object(control, message, &inputs, false, err) < 0)
        return err ? err->code : UDPTUN_E_NOMEM;
    if (rc < 0)
        leave_failed(control, name, &why);
    return 0;
}

static int start_kept(struct control *control, const config_msg *state, struct udptun_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && state && i < state->n_udp_tunnels; i++)
        rc = start_of_state(control, &state->udp_tunnels[i]->base, err);
    for (size_t i = 0; rc == 0 && state && i < state->n_tun2socks; i++)
        rc = start_of_state(control, &state->tun2socks[i]->base, err);
    return rc;
}

/* What of the state cannot be used. */
static void on_report(void *arg, const char *what)
{
    struct control *control = arg;
    log_write(control->log, UDPTUN_LOG_ERROR, "control", "%s", what);
}

static void on_identity_failed(void *arg, const char *name, const char *why)
{
    struct control *control = arg;
    log_write(control->log, UDPTUN_LOG_ERROR, "control", "%s: %s; tried again every second", name,
              why);
    unwritten_retry(&control->unwritten);
}

static int start_objects(struct control *control, const config_msg *file, const char *state_dir,
                         struct udptun_error *err)
{
    config_msg *state = NULL;
    int rc = store_open(&control->store, state_dir, err);
    if (rc == 0)
        rc = store_load(&control->store, &state, on_report, control, err);
    if (rc == 0)
        rc = start_file(control, file, err);
    if (rc == 0)
        rc = start_kept(control, state, err);
    if (state)
        protobuf_c_message_free_unpacked(&state->base, NULL);
    return rc;
}

static void on_network_changed(void *arg)
{
    struct control *control = arg;
    recovery_now(control->recovery);
}

static int control_start(struct control *control, const struct control_config *config,
                         struct udptun_error *err)
{
    struct udptun_engine_config engine;
    udptun_engine_config_init(&engine);
    engine.loop = loop_native(config->loop);
    engine.arg = control;
    engine.log = on_engine_log;
    engine.network_changed = on_network_changed;
    engine.max_buffer_bytes = config->max_buffer_bytes;
    control->worker = worker_new(config->loop);
    if (!control->worker)
        return error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
    identities_init(&control->identities, &control->store, control->worker, on_identity_failed,
                    control);
    control->engine = udptun_engine_new(&engine, err);
    if (!control->engine)
        return err ? err->code : UDPTUN_E_UNEXPECTED;
    return start_objects(control, config->file, config->state_dir, err);
}

struct control *control_new(const struct control_config *config, struct udptun_error *err)
{
    struct command_listener listener;
    const struct command_access access = {.parents = true,
                                          .mode = config->socket_mode,
                                          .owner = NO_OWNER,
                                          .group = config->socket_group,
                                          .program = "udptund"};
    struct parts *parts = calloc(1, sizeof *parts);
    if (!parts) {
        error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
        return NULL;
    }
    struct control *control = &parts->control;
    control->socket = &parts->socket;
    control->watchers = &parts->watchers;
    control->changes = &parts->changes;
    control->waits = &parts->waits;
    control->recovery = &parts->recovery;
    control->find_action = action_find;
    control->loop = config->loop;
    control->log = config->log;
    control_start_clock(control);
    control->shutdown = config->shutdown;
    control->reloading = config->reloading;
    control->arg = config->arg;
    control->config_path = config->config_path;
    identities_init(&control->identities, &control->store, NULL, NULL, NULL);
    unwritten_init(&control->unwritten, control, change_retry);
    changes_init(control->changes);
    waits_init(control->waits);
    recovery_init(control->recovery, control);
    watchers_init(control->watchers, control);
    /* The socket first: a second daemon must not get as far as to touch anything. */
    if ((config->listening != NO_SOCKET
             ? command_listener_adopt(&listener, config->listening, config->socket_group, err)
             : command_listener_open(&listener, config->socket_path, &access, err)) < 0) {
        free(parts);
        return NULL;
    }
    int rc = command_socket_start(control->socket, control, &listener, watchers_room);
    if (rc < 0)
        error_set(err, rc, NULL, "out of memory");
    control->log->tap = on_line;
    control->log->tap_arg = control;
    if (rc < 0 || control_start(control, config, err) < 0 ||
        (config->metrics &&
         !(control->metrics = metrics_http_open(control, config->metrics, err)))) {
        control_free(control);
        return NULL;
    }
    return control;
}

void control_turn(struct control *control)
{
    worker_collect(control->worker);
}

void control_free(struct control *control)
{
    control->stopping = true;
    changes_stop(control);
    waits_stop(control);
    recovery_stop(control->recovery);
    watchers_stop(control->watchers);
    metrics_http_close(control->metrics);
    worker_free(control->worker);
    control->log->tap = NULL;
    udptun_engine_free(control->engine); /* pings under way are answered by it */
    control->engine = NULL;
    command_socket_stop(control->socket);
    identities_fini(&control->identities);
    unwritten_fini(&control->unwritten);
    objects_fini(&control->objects);
    store_close(&control->store);
    free(list_entry(control, struct parts, control));
}
