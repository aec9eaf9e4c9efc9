/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tunnels_restore.c - setting up again what udptund has lost; see tunnels.h.
 *
 *     exportConfig  ->  [applyConfig of one tunnel and its instance]...  ->  once more, or done
 *
 * One tunnel at a time, for applyConfig is all or nothing: what cannot be set up now (its port is
 * taken) keeps no other away. That on the device goes first, the machine's traffic waits for it.
 * Those that failed are tried again: at once when others have been set up since, which they may
 * name, else in a while.
 */
#include <string.h>

#include "controller/proxy/controller.h"
#include "controller/proxy/tunnels.h"

#define RETRY_US UINT64_C(1000000)

static void on_retry(void *arg)
{
    tunnels_restore(arg);
}

void tunnels_restore_init(struct tunnels *t)
{
    timer_init(&t->retry, t->controller->loop, on_retry, t);
}

static const char *tunnels_restore_name_of(const json_t *object)
{
    const char *name = json_string_value(json_object_get(object, "name"));
    return name ? name : "";
}

/* ---- what is due ----------------------------------------------------------------------------- */

static bool tunnels_restore_is_listed(const json_t *list, const json_t *object)
{
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        if (strcmp(tunnels_restore_name_of(one), tunnels_restore_name_of(object)) == 0)
            return true;
    }
    return false;
}

/* The instance was kept over udptund's restart, but for its device. */
static bool has_lost_device(const json_t *list, const json_t *object)
{
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        const char *device = json_string_value(json_object_get(one, "device"));
        if (strcmp(tunnels_restore_name_of(one), tunnels_restore_name_of(object)) == 0)
            return device && strcmp(device, "fd:none") == 0;
    }
    return false;
}

static bool tunnels_restore_is_due(const struct kept_tunnel *tunnel)
{
    return tunnel->object_due || tunnel->tun2socks_due;
}

/* What is missing in udptund's `config`. */
static void find_due(struct tunnels *t, const json_t *config)
{
    const json_t *present = json_object_get(config, "udpTunnels");
    const json_t *present_tun = json_object_get(config, "tun2socks");
    LIST_FOREACH (node, &t->list) {
        struct kept_tunnel *tunnel = list_entry(node, struct kept_tunnel, node);
        bool lost_device = tunnel->on_device && t->new_device;
        tunnel->object_due = !tunnels_restore_is_listed(present, tunnel->object);
        /* Secrets that we do not know are redacted in what we have; udptund keeps its own. */
        lost_device =
            lost_device || (tunnel->on_device && has_lost_device(present_tun, tunnel->tun2socks));
        tunnel->tun2socks_due =
            tunnel->tun2socks &&
            (lost_device || !tunnels_restore_is_listed(present_tun, tunnel->tun2socks));
        if (tunnel->on_device && !tunnels_restore_is_due(tunnel))
            tunnels_device_in_place(t);
    }
}

static struct kept_tunnel *next_due(const struct tunnels *t)
{
    struct kept_tunnel *next = NULL;
    LIST_FOREACH (node, &t->list) {
        struct kept_tunnel *tunnel = list_entry(node, struct kept_tunnel, node);
        if (tunnels_restore_is_due(tunnel) && (!next || tunnel->on_device))
            next = tunnel;
    }
    return next;
}

/* ---- a round --------------------------------------------------------------------------------- */

static void tunnels_restore_finish(struct tunnels *t)
{
    bool at_once = t->again || (t->failed && t->succeeded);
    t->restoring = false;
    if (!t->controller->udptund.granted) /* the next connection has it tried again */
        return;
    if (at_once)
        tunnels_restore(t);
    else if (t->failed)
        timer_start(&t->retry, RETRY_US);
}

static void tunnels_restore_failed(struct tunnels *t, struct kept_tunnel *tunnel,
                                   const struct udptun_error *err)
{
    t->failed = true;
    if (!tunnel->told)
        log_write(t->controller->log, UDPTUN_LOG_WARN, "proxy",
                  "tunnel '%s' cannot be set up again, and is tried until it can: %s",
                  tunnels_restore_name_of(tunnel->object), err->message);
    tunnel->told = true;
}

