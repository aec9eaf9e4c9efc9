/* SPDX-License-Identifier: Apache-2.0 */
/* test_client.c - libclient in a loop of the app's own: replies, losses, callbacks, reconnecting.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/client_far.h"

/* ---- replies -----------------------------------------------------------------------------------
 */

static void a_reply_reaches_its_call_in_any_cut(void **state)
{
    struct far *far = *state;
    static const char reply[] =
        " \n{\"action\":\"hello\",\"id\":1,\"statusCode\":0,"
        "\"returnValue\":{\"text\":\"} \\\" {\",\"list\":[1,2.5,{}]}}\n";
    for (size_t cut = 1; cut < sizeof reply - 1; cut++) {
        struct seen seen = {0};
        udptun_client *client = client_to(far, false, NULL);
        assert_int_equal(udptun_client_get_fd(client), -1);
        call(client, "hello", "{\"role\":\"observer\"}", &seen);
        assert_int_equal(udptun_client_get_timeout_ms(client), 0);
        assert_int_equal(udptun_client_process(client), 0);
        far_accept(far);
        char text[4096];
        assert_string_equal(far_hear(far, text),
                            "{\"action\":\"hello\",\"id\":1,\"parameters\":{\"role\":"
                            "\"observer\"}}\n");
        assert_int_equal(udptun_client_get_events(client), UDPTUN_CLIENT_READ);
        far_say_bytes(far, reply, cut);
        udptun_client_process(client);
        far_say_bytes(far, reply + cut, sizeof reply - 1 - cut);
        udptun_client_process(client);
        assert_int_equal(seen.calls, 1);
        assert_int_equal(seen.error.code, UDPTUN_OK);
        assert_string_equal(seen.value, "{\"text\":\"} \\\" {\",\"list\":[1,2.5,{}]}");
        udptun_client_free(client);
        assert_int_equal(seen.calls, 1);
        far_hang_up(far);
    }
}

static void several_replies_in_one_read_go_each_to_its_own_call(void **state)
{
    struct far *far = *state;
    struct seen seen[3] = {0};
    udptun_client *client = client_to(far, false, NULL);
    for (int i = 0; i < 3; i++)
        call(client, "getStatus", NULL, &seen[i]);
    udptun_client_process(client);
    far_accept(far);
    far_say(far,
            "{\"id\":3,\"statusCode\":0,\"returnValue\":\"c\"}"
            "{\"id\":1,\"statusCode\":0,\"returnValue\":\"a\"}\n\n"
            "{\"id\":77,\"statusCode\":0}{\"id\":2,\"statusCode\":0,\"returnValue\":\"b\"}");
    udptun_client_process(client);
    assert_string_equal(seen[0].value, "\"a\"");
    assert_string_equal(seen[1].value, "\"b\"");
    assert_string_equal(seen[2].value, "\"c\"");
    udptun_client_free(client);
    for (int i = 0; i < 3; i++)
        assert_int_equal(seen[i].calls, 1);
}

static void an_error_reply_is_told_in_full(void **state)
{
    struct far *far = *state;
    struct seen seen = {0};
    udptun_client *client = client_to(far, false, NULL);
    call(client, "configureUdpTunnel", "{}", &seen);
    udptun_client_process(client);
    far_accept(far);
    far_say(far,
            "{\"id\":1,\"statusCode\":104,\"errorMessage\":\"listen: taken\",\"error\":"
            "{\"code\":\"PORT_IN_USE\",\"field\":\"parameters.listen\",\"errno\":"
            "\"EADDRINUSE\"}}");
    udptun_client_process(client);
    assert_int_equal(seen.error.code, UDPTUN_E_PORT_IN_USE);
    assert_string_equal(udptun_client_code_name(seen.error.code), "PORT_IN_USE");
    assert_string_equal(seen.error.message, "listen: taken");
    assert_string_equal(seen.error.field, "parameters.listen");
    assert_int_equal(seen.error.sys_errno, EADDRINUSE);
    assert_true(seen.had_json);
    udptun_client_free(client);
}

