/* SPDX-License-Identifier: Apache-2.0 */
/* gateway_host.c - what a tun2socks instance is told: its host's tables, caps, timeouts. */
#include <string.h>

#include "daemon/engine/gateway/gateway.h"

enum {
    TCP_IDLE_S = 7440,  /* RFC 5382 REQ-5: no less than 2 hours and 4 minutes */
    TCP_ENDING_S = 240, /* the same: 4 minutes */
    DNS_IDLE_S = 15,
};

static void at_cap(void *arg, enum tun2socks_cap cap)
{
    struct gateway *t = (struct gateway *)arg;
    const struct udptun_tun2socks_config *c = &t->config->given;
    if (cap == TUN2SOCKS_CAP_TCP)
        cap_reached(t->engine, &t->cap, "tun2socks", gateway_name(t),
                    "maxTcpFlows (%d) is reached: the idlest flow ends for each new one",
                    (int)c->max_tcp_flows);
    else
        cap_reached(t->engine, &t->cap, "tun2socks", gateway_name(t),
                    "maxUdpFlows (%d) is reached: the idlest flow ends for each new one",
                    (int)c->max_udp_flows);
}

void gateway_fill_config(struct gateway *t, struct tun2socks_config *config)
{
    const struct gateway_settings *c = t->config;
    uint32_t udp_idle_s = (uint32_t)c->given.udp_flow_timeout_s;
    *config = (struct tun2socks_config){
        .arg = t,
        .now_us = &t->engine->loop.now_us,
        .streams = &gateway_tcp_host,
        .budget = &t->engine->buffers,
        .own_source = gateway_loop_check,
        .at_cap = at_cap,
        .datagrams = t->udp || t->dns ? &gateway_udp_host : NULL,
        .echo_reply = c->echo_reply,
        .block_quic = c->given.block_quic,
        .max_tcp_flows = (uint32_t)c->given.max_tcp_flows,
        .max_udp_flows = (uint32_t)c->given.max_udp_flows,
        .tcp_idle_s = TCP_IDLE_S,
        .tcp_ending_s = TCP_ENDING_S,
        .udp_idle_s = udp_idle_s,
        .udp_dns_idle_s = udp_idle_s < DNS_IDLE_S ? udp_idle_s : DNS_IDLE_S,
    };
    memcpy(config->hash_key, t->engine->hash_key, sizeof config->hash_key);
}
