/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
/*
 * controller.h - ProxyController as a whole: its state, and what may change it.
 *
 *     VPN client ─▶ clients.c ─▶ client_command.c ┬▶ action_routing.c ─▶ traffic.c
 *                                          └▶ action_tunnel.c, action_remove.c ─▶ tunnels.c, udptund.c
 *     traffic.c ┬▶ survey.c: the network as it is
 *               ├▶ plan.c: what the routing is to be ─▶ routing.c: netlink
 *               ├▶ firewall.c ─▶ nf.c: nf_tables
 *               └▶ device.c: the TUN device
 *     tunnels.c, tunnels_restore.c ─▶ udptund.c ─▶ libclient ─▶ udptund, with the device's descriptor
 *     route_watch.c ─▶ traffic.c: put right what somebody changed, tell the client
 *
 * Everything is on one event loop. Netlink is spoken synchronously, udptund never.
 */
/* clang-format on */
#ifndef PROXY_CONTROLLER_H
#define PROXY_CONTROLLER_H

#include <stdbool.h>

#include "controller/proxy/clients.h"
#include "controller/proxy/linux/device.h"
#include "controller/proxy/linux/route_watch.h"
#include "controller/proxy/linux/routing.h"
#include "controller/proxy/options.h"
#include "controller/proxy/traffic.h"
#include "controller/proxy/tunnels.h"
#include "controller/proxy/udptund.h"
#include "controller/proxy/wait_call.h"
#include "daemon/service/log.h"

/* As existing clients number them. */
enum connection_status {
    STATUS_CONNECTED = 0,
    STATUS_DISCONNECTED = 1, /* nothing is routed into the device */
    STATUS_RECONNECTING = 2, /* it is, but the proxy cannot be reached or udptund is gone */
};

struct configure;

struct controller {
    struct loop *loop;
    struct log *log;
    struct routing routing;
    struct proxy_device device;
    uint32_t mark;
    struct route_watch netwatch;
    struct clients clients;
    struct udptund udptund;
    struct wait_calls waits;
    struct tunnels tunnels;
    struct configure *on_device_job; /* has the device reserved; NULL: none (configure.h) */

    struct traffic traffic;
    struct client_who holder; /* who configured the routing; id 0: gone, or nobody */
    enum connection_status status;
};

/* Everything up, and what a crash has left gone. Fails with nothing left behind. */
int controller_open(struct controller *c, struct loop *loop, struct log *log,
                    const struct proxy_options *o, struct udptun_error *err);
/* Routing and device as if we had never been. */
void controller_close(struct controller *c);

/* The device is there: made now if it could not be before. */
int controller_have_device(struct controller *c, struct udptun_error *err);

/* Something may have changed: work the status out again, and tell the client that holds the routing
 * if it is another. */
void controller_update_status(struct controller *c);

#endif
