/* SPDX-License-Identifier: Apache-2.0 */
/*
 * own-stream.c - a session over a stream of the program's own: no socket of the tunnel's ends
 * between udp-local and udp-server, which are both in this process and hand each other bytes.
 *
 *     cc own-stream.c $(pkg-config --cflags --libs udptun) -lev -o own-stream
 *     ./own-stream                                        prints the echoed reply
 *
 * In a real program the two ends are on different machines, and stream_write() gives the bytes
 * to whatever carries them: TLS, a WebSocket, a serial line.
 */
#include <arpa/inet.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <udptun/engine.h>

struct end {
    udptun_stream *stream; /* NULL: closed */
    struct end *other;
};

static udptun_engine *engine; /* a program's own; the library has no such thing */

static int on_open(void *arg, const char *name, udptun_stream *stream, void **stream_arg)
{
    (void)arg;
    (void)name;
    struct end *ends = (struct end *)calloc(2, sizeof *ends);
    if (!ends)
        return UDPTUN_E_NOMEM;
    ends[0] = (struct end){stream, &ends[1]};
    ends[1] = (struct end){NULL, &ends[0]};
    ends[1].stream = udptun_stream_accept(engine, "server", &ends[1], "memory", NULL);
    if (!ends[1].stream) {
        free(ends);
        return UDPTUN_E_UNREACHABLE;
    }
    *stream_arg = &ends[0];
    udptun_stream_opened(stream);
    return UDPTUN_OK;
}

static long on_write(void *arg, void *stream_arg, const void *data, size_t size)
{
    (void)arg;
    struct end *other = ((struct end *)stream_arg)->other;
    if (!other->stream)
        return UDPTUN_E_UNREACHABLE;
    udptun_stream_input(other->stream, data, size);
    return (long)size;
}

static void on_close(void *arg, void *stream_arg)
{
    (void)arg;
    struct end *end = (struct end *)stream_arg;
    end->stream = NULL;
    if (end->other->stream)
        udptun_stream_closed(end->other->stream, "the other end closed");
    else
        free(end < end->other ? end : end->other);
}

static void on_datagram(void *arg, const char *name, const struct udptun_address *source,
                        const struct udptun_address *peer, const void *data, size_t size)
{
    (void)name;
    (void)source;
    (void)peer;
    printf("%.*s\n", (int)size, (const char *)data);
    ev_break((struct ev_loop *)arg, EVBREAK_ALL);
}

/* The target: says back what it hears. */
static void on_echo(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    char data[2048];
    struct sockaddr_in from;
    socklen_t from_size = sizeof from;
    ssize_t size =
        recvfrom(watcher->fd, data, sizeof data, 0, (struct sockaddr *)&from, &from_size);
    if (size >= 0)
        sendto(watcher->fd, data, (size_t)size, 0, (struct sockaddr *)&from, from_size);
}

static uint16_t start_echo(struct ev_loop *loop, ev_io *watcher)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof sa;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    if (bind(fd, (struct sockaddr *)&sa, size) || getsockname(fd, (struct sockaddr *)&sa, &size))
        return 0;
    ev_io_init(watcher, on_echo, fd, EV_READ);
    ev_io_start(loop, watcher);
    return ntohs(sa.sin_port);
}

static int start_tunnels(struct ev_loop *loop, const char *target, struct udptun_error *err)
{
    struct udptun_tunnel_config server, local;
    udptun_tunnel_config_init(&server, UDPTUN_SERVER);
    server.name = "server"; /* no listen: streams come by udptun_stream_accept() */
    server.target = target;
    server.callbacks.arg = loop;
    server.callbacks.stream_write = on_write;
    server.callbacks.stream_close = on_close;
    udptun_tunnel_config_init(&local, UDPTUN_LOCAL);
    local.name = "local"; /* no listen: datagrams come by udptun_send() */
    local.server = "app:";
    local.callbacks = server.callbacks;
    local.callbacks.stream_open = on_open;
    local.callbacks.datagram = on_datagram;
    int code = udptun_configure(engine, &server, NULL, err);
    return code ? code : udptun_configure(engine, &local, NULL, err);
}

int main(void)
{
    struct ev_loop *loop = ev_default_loop(0);
    struct udptun_error err = {0};
    struct udptun_engine_config config;
    ev_io echo;
    uint16_t port = start_echo(loop, &echo);
    char target[32];
    snprintf(target, sizeof target, "127.0.0.1:%u", port);
    udptun_engine_config_init(&config);
    config.loop = loop;
    engine = udptun_engine_new(&config, &err);
    if (!engine || start_tunnels(loop, target, &err) != UDPTUN_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    const struct udptun_address source = {.family = 4, .ip = {10, 0, 0, 1}, .port = 1};
    const struct udptun_address peer = {.family = 4, .ip = {127, 0, 0, 1}, .port = port};
    const char text[] = "hello over a stream of my own";
    udptun_send(engine, "local", &source, &peer, text, strlen(text));
    ev_run(loop, 0);
    udptun_engine_free(engine);
    ev_io_stop(loop, &echo);
    close(echo.fd);
    ev_loop_destroy(loop);
    return 0;
}
