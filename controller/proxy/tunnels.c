/* SPDX-License-Identifier: Apache-2.0 */
/* tunnels.c - see tunnels.h. */
#include "controller/proxy/tunnels.h"

#include <stdlib.h>
#include <string.h>

#include "controller/proxy/controller.h"

static const double RETRY_S = 1.;

static const char *name_of(const json_t *object)
{
    const char *name = json_string_value(json_object_get(object, "name"));
    return name ? name : "";
}

static void on_retry(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    tunnels_restore(watcher->data);
}

void tunnels_init(struct tunnels *t, struct controller *c)
{
    *t = (struct tunnels){.controller = c};
    list_init(&t->list);
    ev_timer_init(&t->retry, on_retry, RETRY_S, 0.);
    t->retry.data = t;
}

static void tunnel_free(struct tunnel *tunnel)
{
    list_remove(&tunnel->node);
    json_decref(tunnel->object);
    json_decref(tunnel->tun2socks);
    free(tunnel);
}

void tunnels_fini(struct tunnels *t)
{
    ev_timer_stop(t->controller->loop, &t->retry);
    while (!list_empty(&t->list))
        tunnel_free(list_entry(t->list.next, struct tunnel, node));
}

struct tunnel *tunnels_find(struct tunnels *t, const char *name)
{
    LIST_FOREACH (node, &t->list) {
        struct tunnel *tunnel = list_entry(node, struct tunnel, node);
        if (strcmp(name_of(tunnel->object), name) == 0)
            return tunnel;
    }
    return NULL;
}

struct tunnel *tunnels_on_device(struct tunnels *t)
{
    LIST_FOREACH (node, &t->list) {
        struct tunnel *tunnel = list_entry(node, struct tunnel, node);
        if (tunnel->on_device)
            return tunnel;
    }
    return NULL;
}

void tunnels_remember(struct tunnels *t, json_t *object, json_t *tun2socks, bool on_device)
{
    struct tunnel *tunnel = tunnels_find(t, name_of(object));
    if (!tunnel) {
        tunnel = calloc(1, sizeof *tunnel);
        if (!tunnel) { /* it runs, and will not be set up again */
            log_write(t->controller->log, LOG_ERROR, "out of memory: a tunnel is not remembered");
            json_decref(object);
            json_decref(tun2socks);
            return;
        }
        list_append(&t->list, &tunnel->node);
    }
    json_decref(tunnel->object);
    tunnel->object = object;
    if (tun2socks) {
        json_decref(tunnel->tun2socks);
        tunnel->tun2socks = tun2socks;
        tunnel->on_device = on_device;
    }
    udptund_keep(&t->controller->udptund, true);
}

void tunnels_forget(struct tunnels *t, const char *name)
{
    struct tunnel *tunnel = tunnels_find(t, name);
    if (!tunnel)
        return;
    if (tunnel->on_device)
        device_detach(&t->controller->device);
    tunnel_free(tunnel);
    if (list_empty(&t->list))
        udptund_keep(&t->controller->udptund, false);
    controller_update_status(t->controller);
}

bool tunnels_in_place(const struct tunnels *t)
{
    LIST_FOREACH (node, &t->list) {
        if (list_entry(node, struct tunnel, node)->on_device)
            return !t->missing;
    }
    return true;
}

uint32_t tunnels_mtu(const json_t *tun2socks)
{
    json_int_t mtu = json_integer_value(json_object_get(tun2socks, "mtu"));
    return mtu > 0 && mtu <= UINT16_MAX ? (uint32_t)mtu : 0;
}

static json_t *list_of(json_t *object)
{
    json_t *list = json_array();
    if (object)
        json_array_append(list, object);
    return list;
}

json_t *tunnels_config(json_t *tunnel, json_t *tun2socks)
{
    return json_pack("{s:{s:o,s:o}}", "config", "udpTunnels", list_of(tunnel), "tun2socks",
                     list_of(tun2socks));
}

