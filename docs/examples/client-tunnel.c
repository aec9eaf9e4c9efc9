/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client-tunnel.c - a program that has udptund run a tunnel, hears of it, and ends it; no JSON
 * library.
 *
 *     cc client-tunnel.c $(pkg-config --cflags --libs udptun-client) && ./a.out [SOCKET]
 */
#include <stdio.h>
#include <string.h>

#include <udptun/client_value.h>

static int fail(const struct udptun_error *err)
{
    fprintf(stderr, "client-tunnel: %s (%s)\n", err->message, udptun_client_code_name(err->code));
    return 1;
}

static void on_event(void *arg, udptun_client *client, const char *json)
{
    (void)arg;
    (void)client;
    udptun_client_value *event = udptun_client_value_parse(json, NULL);
    if (strcmp(udptun_client_value_text(event, "event"), "tunnel.state") == 0)
        printf("%s is %s\n", udptun_client_value_text(event, "data.name"),
               udptun_client_value_text(event, "data.state"));
    udptun_client_value_free(event);
}

/* A udp-server for loopback, on a port that the system picks. */
static char *tunnel(void)
{
    udptun_client_value *t = udptun_client_value_new();
    udptun_client_value_set_text(t, "name", "example");
    udptun_client_value_set_text(t, "role", "server");
    udptun_client_value_set_text(t, "listen", "127.0.0.1:0");
    udptun_client_value_set_boolean(t, "ephemeral", true);
    udptun_client_value_add_text(t, "allowTargets", "127.0.0.0/8");
    char *json = udptun_client_value_json(t);
    udptun_client_value_free(t);
    return json;
}

static int print_status(udptun_client *client, struct udptun_error *err)
{
    char *json;
    int code = udptun_client_get_status(client, "example", &json, err);
    udptun_client_value *status = udptun_client_value_parse(json, NULL);
    if (code == UDPTUN_OK)
        printf("it listens on %s and has %lld sessions\n",
               udptun_client_value_text(status, "udpTunnels.0.listen"),
               (long long)udptun_client_value_integer(status, "udpTunnels.0.sessions"));
    udptun_client_value_free(status);
    udptun_client_free_text(json);
    return code;
}

int main(int argc, char **argv)
{
    struct udptun_error err;
    struct udptun_client_config config;
    udptun_client_config_init(&config);
    config.socket_path = argc > 1 ? argv[1] : NULL;
    config.event = on_event;
    udptun_client *client = udptun_client_new(&config, &err);
    if (!client)
        return fail(&err);
    char *json = tunnel();
    int code = udptun_client_subscribe(client, "state", false, NULL, NULL, NULL, &err);
    if (code == UDPTUN_OK)
        code = udptun_client_configure_tunnel(client, json, false, 10, NULL, &err);
    if (code == UDPTUN_OK)
        code = print_status(client, &err);
    if (code == UDPTUN_OK)
        code = udptun_client_remove_tunnel(client, "example", NULL, &err);
    udptun_client_free_text(json);
    udptun_client_free(client);
    return code == UDPTUN_OK ? 0 : fail(&err);
}
