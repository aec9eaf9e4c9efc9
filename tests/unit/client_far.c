/* SPDX-License-Identifier: Apache-2.0 */
/* client_far.c - see client_far.h. */
#include "tests/unit/client_far.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the far end ----------------------------------------------------------------------------- */

void far_listen(struct far *far)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, far->path);
    far->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(far->listener >= 0);
    assert_int_equal(bind(far->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(far->listener, 8), 0);
}

int set_up(void **state)
{
    struct far *far = calloc(1, sizeof *far);
    strcpy(far->folder, "/tmp/udptun-client-XXXXXX");
    assert_non_null(mkdtemp(far->folder));
    snprintf(far->path, sizeof far->path, "%s/s", far->folder);
    far->fd = -1;
    far_listen(far);
    *state = far;
    return 0;
}

void far_hang_up(struct far *far)
{
    if (far->fd >= 0)
        close(far->fd);
    far->fd = -1;
}

void far_stop(struct far *far)
{
    far_hang_up(far);
    if (far->listener >= 0)
        close(far->listener);
    far->listener = -1;
    unlink(far->path);
}

int tear_down(void **state)
{
    struct far *far = *state;
    far_stop(far);
    rmdir(far->folder);
    free(far);
    return 0;
}

void far_accept(struct far *far)
{
    far->fd = accept(far->listener, NULL, NULL);
    assert_true(far->fd >= 0);
}

void far_say_bytes(struct far *far, const char *text, size_t size)
{
    assert_int_equal(send(far->fd, text, size, MSG_NOSIGNAL), size);
}

void far_say(struct far *far, const char *text)
{
    far_say_bytes(far, text, strlen(text));
}

const char *far_hear(struct far *far, char text[4096])
{
    ssize_t got = recv(far->fd, text, 4095, 0);
    assert_true(got >= 0);
    text[got] = '\0';
    return text;
}

/* ---- what callbacks saw ------------------------------------------------------------------------
 */

void on_reply(void *arg, udptun_client *client, const struct udptun_client_reply *reply)
{
    struct seen *seen = arg;
    seen->calls++;
    seen->error = reply->error;
    seen->had_json = reply->json != NULL;
    snprintf(seen->value, sizeof seen->value, "%s", reply->value ? reply->value : "");
    if (seen->cancel)
        udptun_client_cancel(client, seen->cancel);
    if (seen->call) {
        struct udptun_client_request request;
        udptun_client_request_init(&request, "again");
        seen->call->error.code =
            udptun_client_call(client, &request, on_reply, seen->call, NULL, NULL);
    }
    if (seen->free_client)
        udptun_client_free(client);
}

void on_state(void *arg, udptun_client *client, enum udptun_client_state state,
              const struct udptun_error *err)
{
    struct seen *seen = arg;
    assert_int_equal(udptun_client_get_fd(client) >= 0, state == UDPTUN_CLIENT_CONNECTED);
    seen->states++;
    seen->last_state = state;
    seen->error = *err;
}

void on_event(void *arg, udptun_client *client, const char *json)
{
    struct seen *seen = arg;
    seen->events++;
    snprintf(seen->event, sizeof seen->event, "%s", json);
    if (seen->free_client)
        udptun_client_free(client);
}

udptun_client *client_to(const struct far *far, bool reconnect, struct seen *seen)
{
    struct udptun_client_config config;
    udptun_client_config_init(&config);
    config.socket_path = far->path;
    config.reconnect = reconnect;
    config.reconnect_min_ms = 1;
    config.reconnect_max_ms = 4;
    config.timeout_ms = UDPTUN_CLIENT_NO_TIMEOUT; /* nothing to tell the daemon by a deadline */
    config.arg = seen;
    if (seen) {
        config.state = on_state;
        config.event = on_event;
    }
    udptun_client *client = udptun_client_new(&config, NULL);
    assert_non_null(client);
    return client;
}

uint64_t call(udptun_client *client, const char *action, const char *parameters, struct seen *seen)
{
    struct udptun_client_request request;
    udptun_client_request_init(&request, action);
    request.parameters = parameters;
    uint64_t id = 0;
    assert_int_equal(udptun_client_call(client, &request, on_reply, seen, &id, NULL), 0);
    assert_int_equal(seen->calls, 0);
    return id;
}
