/* SPDX-License-Identifier: Apache-2.0 */
/* gateway_settings.h - a tun2socks instance's configuration as the engine keeps it: owned, checked.
 */
#ifndef ENGINE_GATEWAY_SETTINGS_H
#define ENGINE_GATEWAY_SETTINGS_H

#include <udptun/engine.h>
#include <udptun/machine.h>

#include "daemon/engine/core/entry.h"
#include "daemon/engine/settings/url.h"
#include "daemon/platform/socket.h"

/* X(member of struct udptun_tun2socks_config, name in the contract) */
#define GATEWAY_SETTINGS_STRINGS(X)                                                                \
    X(name, "name")                                                                                \
    X(device, "device")                                                                            \
    X(address, "address")                                                                          \
    X(address6, "address6")                                                                        \
    X(tcp, "tcp")                                                                                  \
    X(udp, "udp")                                                                                  \
    X(icmp_echo, "icmpEcho")                                                                       \
    X(bind_device, "bindDevice")                                                                   \
    X(dns, "dns")

enum gateway_device_kind {
    GATEWAY_DEVICE_TUN,
    GATEWAY_DEVICE_FD,
    GATEWAY_DEVICE_UNIX,
    GATEWAY_DEVICE_PIPE,
    GATEWAY_DEVICE_APP
};

enum gateway_route { GATEWAY_REJECT, GATEWAY_DIRECT, GATEWAY_SOCKS5, GATEWAY_TUNNEL };

struct gateway_settings {
    struct udptun_tun2socks_config given; /* own copies of strings; no number is DEFAULT but mtu */
    enum gateway_device_kind kind;
    const char *place; /* behind the device's colon */
    enum gateway_route tcp, udp;
    struct url tcp_url, udp_url; /* of GATEWAY_SOCKS5 */
    const char *tunnel;          /* of GATEWAY_TUNNEL */
    bool has_dns;
    struct host_port dns;              /* an address, unmapped, or a name */
    struct udptun_endpoint dns_server; /* the same; UDPTUN_ENDPOINT_NAME stands for the name */
    bool echo_reply;
    struct socket_rules rules; /* without the hook, which is the engine's */
};

/* An owned copy with everything checked and parsed, or NULL and `err`. */
struct gateway_settings *gateway_settings_new(const struct udptun_tun2socks_config *given,
                                              struct udptun_error *err);
/* NULL is accepted. */
void gateway_settings_free(struct gateway_settings *config);

enum entry_change gateway_settings_compare(const struct gateway_settings *from,
                                           const struct gateway_settings *to);

/* Questions would go elsewhere, or be kept otherwise. */
bool gateway_settings_differ_in_dns(const struct gateway_settings *a,
                                    const struct gateway_settings *b);

/* Both want a device that one instance alone can have. */
bool gateway_settings_same_place(const struct gateway_settings *a,
                                 const struct gateway_settings *b);

#endif
