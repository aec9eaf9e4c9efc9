/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.h - a udp-server: streams come in, datagrams go out to their destinations and back.
 *
 *     server.c  accepts streams and is the machine's host in that role
 *     egress.c  the UDP sockets behind each binding
 *     egress_lookup.c  datagrams that wait for the address of their host name
 */
#ifndef ENGINE_SERVER_H
#define ENGINE_SERVER_H

#include "daemon/engine/acceptor.h"
#include "daemon/engine/policy.h"
#include "daemon/engine/tunnel.h"
#include "proto/udpt/machine.h"

struct server {
    struct policy *policy;
    struct egress_packets *packets; /* NULL: by sockets */
    struct acceptor acceptor;
    struct log_gate accept_gate;
    struct log_gate policy_gate;
    struct log_gate limit_gate;
    struct log_gate lookup_gate;
};

/* Make the server's part and its machine; nothing is listened on yet. */
int server_new(struct tunnel *t, struct udptun_error *err);
void server_listen(struct tunnel *t);
void server_unlisten(struct tunnel *t);
/* The configuration is about to be replaced by one that needs no rebuild. Nothing is changed
 * when this fails. */
int server_configure(struct tunnel *t, const struct tunnel_config *config,
                     struct udptun_error *err);
/* After the machine is gone. */
void server_free(struct tunnel *t);

#endif
