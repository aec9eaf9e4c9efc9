/* SPDX-License-Identifier: Apache-2.0 */
/*
 * action_routing.c - configureRouting, resetRouting, getDeviceName.
 *
 *     configureRouting  ->  [applyConfig: the instance's `dns`]  ->  routes and rules  ->  reply
 *
 * Existing clients send parameters of their own beside those below (isAutoConnect): what is not
 * known here is left alone. The reply to configureRouting says that it is connected; statusChanged
 * comes when that changes, and not along with the reply: such clients take what one read brings for
 * one object.
 */
#include <stdlib.h>
#include <string.h>

#include "controller/proxy/actions.h"
#include "controller/proxy/configure.h"
#include "controller/proxy/controller.h"
#include "controller/proxy/traffic_file.h"

static int refuse_proxy(const struct udptun_endpoint *proxy, const char *why,
                        struct udptun_error *err)
{
    char text[ENDPOINT_TEXT_SIZE];
    return error_set(err, UDPTUN_E_INVALID, "parameters.proxyIp", "parameters.proxyIp: '%s' %s",
                     traffic_format_ip(proxy, text), why);
}

/* The address is one at which a proxy can be. */
static int check_proxy(const struct controller *c, const struct udptun_endpoint *proxy,
                       struct udptun_error *err)
{
    if (endpoint_is_loopback(proxy) || endpoint_is_unspecified(proxy) ||
        endpoint_is_multicast(proxy) || endpoint_is_broadcast(proxy) ||
        endpoint_is_link_local(proxy))
        return refuse_proxy(proxy, "is not the address of a proxy on the network", err);
    if (device_address_covers(&c->device.address, proxy) ||
        device_address_covers(&c->device.address6, proxy))
        return refuse_proxy(proxy, "is on the TUN device's own network", err);
    return UDPTUN_OK;
}

/* One of them can be reached without the device, and none is an address of ours. */
static int check_ways(struct controller *c, const struct traffic_settings *settings,
                      struct udptun_error *err)
{
    bool has_way = false;
    char text[ENDPOINT_TEXT_SIZE];
    for (size_t i = 0; i < settings->proxy_count; i++) {
        enum route_kind kind;
        int rc = routing_find(&c->routing, &settings->proxies[i], c->mark, &kind, NULL, err);
        if (rc == 0 && kind == ROUTE_LOCAL)
            rc = refuse_proxy(&settings->proxies[i], "is an address of this machine", err);
        if (rc == 0 && kind == ROUTE_BROADCAST)
            rc = refuse_proxy(&settings->proxies[i],
                              "is the broadcast address of a network of this machine", err);
        if (rc < 0)
            return rc;
        has_way = has_way || kind == ROUTE_REMOTE;
    }
    if (has_way)
        return UDPTUN_OK;
    return error_set(err, UDPTUN_E_ROUTING, "parameters.proxyIp",
                     "there is no route to the proxy %s: the machine has no default route",
                     traffic_format_ip(&settings->proxies[0], text));
}

/* Another client that is still there has the routing: told so, and true. */
static bool is_held(struct client_command *command)
{
    const struct controller *c = command->controller;
    struct udptun_error err;
    if (!c->traffic.routed || c->holder.id == 0 || c->holder.id == command->who.id)
        return false;
    error_set(&err, UDPTUN_E_CONFLICT, NULL, "the routing is held by process %ld of user %ld",
              (long)c->holder.pid, (long)c->holder.uid);
    client_command_fail_with(
        command, &err,
        json_pack("{s:I,s:I}", "pid", (json_int_t)c->holder.pid, "uid", (json_int_t)c->holder.uid));
    return true;
}

/* A configureRouting on its way. */
struct routing_job {
    struct client_command *command;
    struct traffic_settings settings;
    bool dns_is_new; /* udptund has been told of it */
};

/* All but what needs an answer of udptund. */
static int check_settings(struct controller *c, const struct traffic_settings *settings,
                          struct udptun_error *err)
{
    int rc = 0;
    for (size_t i = 0; i < settings->proxy_count && rc == 0; i++)
        rc = check_proxy(c, &settings->proxies[i], err);
    if (rc == 0 && settings->dns[0] && !tunnels_on_device(&c->tunnels))
        rc = error_set(err, UDPTUN_E_INVALID, "parameters.dns",
                       "parameters.dns: no tun2socks instance that was configured here is on %s",
                       c->device.name);
    return rc;
}