static void an_error_without_an_id_goes_to_the_oldest_call(void **state)
{
    struct far *far = *state;
    struct seen first = {0}, second = {0};
    udptun_client *client = client_to(far, false, NULL);
    call(client, "a", NULL, &first);
    call(client, "b", NULL, &second);
    udptun_client_process(client);
    far_accept(far);
    far_say(far, "{\"statusCode\":107,\"errorMessage\":\"too deep\"}");
    udptun_client_process(client);
    assert_int_equal(first.error.code, UDPTUN_E_BAD_REQUEST);
    assert_int_equal(second.calls, 0);
    udptun_client_free(client);
    assert_int_equal(second.error.code, UDPTUN_E_CANCELLED);
}

static void a_farewell_explains_the_lost_connection(void **state)
{
    struct far *far = *state;
    struct seen seen = {0};
    udptun_client *client = client_to(far, true, &seen);
    udptun_client_process(client);
    far_accept(far);
    far_say(far, "{\"statusCode\":103,\"errorMessage\":\"too many connections\"}");
    far_hang_up(far);
    udptun_client_process(client);
    assert_int_equal(seen.last_state, UDPTUN_CLIENT_DISCONNECTED);
    assert_int_equal(seen.error.code, UDPTUN_E_LIMIT);
    assert_string_equal(seen.error.message, "too many connections");
    udptun_client_free(client);
}

static void a_farewell_for_lack_of_room_reaches_every_call_and_the_state(void **state)
{
    struct far *far = *state;
    struct seen link = {0}, first = {0}, second = {0};
    udptun_client *client = client_to(far, false, &link);
    call(client, "first", NULL, &first);
    call(client, "second", NULL, &second);
    udptun_client_process(client);
    far_accept(far);
    char text[4096];
    far_hear(far, text); /* so that the close is no reset */
    far_say(far, "{\"statusCode\":103,\"errorMessage\":\"too many connections\"}");
    far_hang_up(far);
    udptun_client_process(client);
    assert_int_equal(first.error.code, UDPTUN_E_LIMIT);
    assert_int_equal(second.error.code, UDPTUN_E_LIMIT);
    assert_int_equal(link.error.code, UDPTUN_E_LIMIT);
    udptun_client_free(client);
    assert_int_equal(first.calls + second.calls, 2);
}

/* The pause before the next attempt, after a connection on which the daemon said `text`. */
static int64_t pause_after(struct far *far, udptun_client *client, const char *text)
{
    while (udptun_client_get_fd(client) < 0) {
        poll(NULL, 0, (int)udptun_client_get_timeout_ms(client));
        udptun_client_process(client);
    }
    udptun_client_process(client);
    far_accept(far);
    far_say(far, text);
    udptun_client_process(client);
    far_hang_up(far);
    udptun_client_process(client);
    assert_int_equal(udptun_client_get_fd(client), -1);
    return udptun_client_get_timeout_ms(client);
}

/* The pauses are 1, 2, 4, 8, 16 ms and so on. */
static void the_pause_grows_until_a_call_is_served(void **state)
{
    struct far *far = *state;
    struct udptun_client_config config;
    udptun_client_config_init(&config);
    config.socket_path = far->path;
    config.reconnect = true;
    config.reconnect_min_ms = 1;
    config.reconnect_max_ms = 1 << 20;
    udptun_client *client = udptun_client_new(&config, NULL);
    assert_non_null(client);
    int64_t pause_ms = 0;
    for (int i = 0; i < 40 && pause_ms <= 8; i++)
        pause_ms = pause_after(far, client, "{\"statusCode\":103,\"errorMessage\":\"too many\"}");
    assert_true(pause_ms > 8); /* never, if hearing a refusal were enough */
    struct seen served = {0};
    call(client, "served", NULL, &served);
    assert_true(pause_after(far, client, "{\"id\":1,\"statusCode\":0}") <= 1);
    assert_int_equal(served.calls, 1);
    udptun_client_free(client);
}

static void garbage_and_oversized_replies_end_the_connection(void **state)
{
    struct far *far = *state;
    static const char *const bad[] = {"hello\n", "{\"id\":1,}", "[1]", "{\"a\":1,\"a\":2}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct seen seen = {0};
        udptun_client *client = client_to(far, false, NULL);
        call(client, "a", NULL, &seen);
        udptun_client_process(client);
        far_accept(far);
        far_say(far, bad[i]);
        udptun_client_process(client);
        assert_int_equal(seen.calls, 1);
        assert_int_equal(seen.error.code, UDPTUN_E_BAD_REQUEST);
        assert_int_equal(udptun_client_get_fd(client), -1);
        udptun_client_free(client);
        far_hang_up(far);
    }

    struct seen seen = {0};
    struct udptun_client_config config;
    udptun_client_config_init(&config);
    config.socket_path = far->path;
    config.max_reply_bytes = 64;
    udptun_client *client = udptun_client_new(&config, NULL);
    call(client, "a", NULL, &seen);
    udptun_client_process(client);
    far_accept(far);
    far_say(far, "{\"id\":1,\"statusCode\":0,\"returnValue\":\"0123456789012345678901234567890\"");
    udptun_client_process(client);
    assert_int_equal(seen.error.code, UDPTUN_E_LIMIT);
    udptun_client_free(client);
}

