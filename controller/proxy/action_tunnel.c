/* SPDX-License-Identifier: Apache-2.0 */
/*
 * action_tunnel.c - configureUdpTunnel and getStatus.
 *
 * A tunnel alone is handed on as it is. With a tun2socks part the two are one change, done or not
 * done as a whole: udptund's applyConfig takes both and is all or nothing, in one message with the
 * descriptor. Then configureUdpTunnel is asked for the same tunnel, which changes nothing, waits if
 * that is wanted, and gives the reply:
 *
 *     [exportConfig, to merge]  ->  applyConfig  ->  configureUdpTunnel  ->  reply
 *
 * So all that can be refused is refused in one place, and nothing has to be put back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/proxy/actions.h"
#include "controller/proxy/configure.h"
#include "controller/proxy/controller.h"
#include "controller/proxy/tunnels_state.h"

/* Longer than udptund lets a configure wait for the tunnel, so that its own answer comes first. */
static const double GRACE_S = 10.;

/* Only the job that has the device may give it back: to what was on it before, or to nobody. */
static void configure_fail(struct configure *job, const struct udptun_error *err)
{
    struct controller *c = job->command->controller;
    struct udptun_error ignored;
    const struct kept_tunnel *other = tunnels_on_device(&c->tunnels);
    struct client_command *command = job->command;
    if (configure_has_device(job) && other)
        proxy_device_attach(&c->device, tunnels_mtu(other->tun2socks), &ignored);
    else if (configure_has_device(job))
        proxy_device_detach(&c->device);
    configure_free(job);
    client_command_fail(command, err);
}

/* `text` with the places of applyConfig named as the client named them. */
static void rename_paths(char *text, size_t size)
{
    static const struct {
        const char *from, *to;
    } names[] = {
        {"parameters.config.udpTunnels[0]", "parameters"},
        {"parameters.config.tun2socks[0]", "parameters.tun2socks"},
    };
    char copy[256];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *at = strstr(text, names[i].from);
        if (!at)
            continue;
        snprintf(copy, sizeof copy, "%s", at + strlen(names[i].from));
        snprintf(at, size - (size_t)(at - text), "%s%s", names[i].to, copy);
    }
}

/* ---- the last step --------------------------------------------------------------------------- */

static void on_configured(void *arg, udptun_client *client, const struct udptun_client_reply *reply)
{
    (void)client;
    struct configure *job = arg;
    struct controller *c = job->command->controller;
    json_t *value = NULL;
    /* After TIMEOUT, if that is udptund's word, it runs: it is only not established yet. */
    bool runs = reply->error.code == 0 || (reply->error.code == UDPTUN_E_TIMEOUT && reply->json);
    if (!job->tun2socks && runs) {
        /* Of a merge alone only the new fields are known, unless we knew the rest. */
        struct kept_tunnel *known =
            tunnels_find(&c->tunnels, json_string_value(json_object_get(job->tunnel, "name")));
        json_t *whole = job->merge && known ? json_copy(known->object) : NULL;
        if (whole)
            json_object_update(whole, job->tunnel);
        if (whole || !job->merge)
            tunnels_remember(&c->tunnels, whole ? whole : json_incref(job->tunnel), NULL, false);
    }
    if (reply->value)
        value = json_loads(reply->value, 0, NULL);
    if (value)
        tunnels_state_note(&c->tunnels, json_object_get(value, "tunnel"));
    controller_update_status(c);
    if (value && job->changed) {
        json_object_set_new(value, "changed", json_true());
    } else {
        json_decref(value); /* udptund's own is the reply */
        value = NULL;
    }
    struct client_command *command = job->command;
    configure_free(job);
    client_command_return_reply(command, reply, value, CLIENT_COMMAND_NO_STATUS, NULL);
}

/* udptund answers one call of a connection at a time, so a call that waits has a connection of its
 * own. A wrong `wait` is for udptund to refuse. */
static void configure_tunnel(struct configure *job, const json_t *parameters)
{
    struct controller *c = job->command->controller;
    if (job->wait_s > 0.)
        wait_call(&c->waits, job->command->who.id, "configureUdpTunnel", parameters,
                  job->wait_s + GRACE_S, on_configured, job);
    else
        udptund_call(&c->udptund, "configureUdpTunnel", parameters, -1, 0., on_configured, job);
}

