/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connection.c - the socket: connecting, losing and retrying, bytes out and in.
 *
 * A Unix socket connects at once or not at all, so there is no state between. A daemon whose
 * accept queue is full (EAGAIN) is there but busy: that is tried again in a moment, also by a
 * client that does not reconnect, for as long as its calls have time.
 */
#include "libclient/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/error.h"

#define BUSY_PAUSE_MS 20

/* What one call of process() reads at most, so that a flood of events leaves the app its turn. */
#define READ_BUDGET_BYTES ((size_t)1 << 20)

bool connection_wanted(const struct udptun_client *client)
{
    return client->fd < 0 && !client->freed &&
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
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
    inbox_clear(&client->inbox);
}

static void retry_later(struct udptun_client *client)
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
        retry_later(client);
    requests_fail(client, client->config.reconnect, &reason);
    if (!client->freed)
        tell_state(client, UDPTUN_CLIENT_DISCONNECTED, &reason);
}

/* 0 or an errno. */
static int connect_path(struct udptun_client *client, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return errno;
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0) {
        int cause = errno;
        close(fd);
        return cause;
    }
    client->fd = fd;
    client->generation++;
    return 0;
}

static void note_refusal(struct udptun_client *client, int cause)
{
    const char *path = client->paths[client->path_count - 1];
    if (cause == EACCES || cause == EPERM)
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
        cause = connect_path(client, client->paths[client->path_at]);
        if (cause == 0 || cause == EAGAIN)
            break;
    }
    if (cause == 0) {
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
    if (cause == EAGAIN) {
        client->retry_at_ms = client_now_ms() + BUSY_PAUSE_MS;
        return client->last_error.code;
    }
    client->path_at = 0;
    if (client->config.reconnect) {
        retry_later(client);
    } else {
        struct udptun_error reason = client->last_error;
        requests_fail(client, false, &reason);
    }
    return client->last_error.code;
}

/* sendmsg() with the request's descriptors on its first byte. */
static ssize_t send_some(int fd, struct request *request)
{
    union {
        struct cmsghdr align;
        char data[CMSG_SPACE(sizeof request->fds)];
    } control = {0};
    struct iovec iov = {request->text + request->sent, request->size - request->sent};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

    if (request->sent == 0 && request->fd_count > 0) {
        size_t size = request->fd_count * sizeof request->fds[0];
        message.msg_control = control.data;
        message.msg_controllen = CMSG_SPACE(size);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(size);
        memcpy(CMSG_DATA(header), request->fds, size);
    }
    return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* A failure is left for the reading side to find: what the daemon said before it closed is read
 * first. Returns false when there is nothing to be read for either. */
static bool send_all(struct udptun_client *client)
{
    struct request *request;
    while ((request = request_to_send(client)) != NULL) {
        ssize_t sent = send_some(client->fd, request);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno == EAGAIN || errno == EPIPE || errno == ECONNRESET;
        request->sent += (size_t)sent;
        if (request->sent == request->size)
            request_was_sent(request);
        else
            while (request->fd_count > 0)
                close(request->fds[--request->fd_count]);
    }
    return true;
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
        ssize_t got = recv(client->fd, to, room, MSG_DONTWAIT);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0) {
            error_set_errno(&err, UDPTUN_E_UNREACHABLE, got < 0 ? errno : ECONNRESET, NULL,
                            "the daemon closed the connection before it answered");
            connection_lost(client, &err);
            return;
        }
        inbox_filled(&client->inbox, (size_t)got);
        if (!dispatch_inbox(client))
            return;
        budget -= (size_t)got < budget ? (size_t)got : budget;
    }
}

void connection_work(struct udptun_client *client)
{
    if (send_all(client)) {
        receive_all(client);
        return;
    }
    struct udptun_error err;
    error_set_errno(&err, UDPTUN_E_UNREACHABLE, errno, NULL, "cannot send to %s",
                    udptun_client_get_socket_path(client));
    connection_lost(client, &err);
}
