/* SPDX-License-Identifier: Apache-2.0 */
/* udp_server.c - a udp-server: accepts streams, hosts the machine in that role. */
#include "daemon/engine/server/udp_server.h"

#include <sodium.h>
#include <stdlib.h>

#include "daemon/engine/server/egress.h"
#include "daemon/engine/server/egress_packets.h"
#include "daemon/engine/server/egress_route.h"
#include "daemon/engine/settings/egress_place.h"
#include "daemon/engine/tunnel/carrier.h"
#include "daemon/platform/socket.h"
#include "proto/error.h"

/* ---- accepting ----------------------------------------------------------------------------------
 */

static void udp_server_taken(void *arg, udptun_socket socket, const struct udptun_endpoint *from)
{
    struct tunnel *t = (struct tunnel *)arg;
    char peer[ENDPOINT_TEXT_SIZE] = "unix";
    if (from->family != UDPTUN_ENDPOINT_NONE)
        endpoint_format(from, peer);
    struct udptun_conn *conn = udptun_machine_accept(t->machine, peer, t->engine->loop.now_us);
    if (!conn) {
        engine_log_gated(t->engine, &t->server->accept_gate, UDPTUN_LOG_WARN, "server",
                         "%s: %s refused: stopping, or out of memory", tunnel_name(t), peer);
        socket_close(socket);
        return;
    }
    socket_tune(socket);
    if (!carrier_attach_socket(t, conn, socket))
        udptun_conn_lost(conn, "out of memory", t->engine->loop.now_us);
    tunnel_touch(t);
}

/* ---- callbacks of the machine -------------------------------------------------------------------
 */

static void on_random(void *arg, void *to, size_t size)
{
    (void)arg;
    randombytes_buf(to, size);
}

static void on_udp_server_hangup(void *arg, struct udptun_conn *conn, const char *reason)
{
    struct tunnel *t = (struct tunnel *)arg;
    engine_log(t->engine, UDPTUN_LOG_DEBUG, "server", "%s: connection ended: %s", tunnel_name(t),
               reason);
    carrier_hangup(conn);
}

/* The sessions' states are theirs; the tunnel listens all the while. */
static void on_udp_server_state(void *arg, struct udptun_session *s,
                                enum udptun_machine_state state, const char *reason)
{
    (void)arg;
    (void)s;
    (void)state;
    (void)reason;
}

static void on_log(void *arg, enum udptun_machine_log level, const char *text)
{
    tunnel_log_machine((struct tunnel *)arg, level, text);
}

static void on_udp_server_error(void *arg, struct udptun_binding *b, const struct udptun_dest *peer,
                                enum udptun_machine_error code, uint32_t value)
{
    (void)arg;
    (void)b;
    (void)peer;
    (void)code;
    (void)value;
}

static void on_pong(void *arg, uint64_t token, uint64_t rtt_us)
{
    (void)arg;
    (void)token;
    (void)rtt_us;
}

static const struct udptun_machine_ops udp_server_ops = {
    .random = on_random,
    .hangup = on_udp_server_hangup,
    .datagram = egress_datagram,
    .binding_opened = egress_opened,
    .binding_closed = egress_closed,
    .error = on_udp_server_error,
    .state = on_udp_server_state,
    .pong = on_pong,
    .log = on_log,
};

/* ---- life ---------------------------------------------------------------------------------------
 */

static struct policy *make_policy(const struct tunnel_settings *config, struct udptun_error *err)
{
    const struct udptun_tunnel_config *given = &config->given;
    return policy_new(given->allow_targets, given->allow_count,
                      given->allow_given || given->allow_count > 0, given->deny_targets,
                      given->deny_count, err);
}

static int udp_server_new(struct tunnel *t, struct udptun_error *err)
{
    struct udptun_machine_config udpt;
    struct udp_server *server = (struct udp_server *)calloc(1, sizeof *server);
    if (!server)
        return error_set(err, UDPTUN_E_NOMEM, NULL, "%s: out of memory", tunnel_name(t));
    t->server = server;
    table_init(&server->by_port);
    server->routes = egress_routes_new(t);
    if (!server->routes)
        return error_set(err, UDPTUN_E_NOMEM, NULL, "%s: out of memory", tunnel_name(t));
    acceptor_init(&server->acceptor, t->engine, tunnel_module(t), tunnel_name(t), &t->cap,
                  udp_server_taken, t);
    struct udptun_error why = {0};
    server->policy = make_policy(t->config, &why);
    if (!server->policy) {
        if (err)
            *err = why;
        return why.code ? why.code : UDPTUN_E_NOMEM;
    }
    if (egress_is_packets(t->config->given.egress)) {
        server->packets = egress_packets_new(t);
        if (!server->packets)
            return error_set(err, UDPTUN_E_NOMEM, NULL, "%s: out of memory", tunnel_name(t));
    }
    tunnel_settings_fill_udpt(t->config, &udpt);
    udpt.binding_host_size = sizeof(struct egress);
    udpt.budget = &t->engine->buffers;
    t->machine = udptun_machine_new(&udpt, &udp_server_ops, t, t->engine->loop.now_us);
    sodium_memzero(udpt.key, sizeof udpt.key);
    return t->machine ? UDPTUN_OK
                      : error_set(err, UDPTUN_E_NOMEM, NULL, "%s: out of memory", tunnel_name(t));
}

static int udp_server_listen(struct tunnel *t)
{
    if (t->listening.kind == URL_NONE)
        return UDPTUN_OK;
    return acceptor_start(&t->server->acceptor, t->listening.socket);
}

static void udp_server_unlisten(struct tunnel *t)
{
    acceptor_stop(&t->server->acceptor);
}

static int udp_server_configure(struct tunnel *t, const struct tunnel_settings *config,
                                struct udptun_error *err)
{
    struct udptun_error why = {0};
    struct policy *policy = make_policy(config, &why);
    if (!policy) {
        if (err)
            *err = why;
        return why.code ? why.code : UDPTUN_E_NOMEM;
    }
    policy_free(t->server->policy);
    t->server->policy = policy;
    t->server->policy_serial++;
    return UDPTUN_OK;
}

static void udp_server_network_changed(struct tunnel *t)
{
    egress_routes_forget(t->server->routes);
}

static void udp_server_free(struct tunnel *t)
{
    if (!t->server)
        return;
    egress_packets_free(t->server->packets);
    egress_routes_free(t->server->routes);
    table_fini(&t->server->by_port);
    policy_free(t->server->policy);
    free(t->server);
    t->server = NULL;
}

const struct role_ops udp_server_role = {
    .module = "server",
    .first_state = UDPTUN_LISTENING,
    .flow_size = sizeof(struct egress),
    .start = udp_server_new,
    .listen = udp_server_listen,
    .unlisten = udp_server_unlisten,
    .configure = udp_server_configure,
    .network_changed = udp_server_network_changed,
    .free = udp_server_free,
};
