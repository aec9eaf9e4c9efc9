/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client-uv.c - ask udptund for its status from a libuv loop.
 *
 *     cc client-uv.c $(pkg-config --cflags --libs udptun-client libuv) -o client-uv
 *     ./client-uv [SOCKET]
 */
#include <stdio.h>
#include <udptun/client_uv.h>

struct app {
    struct udptun_client_uv in_loop;
    int exit_status;
};

static void on_status(void *arg, udptun_client *client, const struct udptun_client_reply *reply)
{
    struct app *app = arg;
    app->exit_status = reply->error.code == UDPTUN_OK ? 0 : 1;
    if (reply->value)
        puts(reply->value);
    else
        fprintf(stderr, "%s: %s\n", udptun_client_code_name(reply->error.code),
                reply->error.message);
    /* Nothing more to do: without the client the loop has nothing left to wait for. */
    udptun_client_uv_stop(&app->in_loop);
    udptun_client_free(client);
}

int main(int argc, char **argv)
{
    struct udptun_client_config config;
    udptun_client_config_init(&config);
    config.socket_path = argc > 1 ? argv[1] : NULL;
    struct udptun_error err;
    udptun_client *client = udptun_client_new(&config, &err);
    if (!client) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }

    struct app app = {.exit_status = 1};
    uv_loop_t *loop = uv_default_loop();
    udptun_client_uv_start(&app.in_loop, loop, client);

    struct udptun_client_request request;
    udptun_client_request_init(&request, "getStatus");
    if (udptun_client_call(client, &request, on_status, &app, NULL, &err) < 0) {
        fprintf(stderr, "%s\n", err.message);
        udptun_client_uv_stop(&app.in_loop);
        udptun_client_free(client);
    }
    uv_run(loop, UV_RUN_DEFAULT);
    uv_loop_close(loop);
    return app.exit_status;
}
