/* SPDX-License-Identifier: Apache-2.0 */
/* test_client_wait.c - what is passed to libclient, waiting for it, and libev driving it. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <udptun/client_ev.h>

#include "tests/unit/client_far.h"

/* ---- what is passed in -------------------------------------------------------------------------
 */

static void what_cannot_be_sent_is_refused_and_never_called_back(void **state)
{
    struct far *far = *state;
    struct seen seen = {0};
    udptun_client *client = client_to(far, false, NULL);
    struct udptun_client_request request;
    struct udptun_error err;
    static const char *const bad[] = {"[1]", "{", "{\"a\":1,\"a\":2}", "{} {}", "{\"a\":\"\xff\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        udptun_client_request_init(&request, "a");
        request.parameters = bad[i];
        assert_int_equal(udptun_client_call(client, &request, on_reply, &seen, NULL, &err),
                         UDPTUN_E_INVALID);
        assert_string_equal(err.field, "parameters");
    }
    udptun_client_request_init(&request, "");
    assert_int_equal(udptun_client_call(client, &request, on_reply, &seen, NULL, &err),
                     UDPTUN_E_INVALID);
    int none = -1;
    udptun_client_request_init(&request, "a");
    request.fds = &none;
    request.fd_count = 1;
    assert_int_equal(udptun_client_call(client, &request, on_reply, &seen, NULL, &err),
                     UDPTUN_E_INVALID);
    udptun_client_free(client);
    assert_int_equal(seen.calls, 0);

    struct udptun_client_config config;
    udptun_client_config_init(&config);
    config.size = 3;
    assert_null(udptun_client_new(&config, &err));
    assert_int_equal(err.code, UDPTUN_E_INVALID);
    char longer[300];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    udptun_client_config_init(&config);
    config.socket_path = longer;
    assert_null(udptun_client_new(&config, &err));
    assert_string_equal(err.field, "socket_path");
}

/* ---- what the daemon is told of a caller's patience --------------------------------------------
 */

/* A call with a timeout, up to the reply to hello, whose members are `hello`. Hears what is sent
 * then. */
static udptun_client *call_with_timeout(struct far *far, const char *hello, struct seen *seen,
                                        uint64_t *id, char text[4096])
{
    udptun_client *client = client_to(far, false, NULL);
    struct udptun_client_request request;
    udptun_client_request_init(&request, "a");
    request.timeout_ms = 60 * 1000;
    assert_int_equal(udptun_client_call(client, &request, on_reply, seen, id, NULL), 0);
    udptun_client_process(client);
    far_accept(far);
    assert_string_equal(far_hear(far, text), "{\"action\":\"hello\",\"id\":0}\n");
    snprintf(text, 4096, "{\"id\":0,\"statusCode\":0,\"returnValue\":{%s}}", hello);
    far_say(far, text);
    udptun_client_process(client);
    far_hear(far, text);
    return client;
}

static void a_deadline_is_by_the_clock_of_the_daemon(void **state)
{
    struct far *far = *state;
    struct seen seen = {0};
    char text[4096];
    udptun_client *client =
        call_with_timeout(far, "\"clock\":5000000,\"features\":[\"deadline\"]", &seen, NULL, text);
    const char *deadline = strstr(text, ",\"deadline\":50");
    assert_non_null(deadline);
    /* The timeout less the time that an answer takes, from a clock that was read just now. */
    assert_in_range(strtoul(deadline + strlen(",\"deadline\":"), NULL, 10), 5030000, 5060000);
    assert_string_equal(text + strlen(text) - 2, "}\n");
    udptun_client_free(client);
}

static void an_older_daemon_hears_of_no_deadline_and_no_cancel(void **state)
{
    struct far *far = *state;
    struct seen seen = {0}, next = {0};
    char text[4096];
    uint64_t id;
    udptun_client *client = call_with_timeout(far, "\"features\":[\"wait\"]", &seen, &id, text);
    assert_null(strstr(text, "deadline"));
    assert_int_equal(udptun_client_cancel(client, id), 0);
    assert_int_equal(seen.error.code, UDPTUN_E_CANCELLED);
    call(client, "next", NULL, &next);
    udptun_client_process(client);
    assert_null(strstr(far_hear(far, text), "cancel"));
    assert_non_null(strstr(text, "next"));
    udptun_client_free(client);
}