static int prepare_device(struct tunnels *t, const struct kept_tunnel *tunnel,
                          struct udptun_error *err)
{
    struct controller *c = t->controller;
    int rc = controller_have_device(c, err);
    if (rc == 0)
        rc = proxy_device_attach(&c->device, tunnels_mtu(tunnel->tun2socks), err);
    if (rc == 0) {
        proxy_device_drain(&c->device);
        t->new_device = false; /* but if it is made again while udptund is asked */
    }
    return rc;
}

static void restore_next(struct tunnels *t);

static void on_applied(void *arg, udptun_client *client, const struct udptun_client_reply *reply)
{
    (void)client;
    struct tunnels *t = arg;
    struct kept_tunnel *tunnel = t->under_way;
    t->under_way = NULL;
    if (reply->error.code == 0)
        t->succeeded = true;
    if (reply->error.code < 0 && t->device_under_way)
        t->new_device = true; /* it has not got this descriptor */
    if (tunnel && reply->error.code < 0) {
        tunnels_restore_failed(t, tunnel, &reply->error);
    } else if (tunnel) {
        tunnel->told = false;
        log_write(t->controller->log, UDPTUN_LOG_INFO, "proxy", "tunnel '%s' is set up again",
                  tunnels_restore_name_of(tunnel->object));
        if (tunnel->on_device && !t->new_device)
            tunnels_device_in_place(t);
    }
    restore_next(t);
}

static void restore_next(struct tunnels *t)
{
    struct controller *c = t->controller;
    struct kept_tunnel *tunnel;
    while (c->udptund.granted && (tunnel = next_due(t))) {
        struct udptun_error err;
        json_t *object = tunnel->object_due ? tunnel->object : NULL;
        json_t *tun2socks = tunnel->tun2socks_due ? tunnel->tun2socks : NULL;
        bool on_device = tun2socks && tunnel->on_device;
        tunnel->object_due = tunnel->tun2socks_due = false;
        if (on_device && c->on_device_job) { /* it is being configured, to what is newer */
            t->failed = true;
            continue;
        }
        if (on_device && prepare_device(t, tunnel, &err) < 0) {
            tunnels_restore_failed(t, tunnel, &err);
            continue;
        }
        t->under_way = tunnel;
        t->device_under_way = on_device;
        json_t *whole = tunnels_effective(tun2socks, on_device, traffic_dns(&c->traffic));
        json_t *parameters = tunnels_config(object, whole);
        json_decref(whole);
        udptund_call(&c->udptund, "applyConfig", parameters, on_device ? c->device.fd : -1, 0.,
                     on_applied, t);
        json_decref(parameters);
        return;
    }
    tunnels_restore_finish(t);
}

static void on_exported(void *arg, udptun_client *client, const struct udptun_client_reply *reply)
{
    (void)client;
    struct tunnels *t = arg;
    json_t *config =
        reply->error.code == 0 ? json_loads(reply->value ? reply->value : "{}", 0, NULL) : NULL;
    if (config) {
        t->told = false;
        find_due(t, config);
        json_decref(config);
        restore_next(t);
        return;
    }
    if (!t->told)
        log_write(t->controller->log, UDPTUN_LOG_WARN, "proxy",
                  "udptund does not say what it has lost, and is asked until it does: %s",
                  reply->error.code < 0 ? reply->error.message : "out of memory");
    t->told = true;
    t->failed = true;
    tunnels_restore_finish(t);
}

void tunnels_restore(struct tunnels *t)
{
    timer_stop(&t->retry);
    t->again = t->restoring;
    if (t->restoring || list_empty(&t->list))
        return;
    t->restoring = true;
    t->failed = t->succeeded = false;
    udptund_call(&t->controller->udptund, "exportConfig", NULL, -1, 0., on_exported, t);
}