/* ---- losing, timing out, giving up -------------------------------------------------------------
 */

static void a_disconnect_in_the_middle_fails_what_is_outstanding(void **state)
{
    struct far *far = *state;
    struct seen seen[2] = {0};
    udptun_client *client = client_to(far, false, NULL);
    call(client, "a", NULL, &seen[0]);
    call(client, "b", NULL, &seen[1]);
    udptun_client_process(client);
    far_accept(far);
    far_say(far, "{\"id\":1,\"statusCode\":0}{\"id\":2,\"sta");
    far_hang_up(far);
    assert_int_equal(udptun_client_process(client), UDPTUN_E_UNREACHABLE);
    assert_int_equal(seen[0].error.code, UDPTUN_OK);
    assert_int_equal(seen[1].error.code, UDPTUN_E_UNREACHABLE);
    assert_false(seen[1].had_json);
    assert_int_equal(udptun_client_get_timeout_ms(client), -1);

    /* The next call connects again and is not confused by the half that was left. */
    struct seen next = {0};
    call(client, "c", NULL, &next);
    assert_int_equal(udptun_client_process(client), 0);
    far_accept(far);
    far_say(far, "{\"id\":3,\"statusCode\":0}");
    udptun_client_process(client);
    assert_int_equal(next.error.code, UDPTUN_OK);
    udptun_client_free(client);
}

static void a_missing_daemon_is_named_with_its_socket(void **state)
{
    struct far *far = *state;
    far_stop(far);
    struct seen seen = {0};
    udptun_client *client = client_to(far, false, NULL);
    call(client, "a", NULL, &seen);
    assert_int_equal(udptun_client_process(client), UDPTUN_E_UNREACHABLE);
    assert_int_equal(seen.calls, 1);
    assert_int_equal(seen.error.sys_errno, ENOENT);
    assert_non_null(strstr(seen.error.message, far->path));
    udptun_client_free(client);
}

static void a_call_times_out_and_its_late_reply_is_dropped(void **state)
{
    struct far *far = *state;
    struct seen seen = {0}, other = {0};
    udptun_client *client = client_to(far, false, NULL);
    struct udptun_client_request request;
    udptun_client_request_init(&request, "slow");
    request.timeout_ms = 1;
    assert_int_equal(udptun_client_call(client, &request, on_reply, &seen, NULL, NULL), 0);
    while (seen.calls == 0) {
        udptun_client_process(client);
        int64_t timeout = udptun_client_get_timeout_ms(client);
        if (timeout > 0)
            poll(NULL, 0, (int)timeout);
    }
    assert_int_equal(seen.error.code, UDPTUN_E_TIMEOUT);
    far_accept(far);
    call(client, "quick", NULL, &other);
    udptun_client_process(client);
    far_say(far, "{\"id\":1,\"statusCode\":0}{\"id\":2,\"statusCode\":0}");
    udptun_client_process(client);
    assert_int_equal(seen.calls, 1);
    assert_int_equal(other.error.code, UDPTUN_OK);
    assert_int_equal(other.calls, 1);
    udptun_client_free(client);
}