static void a_call_that_is_cancelled_is_withdrawn_at_the_daemon(void **state)
{
    struct far *far = *state;
    struct seen seen = {0}, other = {0};
    char text[4096], withdrawn[64];
    uint64_t id;
    udptun_client *client = call_with_timeout(far, "\"features\":[\"cancel\"]", &seen, &id, text);
    assert_int_equal(udptun_client_cancel(client, id), 0);
    assert_int_equal(seen.calls, 1);
    udptun_client_process(client);
    snprintf(withdrawn, sizeof withdrawn, "\"parameters\":{\"call\":%u}", (unsigned)id);
    assert_non_null(strstr(far_hear(far, text), "\"action\":\"cancel\""));
    assert_non_null(strstr(text, withdrawn));
    far_say(far,
            "{\"id\":1,\"statusCode\":106}{\"id\":2,\"statusCode\":0}"); /* nobody's any more */
    call(client, "next", NULL, &other);
    udptun_client_process(client);
    far_say(far, "{\"id\":3,\"statusCode\":0}");
    udptun_client_process(client);
    assert_int_equal(seen.calls, 1);
    assert_int_equal(other.calls, 1);
    udptun_client_free(client);
}

/* ---- descriptors
 * ---------------------------------------------------------------------------------
 */

static void descriptors_come_with_the_first_byte_of_their_message(void **state)
{
    struct far *far = *state;
    struct seen before = {0}, with = {0};
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    udptun_client *client = client_to(far, false, NULL);
    call(client, "before", NULL, &before);
    struct udptun_client_request request;
    udptun_client_request_init(&request, "with");
    request.fds = ends;
    request.fd_count = 2;
    assert_int_equal(udptun_client_call(client, &request, on_reply, &with, NULL, NULL), 0);
    struct stat mine[2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fstat(ends[i], &mine[i]), 0);
        close(ends[i]); /* duplicated: the caller's own may go */
    }
    udptun_client_process(client);
    far_accept(far);

    bool found = false;
    while (!found) {
        char text[4096] = "";
        char control[256];
        struct iovec iov = {text, sizeof text - 1};
        struct msghdr message = {.msg_iov = &iov,
                                 .msg_iovlen = 1,
                                 .msg_control = control,
                                 .msg_controllen = sizeof control};
        assert_true(recvmsg(far->fd, &message, 0) > 0);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        if (!header)
            continue;
        found = true;
        assert_non_null(strstr(text, "{\"action\":\"with\"")); /* may be glued to the one before */
        int got[2];
        assert_int_equal(header->cmsg_len, CMSG_LEN(sizeof got));
        memcpy(got, CMSG_DATA(header), sizeof got);
        for (int i = 0; i < 2; i++) {
            struct stat theirs;
            assert_int_equal(fstat(got[i], &theirs), 0);
            assert_int_equal(theirs.st_ino, mine[i].st_ino);
            close(got[i]);
        }
    }
    udptun_client_free(client);
}

/* ---- synchronous -------------------------------------------------------------------------------
 */

/* Serves one connection: each message is answered with the next line of the script. */
struct server {
    struct far *far;
    const char *const *script;
};

static void *serve(void *arg)
{
    struct server *server = arg;
    far_accept(server->far);
    for (const char *const *line = server->script; *line; line++) {
        char text[4096];
        far_hear(server->far, text);
        far_say(server->far, *line);
    }
    return NULL;
}

