/* SPDX-License-Identifier: Apache-2.0 */
/*
 * own-io.c - the session machine with input and output of the program's own: no socket, no loop
 * and no clock. A udp-local and a udp-server in one program hand each other bytes in memory.
 *
 *     cc own-io.c $(pkg-config --cflags --libs udptun) -o own-io
 *     ./own-io                                            prints what the target sends back
 *
 * In a real program the two ends are on different machines, and whatever its network library
 * calls a connection takes the place of `struct wire`.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <udptun/machine.h>

enum { WIRES = 16, WIRE_SIZE = 65536 };

/* A stream from the local to the server; ends[0] is the local's, NULL: closed. */
struct wire {
    struct udptun_conn *ends[2];
    uint8_t bytes[2][WIRE_SIZE]; /* under way to that end */
    size_t used[2];
    int wanted; /* the local asked for it */
};

static struct wire wires[WIRES];
static struct udptun_machine *machines[2]; /* the local, the server */
static uint64_t now_us;
static int answered;

static void give_random(void *arg, void *to, size_t size)
{
    (void)arg;
    if (getrandom(to, size, 0) != (ssize_t)size)
        abort();
}

/* Nothing may be called back from here; main() opens it. */
static void dial(void *arg, struct udptun_conn *conn)
{
    (void)arg;
    for (int i = 0; i < WIRES; i++) {
        if (wires[i].ends[0] || wires[i].ends[1])
            continue;
        wires[i] = (struct wire){.ends = {conn, NULL}, .wanted = 1};
        udptun_conn_set_host(conn, &wires[i]);
        return;
    }
}

static void hangup(void *arg, struct udptun_conn *conn, const char *reason)
{
    (void)arg;
    (void)reason;
    struct wire *wire = (struct wire *)udptun_conn_host(conn);
    if (wire)
        wire->ends[wire->ends[1] == conn] = NULL;
}

/* The server would send to `peer` from a socket of the binding; its target answers at once. */
static void to_target(void *arg, struct udptun_binding *b, const struct udptun_dest *peer,
                      const uint8_t *data, size_t size)
{
    (void)arg;
    udptun_binding_send(b, peer, data, size, now_us);
}

static void to_app(void *arg, struct udptun_binding *b, const struct udptun_dest *peer,
                   const uint8_t *data, size_t size)
{
    (void)arg;
    (void)b;
    (void)peer;
    printf("%.*s\n", (int)size, (const char *)data);
    answered = 1;
}

static int binding_opened(void *arg, struct udptun_binding *b, uint16_t want4, uint16_t want6)
{
    (void)arg, (void)b, (void)want4, (void)want6;
    return 0;
}

static void binding_closed(void *arg, struct udptun_binding *b, enum udptun_close_reason reason)
{
    (void)arg, (void)b, (void)reason;
}

static void error(void *arg, struct udptun_binding *b, const struct udptun_dest *peer,
                  enum udptun_machine_error code, uint32_t value)
{
    (void)arg, (void)b, (void)peer, (void)code, (void)value;
}

static void state(void *arg, struct udptun_session *s, enum udptun_machine_state present,
                  const char *reason)
{
    (void)arg, (void)s, (void)present, (void)reason;
}

static void pong(void *arg, uint64_t token, uint64_t rtt_us)
{
    (void)arg, (void)token, (void)rtt_us;
}

static void log_line(void *arg, enum udptun_machine_log level, const char *text)
{
    (void)arg;
    if (level <= UDPTUN_MACHINE_LOG_WARN)
        fprintf(stderr, "%s\n", text);
}

static const struct udptun_machine_ops local_ops = {.random = give_random,
                                                    .dial = dial,
                                                    .hangup = hangup,
                                                    .datagram = to_app,
                                                    .binding_closed = binding_closed,
                                                    .error = error,
                                                    .state = state,
                                                    .pong = pong,
                                                    .log = log_line};
static const struct udptun_machine_ops server_ops = {.random = give_random,
                                                     .hangup = hangup,
                                                     .datagram = to_target,
                                                     .binding_opened = binding_opened,
                                                     .binding_closed = binding_closed,
                                                     .error = error,
                                                     .state = state,
                                                     .pong = pong,
                                                     .log = log_line};

/* What a machine wants to write goes on its wire, as far as there is room. */
static void write_ready(int end)
{
    struct udptun_conn *conn;
    struct udptun_span spans[2];
    int count;
    while ((conn = udptun_machine_next_ready(machines[end]))) {
        struct wire *wire = (struct wire *)udptun_conn_host(conn);
        while ((count = udptun_conn_output(conn, spans)) > 0) {
            size_t sent = 0;
            for (int i = 0; i < count; i++) {
                size_t room = WIRE_SIZE - wire->used[!end];
                size_t size = spans[i].size < room ? spans[i].size : room;
                memcpy(wire->bytes[!end] + wire->used[!end], spans[i].data, size);
                wire->used[!end] += size;
                sent += size;
            }
            if (sent == 0)
                break;
            udptun_conn_sent(conn, sent, now_us);
        }
    }
}

/* Streams that are wanted are opened, bytes arrive, ends without another are told. */
static void serve(struct wire *wire)
{
    if (wire->wanted) {
        wire->wanted = 0;
        wire->ends[1] = udptun_machine_accept(machines[1], "memory", now_us);
        if (wire->ends[1]) {
            udptun_conn_set_host(wire->ends[1], wire);
            udptun_conn_opened(wire->ends[0], now_us);
        }
    }
    for (int end = 0; end < 2; end++) {
        size_t size = wire->used[end];
        wire->used[end] = 0;
        if (wire->ends[end] && size > 0)
            udptun_conn_input(wire->ends[end], wire->bytes[end], size, now_us);
        if (wire->ends[end] && !wire->ends[!end])
            udptun_conn_lost(wire->ends[end], "the other end closed it", now_us);
    }
}

int main(void)
{
    struct udptun_machine_config config;
    udptun_machine_config_init(&config, UDPTUN_MACHINE_LOCAL);
    machines[0] = udptun_machine_new(&config, &local_ops, NULL, now_us);
    udptun_machine_config_init(&config, UDPTUN_MACHINE_SERVER);
    machines[1] = udptun_machine_new(&config, &server_ops, NULL, now_us);
    if (!machines[0] || !machines[1])
        return EXIT_FAILURE;

    int code;
    struct udptun_endpoint target = {
        .family = UDPTUN_ENDPOINT_IP4, .port = 53, .ip = {192, 0, 2, 1}};
    struct udptun_dest peer = udptun_dest_of(&target);
    struct udptun_binding *flow = udptun_binding_open(machines[0], 1, now_us, &code);
    const char text[] = "hello without a socket";
    if (!flow ||
        udptun_binding_send(flow, &peer, (const uint8_t *)text, sizeof text - 1, now_us) != 0)
        return EXIT_FAILURE;

    /* A turn of the loop is a millisecond here, in which bytes cross the wire. */
    for (int turn = 0; turn < 1000 && !answered; turn++, now_us += 1000) {
        for (int end = 0; end < 2; end++) {
            if (udptun_machine_deadline(machines[end]) <= now_us)
                udptun_machine_tick(machines[end], now_us);
            write_ready(end);
        }
        for (int i = 0; i < WIRES; i++)
            serve(&wires[i]);
    }
    udptun_machine_free(machines[0]);
    udptun_machine_free(machines[1]);
    return answered ? EXIT_SUCCESS : EXIT_FAILURE;
}