static void cancel_fires_once_and_keeps_the_framing_of_a_half_sent_message(void **state)
{
    struct far *far = *state;
    struct seen big = {0}, small = {0};
    size_t size = 900000;
    char *parameters = malloc(size + 16);
    int head = sprintf(parameters, "{\"x\":\"");
    memset(parameters + head, 'x', size);
    strcpy(parameters + (size_t)head + size, "\"}");

    udptun_client *client = client_to(far, false, NULL);
    uint64_t id = call(client, "big", parameters, &big);
    udptun_client_process(client);
    assert_int_equal(udptun_client_get_events(client), UDPTUN_CLIENT_READ | UDPTUN_CLIENT_WRITE);
    assert_int_equal(udptun_client_cancel(client, id), 0);
    assert_int_equal(big.calls, 1);
    assert_int_equal(big.error.code, UDPTUN_E_CANCELLED);
    assert_int_equal(udptun_client_cancel(client, id), UDPTUN_E_NOT_FOUND);
    call(client, "small", NULL, &small);

    far_accept(far);
    char text[4096];
    size_t heard = 0;
    while (udptun_client_get_events(client) & UDPTUN_CLIENT_WRITE) {
        heard += strlen(far_hear(far, text));
        udptun_client_process(client);
    }
    size_t total = strlen("{\"action\":\"big\",\"id\":1,\"parameters\":}\n") + strlen(parameters) +
                   strlen("{\"action\":\"small\",\"id\":2}\n");
    while (heard < total)
        heard += strlen(far_hear(far, text));
    assert_int_equal(heard, total);
    assert_string_equal(text + strlen(text) - 26, "{\"action\":\"small\",\"id\":2}\n");
    far_say(far, "{\"id\":2,\"statusCode\":0}");
    udptun_client_process(client);
    assert_int_equal(small.error.code, UDPTUN_OK);
    assert_int_equal(big.calls, 1);
    udptun_client_free(client);
    free(parameters);
}

static void a_callback_may_free_the_client(void **state)
{
    struct far *far = *state;
    struct seen first = {.free_client = true}, second = {0}, refused = {0};
    second.call = &refused;
    udptun_client *client = client_to(far, false, NULL);
    call(client, "a", NULL, &first);
    call(client, "b", NULL, &second);
    udptun_client_process(client);
    far_accept(far);
    far_say(far, "{\"id\":1,\"statusCode\":0}{\"id\":2,\"statusCode\":0}");
    assert_int_equal(udptun_client_process(client), UDPTUN_E_CANCELLED);
    assert_int_equal(first.calls, 1);
    assert_int_equal(second.calls, 1);
    assert_int_equal(second.error.code, UDPTUN_E_CANCELLED);
    assert_int_equal(refused.calls, 0);
    assert_int_equal(refused.error.code, UDPTUN_E_CANCELLED);
}

static void a_callback_may_free_the_client_in_every_other_place(void **state)
{
    struct far *far = *state;
    struct seen seen = {.free_client = true}; /* on an event */
    udptun_client *client = client_to(far, true, &seen);
    udptun_client_process(client);
    far_accept(far);
    far_say(far, "{\"event\":\"config\",\"seq\":1}{\"event\":\"config\",\"seq\":2}");
    assert_int_equal(udptun_client_process(client), UDPTUN_E_CANCELLED);
    assert_int_equal(seen.events, 1);

    struct seen cancelled = {.free_client = true}; /* inside cancel */
    client = client_to(far, false, NULL);
    uint64_t id = call(client, "a", NULL, &cancelled);
    udptun_client_cancel(client, id);
    assert_int_equal(cancelled.calls, 1);

    struct seen lost[2] = {{.free_client = true}, {0}}; /* on a lost connection */
    client = client_to(far, false, NULL);
    call(client, "a", NULL, &lost[0]);
    call(client, "b", NULL, &lost[1]);
    udptun_client_process(client);
    far_stop(far);
    assert_int_equal(udptun_client_process(client), UDPTUN_E_CANCELLED);
    assert_int_equal(lost[0].calls + lost[1].calls, 2);
}

static void a_callback_may_call_and_cancel(void **state)
{
    struct far *far = *state;
    struct seen again = {0}, first = {0}, second = {0};
    udptun_client *client = client_to(far, false, NULL);
    call(client, "a", NULL, &first);
    first.cancel = call(client, "b", NULL, &second);
    first.call = &again;
    udptun_client_process(client);
    far_accept(far);
    far_say(far, "{\"id\":1,\"statusCode\":0}{\"id\":2,\"statusCode\":0}");
    udptun_client_process(client);
    assert_int_equal(first.calls, 1);
    assert_int_equal(second.calls, 1);
    assert_int_equal(second.error.code, UDPTUN_E_CANCELLED);
    udptun_client_process(client);
    far_say(far, "{\"id\":0,\"statusCode\":0}"); /* hello: a daemon that knows no cancel, 3 */
    udptun_client_process(client);
    far_say(far, "{\"id\":4,\"statusCode\":0}");
    udptun_client_process(client);
    assert_int_equal(again.calls, 1);
    udptun_client_free(client);
}