static void the_synchronous_functions_wait_for_their_reply(void **state)
{
    struct far *far = *state;
    static const char *const script[] = {
        "{\"id\":1,\"statusCode\":0,\"returnValue\":{\"changed\":true}}",
        "{\"id\":2,\"statusCode\":0,\"returnValue\":{\"changed\":false}}",
        "{\"id\":3,\"statusCode\":0,\"returnValue\":{\"udpTunnels\":[]}}",
        "{\"id\":4,\"statusCode\":0,\"returnValue\":{\"rttMs\":[1.5,2]}}",
        "{\"id\":5,\"statusCode\":100,\"errorMessage\":\"no tunnel x\"}",
        NULL,
    };
    struct server server = {far, script};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, serve, &server), 0);

    udptun_client *client = client_to(far, false, NULL);
    struct udptun_error err;
    bool changed = false;
    assert_int_equal(
        udptun_client_configure_tunnel(client, "{\"name\":\"a\"}", true, 1, &changed, &err), 0);
    assert_true(changed);
    assert_int_equal(udptun_client_remove_tunnel(client, "a", &changed, &err), 0);
    assert_false(changed);
    char *text = NULL;
    assert_int_equal(udptun_client_get_status(client, NULL, &text, &err), 0);
    assert_string_equal(text, "{\"udpTunnels\":[]}");
    udptun_client_free_text(text);
    double rtt_ms[1];
    int answered = 0;
    assert_int_equal(udptun_client_ping(client, "a", 1, rtt_ms, &answered, &err), 0);
    assert_int_equal(answered, 1);
    assert_true(rtt_ms[0] > 1.49 && rtt_ms[0] < 1.51);
    struct udptun_client_request request;
    udptun_client_request_init(&request, "getStatus");
    assert_int_equal(udptun_client_call_wait(client, &request, &text, &err), UDPTUN_E_NOT_FOUND);
    assert_non_null(strstr(text, "no tunnel x"));
    assert_string_equal(err.message, "no tunnel x");
    udptun_client_free_text(text);
    pthread_join(thread, NULL);

    /* Nobody answers this one. */
    request.timeout_ms = 1;
    assert_int_equal(udptun_client_call_wait(client, &request, &text, &err), UDPTUN_E_TIMEOUT);
    assert_null(text);
    udptun_client_free(client);
}

static void a_daemon_restarted_while_nobody_looked_is_called_again(void **state)
{
    struct far *far = *state;
    static const char *const first[] = {"{\"id\":1,\"statusCode\":0}", NULL};
    static const char *const second[] = {"{\"id\":2,\"statusCode\":0}", NULL};
    udptun_client *client = client_to(far, false, NULL);
    struct udptun_client_request request;
    udptun_client_request_init(&request, "hello");
    for (int start = 0; start < 2; start++) {
        struct server server = {far, start == 0 ? first : second};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, serve, &server), 0);
        assert_int_equal(udptun_client_call_wait(client, &request, NULL, NULL), 0);
        pthread_join(thread, NULL);
        far_stop(far);
        far_listen(far);
    }
    udptun_client_free(client);
}

static void *serve_huge(void *arg)
{
    struct far *far = arg;
    far_accept(far);
    char text[4096];
    far_hear(far, text);
    far_say(far, "{\"id\":1,\"statusCode\":0,\"returnValue\":[");
    for (int i = 0; i < 200000; i++)
        far_say(far, "\"a flow of some length\",");
    far_say(far, "0]}");
    return NULL;
}

static void a_reply_of_megabytes_arrives_whole(void **state)
{
    struct far *far = *state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, serve_huge, far), 0);
    udptun_client *client = client_to(far, false, NULL);
    struct udptun_client_request request;
    udptun_client_request_init(&request, "listFlows");
    request.timeout_ms = 60000;
    char *text = NULL;
    struct udptun_error err;
    assert_int_equal(udptun_client_call_wait(client, &request, &text, &err), 0);
    assert_int_equal(strlen(text), strlen("{\"id\":1,\"statusCode\":0,\"returnValue\":[0]}") +
                                       200000 * strlen("\"a flow of some length\","));
    udptun_client_free_text(text);
    pthread_join(thread, NULL);
    udptun_client_free(client);
}

static void wait_in_a_callback(void *arg, udptun_client *client,
                               const struct udptun_client_reply *reply)
{
    (void)reply;
    struct udptun_client_request request;
    udptun_client_request_init(&request, "a");
    *(int *)arg = udptun_client_call_wait(client, &request, NULL, NULL);
}

static void waiting_in_a_callback_is_refused(void **state)
{
    struct far *far = *state;
    udptun_client *client = client_to(far, false, NULL);
    struct udptun_client_request request;
    udptun_client_request_init(&request, "a");
    int code = 0;
    uint64_t id;
    udptun_client_call(client, &request, wait_in_a_callback, &code, &id, NULL);
    udptun_client_cancel(client, id);
    assert_int_equal(code, UDPTUN_E_CONFLICT);
    udptun_client_free(client);
}

