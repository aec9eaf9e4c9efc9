/* SPDX-License-Identifier: Apache-2.0 */
/* controller.c - see controller.h. */
#include "controller/proxy/controller.h"

#include <stdio.h>
#include <string.h>

#include "controller/proxy/client_command.h"
#include "controller/proxy/tunnels_state.h"

static const char *const status_names[] = {
    [STATUS_CONNECTED] = "connected",
    [STATUS_DISCONNECTED] = "disconnected",
    [STATUS_RECONNECTING] = "reconnecting",
};

/* ---- status ---------------------------------------------------------------------------------- */

static void enter_status(struct controller *c, enum connection_status status, const char *why)
{
    if (c->status == status)
        return;
    log_write(c->log, UDPTUN_LOG_INFO, "proxy", "%s -> %s%s%s", status_names[c->status],
              status_names[status], why[0] ? ": " : "", why);
    c->status = status;
    if (c->holder.id)
        client_command_push_status(c, c->holder.id, (int)status);
}

void controller_update_status(struct controller *c)
{
    char why[256];
    if (!c->traffic.routed)
        enter_status(c, STATUS_DISCONNECTED, "");
    else if (!proxy_device_exists(&c->device))
        enter_status(c, STATUS_RECONNECTING, "the TUN device is gone");
    else if (!traffic_has_way(&c->traffic, why, sizeof why) ||
             !tunnels_in_place(&c->tunnels, why, sizeof why))
        enter_status(c, STATUS_RECONNECTING, why);
    else
        enter_status(c, STATUS_CONNECTED, "");
}

/* ---- the network
 * --------------------------------------------------------------------------------- */

int controller_have_device(struct controller *c, struct udptun_error *err)
{
    if (proxy_device_exists(&c->device))
        return UDPTUN_OK;
    int rc = proxy_device_make(&c->device, err);
    if (rc == 0)
        tunnels_device_is_new(&c->tunnels);
    return rc;
}

/* The network changed; by us, too. */
static void on_network(void *arg)
{
    struct controller *c = arg;
    traffic_keep(&c->traffic);
    controller_update_status(c);
}

/* ---- clients and udptund --------------------------------------------------------------------- */

static void on_object(void *arg, const struct client_who *who, const char *text, size_t size)
{
    client_command_run(arg, who, text, size);
}

static void on_garbage(void *arg, const struct client_who *who, bool goes_on, const char *why)
{
    (void)goes_on;
    client_command_refuse(arg, who, why);
}

static void on_controller_gone(void *arg, const struct client_who *who)
{
    struct controller *c = arg;
    if (c->holder.id == who->id)
        c->holder = (struct client_who){0};
    wait_calls_cancel(&c->waits, who->id);
}

static const struct clients_ops clients_ops = {
    .object = on_object, .garbage = on_garbage, .gone = on_controller_gone};

static void on_controller_connected(void *arg)
{
    struct controller *c = arg;
    tunnels_restore(&c->tunnels);
    tunnels_state_look(&c->tunnels);
}

static void on_controller_event(void *arg, const char *json)
{
    struct controller *c = arg;
    tunnels_state_event(&c->tunnels, json);
}

static void on_lost(void *arg, const struct udptun_error *why)
{
    struct controller *c = arg;
    log_write(c->log, UDPTUN_LOG_WARN, "proxy", "udptund: %s", why->message);
    tunnels_lost(&c->tunnels);
    controller_update_status(c);
}

static const struct udptund_ops udptund_ops = {
    .connected = on_controller_connected, .event = on_controller_event, .lost = on_lost};

/* ---- life ------------------------------------------------------------------------------------ */

static int open_all(struct controller *c, const struct proxy_options *o, struct udptun_error *err)
{
    /* The lock first: what is swept away behind it is nobody's. */
    int rc = routing_open(&c->routing, err);
    c->device.nl = &c->routing.nl;
    if (rc == 0)
        rc = traffic_open(&c->traffic, c, o->state_path, err);
    if (rc == 0)
        rc = route_watch_open(&c->netwatch, c->loop, on_network, c, err);
    if (rc == 0)
        rc = udptund_open(&c->udptund, c->loop, o->udptund, &udptund_ops, c, err);
    if (rc < 0)
        return rc;
    /* A command that needs the device tries again, and tells its client. */
    struct udptun_error why;
    if (proxy_device_make(&c->device, &why) < 0)
        log_write(c->log, UDPTUN_LOG_WARN, "proxy", "%s", why.message);
    return clients_open(&c->clients, c->loop, o->socket_path, o->owner, &clients_ops, c, err);
}

int controller_open(struct controller *c, struct loop *loop, struct log *log,
                    const struct proxy_options *o, struct udptun_error *err)
{
    *c = (struct controller){
        .loop = loop,
        .log = log,
        .routing = {.nl.fd = -1, .lock = -1},
        .device = {.fd = -1, .address = o->tun_address, .address6 = o->tun_address6},
        .mark = o->mark,
        .status = STATUS_DISCONNECTED};
    snprintf(c->device.name, sizeof c->device.name, "%s", o->tun_name);
    tunnels_init(&c->tunnels, c);
    wait_calls_init(&c->waits, &c->udptund);
    int rc = open_all(c, o, err);
    if (rc < 0)
        controller_close(c);
    return rc;
}

void controller_close(struct controller *c)
{
    if (c->traffic.controller)
        traffic_close(&c->traffic);
    if (c->clients.loop)
        controller_update_status(c); /* "disconnected", before the connection ends */
    udptund_close(&c->udptund);
    wait_calls_close(&c->waits);
    clients_close(&c->clients);
    route_watch_close(&c->netwatch);
    proxy_device_destroy(&c->device);
    tunnels_fini(&c->tunnels);
    routing_close(&c->routing);
}