static void process_again(void *arg, udptun_client *client, const struct udptun_client_reply *reply)
{
    unsigned *replies = arg;
    assert_int_equal(reply->error.code, UDPTUN_OK);
    assert_int_equal(udptun_client_process(client), UDPTUN_OK);
    ++*replies;
}

static void a_callback_that_processes_loses_nothing_behind_it(void **state)
{
    struct far *far = *state;
    unsigned replies = 0;
    struct seen last = {0};
    udptun_client *client = client_to(far, false, NULL);
    struct udptun_client_request request;
    udptun_client_request_init(&request, "a");
    for (int i = 0; i < 2; i++)
        assert_int_equal(udptun_client_call(client, &request, process_again, &replies, NULL, NULL),
                         0);
    call(client, "b", NULL, &last);
    udptun_client_process(client);
    far_accept(far);
    far_say(far,
            "{\"id\":1,\"statusCode\":0}\n{\"id\":2,\"statusCode\":0}\n"
            "{\"id\":3,\"statusCode\":0}\n");
    udptun_client_process(client);
    assert_int_equal(replies, 2);
    assert_int_equal(last.calls, 1);
    udptun_client_free(client);
}

/* ---- reconnecting ------------------------------------------------------------------------------
 */

/* Turn the client's own wheel until it has a connection or has none. */
static void run_until(udptun_client *client, bool connected)
{
    for (int turn = 0; (udptun_client_get_fd(client) >= 0) != connected; turn++) {
        assert_true(turn < 5000);
        int64_t timeout = udptun_client_get_timeout_ms(client);
        assert_true(timeout >= 0 || !connected);
        poll(NULL, 0, timeout < 0 ? 1 : (int)timeout);
        udptun_client_process(client);
    }
}

static void a_reconnecting_client_waits_for_the_daemon_and_renews_its_subscription(void **state)
{
    struct far *far = *state;
    far_stop(far);
    struct seen link = {0}, subscribed = {0}, early = {0}, sent = {0}, after = {0};
    udptun_client *client = client_to(far, true, &link);
    call(client, "early", NULL, &early);
    udptun_client_process(client);
    assert_int_equal(early.calls, 0);
    assert_true(udptun_client_get_timeout_ms(client) >= 0);

    far_listen(far);
    run_until(client, true);
    far_accept(far);
    assert_int_equal(link.states, 1);
    far_say(far, "{\"id\":1,\"statusCode\":0}");
    udptun_client_process(client);
    assert_int_equal(early.error.code, UDPTUN_OK);

    assert_int_equal(
        udptun_client_subscribe(client, "state,config", true, on_reply, &subscribed, NULL, NULL),
        0);
    udptun_client_process(client);
    char text[4096];
    far_hear(far, text);
    assert_non_null(strstr(text, "{\"topics\":[\"state\",\"config\"],\"snapshot\":true}"));
    far_say(far, "{\"id\":2,\"statusCode\":0}{\"event\":\"tunnel.state\",\"seq\":1}");
    udptun_client_process(client);
    assert_int_equal(subscribed.calls, 1);
    assert_int_equal(link.events, 2); /* the reply, with the snapshot, and the event */

    call(client, "sent", NULL, &sent);
    udptun_client_process(client);
    far_hang_up(far);
    udptun_client_process(client);
    assert_int_equal(link.last_state, UDPTUN_CLIENT_DISCONNECTED);
    assert_int_equal(sent.error.code, UDPTUN_E_UNREACHABLE);

    struct seen queued = {0};
    call(client, "queued", NULL, &queued);
    run_until(client, true);
    udptun_client_process(client);
    far_accept(far);
    far_hear(far, text);
    const char *renewal = strstr(text, "\"subscribe\"");
    assert_non_null(renewal);
    assert_true(renewal < strstr(text, "\"queued\""));
    far_say(far,
            "{\"action\":\"subscribe\",\"id\":5,\"statusCode\":0,\"returnValue\":{}}"
            "{\"id\":4,\"statusCode\":0}");
    udptun_client_process(client);
    assert_int_equal(queued.error.code, UDPTUN_OK);
    assert_int_equal(subscribed.calls, 1);
    assert_int_equal(link.events, 3);
    assert_non_null(strstr(link.event, "\"subscribe\""));

    /* A refused renewal is a lost connection, not a silent watcher. */
    far_hang_up(far);
    udptun_client_process(client);
    run_until(client, true);
    udptun_client_process(client);
    far_accept(far);
    far_say(far, "{\"id\":6,\"statusCode\":2,\"errorMessage\":\"no more\"}");
    udptun_client_process(client);
    assert_int_equal(udptun_client_get_fd(client), -1);
    assert_string_equal(link.error.message, "no more");

    /* Who unsubscribed is not subscribed again. */
    far_hang_up(far);
    run_until(client, true);
    udptun_client_process(client);
    far_accept(far);
    far_hear(far, text);
    assert_int_equal(udptun_client_unsubscribe(client, NULL, NULL, NULL, NULL), 0);
    udptun_client_process(client);
    assert_non_null(strstr(far_hear(far, text), "\"unsubscribe\""));
    far_hang_up(far);
    udptun_client_process(client);
    run_until(client, true);
    call(client, "after", NULL, &after);
    udptun_client_process(client);
    far_accept(far);
    assert_null(strstr(far_hear(far, text), "subscribe"));
    udptun_client_free(client);
    assert_int_equal(after.calls, 1);
}

