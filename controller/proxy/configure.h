/* SPDX-License-Identifier: Apache-2.0 */
/* configure.h - a configureUdpTunnel on its way: what the client asked for, as udptund gets it.
 * action_tunnel.c takes the steps. */
#ifndef PROXY_CONFIGURE_H
#define PROXY_CONFIGURE_H

#include <jansson.h>
#include <stdbool.h>

#include "controller/proxy/command.h"

struct configure {
    struct command *command;
    json_t *tunnel;    /* without tun2socks, merge and wait */
    json_t *tun2socks; /* as udptund gets it; NULL: none was given */
    bool on_device;
    bool merge;
    double wait_s;
    bool changed;
};

/* Take job->command's parameters apart, and fill in what a tun2socks part may leave out. 0, or a
 * code with the field. */
int configure_read(struct configure *job, struct udptun_error *err);

#endif
