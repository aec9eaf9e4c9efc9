/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connection.c - the socket: connecting, losing and retrying, bytes out and in.
 *
 * A Unix socket connects at once or not at all, so there is no state between. A daemon whose
 * accept queue is full (IO_AGAIN) is there but busy: that is tried again in a moment, also by a
 * client that does not reconnect, for as long as its calls have time.
 */
#include "libclient/internal.h"

#include "daemon/platform/local.h"
#include "proto/error.h"

#define BUSY_PAUSE_MS 20

/* What one call of process() reads at most, so that a flood of events leaves the app its turn. */
#define READ_BUDGET_BYTES ((size_t)1 << 20)

bool connection_wanted(const struct udptun_client *client)
{
    return client->fd == NO_SOCKET && !client->freed &&
           (client->config.reconnect || !list_empty(&client->requests));
}

static void tell_state(struct udptun_client *client, enum udptun_client_state state,
                       const struct udptun_error *err)
{
    if (client->config.state)
        client->config.state(client->config.arg, client, state, err);
}

void connection_close(struct udptun_client *client)
{
    if (client->fd != NO_SOCKET)
        socket_close(client->fd);
    client->fd = NO_SOCKET;
    greeting_forget(client);
    inbox_clear(&client->inbox);
}

static void connection_retry_later(struct udptun_client *client)
{
    client->retry_at_ms = client_now_ms() + client->pause_ms;
    client->pause_ms = client->pause_ms * 2;
    if (client->pause_ms > client->config.reconnect_max_ms)
        client->pause_ms = client->config.reconnect_max_ms;
}

/* The connection ended, for the reason in `err`. */
static void connection_lost(struct udptun_client *client, const struct udptun_error *err)
{
    struct udptun_error reason = client->parting.code ? client->parting : *err;
    client->last_error = reason;
    client->parting = (struct udptun_error){0};
    connection_close(client);
    if (client->config.reconnect)
        connection_retry_later(client);
    requests_fail(client, client->config.reconnect, &reason);
    if (!client->freed)
        tell_state(client, UDPTUN_CLIENT_DISCONNECTED, &reason);
}

static void note_refusal(struct udptun_client *client, int cause)
{
    const char *path = client->paths[client->path_count - 1];
    if (io_of(cause) == IO_DENIED)
        error_set_errno(&client->last_error, UDPTUN_E_PERMISSION, cause, NULL, "%s", path);
    else if (client->path_count > 1)
        error_set_errno(&client->last_error, UDPTUN_E_UNREACHABLE, cause, NULL,
                        "no daemon answers on %s or %s", client->paths[0], path);
    else
        error_set_errno(&client->last_error, UDPTUN_E_UNREACHABLE, cause, NULL,
                        "no daemon answers on %s", path);
}

int connection_open(struct udptun_client *client)
{
    int cause = 0;
    for (client->path_at = 0; client->path_at < client->path_count; client->path_at++) {
        cause = local_connect(client->paths[client->path_at], &client->fd);
        if (cause == 0 || io_of(cause) == IO_AGAIN)
            break;
    }
    if (cause == 0) {
        client->generation++;
        static const struct udptun_error none = {0};
        client->last_error = none;
        if (client->subscription && request_renew_subscription(client) < 0) {
            struct udptun_error err;
            error_set(&err, UDPTUN_E_NOMEM, NULL, "out of memory");
            connection_lost(client, &err);
            return UDPTUN_E_NOMEM;
        }
        tell_state(client, UDPTUN_CLIENT_CONNECTED, &none);
        return UDPTUN_OK;
    }

    note_refusal(client, cause);
    if (io_of(cause) == IO_AGAIN) {
        client->retry_at_ms = client_now_ms() + BUSY_PAUSE_MS;
        return client->last_error.code;
    }
    client->path_at = 0;
    if (client->config.reconnect) {
        connection_retry_later(client);
    } else {
        struct udptun_error reason = client->last_error;
        requests_fail(client, false, &reason);
    }
    return client->last_error.code;
}

/* A failure is left for the reading side to find: what the daemon said before it closed is read
 * first. 0, or the system's error number when there is nothing to be read for either. */
static int send_all(struct udptun_client *client)
{
    struct request *request;
    while ((request = request_to_send(client)) != NULL) {
        if (greeting_holds(client, request)) {
            greeting_send(client, request);
            continue;
        }
        if (!greeting_allows(client, request)) {
            request_drop(request);
            continue;
        }
        size_t sent;
        int failure =
            local_write(client->fd, request->text + request->sent, request->size - request->sent,
                        &sent, request->fds, request->sent == 0 ? request->fd_count : 0);
        enum io what = io_of(failure);
        if (what == IO_AGAIN || what == IO_CLOSED || what == IO_RESET)
            return 0;
        if (failure)
            return failure;
        request->sent += sent;
        if (request->sent == request->size)
            request_was_sent(request);
        else
            request_close_fds(request);
    }
    return 0;
}

/* Hand out every whole object. False: the connection is lost or the client freed. */
static bool dispatch_inbox(struct udptun_client *client)
{
    struct udptun_error err;
    char *text;
    size_t size;
    int found;
    while ((found = inbox_next(&client->inbox, &text, &size)) > 0) {
        int code = reply_dispatch(client, text, size, &err);
        if (client->freed)
            return false;
        if (code < 0) {
            connection_lost(client, &err);
            return false;
        }
    }
    if (found == 0)
        return true;
    if (found == UDPTUN_E_LIMIT)
        error_set(&err, found, NULL, "the reply is longer than %zu bytes", client->inbox.limit);
    else
        error_set(&err, found, NULL, "what answers on %s does not speak JSON",
                  udptun_client_get_socket_path(client));
    connection_lost(client, &err);
    return false;
}

static void receive_all(struct udptun_client *client)
{
    struct udptun_error err;
    for (size_t budget = READ_BUDGET_BYTES; budget > 0;) {
        size_t room;
        char *to = inbox_room(&client->inbox, &room);
        if (!to) {
            error_set(&err, UDPTUN_E_NOMEM, NULL, "out of memory");
            connection_lost(client, &err);
            return;
        }
        size_t got;
        int failure = socket_read(client->fd, to, room, &got);
        if (io_of(failure) == IO_AGAIN)
            return;
        if (got == 0) {
            error_set_errno(&err, UDPTUN_E_UNREACHABLE, failure ? failure : io_error(IO_RESET),
                            NULL, "the daemon closed the connection before it answered");
            connection_lost(client, &err);
            return;
        }
        inbox_filled(&client->inbox, got);
        if (!dispatch_inbox(client))
            return;
        budget -= got < budget ? got : budget;
    }
}

void connection_work(struct udptun_client *client)
{
    int failure = send_all(client);
    if (!failure) {
        receive_all(client);
        if (client->freed || client->fd == NO_SOCKET)
            return;
        failure = send_all(client); /* what waited for the reply to hello */
    }
    if (!failure)
        return;
    struct udptun_error err;
    error_set_errno(&err, UDPTUN_E_UNREACHABLE, failure, NULL, "cannot send to %s",
                    udptun_client_get_socket_path(client));
    connection_lost(client, &err);
}
