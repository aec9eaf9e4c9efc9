/* SPDX-License-Identifier: Apache-2.0 */
/* tunnel_entry.c - tunnels as a kind of entry. */
#include <string.h>

#include "daemon/engine/core/registry.h"
#include "daemon/engine/settings/egress_place.h"
#include "daemon/engine/tunnel/tunnel.h"
#include "proto/error.h"

struct tunnel *tunnel_find(const struct udptun_engine *e, const char *name)
{
    struct entry *o = registry_entry(e, &tunnel_kind, name);
    return o ? tunnel_of(o) : NULL;
}

static void *config_new_kind(const void *given, struct udptun_error *err)
{
    return tunnel_settings_new((const struct udptun_tunnel_config *)given, err);
}

static void config_free_kind(void *config)
{
    tunnel_settings_free((struct tunnel_settings *)config);
}

static const char *config_name(const void *config)
{
    return ((const struct tunnel_settings *)config)->given.name;
}

static enum entry_change tunnel_entry_compare(const struct entry *o, const void *config)
{
    return tunnel_settings_compare(list_entry(o, const struct tunnel, entry)->config,
                                   (const struct tunnel_settings *)config);
}

static void tunnel_entry_adopt(struct entry *o, const void *config)
{
    tunnel_of(o)->config->given.callbacks =
        ((const struct tunnel_settings *)config)->given.callbacks;
}

static int reconfigure(struct entry *o, void *config, struct udptun_error *err)
{
    return tunnel_reconfigure(tunnel_of(o), (struct tunnel_settings *)config, err);
}

/* The sessions of `old` are not over when `t` takes its place. */
static bool goes_on(const struct tunnel *t, const struct tunnel *old)
{
    return (t->server && old->server) || (t->local && old->local && t->config->has_identity);
}

static struct entry *tunnel_entry_start(struct udptun_engine *e, void *config, struct entry *old,
                                        struct udptun_error *err)
{
    struct tunnel *t =
        tunnel_new(e, (struct tunnel_settings *)config, old ? tunnel_of(old) : NULL, err);
    if (t && old)
        tunnel_of(old)->farewell =
            goes_on(t, tunnel_of(old)) ? UDPTUN_MACHINE_STOP_KEEP : UDPTUN_MACHINE_STOP_END;
    return t ? &t->entry : NULL;
}

static void started(struct entry *o)
{
    tunnel_tell_ready(tunnel_of(o));
}

static void tunnel_entry_removed(struct entry *o, bool with_engine)
{
    struct tunnel *t = tunnel_of(o);
    t->farewell = with_engine && t->config->given.keep_session ? UDPTUN_MACHINE_STOP_KEEP
                                                               : UDPTUN_MACHINE_STOP_END;
    tunnel_enter_state(t, UDPTUN_DISABLED, with_engine ? "stopped" : "removed");
}

static void bury(struct entry *o)
{
    tunnel_bury(tunnel_of(o));
}

static void tunnel_entry_free_entry(struct entry *o)
{
    tunnel_free(tunnel_of(o));
}

static bool uses(const struct entry *o, const char *name)
{
    const char *egress =
        egress_instance(list_entry(o, const struct tunnel, entry)->config->given.egress);
    return egress && strcmp(egress, name) == 0;
}

/* A server's flows leave by the pipe. */
static int tunnel_entry_fits(const struct entry *o, const struct entry *used, const void *config,
                             struct udptun_error *err)
{
    const struct entry_pipe *pipe = used->kind->pipe;
    if (!pipe || !pipe->offered(used, NULL) || pipe->offered(used, config))
        return UDPTUN_OK;
    return error_set(err, UDPTUN_E_CONFLICT, "device", "device: tunnel '%s' uses the pipe",
                     o->name);
}

static void network_changed(struct entry *o)
{
    tunnel_network_changed(tunnel_of(o));
}

const struct entry_kind tunnel_kind = {
    .what = "tunnel",
    .config_new = config_new_kind,
    .config_free = config_free_kind,
    .config_name = config_name,
    .compare = tunnel_entry_compare,
    .adopt = tunnel_entry_adopt,
    .reconfigure = reconfigure,
    .start = tunnel_entry_start,
    .started = started,
    .removed = tunnel_entry_removed,
    .bury = bury,
    .free = tunnel_entry_free_entry,
    .uses = uses,
    .fits = tunnel_entry_fits,
    .network_changed = network_changed,
};
