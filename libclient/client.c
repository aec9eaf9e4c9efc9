/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.c - the client's handle.
 *
 * Theory of operation
 *
 * A client owns one Unix socket at most, a queue of requests and an inbox.
 *
 *     call() ──▶ requests: [sent, waits] [sent, waits] [half sent] [unsent] ──▶ socket
 *                    ▲                                                            │
 *                    └── by id ── reply.c ◀── whole objects ◀── inbox ◀───────────┘
 *
 * call() only queues; everything else happens in process(), in this order: connect if a
 * connection is wanted and due, send, receive and dispatch, time out. So no callback fires where
 * the app does not expect one.
 *
 * A request is completed exactly once, by request_complete(), which unlinks it before its
 * callback runs; whatever the callback does finds it gone already. One that is completed with
 * half its bytes sent stays, mute, until the rest is out.
 *
 * The app may free the client in any callback. Therefore every way into the library that fires
 * callbacks is bracketed by client_enter() and client_leave(): free() sets `freed` and completes
 * what is outstanding, loops look at `freed` after each callback, and the outermost leave()
 * releases the memory.
 */
#include "libclient/internal.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/platform/clock.h"
#include "proto/error.h"
#include "proto/version.h"
#include "proto/versioned.h"

#define DEFAULT_TIMEOUT_MS       10000
#define DEFAULT_RECONNECT_MIN_MS 100
#define DEFAULT_RECONNECT_MAX_MS 5000
#define DEFAULT_MAX_REPLY_BYTES  ((size_t)16 << 20)

const char *udptun_client_version(void)
{
    return UDPTUN_VERSION;
}

const char *udptun_client_code_name(int code)
{
    return error_name(code);
}

int64_t client_now_ms(void)
{
    return (int64_t)(clock_us() / 1000); /* the clock of the daemon's deadlines */
}

void udptun_client_config_init_sized(struct udptun_client_config *config, size_t size)
{
    const struct udptun_client_config defaults = {
        .size = sizeof defaults,
        .timeout_ms = DEFAULT_TIMEOUT_MS,
        .reconnect_min_ms = DEFAULT_RECONNECT_MIN_MS,
        .reconnect_max_ms = DEFAULT_RECONNECT_MAX_MS,
        .max_reply_bytes = DEFAULT_MAX_REPLY_BYTES,
    };
    versioned_init(config, size, &defaults, sizeof defaults);
}

static int client_config_check(const struct udptun_client_config *config, struct udptun_error *err)
{
    if (config->timeout_ms < UDPTUN_CLIENT_NO_TIMEOUT)
        return error_set(err, UDPTUN_E_INVALID, "timeout_ms", "timeout_ms: is negative");
    if (config->reconnect_min_ms < 1 || config->reconnect_max_ms < config->reconnect_min_ms)
        return error_set(err, UDPTUN_E_INVALID, "reconnect_min_ms",
                         "reconnect_min_ms: must be at least 1 and at most reconnect_max_ms");
    if (config->max_reply_bytes == 0)
        return error_set(err, UDPTUN_E_INVALID, "max_reply_bytes", "max_reply_bytes: is 0");
    return UDPTUN_OK;
}

static void destroy(struct udptun_client *client)
{
    for (size_t i = 0; i < client->path_count; i++)
        free(client->paths[i]);
    inbox_fini(&client->inbox);
    free(client->subscription);
    free(client);
}

udptun_client *udptun_client_new(const struct udptun_client_config *given, struct udptun_error *err)
{
    struct udptun_client_config whole;
    const struct udptun_client_config *config = &whole;
    udptun_client_config_init(&whole);
    if (given && !versioned_read(&whole, sizeof whole, given,
                                 VERSIONED_LEAST(struct udptun_client_config, socket_path))) {
        error_set(err, UDPTUN_E_INVALID, "size", "size: not that of a known version");
        return NULL;
    }
    if (client_config_check(config, err) < 0)
        return NULL;

    struct udptun_client *client = calloc(1, sizeof *client);
    if (!client) {
        error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
        return NULL;
    }
    client->config = *config;
    client->config.socket_path = NULL; /* the caller's string; paths[] has what is used */
    client->fd = NO_SOCKET;
    client->pause_ms = config->reconnect_min_ms;
    list_init(&client->requests);
    inbox_init(&client->inbox, config->max_reply_bytes);
    if (socket_paths_find(client, config->socket_path, err) < 0) {
        destroy(client);
        return NULL;
    }
    if (err)
        *err = (struct udptun_error){0};
    return client;
}

void client_enter(struct udptun_client *client)
{
    client->depth++;
}

bool client_leave(struct udptun_client *client)
{
    client->depth--;
    if (!client->freed)
        return true;
    if (client->depth == 0)
        destroy(client);
    return false;
}

void udptun_client_free(udptun_client *client)
{
    if (!client || client->freed)
        return;
    client->freed = true;
    client_enter(client);
    connection_close(client);
    struct udptun_error err;
    error_set(&err, UDPTUN_E_CANCELLED, NULL, "cancelled: the client was freed");
    requests_fail(client, false, &err);
    client_leave(client);
}

const char *udptun_client_get_socket_path(const udptun_client *client)
{
    return client->paths[client->path_at];
}

int udptun_client_get_fd(const udptun_client *client)
{
    return client->fd;
}

uint64_t udptun_client_get_generation(const udptun_client *client)
{
    return client->generation;
}

unsigned udptun_client_get_events(const udptun_client *client)
{
    if (client->fd == NO_SOCKET)
        return 0;
    return UDPTUN_CLIENT_READ | (request_to_send(client) ? UDPTUN_CLIENT_WRITE : 0);
}

int64_t udptun_client_get_timeout_ms(const udptun_client *client)
{
    int64_t due = requests_deadline_ms(client);
    if (connection_wanted(client) && (due < 0 || client->retry_at_ms < due))
        due = client->retry_at_ms;
    if (due < 0)
        return -1;
    int64_t now = client_now_ms();
    return due > now ? due - now : 0;
}

int udptun_client_process(udptun_client *client)
{
    /* From a callback: what is due is under way up the stack. */
    if (client->depth > 0)
        return client->freed || client->fd != NO_SOCKET ? UDPTUN_OK : client->last_error.code;
    client_enter(client);
    if (connection_wanted(client) && client_now_ms() >= client->retry_at_ms)
        connection_open(client);
    if (!client->freed && client->fd != NO_SOCKET)
        connection_work(client);
    if (!client->freed)
        requests_time_out(client);

    int code = client->freed || client->fd != NO_SOCKET ? UDPTUN_OK : client->last_error.code;
    return client_leave(client) ? code : UDPTUN_E_CANCELLED;
}