/* Undone if the instance on the device would send its own traffic into it. */
static int route(struct controller *c, const struct traffic_settings *settings,
                 struct udptun_error *err)
{
    struct udptun_error ignored;
    const struct traffic_settings before = c->traffic.settings;
    bool was_routed = c->traffic.routed;
    int rc = traffic_route(&c->traffic, settings, err);
    const struct kept_tunnel *tunnel = tunnels_on_device(&c->tunnels);
    if (rc < 0 || !tunnel)
        return rc;
    rc = configure_check_proxies(c, tunnel->tun2socks, "parameters.proxyIp", err);
    if (rc < 0 && was_routed)
        traffic_route(&c->traffic, &before, &ignored);
    else if (rc < 0)
        traffic_unroute(&c->traffic, &ignored);
    return rc;
}

/* The last step; `err` has what failed before, or code 0. */
static void routing_finish(struct routing_job *job, struct udptun_error *err)
{
    struct client_command *command = job->command;
    struct controller *c = command->controller;
    char before[TRAFFIC_DNS_SIZE];
    bool held = err->code == 0 && is_held(command); /* by another since we asked, and told so */
    strcpy(before, traffic_dns(&c->traffic));
    int rc = err->code;
    if (rc == 0 && !held)
        rc = route(c, &job->settings, err);
    /* udptund is told what is in force, if that is not what it knows. */
    const char *known = job->dns_is_new ? job->settings.dns : before;
    if (strcmp(known, traffic_dns(&c->traffic)) != 0)
        tunnels_set_dns(&c->tunnels, traffic_dns(&c->traffic), NULL, NULL);
    free(job);
    if (held)
        return;
    if (rc < 0) {
        client_command_fail(command, err);
        return;
    }
    c->holder = (struct client_who){0}; /* told by the reply */
    controller_update_status(c);
    c->holder = command->who;
    client_command_return_with(command, NULL, (int)c->status, traffic_warnings(&c->traffic));
}

static void on_dns_set(void *arg, udptun_client *client, const struct udptun_client_reply *reply)
{
    (void)client;
    struct routing_job *job = arg;
    struct udptun_error err = reply->error;
    job->dns_is_new = err.code == 0;
    if (err.code < 0 && strstr(err.field, "dns")) {
        const char *why = strstr(reply->error.message, "dns: ");
        error_set(&err, err.code, "parameters.dns", "parameters.dns: %s",
                  why ? why + strlen("dns: ") : reply->error.message);
    }
    routing_finish(job, &err);
}

void proxy_action_configure_routing(struct client_command *command)
{
    struct controller *c = command->controller;
    struct udptun_error err = {0};
    struct routing_job *job = calloc(1, sizeof *job);
    if (!job) {
        client_command_fail_memory(command);
        return;
    }
    job->command = command;
    int rc = traffic_settings_read(command->parameters, &job->settings, &err);
    if (rc == 0)
        rc = check_settings(c, &job->settings, &err);
    if (rc == 0 && is_held(command)) {
        free(job);
        return;
    }
    if (rc == 0)
        rc = check_ways(c, &job->settings, &err);
    /* The server first: questions must not meet an instance that does not answer them. */
    if (rc == 0 && job->settings.dns[0] && strcmp(job->settings.dns, traffic_dns(&c->traffic)) != 0)
        tunnels_set_dns(&c->tunnels, job->settings.dns, on_dns_set, job);
    else
        routing_finish(job, &err);
}

void proxy_action_reset_routing(struct client_command *command)
{
    struct controller *c = command->controller;
    struct udptun_error err;
    if (is_held(command))
        return;
    bool had_dns = traffic_dns(&c->traffic)[0] != '\0';
    int rc = traffic_unroute(&c->traffic, &err);
    if (had_dns)
        tunnels_set_dns(&c->tunnels, "", NULL, NULL);
    c->holder = (struct client_who){0};
    controller_update_status(c);
    if (rc < 0)
        client_command_fail(command, &err);
    else
        client_command_return(command, NULL, CLIENT_COMMAND_NO_STATUS);
}

void proxy_action_get_device_name(struct client_command *command)
{
    struct controller *c = command->controller;
    struct udptun_error err;
    if (controller_have_device(c, &err) < 0)
        client_command_fail(command, &err);
    else
        client_command_return(command, json_string(c->device.name), CLIENT_COMMAND_NO_STATUS);
}
