/* SPDX-License-Identifier: Apache-2.0 */
/*
 * udp-local.c - starts a udp-local on a free port and prints the port.
 *
 *     cc udp-local.c $(pkg-config --cflags --libs udptun) -o udp-local
 *     ./udp-local 127.0.0.1:13456 192.0.2.53:53          SERVER TARGET
 *
 * Runs until standard input ends.
 */
#include <stdio.h>

#include <udptun/engine.h>

static void on_ready(void *arg, const char *name, const struct udptun_bound *bounds, size_t count)
{
    (void)arg;
    (void)name;
    for (size_t i = 0; i < count; i++)
        printf("%u\n", bounds[i].address->port);
    fflush(stdout);
}

static void on_state(void *arg, const char *name, enum udptun_state state, const char *reason)
{
    (void)arg;
    fprintf(stderr, "%s: %s %s\n", name, udptun_state_name(state), reason);
}

int main(int argc, char **argv)
{
    struct udptun_error err;
    struct udptun_engine_config engine_config;
    struct udptun_tunnel_config tunnel;
    if (argc != 3) {
        fprintf(stderr, "usage: %s SERVER TARGET\n", argv[0]);
        return 2;
    }
    udptun_engine_config_init(&engine_config); /* on a thread of its own */
    udptun_engine *engine = udptun_engine_new(&engine_config, &err);
    udptun_tunnel_config_init(&tunnel, UDPTUN_LOCAL);
    tunnel.name = "local";
    tunnel.listen = "udp://127.0.0.1:0";
    tunnel.server = argv[1];
    tunnel.target = argv[2];
    tunnel.callbacks.ready = on_ready;
    tunnel.callbacks.state = on_state;
    if (!engine || udptun_configure(engine, &tunnel, NULL, &err) != UDPTUN_OK) {
        fprintf(stderr, "%s\n", err.message);
        udptun_engine_free(engine);
        return 1;
    }
    while (getchar() != EOF)
        continue;
    udptun_engine_free(engine);
    return 0;
}
