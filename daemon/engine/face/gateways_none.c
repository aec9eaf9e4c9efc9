/* SPDX-License-Identifier: Apache-2.0 */
/* gateways_none.c - a library that was built without tun2socks. */
#include <udptun/engine.h>

#include "proto/error.h"
#include "proto/versioned.h"

void udptun_tun2socks_config_init_sized(struct udptun_tun2socks_config *config, size_t size)
{
    const struct udptun_tun2socks_config defaults = {.size = sizeof defaults, .fd = -1};
    versioned_init(config, size, &defaults, sizeof defaults);
}

int udptun_tun2socks_config_check(const struct udptun_tun2socks_config *config,
                                  struct udptun_error *err)
{
    (void)config;
    return error_set(err, UDPTUN_E_UNSUPPORTED, "device",
                     "device: this library was built without tun2socks");
}

int udptun_tun2socks_configure(udptun_engine *engine, const struct udptun_tun2socks_config *config,
                               bool *changed, struct udptun_error *err)
{
    (void)engine;
    if (changed)
        *changed = false;
    return udptun_tun2socks_config_check(config, err);
}

int udptun_tun2socks_packet(udptun_engine *engine, const char *name, const void *data, size_t size)
{
    (void)engine;
    (void)name;
    (void)data;
    (void)size;
    return UDPTUN_E_NOT_FOUND;
}

int udptun_tun2socks_remove(udptun_engine *engine, const char *name, struct udptun_error *err)
{
    (void)engine;
    return error_set(err, UDPTUN_E_NOT_FOUND, "name", "name: no tun2socks instance '%s'",
                     name ? name : "");
}

int udptun_tun2socks_status(udptun_engine *engine, const char *name,
                            struct udptun_tun2socks_status *status)
{
    (void)engine;
    (void)name;
    (void)status;
    return UDPTUN_E_NOT_FOUND;
}

void udptun_each_tun2socks(udptun_engine *engine, void (*each)(void *arg, const char *name),
                           void *arg)
{
    (void)engine;
    (void)each;
    (void)arg;
}