/* The tunnel as the client gave it; after applyConfig it is a repetition. */
static void ask_for_tunnel(struct configure *job)
{
    json_t *parameters = json_copy(job->tunnel);
    json_t *wait = json_object_get(job->command->parameters, "wait");
    if (wait)
        json_object_set(parameters, "wait", wait);
    configure_tunnel(job, parameters);
    json_decref(parameters);
}

/* ---- both at once ---------------------------------------------------------------------------- */

static bool has_items(const json_t *value, const char *name)
{
    return json_array_size(json_object_get(value, name)) > 0;
}

static void on_applied(void *arg, udptun_client *client, const struct udptun_client_reply *reply)
{
    (void)client;
    struct configure *job = arg;
    struct controller *c = job->command->controller;
    struct udptun_error err = reply->error;
    if (err.code < 0) {
        rename_paths(err.field, sizeof err.field);
        rename_paths(err.message, sizeof err.message);
        configure_fail(job, &err);
        return;
    }
    json_t *value = json_loads(reply->value ? reply->value : "{}", 0, NULL);
    job->changed = has_items(value, "created") || has_items(value, "changed");
    json_decref(value);
    tunnels_remember(&c->tunnels, json_incref(job->tunnel), json_incref(job->tun2socks),
                     job->on_device);
    if (job->on_device)
        tunnels_device_in_place(&c->tunnels); /* and its state is asked for, before the tunnel's */
    configure_release_device(job); /* tunnels.c knows now who has it, however long we wait */
    ask_for_tunnel(job);
}

static void apply_both(struct configure *job)
{
    struct controller *c = job->command->controller;
    struct udptun_error err;
    int rc = 0;
    if (job->on_device) {
        rc = controller_have_device(c, &err);
        if (rc == 0)
            rc = proxy_device_attach(&c->device, tunnels_mtu(job->tun2socks), &err);
    }
    if (rc < 0) {
        configure_fail(job, &err);
        return;
    }
    json_t *whole = tunnels_effective(job->tun2socks, job->on_device, traffic_dns(&c->traffic));
    json_t *parameters = tunnels_config(job->tunnel, whole);
    json_decref(whole);
    udptund_call(&c->udptund, "applyConfig", parameters, job->on_device ? c->device.fd : -1, 0.,
                 on_applied, job);
    json_decref(parameters);
}

static void on_exported(void *arg, udptun_client *client, const struct udptun_client_reply *reply)
{
    (void)client;
    struct configure *job = arg;
    if (reply->error.code < 0) {
        configure_fail(job, &reply->error);
        return;
    }
    struct udptun_error err;
    json_t *config = json_loads(reply->value ? reply->value : "{}", 0, NULL);
    int rc = configure_merge(job, config, &err);
    json_decref(config);
    if (rc < 0)
        configure_fail(job, &err);
    else
        apply_both(job);
}

/* ---- the first step -------------------------------------------------------------------------- */

void proxy_action_configure_udp_tunnel(struct client_command *command)
{
    struct controller *c = command->controller;
    struct udptun_error err;
    struct configure *job = calloc(1, sizeof *job);
    if (!job) {
        client_command_fail_memory(command);
        return;
    }
    job->command = command;
    if (configure_read(job, &err) < 0) {
        configure_fail(job, &err);
        return;
    }
    if (!job->tun2socks)
        configure_tunnel(job, command->parameters);
    else if (job->merge)
        udptund_call(&c->udptund, "exportConfig", NULL, -1, 0., on_exported, job);
    else
        apply_both(job);
}

/* ---- getStatus ------------------------------------------------------------------------------- */

static void on_status(void *arg, udptun_client *client, const struct udptun_client_reply *reply)
{
    (void)client;
    struct client_command *command = arg;
    struct controller *c = command->controller;
    client_command_return_reply(command, reply, NULL, (int)c->status,
                                traffic_warnings(&c->traffic));
}

void proxy_action_get_status(struct client_command *command)
{
    udptund_call(&command->controller->udptund, "getStatus", command->parameters, -1, 0., on_status,
                 command);
}
