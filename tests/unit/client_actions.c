/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_actions.c - calls the function of each action at a udptund; tests/daemon/test_cli.py runs
 * it.
 *
 *     client_actions SOCKET
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <udptun/client_value.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "line %d: %s: %s\n", __LINE__, #condition, err.message);               \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static struct udptun_error err;

/* Whether the text at `path` of what was given out begins with `text`. Frees it. */
static bool says(char *json, const char *path, const char *text)
{
    udptun_client_value *v = udptun_client_value_parse(json, NULL);
    bool does = strncmp(udptun_client_value_text(v, path), text, strlen(text)) == 0;
    if (!does)
        fprintf(stderr, "%s is not %s: %s\n", path, text, json);
    udptun_client_value_free(v);
    udptun_client_free_text(json);
    return does;
}

/* Whether the list of that name is there, and empty. Frees it. */
static bool is_empty(char *json, const char *list)
{
    udptun_client_value *v = udptun_client_value_parse(json, NULL);
    bool does = udptun_client_value_has(v, list) && udptun_client_value_count(v, list) == 0;
    udptun_client_value_free(v);
    udptun_client_free_text(json);
    return does;
}

static void objects(udptun_client *c)
{
    static const char server[] = "{\"name\":\"s\",\"role\":\"server\",\"listen\":\"127.0.0.1:0\"}";
    char *text;
    bool changed = false;
    CHECK(udptun_client_configure_tunnel(c, server, false, 5, &changed, &err) == 0 && changed);
    CHECK(udptun_client_configure_tunnel(c, server, false, 0, &changed, &err) == 0 && !changed);
    CHECK(udptun_client_configure_tunnel(c, "[]", false, 0, NULL, &err) == UDPTUN_E_INVALID);
    CHECK(strcmp(err.field, "tunnel") == 0);
    CHECK(udptun_client_configure_tunnel(c, NULL, false, 0, NULL, &err) == UDPTUN_E_INVALID);
    CHECK(udptun_client_get_status(c, "s", &text, &err) == 0);
    CHECK(says(text, "udpTunnels.0.state", "listening"));
    CHECK(udptun_client_get_status(c, "none", &text, &err) == UDPTUN_E_NOT_FOUND && !text);
    CHECK(udptun_client_list_sessions(c, "s", &text, &err) == 0);
    CHECK(is_empty(text, "sessions"));
    CHECK(udptun_client_list_flows(c, "s", NULL, 10, &text, &err) == 0);
    CHECK(is_empty(text, "flows"));
    CHECK(udptun_client_list_flows(c, NULL, NULL, 0, &text, &err) == UDPTUN_E_INVALID);
    CHECK(udptun_client_close_session(c, "s", "0123", &err) < 0);
    CHECK(strcmp(err.field, "parameters.session") == 0);
    CHECK(udptun_client_close_session(c, "s", NULL, &err) == UDPTUN_E_INVALID);
    double rtt_ms[2];
    int answered;
    CHECK(udptun_client_ping(c, "s", 2, rtt_ms, &answered, &err) < 0 && answered == 0);
}

static void configuration(udptun_client *c)
{
    char *config, *text;
    bool changed = false;
    CHECK(udptun_client_export_config(c, false, &config, &err) == 0);
    CHECK(udptun_client_remove_tunnel(c, "s", &changed, &err) == 0 && changed);
    CHECK(udptun_client_remove_tunnel(c, "s", &changed, &err) == 0 && !changed);
    CHECK(udptun_client_apply_config(c, config, true, true, &text, &err) == 0);
    CHECK(says(text, "created.0", "s"));
    CHECK(udptun_client_apply_config(c, config, true, false, &text, &err) == 0);
    CHECK(says(text, "created.0", "s"));
    CHECK(udptun_client_apply_config(c, "nonsense", true, false, &text, &err) == UDPTUN_E_INVALID);
    CHECK(udptun_client_export_config(c, true, &text, &err) == 0);
    CHECK(strcmp(text, config) == 0);
    udptun_client_free_text(text);
    udptun_client_free_text(config);
    int code = udptun_client_configure_tun2socks(c, "{\"name\":\"i\",\"device\":\"unix:/nowhere\"}",
                                                 false, 0, NULL, &err);
    CHECK(code == 0 || code == UDPTUN_E_UNSUPPORTED);
    CHECK(udptun_client_configure_tun2socks(c, "5", false, 0, NULL, &err) == UDPTUN_E_INVALID);
    CHECK(udptun_client_remove_tun2socks(c, "i", &changed, &err) == 0 && changed == (code == 0));
}

static void on_reply(void *arg, udptun_client *c, const struct udptun_client_reply *reply)
{
    (void)c;
    *(int *)arg = reply->error.code;
}

/* More waits than a connection may have at once, each withdrawn before the next. */
static void waits(udptun_client *c)
{
    struct udptun_client_request request;
    char *text;
    udptun_client_request_init(&request, "configureUdpTunnel");
    request.parameters =
        "{\"name\":\"w\",\"role\":\"local\",\"server\":\"127.0.0.1:1\","
        "\"listen\":\"udp://127.0.0.1:0\",\"target\":\"127.0.0.1:7\",\"wait\":3600}";
    for (int i = 0; i < 40; i++) {
        int code = 0;
        uint64_t id;
        CHECK(udptun_client_call(c, &request, on_reply, &code, &id, &err) == 0);
        CHECK(udptun_client_hello(c, NULL, &text, &err) == 0); /* the daemon has the call */
        udptun_client_free_text(text);
        CHECK(code == 0);
        CHECK(udptun_client_cancel(c, id) == 0 && code == UDPTUN_E_CANCELLED);
    }
    CHECK(udptun_client_remove_tunnel(c, "w", NULL, &err) == 0);
}

int main(int argc, char **argv)
{
    struct udptun_client_config config;
    char *text;
    udptun_client_config_init(&config);
    config.socket_path = argc > 1 ? argv[1] : NULL;
    udptun_client *c = udptun_client_new(&config, &err);
    CHECK(c);
    CHECK(udptun_client_hello(c, NULL, &text, &err) == 0);
    CHECK(says(text, "server", "udptund"));
    CHECK(udptun_client_hello(c, "nobody", &text, &err) == UDPTUN_E_INVALID && !text);
    objects(c);
    configuration(c);
    waits(c);
    CHECK(udptun_client_get_metrics(c, &text, &err) == 0 && strstr(text, "# EOF"));
    udptun_client_free_text(text);
    CHECK(udptun_client_set_log_level(c, "debug", "control", &err) == 0);
    CHECK(udptun_client_set_log_level(c, "loud", NULL, &err) == UDPTUN_E_INVALID);
    CHECK(udptun_client_set_log_level(c, "info", NULL, &err) == 0);
    CHECK(udptun_client_reload_config(c, &err) == 0);
    CHECK(udptun_client_shutdown(c, &err) == 0);
    udptun_client_free(c);
    return 0;
}
