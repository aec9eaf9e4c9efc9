/* SPDX-License-Identifier: Apache-2.0 */
/*
 * action_routing.c - configureRouting, resetRouting, getDeviceName.
 *
 * Existing clients send parameters of their own beside those below (isAutoConnect): what is not
 * known here is left alone. The reply to configureRouting says that it is connected; statusChanged
 * comes when that changes, and not along with the reply: such clients take what one read brings for
 * one object.
 */
#include "controller/proxy/actions.h"
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
        return refuse_proxy(proxy, "is no address of a proxy on the network", err);
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

static void reply_with_status(struct client_command *command)
{
    client_command_return_with(command, NULL, (int)command->controller->status,
                               traffic_warnings(&command->controller->traffic));
}

void proxy_action_configure_routing(struct client_command *command)
{
    struct controller *c = command->controller;
    struct traffic_settings settings;
    struct udptun_error err;
    int rc = traffic_settings_read(command->parameters, &settings, &err);
    for (size_t i = 0; i < settings.proxy_count && rc == 0; i++)
        rc = check_proxy(c, &settings.proxies[i], &err);
    if (rc == 0 && is_held(command))
        return;
    if (rc == 0)
        rc = check_ways(c, &settings, &err);
    if (rc == 0)
        rc = traffic_route(&c->traffic, &settings, &err);
    if (rc < 0) {
        client_command_fail(command, &err);
        return;
    }
    c->holder = (struct client_who){0}; /* told by the reply */
    controller_update_status(c);
    c->holder = command->who;
    reply_with_status(command);
}

void proxy_action_reset_routing(struct client_command *command)
{
    struct controller *c = command->controller;
    struct udptun_error err;
    if (is_held(command))
        return;
    int rc = traffic_unroute(&c->traffic, &err);
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
