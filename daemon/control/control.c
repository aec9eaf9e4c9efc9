/* SPDX-License-Identifier: Apache-2.0 */
/* control.c - putting the control plane together, and taking it apart; see control.h. */
#include "daemon/control/control.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/control/tunnel_config.h"
#include "proto/control/codec.h"

static void on_engine_log(void *arg, enum udptun_log_level level, const char *module,
                          const char *text)
{
    struct control *control = arg;
    log_write(control->log, level, module, "%s", text);
}

static void on_state(void *arg, const char *name, enum udptun_state state, const char *reason)
{
    (void)reason; /* the engine logs it, and status tells it */
    wait_state(arg, name, state);
}

int control_apply(struct control *control, const tunnel_msg *tunnel, const char *path,
                  bool *changed, struct udptun_error *err)
{
    struct tunnel_config config;
    int rc = tunnel_config_from(tunnel, path, &config, err);
    if (rc < 0)
        return rc;
    config.engine.callbacks.arg = control;
    config.engine.callbacks.state = on_state;
    rc = udptun_configure(control->engine, &config.engine, changed, err);
    if (rc < 0)
        tunnel_config_error_path(err, path);
    return rc;
}

/* Seconds that no change of the clock moves. */
static uint64_t monotonic_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec;
}

uint64_t control_uptime_s(const struct control *control)
{
    return monotonic_s() - control->started_s;
}

static int add_object(struct control *control, const tunnel_msg *tunnel, bool of_file,
                      struct udptun_error *err)
{
    ProtobufCMessage *copy = codec_copy(&tunnel->base);
    struct object *object = copy ? objects_add(&control->objects, tunnel->name) : NULL;
    if (!object) {
        if (copy)
            protobuf_c_message_free_unpacked(copy, NULL);
        return error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
    }
    object->of_file = of_file;
    objects_set(&control->objects, object, (tunnel_msg *)copy);
    return 0;
}

/* The config file's tunnels have to start: who wrote it wants to know at once. */
static int start_file(struct control *control, const config_msg *file, struct udptun_error *err)
{
    for (size_t i = 0; file && i < file->n_udp_tunnels; i++) {
        const tunnel_msg *tunnel = file->udp_tunnels[i];
        char path[40];
        snprintf(path, sizeof path, "udpTunnels[%zu]", i);
        int rc = control_apply(control, tunnel, path, NULL, err);
        if (rc == 0)
            rc = add_object(control, tunnel, true, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* One of the state's that cannot start stays configured, is logged and shown as failed. */
static int start_kept(struct control *control, const config_msg *state, struct udptun_error *err)
{
    for (size_t i = 0; state && i < state->n_udp_tunnels; i++) {
        tunnel_msg *tunnel = state->udp_tunnels[i];
        if (!tunnel->name)
            return error_set(err, UDPTUN_E_INVALID, NULL, "%s: an object has no name",
                             control->store.path);
        if (objects_find(&control->objects, tunnel->name))
            continue; /* the config file has that name now */
        struct udptun_error why;
        int rc = control_apply(control, tunnel, "", NULL, &why);
        if (add_object(control, tunnel, false, err) < 0)
            return err ? err->code : UDPTUN_E_NOMEM;
        if (rc < 0) {
            struct object *object = objects_find(&control->objects, tunnel->name);
            log_write(control->log, UDPTUN_LOG_ERROR, "control", "%s: cannot start: %s",
                      tunnel->name, why.message);
            memcpy(object->last_error, why.message, sizeof object->last_error);
        }
    }
    return 0;
}

static int start_objects(struct control *control, const config_msg *file, const char *state_dir,
                         struct udptun_error *err)
{
    config_msg *state = NULL;
    int rc = store_open(&control->store, state_dir, err);
    if (rc == 0)
        rc = store_load(&control->store, &state, err);
    if (rc == 0)
        rc = start_file(control, file, err);
    if (rc == 0)
        rc = start_kept(control, state, err);
    if (state)
        protobuf_c_message_free_unpacked(&state->base, NULL);
    return rc;
}

static int start(struct control *control, const struct control_config *config,
                 struct udptun_error *err)
{
    struct udptun_engine_config engine;
    udptun_engine_config_init(&engine);
    engine.loop = config->loop;
    engine.arg = control;
    engine.log = on_engine_log;
    control->worker = worker_new(config->loop);
    if (!control->worker)
        return error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
    control->engine = udptun_engine_new(&engine, err);
    if (!control->engine)
        return err ? err->code : UDPTUN_E_UNEXPECTED;
    return start_objects(control, config->file, config->state_dir, err);
}

struct control *control_new(const struct control_config *config, struct udptun_error *err)
{
    struct listener listener;
    struct control *control = calloc(1, sizeof *control);
    if (!control) {
        error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
        return NULL;
    }
    control->loop = config->loop;
    control->log = config->log;
    control->started_s = monotonic_s();
    control->shutdown = config->shutdown;
    control->arg = config->arg;
    control->store.dir = -1;
    changes_init(&control->changes);
    waits_init(&control->waits);
    /* The socket first: a second daemon must not get as far as to touch anything. */
    if (command_listener_open(&listener, config->socket_path, config->socket_mode,
                              config->socket_group, err) < 0) {
        free(control);
        return NULL;
    }
    server_start(&control->server, control, &listener);
    if (start(control, config, err) < 0) {
        control_free(control);
        return NULL;
    }
    return control;
}

void control_free(struct control *control)
{
    control->stopping = true;
    changes_stop(control);
    waits_stop(control);
    worker_free(control->worker);
    udptun_engine_free(control->engine); /* pings under way are answered by it */
    control->engine = NULL;
    server_stop(&control->server);
    objects_fini(&control->objects);
    store_close(&control->store);
    free(control);
}
