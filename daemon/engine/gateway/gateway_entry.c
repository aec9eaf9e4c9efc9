/* SPDX-License-Identifier: Apache-2.0 */
/* gateway_entry.c - tun2socks instances as a kind of entry. */
#include <string.h>

#include "daemon/engine/core/registry.h"
#include "daemon/engine/gateway/gateway.h"
#include "proto/error.h"

struct gateway *gateway_find(const struct udptun_engine *e, const char *name)
{
    struct entry *o = registry_entry(e, &gateway_kind, name);
    return o ? gateway_of(o) : NULL;
}

static void *config_new_kind(const void *given, struct udptun_error *err)
{
    return gateway_settings_new((const struct udptun_tun2socks_config *)given, err);
}

static void config_free_kind(void *config)
{
    gateway_settings_free((struct gateway_settings *)config);
}

static const char *config_name(const void *config)
{
    return ((const struct gateway_settings *)config)->given.name;
}

static int gateway_entry_config_check(const struct udptun_engine *e, const void *config,
                                      struct udptun_error *err)
{
    const char *name = ((const struct gateway_settings *)config)->tunnel;
    const struct tunnel *tunnel = tunnel_find(e, name);
    if (name && !tunnel)
        return error_set(err, UDPTUN_E_NOT_FOUND, "udp", "udp: no tunnel '%s'", name);
    if (name && tunnel->config->given.role != UDPTUN_LOCAL)
        return error_set(err, UDPTUN_E_INVALID, "udp", "udp: tunnel '%s' is not a udp-local", name);
    return UDPTUN_OK;
}

static enum entry_change gateway_entry_compare(const struct entry *o, const void *config)
{
    return gateway_settings_compare(list_entry(o, const struct gateway, entry)->config,
                                    (const struct gateway_settings *)config);
}

static void gateway_entry_adopt(struct entry *o, const void *config)
{
    const struct udptun_tun2socks_config *given = &((const struct gateway_settings *)config)->given;
    gateway_of(o)->config->given.arg = given->arg;
    gateway_of(o)->config->given.state = given->state;
    gateway_of(o)->config->given.packet = given->packet;
}

static int reconfigure(struct entry *o, void *config, struct udptun_error *err)
{
    (void)err;
    gateway_reconfigure(gateway_of(o), (struct gateway_settings *)config);
    return UDPTUN_OK;
}

static struct entry *gateway_entry_start(struct udptun_engine *e, void *config, struct entry *old,
                                         struct udptun_error *err)
{
    struct gateway *t =
        gateway_new(e, (struct gateway_settings *)config, old ? gateway_of(old) : NULL, err);
    return t ? &t->entry : NULL;
}

static void gateway_entry_removed(struct entry *o, bool with_engine)
{
    gateway_enter_state(gateway_of(o), UDPTUN_DISABLED, with_engine ? "stopped" : "removed");
}

static void bury(struct entry *o)
{
    gateway_bury(gateway_of(o));
}

static void gateway_entry_free_entry(struct entry *o)
{
    gateway_free(gateway_of(o));
}

static bool uses(const struct entry *o, const char *name)
{
    const char *tunnel = list_entry(o, const struct gateway, entry)->config->tunnel;
    return tunnel && strcmp(tunnel, name) == 0;
}

static int gateway_entry_fits(const struct entry *o, const struct entry *used, const void *config,
                              struct udptun_error *err)
{
    if (used->kind != &tunnel_kind ||
        ((const struct tunnel_settings *)config)->given.role == UDPTUN_LOCAL)
        return UDPTUN_OK;
    return error_set(err, UDPTUN_E_CONFLICT, "role",
                     "role: tun2socks instance '%s' needs it to be local", o->name);
}

static void used_state(struct entry *o, const char *name, enum udptun_state state,
                       const char *reason)
{
    (void)name; /* it names no other */
    gateway_udp_tunnel_state(gateway_of(o), state, reason);
}

static void network_changed(struct entry *o)
{
    gateway_network_changed(gateway_of(o));
}

static bool pipe_offered(const struct entry *o, const void *config)
{
    const struct gateway_settings *settings = (const struct gateway_settings *)config;
    if (!settings)
        settings = list_entry(o, const struct gateway, entry)->config;
    return settings->kind == GATEWAY_DEVICE_PIPE;
}

static udptun_socket pipe_open(struct entry *o, const char *user)
{
    struct gateway *t = gateway_of(o);
    if (t->pipe == NO_SOCKET || (t->pipe_user[0] && strcmp(t->pipe_user, user) != 0))
        return NO_SOCKET;
    udptun_socket copy;
    if (socket_copy(t->pipe, &copy) == 0)
        strcpy(t->pipe_user, user);
    return copy;
}

static void pipe_close(struct entry *o, const char *user)
{
    struct gateway *t = gateway_of(o);
    if (strcmp(t->pipe_user, user) == 0)
        t->pipe_user[0] = '\0';
}

static const struct entry_pipe gateway_pipe = {
    .offered = pipe_offered, .open = pipe_open, .close = pipe_close};

const struct entry_kind gateway_kind = {
    .what = "tun2socks instance",
    .config_new = config_new_kind,
    .config_free = config_free_kind,
    .config_name = config_name,
    .config_check = gateway_entry_config_check,
    .compare = gateway_entry_compare,
    .adopt = gateway_entry_adopt,
    .reconfigure = reconfigure,
    .start = gateway_entry_start,
    .removed = gateway_entry_removed,
    .bury = bury,
    .free = gateway_entry_free_entry,
    .uses = uses,
    .fits = gateway_entry_fits,
    .used_state = used_state,
    .pipe = &gateway_pipe,
    .network_changed = network_changed,
};
