/* SPDX-License-Identifier: Apache-2.0 */
/* tun2socks_config.c - see tun2socks_config.h. */
#include "daemon/control/tun2socks_config.h"

#include <stdio.h>
#include <string.h>

#include "daemon/control/tunnel_config.h"
#include "proto/error.h"

static int invalid(struct udptun_error *err, int code, const char *path, const char *name,
                   const char *what)
{
    char field[sizeof err->field];
    snprintf(field, sizeof field, "%.36s%s%.25s", path, *path ? "." : "", name);
    return error_set(err, code, field, "%s: %s", field, what);
}

static const char *text_of(const secret_msg *secret)
{
    return secret && secret->value_case == UDPTUN__CONTROL__SECRET__VALUE_TEXT ? secret->text
                                                                               : NULL;
}

#define CARRY(member, field)                                                                       \
    do {                                                                                           \
        if (message->has_##field)                                                                  \
            out->member = message->field;                                                          \
    } while (0)

int tun2socks_config_from(const tun2socks_msg *message, const struct means *means, const char *path,
                          struct udptun_tun2socks_config *out, struct udptun_error *err)
{
    if (!message->name)
        return invalid(err, UDPTUN_E_INVALID, path, "name", "is missing");
    udptun_tun2socks_config_init(out);
    out->name = message->name;
    out->device = message->device;
    if (means && means->has_fd)
        out->fd = means->fd;
    out->address = message->address;
    out->address6 = message->address6;
    out->tcp = text_of(message->tcp);
    out->udp = text_of(message->udp);
    out->bind_device = message->bind_device;
    if (message->has_icmp_echo)
        out->icmp_echo =
            message->icmp_echo == UDPTUN__CONTROL__TUN2SOCKS__ICMP_ECHO__DROP ? "drop" : "reply";
    CARRY(mtu, mtu);
    CARRY(block_quic, block_quic);
    CARRY(max_tcp_flows, max_tcp_flows);
    CARRY(max_udp_flows, max_udp_flows);
    CARRY(udp_flow_timeout_s, udp_flow_timeout);
    CARRY(mark, mark);
    CARRY(enabled, enabled);
    int rc = udptun_tun2socks_config_check(out, err);
    if (rc < 0)
        tunnel_config_error_path(err, path);
    return rc;
}
