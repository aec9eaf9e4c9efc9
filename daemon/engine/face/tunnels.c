/* SPDX-License-Identifier: Apache-2.0 */
/* tunnels.c - the public functions about tunnels: udptun_configure() and its like. */
#include "daemon/engine/core/registry.h"
#include "daemon/engine/tunnel/tunnel.h"

int udptun_configure(udptun_engine *engine, const struct udptun_tunnel_config *config,
                     bool *changed, struct udptun_error *err)
{
    return registry_configure(engine, &tunnel_kind, config, changed, err);
}

int udptun_remove(udptun_engine *engine, const char *name, struct udptun_error *err)
{
    return registry_remove(engine, &tunnel_kind, name, err);
}

void udptun_each_tunnel(udptun_engine *engine, void (*each)(void *arg, const char *name), void *arg)
{
    registry_each(engine, &tunnel_kind, each, arg);
}
