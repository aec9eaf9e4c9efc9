/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_client_memory.c - every allocation of libclient fails in turn.
 *
 * The linker hands the library's allocations to the wrappers here, and jansson is told to take
 * its own from them too. For n = 1, 2, ... the same scenario runs with the n-th allocation
 * failing, until one run needs fewer than n. What a call returns may then only be "done" or "out
 * of memory", each accepted call is answered exactly once, and once there is memory again the
 * same client works.
 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>
#include <jansson.h>

#include "tests/unit/client_far.h"

#define MANY_ROUNDS 60000 /* guards against waiting for ever */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);
int __wrap_asprintf(char **text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static unsigned long allocations, fail_at; /* fail_at 0: none */

static bool fails(void)
{
    return ++allocations == fail_at;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = __wrap_malloc(size);
    return copy ? memcpy(copy, text, size) : NULL;
}

int __wrap_asprintf(char **text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size = fails() ? -1 : vasprintf(text, format, arguments);
    va_end(arguments);
    return size;
}

/* ---- the far end -------------------------------------------------------------------------------
 */

/* What the requests in `text` ask for, each with an event behind it. */
static void answer(struct far *far, const char *text)
{
    for (const char *at = text; (at = strstr(at, "\"id\":")) != NULL; at++) {
        char reply[128];
        snprintf(reply, sizeof reply,
                 "{\"id\":%d,\"statusCode\":0,\"returnValue\":{\"changed\":true}}"
                 "{\"event\":\"tunnel.state\",\"seq\":1}",
                 atoi(at + 5));
        far_say(far, reply);
    }
}

/* Accept, hear and answer whatever is there, without waiting. */
static void serve_what_came(struct far *far)
{
    struct pollfd ready[2] = {{.fd = far->listener, .events = POLLIN},
                              {.fd = far->fd, .events = POLLIN}};
    poll(ready, 2, 0);
    if (ready[1].revents) {
        char text[4096];
        if (far_hear(far, text)[0])
            answer(far, text);
        else
            far_hang_up(far);
    }
    if (ready[0].revents && far->fd < 0)
        far_accept(far);
}

static void run_until(struct far *far, udptun_client *client, const int *count, int wanted)
{
    for (int round = 0; *count < wanted; round++) {
        assert_true(round < MANY_ROUNDS);
        udptun_client_process(client);
        serve_what_came(far);
        if (udptun_client_get_timeout_ms(client) > 0)
            poll(NULL, 0, 1); /* the pause before the next attempt to connect */
    }
}

/* ---- the scenario ------------------------------------------------------------------------------
 */

/* A number or a text that jansson has no memory for is an "invalid token" to it, and so a
 * parameter that is not JSON, or a reply that is none. */
static void check_code(int code)
{
    if (code != UDPTUN_OK && code != UDPTUN_E_NOMEM && code != UDPTUN_E_INVALID)
        assert_int_equal(code, UDPTUN_E_BAD_REQUEST);
}

static void check_seen(const struct seen *seen, int accepted)
{
    assert_int_equal(seen->calls, accepted);
    check_code(seen->error.code);
}

static void scenario(struct far *far, udptun_client *client)
{
    struct seen subscribed = {0}, called = {0};
    struct udptun_error err;
    struct udptun_client_request request;
    int code =
        udptun_client_subscribe(client, "state,config", true, on_reply, &subscribed, NULL, &err);
    check_code(code);
    assert_int_equal(err.code, code);
    int accepted = code == UDPTUN_OK;
    udptun_client_request_init(&request, "removeUdpTunnel");
    request.parameters = "{\"name\":\"a\",\"more\":[1,2.5,\"x\"]}";
    code = udptun_client_call(client, &request, on_reply, &called, NULL, &err);
    check_code(code);
    assert_int_equal(err.code, code);
    run_until(far, client, &subscribed.calls, accepted);
    run_until(far, client, &called.calls, code == UDPTUN_OK);
    check_seen(&subscribed, accepted);
    check_seen(&called, code == UDPTUN_OK);

    /* A daemon that comes again: the subscription is renewed ahead of the call. */
    far_hang_up(far);
    struct seen again = {0};
    code = udptun_client_call(client, &request, on_reply, &again, NULL, &err);
    check_code(code);
    for (int round = 0; again.calls == 0 && code == UDPTUN_OK; round++) {
        run_until(far, client, &again.calls, 1);
        /* What was half way when the connection went is told so. */
        if (again.error.code == UDPTUN_E_UNREACHABLE) {
            assert_int_equal(round, 0);
            again = (struct seen){0};
            code = udptun_client_call(client, &request, on_reply, &again, NULL, &err);
            check_code(code);
        }
    }
    check_seen(&again, code == UDPTUN_OK);
}

static bool run(struct far *far, unsigned long n)
{
    struct seen seen = {0};
    struct udptun_error err;
    struct udptun_client_config config;
    udptun_client_config_init(&config);
    config.socket_path = far->path;
    config.reconnect = true;
    config.reconnect_min_ms = config.reconnect_max_ms = 1;
    config.timeout_ms = UDPTUN_CLIENT_NO_TIMEOUT;
    config.arg = &seen;
    config.event = on_event;

    allocations = 0;
    fail_at = n;
    udptun_client *client = udptun_client_new(&config, &err);
    if (client)
        scenario(far, client);
    else
        assert_int_equal(err.code, UDPTUN_E_NOMEM);
    bool reached = allocations >= n;
    fail_at = 0;

    if (client) {
        struct seen after = {0};
        call(client, "hello", NULL, &after);
        run_until(far, client, &after.calls, 1);
        assert_int_equal(after.error.code, UDPTUN_OK);
        assert_string_equal(after.value, "{\"changed\":true}");
    }
    udptun_client_free(client);
    far_hang_up(far);
    return reached;
}

static void the_client_survives_each_failing_allocation(void **state)
{
    unsigned long n = 1;
    while (run(*state, n))
        n++;
    assert_true(n > 60); /* the scenario does reach the code */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_client_survives_each_failing_allocation),
    };
    json_set_alloc_funcs(__wrap_malloc, free);
    return cmocka_run_group_tests_name("libclient, out of memory", tests, NULL, NULL);
}
