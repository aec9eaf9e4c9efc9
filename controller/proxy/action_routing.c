/* SPDX-License-Identifier: Apache-2.0 */
/*
 * action_routing.c - configureRouting, resetRouting, getDeviceName.
 *
 * Existing clients send parameters of their own beside those below (isAutoConnect): what is not
 * known here is left alone. The reply to configureRouting says that it is connected; statusChanged
 * comes when that changes, and not along with the reply: such clients take what one read brings for
 * one object.
 */
#include <string.h>

#include "controller/proxy/actions.h"
#include "controller/proxy/controller.h"

static int invalid(struct udptun_error *err, const char *name, const char *text, const char *why)
{
    char field[sizeof err->field];
    snprintf(field, sizeof field, "parameters.%s", name);
    return error_set(err, UDPTUN_E_INVALID, field, "%s: %s%.80s%s%s", field, text ? "'" : "",
                     text ? text : "", text ? "' " : "", why);
}

static int take_address(const struct client_command *command, const char *name, bool required,
                        struct udptun_endpoint *address, struct udptun_error *err)
{
    const json_t *value = json_object_get(command->parameters, name);
    *address = (struct udptun_endpoint){0};
    if (!value || json_is_null(value))
        return required ? invalid(err, name, NULL, "is missing") : UDPTUN_OK;
    const char *text = json_string_value(value);
    if (!text)
        return invalid(err, name, NULL, "must be a string");
    if (!endpoint_parse_ip(text, address))
        return invalid(err, name, text, "is no IP address");
    *address = endpoint_unmapped(address);
    return UDPTUN_OK;
}

/* The address is one at which a proxy can be. */
static int check_proxy(const struct controller *c, const struct udptun_endpoint *proxy,
                       const char *text, struct udptun_error *err)
{
    if (endpoint_is_loopback(proxy) || endpoint_is_unspecified(proxy) ||
        endpoint_is_multicast(proxy) || endpoint_is_broadcast(proxy) ||
        endpoint_is_link_local(proxy))
        return invalid(err, "proxyIp", text, "is no address of a proxy on the network");
    if (device_address_covers(&c->device.address, proxy) ||
        device_address_covers(&c->device.address6, proxy))
        return invalid(err, "proxyIp", text, "is on the TUN device's own network");
    return UDPTUN_OK;
}

/* It can be reached without the device. */
static int check_way(struct controller *c, const struct udptun_endpoint *proxy, const char *text,
                     struct udptun_error *err)
{
    enum route_kind kind;
    int rc = routing_find(&c->routing, proxy, c->mark, &kind, err);
    if (rc < 0)
        return rc;
    switch (kind) {
    case ROUTE_REMOTE:
        return UDPTUN_OK;
    case ROUTE_LOCAL:
        return invalid(err, "proxyIp", text, "is an address of this machine");
    case ROUTE_BROADCAST:
        return invalid(err, "proxyIp", text,
                       "is the broadcast address of a network of this machine");
    case ROUTE_NONE:
        break;
    }
    return error_set(err, UDPTUN_E_ROUTING, "parameters.proxyIp",
                     "there is no route to the proxy %s: the machine has no default route", text);
}

/* Another client that is still there has the routing: told so, and true. */
static bool is_held(struct client_command *command)
{
    const struct controller *c = command->controller;
    struct udptun_error err;
    if (!c->routed || c->holder.id == 0 || c->holder.id == command->who.id)
        return false;
    error_set(&err, UDPTUN_E_CONFLICT, NULL, "the routing is held by process %ld of user %ld",
              (long)c->holder.pid, (long)c->holder.uid);
    client_command_fail_with(
        command, &err,
        json_pack("{s:I,s:I}", "pid", (json_int_t)c->holder.pid, "uid", (json_int_t)c->holder.uid));
    return true;
}

void proxy_action_configure_routing(struct client_command *command)
{
    struct controller *c = command->controller;
    struct udptun_endpoint proxy, router;
    struct udptun_error err;
    int rc = take_address(command, "proxyIp", true, &proxy, &err);
    /* The device is the route; a router on it adds nothing. */
    if (rc == 0)
        rc = take_address(command, "routerIp", false, &router, &err);
    const char *text = json_string_value(json_object_get(command->parameters, "proxyIp"));
    if (rc == 0)
        rc = check_proxy(c, &proxy, text, &err);
    if (rc == 0 && is_held(command))
        return;
    if (rc == 0)
        rc = check_way(c, &proxy, text, &err);
    if (rc == 0)
        rc = controller_route(c, &proxy, &err);
    if (rc < 0) {
        client_command_fail(command, &err);
        return;
    }
    c->holder = (struct client_who){0}; /* told by the reply */
    controller_update_status(c);
    c->holder = command->who;
    client_command_return(command, NULL, (int)c->status);
}

void proxy_action_reset_routing(struct client_command *command)
{
    struct controller *c = command->controller;
    struct udptun_error err;
    if (is_held(command))
        return;
    int rc = controller_unroute(c, &err);
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
