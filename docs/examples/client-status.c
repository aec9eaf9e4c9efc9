/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client-status.c - ask udptund for its status from an event loop of one's own.
 *
 *     cc client-status.c $(pkg-config --cflags --libs udptun-client) -o client-status
 *     ./client-status [SOCKET]
 *
 * The loop is poll() on one descriptor; any other takes the same three questions: which
 * descriptor, which events, which timeout.
 */
#include <poll.h>
#include <stdio.h>
#include <udptun/client.h>

static void on_status(void *arg, udptun_client *client, const struct udptun_client_reply *reply)
{
    int *exit_status = arg;
    (void)client;
    *exit_status = reply->error.code == UDPTUN_OK ? 0 : 1;
    if (reply->value)
        puts(reply->value);
    else
        fprintf(stderr, "%s: %s\n", udptun_client_code_name(reply->error.code),
                reply->error.message);
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

    struct udptun_client_request request;
    udptun_client_request_init(&request, "getStatus");
    int exit_status = -1; /* until the callback, which fires exactly once, says */
    if (udptun_client_call(client, &request, on_status, &exit_status, NULL, &err) < 0)
        exit_status = 1;

    while (exit_status < 0) {
        unsigned events = udptun_client_get_events(client);
        struct pollfd ready = {.fd = udptun_client_get_fd(client)};
        ready.events = (short)((events & UDPTUN_CLIENT_READ ? POLLIN : 0) |
                               (events & UDPTUN_CLIENT_WRITE ? POLLOUT : 0));
        poll(&ready, 1, (int)udptun_client_get_timeout_ms(client));
        udptun_client_process(client);
    }
    udptun_client_free(client);
    return exit_status;
}
