/* SPDX-License-Identifier: Apache-2.0 */
/* configure.h - a configureUdpTunnel on its way: what the client asked for, as udptund gets it.
 * action_tunnel.c takes the steps. */
#ifndef PROXY_CONFIGURE_H
#define PROXY_CONFIGURE_H

#include <jansson.h>
#include <stdbool.h>

#include "controller/proxy/client_command.h"

struct configure {
    struct client_command *command;
    json_t *tunnel;    /* without tun2socks, merge and wait */
    json_t *tun2socks; /* as udptund gets it; NULL: none was given */
    bool on_device; /* that is to be on our device; of a merge not known before configure_merge() */
    bool merge;
    double wait_s;
    bool changed;
};

/*
 * The device has one reader, and it takes udptund's answers to know that a job got it. So a job
 * whose instance is to be on it reserves it (controller's on_device_job) as soon as that is known;
 * another job meets UDPTUN_E_CONFLICT meanwhile, and may neither attach nor detach it.
 */

/* Take job->command's parameters apart; unless they are to be merged, fill in what a tun2socks part
 * may leave out and reserve the device. 0, or a code with the field. */
int configure_read(struct configure *job, struct udptun_error *err);
/* Put what udptund has (exportConfig) below what was given, and then do as configure_read() does
 * without a merge. 0, or a code with the field. */
int configure_merge(struct configure *job, const json_t *config, struct udptun_error *err);

/* While the routing is in force: no proxy of an instance on our device is reached through the
 * device. `field` is that of the instance, or "parameters.proxyIp". */
int configure_check_proxies(struct controller *c, const json_t *tun2socks, const char *field,
                            struct udptun_error *err);

/* Whether the job has the device reserved. */
bool configure_has_device(const struct configure *job);
/* Others may reserve it; without effect for a job that has it not. */
void configure_release_device(struct configure *job);
/* Before job->command is answered, for that frees the command. */
void configure_free(struct configure *job);

/* What the instance that comes with a tunnel is called unless the client says. */
void configure_instance_name(char *text, size_t size, const char *tunnel);

#endif
