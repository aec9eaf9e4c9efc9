/* SPDX-License-Identifier: Apache-2.0 */
/*
 * udp_server.h - a udp-server: streams come in, datagrams go out to their destinations and back.
 *
 *     udp_server.c  accepts streams and is the machine's host in that role
 *     egress.c  datagrams of the bindings, out and in
 *     egress_socket.c, egress_port.c  the UDP sockets behind each binding
 *     egress_route.c  which of the host's addresses they leave from
 *     egress_lookup.c  datagrams that wait for the address of their host name
 *     hairpin.c  from one flow of the server to another
 */
#ifndef ENGINE_UDP_SERVER_H
#define ENGINE_UDP_SERVER_H

#include "daemon/engine/settings/policy.h"
#include "daemon/engine/streams/acceptor.h"
#include "daemon/engine/tunnel/tunnel.h"
#include "proto/table.h"
#include "proto/udpt/machine.h"

struct udp_server {
    struct policy *policy;
    uint32_t policy_serial;         /* of `policy`; counts its changes */
    struct egress_packets *packets; /* NULL: by sockets */
    struct egress_routes *routes;
    struct table by_port; /* struct egress_socket.by_port, of those that are reached from outside */
    struct acceptor acceptor;
    struct log_gate accept_gate;
    struct log_gate policy_gate;
    struct log_gate limit_gate;
    struct log_gate lookup_gate;
    struct log_gate send_gates[IO_FAILED + 1]; /* one for each cause */
};

extern const struct role_ops udp_server_role;

#endif
