/* SPDX-License-Identifier: Apache-2.0 */
/*
 * action_remove.c - removeUdpTunnel: the tunnel, and the tun2socks instance that came with it.
 *
 *     exportConfig  ->  removeTun2socks  ->  removeUdpTunnel  ->  reply
 *
 * udptund is asked which instance that is, for we may have been restarted since: the one that we
 * remember, or one whose datagrams go into that tunnel and whose device is a descriptor or whose
 * name is the one that we give. If any other instance names the tunnel nothing is removed. The
 * instance goes first, because it names the tunnel; if the tunnel then may not go all the same,
 * because others name it since, the instance is set up again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/proxy/actions.h"
#include "controller/proxy/configure.h"
#include "controller/proxy/controller.h"

struct removal {
    struct client_command *command;
    const char *name;  /* in the command; NULL: none was given */
    json_t *instances; /* names of those that go with it */
    bool changed;
};

static void on_tunnel_removed(void *arg, udptun_client *client,
                              const struct udptun_client_reply *reply)
{
    (void)client;
    struct removal *job = arg;
    struct controller *c = job->command->controller;
    json_t *value = NULL;
    if (reply->error.code == 0)
        tunnels_forget(&c->tunnels, job->name);
    else if (job->changed)
        tunnels_restore(&c->tunnels);
    if (job->changed && reply->error.code == 0)
        value = json_pack("{s:b}", "changed", 1);
    client_command_return_reply(job->command, reply, value, CLIENT_COMMAND_NO_STATUS, NULL);
    json_decref(job->instances);
    free(job);
}

static void remove_tunnel(struct removal *job)
{
    udptund_call(&job->command->controller->udptund, "removeUdpTunnel", job->command->parameters,
                 -1, 0., on_tunnel_removed, job);
}

static void remove_next_instance(struct removal *job);

static void on_instance_removed(void *arg, udptun_client *client,
                                const struct udptun_client_reply *reply)
{
    (void)client;
    struct removal *job = arg;
    if (reply->error.code < 0) {
        if (job->changed)
            tunnels_restore(&job->command->controller->tunnels);
        client_command_return_reply(job->command, reply, NULL, CLIENT_COMMAND_NO_STATUS, NULL);
        json_decref(job->instances);
        free(job);
        return;
    }
    job->changed = true;
    json_array_remove(job->instances, 0);
    remove_next_instance(job);
}

static void remove_next_instance(struct removal *job)
{
    json_t *name = json_array_get(job->instances, 0);
    if (!name) {
        remove_tunnel(job);
        return;
    }
    json_t *parameters = json_pack("{s:O}", "name", name);
    udptund_call(&job->command->controller->udptund, "removeTun2socks", parameters, -1, 0.,
                 on_instance_removed, job);
    json_decref(parameters);
}

static bool names_tunnel(const struct removal *job, const json_t *instance)
{
    const char *udp = json_string_value(json_object_get(instance, "udp"));
    return udp && strncmp(udp, "tunnel:", 7) == 0 && strcmp(udp + 7, job->name) == 0;
}

/* The instance came with the tunnel. */
static bool belongs(const struct removal *job, const json_t *instance)
{
    const struct kept_tunnel *known = tunnels_find(&job->command->controller->tunnels, job->name);
    const json_t *name = json_object_get(instance, "name");
    if (known && known->tun2socks && json_equal(json_object_get(known->tun2socks, "name"), name))
        return true;
    const char *device = json_string_value(json_object_get(instance, "device"));
    char ours[128];
    configure_instance_name(ours, sizeof ours, job->name);
    return names_tunnel(job, instance) &&
           ((device && strncmp(device, "fd:", 3) == 0) ||
            (json_is_string(name) && strcmp(json_string_value(name), ours) == 0));
}

/* Which instances go with the tunnel. UDPTUN_E_CONFLICT: one that stays names it. */
static int choose_instances(struct removal *job, const json_t *config, struct udptun_error *err)
{
    size_t i;
    json_t *instance;
    json_array_foreach(json_object_get(config, "tun2socks"), i, instance)
    {
        json_t *name = json_object_get(instance, "name");
        if (belongs(job, instance))
            json_array_append(job->instances, name);
        else if (names_tunnel(job, instance))
            return error_set(err, UDPTUN_E_CONFLICT, "parameters.name",
                             "parameters.name: %.64s is in use by the tun2socks instance '%.64s'",
                             job->name, json_string_value(name));
    }
    return UDPTUN_OK;
}

static void on_exported(void *arg, udptun_client *client, const struct udptun_client_reply *reply)
{
    (void)client;
    struct removal *job = arg;
    json_t *config =
        reply->error.code == 0 ? json_loads(reply->value ? reply->value : "{}", 0, NULL) : NULL;
    if (!config) {
        client_command_return_reply(job->command, reply, NULL, CLIENT_COMMAND_NO_STATUS, NULL);
        json_decref(job->instances);
        free(job);
        return;
    }
    struct udptun_error err;
    int rc = choose_instances(job, config, &err);
    json_decref(config);
    if (rc == 0) {
        remove_next_instance(job);
        return;
    }
    client_command_fail(job->command, &err);
    json_decref(job->instances);
    free(job);
}

void proxy_action_remove_udp_tunnel(struct client_command *command)
{
    struct removal *job = calloc(1, sizeof *job);
    if (job)
        job->instances = json_array();
    if (!job || !job->instances) {
        free(job);
        client_command_fail_memory(command);
        return;
    }
    job->command = command;
    job->name = json_string_value(json_object_get(command->parameters, "name"));
    if (job->name)
        udptund_call(&command->controller->udptund, "exportConfig", NULL, -1, 0., on_exported, job);
    else
        remove_tunnel(job); /* which udptund refuses */
}
