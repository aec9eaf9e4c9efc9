/* SPDX-License-Identifier: Apache-2.0 */
/* test_client_uv.c - libuv driving libclient, against a daemon that the same loop serves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include <udptun/client_uv.h>

#include "tests/unit/client_far.h"

/* A far end in the loop: it answers each message, and may hang up after it. */
struct server {
    struct far *far;
    uv_poll_t listener, connection;
    bool hang_up_after_one;
    int accepted;
};

static void on_request(uv_poll_t *handle, int status, int events)
{
    struct server *server = handle->data;
    char text[4096], reply[64];
    (void)events;
    assert_int_equal(status, 0);
    const char *id = strstr(far_hear(server->far, text), "\"id\":");
    if (id) {
        snprintf(reply, sizeof reply, "{\"id\":%d,\"statusCode\":0}", atoi(id + 5));
        far_say(server->far, reply);
        if (!server->hang_up_after_one)
            return;
    }
    uv_poll_stop(&server->connection);
    far_hang_up(server->far);
    uv_close((uv_handle_t *)&server->connection, NULL);
}

static void on_connection(uv_poll_t *handle, int status, int events)
{
    struct server *server = handle->data;
    (void)events;
    assert_int_equal(status, 0);
    far_accept(server->far);
    server->accepted++;
    uv_poll_init(handle->loop, &server->connection, server->far->fd);
    server->connection.data = server;
    uv_poll_start(&server->connection, UV_READABLE, on_request);
    uv_unref((uv_handle_t *)&server->connection);
}

static void server_start(struct server *server, struct far *far, uv_loop_t *loop)
{
    server->far = far;
    uv_poll_init(loop, &server->listener, far->listener);
    server->listener.data = server;
    uv_poll_start(&server->listener, UV_READABLE, on_connection);
    uv_unref((uv_handle_t *)&server->listener);
}

static void on_adapter_closed(struct udptun_client_uv *in_loop)
{
    (*(int *)in_loop->data)++;
}

static void end_loop(uv_loop_t *loop, struct server *server)
{
    if (server)
        uv_close((uv_handle_t *)&server->listener, NULL);
    uv_run(loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(loop), 0); /* no handle was forgotten */
}

/* Each time the far end hangs up, so each call needs a connection of its own, and each has the
 * descriptor's number of the one before. */
static void a_libuv_loop_drives_the_client_over_reconnections(void **state)
{
    struct far *far = *state;
    struct server server = {.hang_up_after_one = true};
    uv_loop_t loop;
    uv_loop_init(&loop);
    server_start(&server, far, &loop);
    udptun_client *client = client_to(far, false, NULL);
    struct udptun_client_uv in_loop;
    int closed = 0;
    udptun_client_uv_start(&in_loop, &loop, client);
    in_loop.data = &closed;
    in_loop.closed = on_adapter_closed;
    for (int turn = 1; turn <= 3; turn++) {
        struct seen seen = {0};
        call(client, "a", NULL, &seen);
        udptun_client_uv_arm(&in_loop);
        uv_run(&loop, UV_RUN_DEFAULT); /* ends when the connection has gone */
        assert_int_equal(seen.calls, 1);
        assert_int_equal(seen.error.code, UDPTUN_OK);
        assert_int_equal(udptun_client_get_generation(client), turn);
        assert_int_equal(udptun_client_get_fd(client), -1);
    }
    assert_int_equal(server.accepted, 3);
    udptun_client_uv_stop(&in_loop);
    udptun_client_uv_stop(&in_loop);
    udptun_client_free(client);
    end_loop(&loop, &server);
    assert_int_equal(closed, 1);
}

static void a_call_made_before_the_loop_runs_needs_no_word_to_the_adapter(void **state)
{
    struct far *far = *state;
    struct server server = {.hang_up_after_one = true};
    uv_loop_t loop;
    uv_loop_init(&loop);
    server_start(&server, far, &loop);
    udptun_client *client = client_to(far, false, NULL);
    struct udptun_client_uv in_loop;
    struct seen second = {0}, first = {.call = &second};
    udptun_client_uv_start(&in_loop, &loop, client);
    call(client, "a", NULL, &first);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(first.calls, 1);
    assert_int_equal(second.calls, 1); /* it was made in the callback of the first */
    udptun_client_uv_stop(&in_loop);
    udptun_client_free(client);
    end_loop(&loop, &server);
}

static void a_libuv_loop_ends_when_a_callback_frees_the_client(void **state)
{
    struct far *far = *state;
    struct server server = {.far = NULL};
    uv_loop_t loop;
    uv_loop_init(&loop);
    server_start(&server, far, &loop);
    struct seen seen = {.free_client = true};
    udptun_client *client = client_to(far, false, NULL);
    struct udptun_client_uv in_loop;
    int closed = 0;
    udptun_client_uv_start(&in_loop, &loop, client);
    in_loop.data = &closed;
    in_loop.closed = on_adapter_closed;
    call(client, "a", NULL, &seen);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(seen.calls, 1);
    assert_null(in_loop.client);
    assert_int_equal(closed, 1);
    uv_ref((uv_handle_t *)&server.connection);
    end_loop(&loop, &server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_libuv_loop_drives_the_client_over_reconnections),
        TEST(a_call_made_before_the_loop_runs_needs_no_word_to_the_adapter),
        TEST(a_libuv_loop_ends_when_a_callback_frees_the_client),
    };
    return cmocka_run_group_tests_name("libclient, in libuv", tests, NULL, NULL);
}
