/* SPDX-License-Identifier: Apache-2.0 */
/* gateways_none.c - a library that was built without tun2socks. */
#include "daemon/engine/face/gateways.h"

#include <string.h>

#include "daemon/engine/server/egress_packets.h"
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

int gateway_pipe_open(struct udptun_engine *e, const char *name, const char *user)
{
    (void)e;
    (void)name;
    (void)user;
    return -1;
}

void gateway_pipe_close(struct udptun_engine *e, const char *user)
{
    (void)e;
    (void)user;
}

/* ---- egress_packets.h */

bool egress_packets_supported(void)
{
    return false;
}

bool egress_is_packets(const char *egress)
{
    return egress && (strncmp(egress, "tun2socks:", 10) == 0 || strncmp(egress, "unix:", 5) == 0);
}

struct egress_packets *egress_packets_new(struct tunnel *t)
{
    (void)t;
    return NULL;
}

void egress_packets_free(struct egress_packets *p)
{
    (void)p;
}

void egress_packets_opened(struct egress_packets *p, struct egress *egress)
{
    (void)p;
    (void)egress;
}

void egress_packets_closed(struct egress_packets *p, struct egress *egress)
{
    (void)p;
    (void)egress;
}

void egress_packets_send(struct egress_packets *p, struct egress *egress, const struct endpoint *to,
                         const struct udpt_dest *asked, const uint8_t *data, size_t size)
{
    (void)p;
    (void)egress;
    (void)to;
    (void)asked;
    (void)data;
    (void)size;
}
