/* SPDX-License-Identifier: Apache-2.0 */
/* sync.c - waiting for a call on this connection alone. */
#include "libclient/internal.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/platform/wait.h"
#include "proto/error.h"

struct waiter {
    bool done;
    char *json;
    struct udptun_error error;
};

static void on_reply(void *arg, udptun_client *client, const struct udptun_client_reply *reply)
{
    (void)client;
    struct waiter *waiter = arg;
    waiter->done = true;
    waiter->error = reply->error;
    if (!reply->json)
        return;
    waiter->json = strdup(reply->json);
    if (!waiter->json)
        error_set(&waiter->error, UDPTUN_E_NOMEM, NULL, "out of memory");
}

/* Sleep until process() is due, or `limit_ms` (-1: no limit) is over. */
static void sleep_until_due(const struct udptun_client *client, int64_t limit_ms)
{
    unsigned events = udptun_client_get_events(client);
    struct wait_entry connection = {
        .socket = client->fd,
        .wanted = (events & UDPTUN_CLIENT_READ ? (unsigned)WAIT_READ : 0) |
                  (events & UDPTUN_CLIENT_WRITE ? (unsigned)WAIT_WRITE : 0),
    };
    int64_t timeout = udptun_client_get_timeout_ms(client);
    if (limit_ms >= 0 && (timeout < 0 || limit_ms < timeout))
        timeout = limit_ms;
    wait_for(&connection, 1, timeout);
}

int udptun_client_wait(udptun_client *client, int64_t timeout_ms)
{
    if (client->depth > 0)
        return UDPTUN_E_CONFLICT;
    sleep_until_due(client, timeout_ms);
    return udptun_client_process(client);
}

int udptun_client_call_wait(udptun_client *client, const struct udptun_client_request *request,
                            char **reply, struct udptun_error *err)
{
    if (reply)
        *reply = NULL;
    if (client->depth > 0)
        return error_set(err, UDPTUN_E_CONFLICT, NULL, "a callback cannot wait for a call");
    /* A daemon that was restarted while nobody looked: find out before the call is sent to it. */
    if (client->fd != NO_SOCKET && udptun_client_process(client) == UDPTUN_E_CANCELLED)
        return error_set(err, UDPTUN_E_CANCELLED, NULL, "cancelled: the client was freed");
    struct waiter waiter = {0};
    int code = udptun_client_call(client, request, on_reply, &waiter, NULL, err);
    if (code < 0)
        return code;
    /* A client that a callback frees completes this call as well. */
    bool is_freed = false;
    while (!(is_freed = udptun_client_process(client) == UDPTUN_E_CANCELLED) && !waiter.done)
        sleep_until_due(client, -1);
    if (!is_freed && waiter.error.code == UDPTUN_E_TIMEOUT)
        (void)udptun_client_process(client); /* the daemon is told that nobody waits any more */
    if (err)
        *err = waiter.error;
    if (reply)
        *reply = waiter.json;
    else
        free(waiter.json);
    return waiter.error.code;
}

void udptun_client_free_text(char *text)
{
    free(text);
}
