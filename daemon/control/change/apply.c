/* SPDX-License-Identifier: Apache-2.0 */
/* apply.c - objects of either kind to and from the engine. */
#include <sodium.h>
#include <string.h>

#include "daemon/control/change/apply.h"
#include "daemon/control/change/wait.h"
#include "daemon/control/report/watchers.h"
#include "daemon/control/store/gateway_message.h"
#include "daemon/control/store/identities.h"
#include "daemon/control/store/tunnel_message.h"

static bool keeps_session(const struct control *control, const tunnel_msg *tunnel)
{
    return control->store.folder && !(tunnel->has_ephemeral && tunnel->ephemeral);
}

bool control_needs_identity(const struct control *control, ProtobufCMessage *message)
{
    const tunnel_msg *tunnel = object_tunnel(message);
    uint8_t running[UDPTUN_IDENTITY_SIZE];
    size_t size;
    if (!tunnel || tunnel->role != UDPTUN__CONTROL__TUNNEL__ROLE__LOCAL ||
        !keeps_session(control, tunnel))
        return false;
    int rc = udptun_identity(control->engine, tunnel->name, running, &size);
    sodium_memzero(running, sizeof running);
    return rc < 0;
}

/* A session may have been founded: what a restart needs to go on with it is kept. */
static void keep_session(struct control *control, const char *name)
{
    uint8_t identity[UDPTUN_IDENTITY_SIZE];
    size_t size;
    if (udptun_identity(control->engine, name, identity, &size) < 0) /* a server has none */
        return;
    identity_save(&control->identities, name, identity, size);
    sodium_memzero(identity, sizeof identity);
}

static void on_apply_state(void *arg, const char *name, enum udptun_state state, const char *reason)
{
    watchers_state(arg, true, name, state, reason);
    wait_state(arg, name, state);
}

static void on_tun2socks_state(void *arg, const char *name, enum udptun_state state,
                               const char *reason)
{
    watchers_state(arg, false, name, state, reason);
    wait_state(arg, name, state);
}

static void on_state_kept(void *arg, const char *name, enum udptun_state state, const char *reason)
{
    if (state == UDPTUN_ESTABLISHED)
        keep_session(arg, name);
    on_apply_state(arg, name, state, reason);
}

static int apply_tunnel(struct control *control, const tunnel_msg *tunnel,
                        const struct object_inputs *inputs, const char *path, bool *changed,
                        struct udptun_error *err)
{
    struct tunnel_message config;
    int rc = tunnel_message_read(tunnel, inputs, path, &config, err);
    if (rc < 0)
        return rc;
    config.engine.callbacks.arg = control;
    config.engine.keep_session = keeps_session(control, tunnel);
    config.engine.callbacks.state = config.engine.keep_session ? on_state_kept : on_apply_state;
    uint8_t identity[UDPTUN_IDENTITY_SIZE];
    size_t size = 0;
    if (udptun_identity(control->engine, tunnel->name, identity, &size) == 0) {
        config.engine.identity = identity;
    } else if (inputs->identity_size > 0) {
        config.engine.identity = inputs->identity;
        size = inputs->identity_size;
    }
    config.engine.identity_size = size;
    rc = udptun_configure(control->engine, &config.engine, changed, err);
    if (rc == UDPTUN_E_INVALID && strcmp(err->field, "identity") == 0) { /* a damaged file */
        config.engine.identity = NULL;
        rc = udptun_configure(control->engine, &config.engine, changed, err);
    }
    sodium_memzero(config.key, sizeof config.key);
    sodium_memzero(identity, sizeof identity);
    if (rc < 0)
        tunnel_message_error_path(err, path);
    return rc;
}

static int apply_tun2socks(struct control *control, const tun2socks_msg *message,
                           const struct object_inputs *inputs, const char *path, bool *changed,
                           struct udptun_error *err)
{
    struct udptun_tun2socks_config config;
    int rc = gateway_message_read(message, inputs, path, &config, err);
    if (rc < 0)
        return rc;
    config.arg = control;
    config.state = on_tun2socks_state;
    rc = udptun_tun2socks_configure(control->engine, &config, changed, err);
    if (rc < 0)
        tunnel_message_error_path(err, path);
    return rc;
}

int control_apply(struct control *control, ProtobufCMessage *message,
                  const struct object_inputs *inputs, const char *path, bool *changed,
                  struct udptun_error *err)
{
    if (object_tunnel(message))
        return apply_tunnel(control, object_tunnel(message), inputs, path, changed, err);
    return apply_tun2socks(control, object_tun2socks(message), inputs, path, changed, err);
}

int control_remove(struct control *control, const char *name, const char *path,
                   struct udptun_error *err)
{
    struct udptun_error why = {0};
    int rc = udptun_remove(control->engine, name, &why);
    if (rc == UDPTUN_E_NOT_FOUND) {
        why = (struct udptun_error){0};
        rc = udptun_tun2socks_remove(control->engine, name, &why);
    }
    if (rc == UDPTUN_E_NOT_FOUND) { /* it had failed to start */
        why = (struct udptun_error){0};
        rc = 0;
    }
    *err = why;
    if (rc < 0)
        tunnel_message_error_path(err, path);
    if (!*path) /* nothing that was given names it */
        err->field[0] = '\0';
    return rc;
}

void control_warn_exposed(struct control *control, ProtobufCMessage *message)
{
    const tunnel_msg *tunnel = object_tunnel(message);
    log_write(control->log, UDPTUN_LOG_WARN, "control",
              "%s: keyFile '%s' is readable by users other than its owner", tunnel->name,
              tunnel->key_file);
}