/* ---- in a libev loop ---------------------------------------------------------------------------
 */

static void on_reply_break(void *arg, udptun_client *client,
                           const struct udptun_client_reply *reply)
{
    struct seen *seen = arg;
    on_reply(seen, client, reply);
    ev_break(seen->loop, EVBREAK_ALL);
}

static void *serve_twice(void *arg)
{
    struct server *server = arg;
    serve(server);
    far_hang_up(server->far);
    return serve(server);
}

/* The second connection has the descriptor's number of the first. */
static void a_libev_loop_drives_the_client_over_a_reconnection(void **state)
{
    struct far *far = *state;
    static const char *const script[] = {"{\"id\":1,\"statusCode\":0}{\"id\":2,\"statusCode\":0}",
                                         NULL};
    struct server server = {far, script};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, serve_twice, &server), 0);

    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    udptun_client *client = client_to(far, false, NULL);
    struct udptun_client_ev in_loop;
    udptun_client_ev_start(&in_loop, loop, client);
    for (int turn = 0; turn < 2; turn++) {
        struct seen seen = {.loop = loop};
        struct udptun_client_request request;
        udptun_client_request_init(&request, "a");
        assert_int_equal(udptun_client_call(client, &request, on_reply_break, &seen, NULL, NULL),
                         0);
        ev_run(loop, 0);
        assert_int_equal(seen.calls, 1);
        assert_int_equal(seen.error.code, UDPTUN_OK);
        while (turn == 0 && udptun_client_get_fd(client) >= 0)
            ev_run(loop, EVRUN_ONCE);
    }
    assert_int_equal(udptun_client_get_generation(client), 2);
    pthread_join(thread, NULL);
    udptun_client_ev_stop(&in_loop);
    udptun_client_free(client);
    ev_loop_destroy(loop);
}

static void a_libev_loop_ends_when_a_callback_frees_the_client(void **state)
{
    struct far *far = *state;
    far_stop(far);
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct seen seen = {.free_client = true};
    udptun_client *client = client_to(far, false, NULL);
    struct udptun_client_ev in_loop;
    udptun_client_ev_start(&in_loop, loop, client);
    call(client, "a", NULL, &seen);
    ev_run(loop, 0);
    assert_int_equal(seen.calls, 1);
    assert_null(in_loop.client);
    ev_loop_destroy(loop);
}

/* ---- where the socket is -----------------------------------------------------------------------
 */

static void the_environment_names_the_socket(void **state)
{
    struct far *far = *state;
    setenv("UDPTUND_SOCKET", far->path, 1);
    udptun_client *client = udptun_client_new(NULL, NULL);
    assert_string_equal(udptun_client_get_socket_path(client), far->path);
    udptun_client_free(client);
    unsetenv("UDPTUND_SOCKET");

    setenv("XDG_RUNTIME_DIR", "/nowhere", 1);
    client = udptun_client_new(NULL, NULL);
    assert_string_equal(udptun_client_get_socket_path(client),
                        geteuid() == 0 ? "/run/udptund/control.sock"
                                       : "/nowhere/udptund/control.sock");
    udptun_client_free(client);
    unsetenv("XDG_RUNTIME_DIR");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_cannot_be_sent_is_refused_and_never_called_back),
        TEST(a_deadline_is_by_the_clock_of_the_daemon),
        TEST(an_older_daemon_hears_of_no_deadline_and_no_cancel),
        TEST(a_call_that_is_cancelled_is_withdrawn_at_the_daemon),
        TEST(descriptors_come_with_the_first_byte_of_their_message),
        TEST(the_synchronous_functions_wait_for_their_reply),
        TEST(a_daemon_restarted_while_nobody_looked_is_called_again),
        TEST(a_reply_of_megabytes_arrives_whole),
        TEST(waiting_in_a_callback_is_refused),
        TEST(a_libev_loop_drives_the_client_over_a_reconnection),
        TEST(a_libev_loop_ends_when_a_callback_frees_the_client),
        TEST(the_environment_names_the_socket),
    };
    return cmocka_run_group_tests_name("libclient, waiting", tests, NULL, NULL);
}