/* ---- setting up again ------------------------------------------------------------------------ */

void tunnels_lost(struct tunnels *t)
{
    t->missing = true;
}

static bool is_listed(const json_t *list, const json_t *object)
{
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        if (strcmp(name_of(one), name_of(object)) == 0)
            return true;
    }
    return false;
}

static void restored(struct tunnels *t, const struct udptun_error *err)
{
    t->restoring = false;
    if (err->code < 0) {
        if (!t->told)
            log_write(t->controller->log, LOG_WARN,
                      "the tunnels cannot be set up again, and are tried until they can: %s",
                      err->message);
        t->told = true;
        if (t->controller->udptund.granted) /* else the next connection has it tried again */
            ev_timer_start(t->controller->loop, &t->retry);
        return;
    }
    t->missing = false;
    t->new_device = false;
    t->told = false;
    controller_update_status(t->controller);
}

static void on_applied(void *arg, udptun_client *client, const struct udptun_client_reply *reply)
{
    (void)client;
    struct tunnels *t = arg;
    if (reply->error.code == 0)
        log_write(t->controller->log, LOG_INFO, "udptund: what was missing is set up again");
    restored(t, &reply->error);
}

/* What is missing in `config` goes to `missing`. True: something is to be put on the device. */
static bool list_missing(struct tunnels *t, const json_t *config, json_t *missing)
{
    const json_t *present = json_object_get(config, "udpTunnels");
    const json_t *present_tun = json_object_get(config, "tun2socks");
    json_t *tunnels = json_object_get(json_object_get(missing, "config"), "udpTunnels");
    json_t *tun2socks = json_object_get(json_object_get(missing, "config"), "tun2socks");
    bool device = false;
    LIST_FOREACH (node, &t->list) {
        struct tunnel *tunnel = list_entry(node, struct tunnel, node);
        if (!is_listed(present, tunnel->object))
            json_array_append(tunnels, tunnel->object);
        bool lost = tunnel->on_device && t->new_device;
        if (tunnel->tun2socks && (lost || !is_listed(present_tun, tunnel->tun2socks))) {
            json_array_append(tun2socks, tunnel->tun2socks);
            device = device || tunnel->on_device;
        }
    }
    return device;
}

static void on_exported(void *arg, udptun_client *client, const struct udptun_client_reply *reply)
{
    (void)client;
    struct tunnels *t = arg;
    struct controller *c = t->controller;
    struct udptun_error err = reply->error;
    if (err.code < 0) {
        restored(t, &err);
        return;
    }
    json_t *config = json_loads(reply->value ? reply->value : "{}", 0, NULL);
    json_t *missing = tunnels_config(NULL, NULL);
    bool device = list_missing(t, config, missing);
    json_decref(config);
    const json_t *lists = json_object_get(missing, "config");
    struct tunnel *on_device = tunnels_on_device(t);
    int rc = 0;
    if (device && on_device) {
        rc = controller_have_device(c, &err);
        if (rc == 0)
            rc = device_attach(&c->device, tunnels_mtu(on_device->tun2socks), &err);
        device_drain(&c->device);
    }
    if (rc < 0 || (json_array_size(json_object_get(lists, "udpTunnels")) == 0 &&
                   json_array_size(json_object_get(lists, "tun2socks")) == 0))
        restored(t, &err);
    else
        udptund_call(&c->udptund, "applyConfig", missing, device ? c->device.fd : -1, 0.,
                     on_applied, t);
    json_decref(missing);
}

void tunnels_restore(struct tunnels *t)
{
    ev_timer_stop(t->controller->loop, &t->retry);
    if (t->restoring || list_empty(&t->list))
        return;
    t->restoring = true;
    udptund_call(&t->controller->udptund, "exportConfig", NULL, -1, 0., on_exported, t);
}

void tunnels_device_is_new(struct tunnels *t)
{
    if (!tunnels_on_device(t))
        return;
    t->new_device = true;
    t->missing = true;
    tunnels_restore(t);
}
