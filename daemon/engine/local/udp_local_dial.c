/* SPDX-License-Identifier: Apache-2.0 */
/*
 * udp_local_dial.c - gets a udp-local the streams that its machine asks for.
 *
 * While an attempt is under way it stands in as the conn's carrier, so that a hangup cancels it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "daemon/engine/local/udp_local.h"
#include "daemon/engine/streams/dialer.h"
#include "daemon/engine/tunnel/carrier.h"

struct attempt {
    struct carrier base;
    struct dialer *dialer; /* NULL: it could not even start, `failed` says so */
    struct timer failed;
};

static void flush_nothing(struct carrier *c)
{
    (void)c;
}

static void cancel(struct carrier *c)
{
    struct attempt *a = (struct attempt *)c;
    timer_stop(&a->failed);
    dial_cancel(a->dialer);
    free(a);
}

static const struct carrier_ops attempt_ops = {.flush = flush_nothing, .close = cancel};

/* The machine hangs up, which frees the attempt. */
static void udp_local_dial_lost(struct tunnel *t, struct udptun_conn *conn, const char *why)
{
    char reason[sizeof "server " + sizeof t->last_error];
    snprintf(reason, sizeof reason, "server %s", why);
    tunnel_note_error(t, reason);
    engine_log_gated(t->engine, &t->local->dial_gate, UDPTUN_LOG_WARN, "dialer", "%s: %s",
                     tunnel_name(t), reason);
    udptun_conn_lost(conn, reason, t->engine->loop.now_us);
    tunnel_touch(t);
}

static void on_dialled(void *arg, udptun_socket socket, const struct udptun_error *err)
{
    struct attempt *a = (struct attempt *)arg;
    struct tunnel *t = a->base.tunnel;
    struct udptun_conn *conn = a->base.conn;
    a->dialer = NULL;
    if (socket == NO_SOCKET) {
        udp_local_dial_lost(t, conn, err->message);
        return;
    }
    udptun_conn_set_host(conn, NULL);
    list_remove(&a->base.node);
    cancel(&a->base);
    if (!carrier_attach_socket(t, conn, socket)) {
        udp_local_dial_lost(t, conn, "cannot be dialled: out of memory");
        return;
    }
    udptun_conn_opened(conn, t->engine->loop.now_us);
    tunnel_touch(t);
}

static void on_failed(void *arg)
{
    struct attempt *a = (struct attempt *)arg;
    udp_local_dial_lost(a->base.tunnel, a->base.conn, "cannot be dialled: out of memory");
}

void udp_local_dial(void *arg, struct udptun_conn *conn)
{
    struct tunnel *t = (struct tunnel *)arg;
    const struct tunnel_settings *config = t->config;
    if (config->server.kind == URL_APP) {
        carrier_app_dial(t, conn);
        return;
    }
    /* Without memory for this, the machine's handshake timeout ends the conn. */
    struct attempt *a = (struct attempt *)calloc(1, sizeof *a);
    if (!a)
        return;
    timer_init(&a->failed, &t->engine->loop, on_failed, a);
    carrier_init(&a->base, &attempt_ops, t, conn);
    struct dial_config dial = {
        .server = config->server,
        .via = config->via,
        .rules = tunnel_rules(t),
        .resolver = t->resolver,
    };
    /* udp-local may stand in front of a tun2socks instance, so its legs may enter a device of this
     * engine: they are no loop. The sockets by which the instance carries them on are watched. */
    dial.rules.opened = NULL;
    a->dialer = dial_start(&t->engine->loop, &dial, on_dialled, a);
    if (!a->dialer)
        timer_start(&a->failed, 0);
}

bool udp_local_dial_overdue(struct udptun_conn *conn, char *text, size_t size)
{
    const struct carrier *c = (const struct carrier *)udptun_conn_host(conn);
    const struct dialer *dialer =
        c && c->ops == &attempt_ops ? ((const struct attempt *)c)->dialer : NULL;
    if (!dialer)
        return false;
    struct udptun_error err;
    dial_overdue(dialer, &err);
    snprintf(text, size, "server %s", err.message);
    return true;
}
