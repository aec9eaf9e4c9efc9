/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tunnel_settings.h - a tunnel's configuration as the engine keeps it: owned, checked, parsed.
 *
 * tunnel_settings.c checks and parses the fields, tunnel_own.c copies, keys.c reads the key,
 * tunnel_compare.c tells what a change needs.
 */
#ifndef ENGINE_TUNNEL_SETTINGS_H
#define ENGINE_TUNNEL_SETTINGS_H

#include <udptun/engine.h>

#include "daemon/engine/core/entry.h"
#include "daemon/engine/settings/filter.h"
#include "daemon/engine/settings/identity.h"
#include "daemon/engine/settings/url.h"
#include "daemon/platform/socket.h"
#include "proto/endpoint.h"
#include "proto/udpt/machine.h"

/* X(member of struct udptun_tunnel_config, name in the contract) */
#define TUNNEL_SETTINGS_STRINGS(X)                                                                 \
    X(name, "name")                                                                                \
    X(listen, "listen")                                                                            \
    X(target, "target")                                                                            \
    X(server, "server")                                                                            \
    X(via, "via")                                                                                  \
    X(tcp_proxy, "tcpProxy")                                                                       \
    X(key_file, "keyFile")                                                                         \
    X(egress, "egress")                                                                            \
    X(filtering, "filtering")                                                                      \
    X(port_range, "portRange")                                                                     \
    X(bind_device, "bindDevice")

struct tunnel_settings {
    struct udptun_tunnel_config given; /* own copies of strings and lists; no number is DEFAULT */
    bool has_key;
    uint8_t key[UDPTUN_MACHINE_KEY_SIZE];
    bool has_identity;
    struct identity identity; /* local: a session to go on with */
    bool key_exposed;         /* others than the owner can read keyFile */
    struct url listen;        /* URL_NONE: none */
    struct url server;        /* local */
    struct url via;           /* local; URL_NONE: none */
    struct url tcp_proxy;     /* local; URL_NONE: none */
    bool has_target;
    struct host_port target;
    enum filtering filtering;
    uint16_t port_low; /* 0: the system's ephemeral range */
    uint16_t port_high;
    struct socket_rules rules; /* without the hook, which is the engine's */
};

/* An owned copy with everything checked and parsed, or NULL and `err`. */
struct tunnel_settings *tunnel_settings_new(const struct udptun_tunnel_config *given,
                                            struct udptun_error *err);

/* 1 to 64 of A-Za-z0-9._- ; else UDPTUN_E_INVALID with field "name". */
int settings_check_name(const char *name, struct udptun_error *err);

/* Everything that `given` points to becomes an own copy, or NULL where memory is short; false then.
 * The key is not: it becomes NULL. */
bool tunnel_settings_own(struct udptun_tunnel_config *given);

/* Wipes the key. NULL is accepted. */
void tunnel_settings_free(struct tunnel_settings *config);

/* Whether sockets may be marked as the rules say: a device may come later, but the right does not.
 * 0, UDPTUN_E_PERMISSION, UDPTUN_E_UNSUPPORTED or UDPTUN_E_SYSTEM. */
int settings_try_mark(const struct socket_rules *rules, struct udptun_error *err);

/* What the machine is told. */
void tunnel_settings_fill_udpt(const struct tunnel_settings *config,
                               struct udptun_machine_config *udpt);

enum entry_change tunnel_settings_compare(const struct tunnel_settings *from,
                                          const struct tunnel_settings *to);

/*
 * Read a key of 32 bytes in base64, white space around it allowed, from a file. `*exposed` tells
 * whether others than its owner can read it. Errors name what is wrong, never the content.
 */
int key_file_read(const char *path, uint8_t key[UDPTUN_MACHINE_KEY_SIZE], bool *exposed,
                  struct udptun_error *err);

#endif
