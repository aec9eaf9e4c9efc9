/* SPDX-License-Identifier: Apache-2.0 */
/* udptund.c - see udptund.h. */
#include "controller/proxy/udptund.h"

#include <stdlib.h>
#include <string.h>

#include "proto/error.h"

enum { CALL_TIMEOUT_MS = 10000 };
#define RETRY_MIN_US UINT64_C(100000)
#define RETRY_MAX_US UINT64_C(3000000)

/* A call that waits for the role. */
struct pending_call {
    struct list node;
    char *action, *parameters;
    udptun_socket fd; /* NO_SOCKET: none */
    int64_t timeout_ms;
    udptun_client_reply_fn done;
    void *arg;
};

static void udptund_fail(struct udptund *u, udptun_client_reply_fn done, void *arg,
                         const struct udptun_error *err)
{
    const struct udptun_client_reply reply = {.error = *err};
    done(arg, u->client, &reply);
}

static void waiting_free(struct pending_call *w)
{
    list_remove(&w->node);
    if (w->fd != NO_SOCKET)
        socket_close(w->fd);
    free(w->action);
    free(w->parameters);
    free(w);
}

static void send_call(struct udptund *u, const struct pending_call *w)
{
    struct udptun_error err;
    struct udptun_client_request request;
    udptun_client_request_init(&request, w->action);
    request.parameters = w->parameters;
    request.timeout_ms = w->timeout_ms;
    request.fds = &w->fd;
    request.fd_count = w->fd != NO_SOCKET;
    if (udptun_client_call(u->client, &request, w->done, w->arg, NULL, &err) < 0)
        udptund_fail(u, w->done, w->arg, &err);
}

/* Those that wait now; what their callbacks add waits on. */
static void settle_waiting(struct udptund *u, const struct udptun_error *err)
{
    struct list now;
    list_init(&now);
    while (!list_empty(&u->waiting))
        list_move(&now, u->waiting.next);
    while (!list_empty(&now)) {
        struct pending_call *w = list_entry(now.next, struct pending_call, node);
        list_remove(&w->node);
        if (err)
            udptund_fail(u, w->done, w->arg, err);
        else
            send_call(u, w);
        waiting_free(w);
    }
}

static void udptund_retry_later(struct udptund *u)
{
    if (!u->kept || timer_is_on(&u->retry))
        return;
    timer_start(&u->retry, u->pause_us);
    u->pause_us = u->pause_us * 2 < RETRY_MAX_US ? u->pause_us * 2 : RETRY_MAX_US;
}

static void on_hello(void *arg, udptun_client *client, const struct udptun_client_reply *reply)
{
    struct udptund *u = arg;
    u->greeting = false;
    if (reply->error.code < 0) {
        struct udptun_error err = reply->error;
        if (err.code == UDPTUN_E_PERMISSION && reply->json)
            error_set(&err, UDPTUN_E_PERMISSION, NULL,
                      "udptund does not take ProxyController for an operator: is its user a member "
                      "of the group of %s?",
                      udptun_client_get_socket_path(client));
        settle_waiting(u, &err);
        udptund_retry_later(u);
        return;
    }
    u->granted = udptun_client_get_generation(client);
    u->pause_us = RETRY_MIN_US;
    settle_waiting(u, NULL);
    if (!u->client) /* a callback closed us */
        return;
    struct udptun_error ignored; /* then the connection is lost, and the next one subscribes */
    if (u->ops->event)
        udptun_client_subscribe(u->client, "state", false, NULL, NULL, NULL, &ignored);
    u->ops->connected(u->arg);
}

static void greet(struct udptund *u)
{
    struct udptun_error err;
    struct udptun_client_request request;
    if (u->greeting)
        return;
    u->greeting = true;
    udptun_client_request_init(&request, "hello");
    request.parameters = "{\"role\":\"operator\"}";
    if (udptun_client_call(u->client, &request, on_hello, u, NULL, &err) == 0)
        return;
    u->greeting = false;
    settle_waiting(u, &err);
    udptund_retry_later(u);
}

static void on_retry(void *arg)
{
    struct udptund *u = arg;
    if (u->kept && !u->granted)
        greet(u);
}

static void on_udptund_event(void *arg, udptun_client *client, const char *json)
{
    (void)client;
    const struct udptund *u = arg;
    if (u->ops->event)
        u->ops->event(u->arg, json);
}

static void on_udptund_state(void *arg, udptun_client *client, enum udptun_client_state state,
                             const struct udptun_error *err)
{
    (void)client;
    struct udptund *u = arg;
    bool had = u->granted != 0;
    if (state == UDPTUN_CLIENT_CONNECTED)
        return;
    u->granted = 0;
    if (!had || !u->kept)
        return;
    udptund_retry_later(u);
    u->ops->lost(u->arg, err);
}

int udptund_open(struct udptund *u, struct loop *loop, const char *path,
                 const struct udptund_ops *ops, void *arg, struct udptun_error *err)
{
    struct udptun_client_config config;
    *u = (struct udptund){
        .loop = loop, .path = path, .pause_us = RETRY_MIN_US, .ops = ops, .arg = arg};
    list_init(&u->waiting);
    timer_init(&u->retry, loop, on_retry, u);
    udptun_client_config_init(&config);
    config.socket_path = path;
    config.timeout_ms = CALL_TIMEOUT_MS;
    config.state = on_udptund_state;
    config.event = on_udptund_event;
    config.arg = u;
    u->client = udptun_client_new(&config, err);
    if (!u->client)
        return err->code;
    udptun_client_ev_start(&u->in_loop, loop_native(loop), u->client);
    return UDPTUN_OK;
}

void udptund_close(struct udptund *u)
{
    if (!u->client)
        return;
    u->kept = false;
    timer_stop(&u->retry);
    udptun_client_ev_stop(&u->in_loop);
    udptun_client *client = u->client;
    u->client = NULL;           /* a callback may come here, too */
    udptun_client_free(client); /* hello fails, and with it what waits for it */
}

void udptund_keep(struct udptund *u, bool kept)
{
    u->kept = kept;
    if (kept && !u->granted && !u->greeting)
        udptund_retry_later(u);
    if (!kept)
        timer_stop(&u->retry);
}

static struct pending_call *waiting_new(const char *action, const json_t *parameters,
                                        udptun_socket fd)
{
    struct pending_call *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    list_init(&w->node);
    w->action = strdup(action);
    w->parameters = parameters ? json_dumps(parameters, JSON_COMPACT) : NULL;
    w->fd = NO_SOCKET;
    bool has_fd = fd == NO_SOCKET || socket_copy(fd, &w->fd) == 0;
    if (w->action && (w->parameters || !parameters) && has_fd)
        return w;
    waiting_free(w);
    return NULL;
}

void udptund_call(struct udptund *u, const char *action, const json_t *parameters, udptun_socket fd,
                  double timeout_s, udptun_client_reply_fn done, void *arg)
{
    struct pending_call *w = waiting_new(action, parameters, fd);
    if (!w) {
        struct udptun_error err;
        error_set(&err, UDPTUN_E_NOMEM, NULL, "out of memory");
        udptund_fail(u, done, arg, &err);
        return;
    }
    w->timeout_ms = (int64_t)(timeout_s * 1000);
    w->done = done;
    w->arg = arg;
    /* A daemon that was restarted just now: find out before the call is sent to the old one. */
    if (u->granted)
        (void)udptun_client_process(u->client);
    if (u->granted) {
        send_call(u, w);
        waiting_free(w);
        return;
    }
    list_append(&u->waiting, &w->node);
    greet(u);
}