/* An app with an older header: what its structs lack keeps its default, what lies behind them is
 * neither read nor written. */
static void older_structs_keep_the_defaults_of_what_they_lack(void **state)
{
    struct far *far = *state;
    struct udptun_client_config config, untouched;
    struct udptun_client_request request;
    struct seen seen = {0};
    char text[4096];
    memset(&config, 0x5a, sizeof config);
    memset(&untouched, 0x5a, sizeof untouched);
    size_t size = offsetof(struct udptun_client_config, timeout_ms);
    udptun_client_config_init_sized(&config, size);
    assert_memory_equal((char *)&config + size, (char *)&untouched + size, sizeof config - size);
    config.socket_path = far->path;
    udptun_client *client = udptun_client_new(&config, NULL);
    assert_non_null(client);

    memset(&request, 0x5a, sizeof request);
    udptun_client_request_init_sized(&request, "getStatus",
                                     offsetof(struct udptun_client_request, timeout_ms));
    assert_int_equal(udptun_client_call(client, &request, on_reply, &seen, NULL, NULL), 0);
    udptun_client_process(client);
    far_accept(far);
    assert_non_null(strstr(far_hear(far, text), "hello")); /* the call has a timeout: greeting.c */
    far_say(far, "{\"id\":0,\"statusCode\":0}");
    udptun_client_process(client);
    assert_non_null(strstr(far_hear(far, text), "getStatus"));
    int64_t timeout_ms = udptun_client_get_timeout_ms(client);
    assert_true(timeout_ms > 0 && timeout_ms <= 10000);

    config.size = 8;
    assert_null(udptun_client_new(&config, NULL));
    request.size = 8;
    assert_int_equal(udptun_client_call(client, &request, on_reply, &seen, NULL, NULL),
                     UDPTUN_E_INVALID);
    udptun_client_free(client);
    assert_int_equal(seen.calls, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_reply_reaches_its_call_in_any_cut),
        TEST(several_replies_in_one_read_go_each_to_its_own_call),
        TEST(an_error_reply_is_told_in_full),
        TEST(an_error_without_an_id_goes_to_the_oldest_call),
        TEST(a_farewell_explains_the_lost_connection),
        TEST(a_farewell_for_lack_of_room_reaches_every_call_and_the_state),
        TEST(the_pause_grows_until_a_call_is_served),
        TEST(garbage_and_oversized_replies_end_the_connection),
        TEST(a_disconnect_in_the_middle_fails_what_is_outstanding),
        TEST(a_missing_daemon_is_named_with_its_socket),
        TEST(a_call_times_out_and_its_late_reply_is_dropped),
        TEST(cancel_fires_once_and_keeps_the_framing_of_a_half_sent_message),
        TEST(a_callback_may_free_the_client),
        TEST(a_callback_may_free_the_client_in_every_other_place),
        TEST(a_callback_may_call_and_cancel),
        TEST(a_callback_that_processes_loses_nothing_behind_it),
        TEST(a_reconnecting_client_waits_for_the_daemon_and_renews_its_subscription),
        TEST(older_structs_keep_the_defaults_of_what_they_lack),
    };
    return cmocka_run_group_tests_name("libclient", tests, NULL, NULL);
}
