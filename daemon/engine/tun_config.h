/* SPDX-License-Identifier: Apache-2.0 */
/* tun_config.h - a tun2socks instance's configuration as the engine keeps it: owned, checked. */
#ifndef ENGINE_TUN_CONFIG_H
#define ENGINE_TUN_CONFIG_H

#include <udptun/engine.h>

#include "daemon/engine/object.h"
#include "daemon/engine/sockaddr.h"
#include "daemon/engine/url.h"

/* X(member of struct udptun_tun2socks_config, name in the contract) */
#define TUN_CONFIG_STRINGS(X)                                                                      \
    X(name, "name")                                                                                \
    X(device, "device")                                                                            \
    X(address, "address")                                                                          \
    X(address6, "address6")                                                                        \
    X(tcp, "tcp")                                                                                  \
    X(udp, "udp")                                                                                  \
    X(icmp_echo, "icmpEcho")                                                                       \
    X(bind_device, "bindDevice")

enum tun_device_kind {
    TUN_DEVICE_TUN,
    TUN_DEVICE_FD,
    TUN_DEVICE_UNIX,
    TUN_DEVICE_PIPE,
    TUN_DEVICE_APP
};

enum tun_route { TUN_REJECT, TUN_DIRECT, TUN_SOCKS5, TUN_TUNNEL };

struct tun_config {
    struct udptun_tun2socks_config given; /* own copies of strings; no number is DEFAULT but mtu */
    enum tun_device_kind kind;
    const char *place; /* behind the device's colon */
    enum tun_route tcp, udp;
    struct url tcp_url, udp_url; /* of TUN_SOCKS5 */
    const char *tunnel;          /* of TUN_TUNNEL */
    bool echo_reply;
    struct socket_rules rules; /* without the hook, which is the engine's */
};

/* An owned copy with everything checked and parsed, or NULL and `err`. */
struct tun_config *tun_config_new(const struct udptun_tun2socks_config *given,
                                  struct udptun_error *err);
/* NULL is accepted. */
void tun_config_free(struct tun_config *config);

enum object_change tun_config_compare(const struct tun_config *from, const struct tun_config *to);

/* Both want a device that one instance alone can have. */
bool tun_config_same_place(const struct tun_config *a, const struct tun_config *b);

#endif
