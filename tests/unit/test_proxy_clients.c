/* SPDX-License-Identifier: Apache-2.0 */
/* test_proxy_clients.c - the connections of ProxyController's clients: objects in, lines out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "controller/proxy/clients.h"
#include "daemon/service/command_slots.h"

struct world {
    struct ev_loop *ev;
    struct loop loop;
    struct clients clients;
    char folder[32], path[64];
    char objects[8][64]; /* what was handed out */
    unsigned object_count, garbage_count, gone_count;
    bool keeps_silent; /* objects are not answered */
    struct client_who who;
};

static void on_object(void *arg, const struct client_who *who, const char *text, size_t size)
{
    struct world *w = arg;
    assert_int_equal(strlen(text), size);
    assert_true(w->object_count < 8);
    snprintf(w->objects[w->object_count++], sizeof w->objects[0], "%s", text);
    w->who = *who;
    if (w->keeps_silent)
        return;
    assert_true(clients_send(&w->clients, who->id, "answer\n", 7));
    clients_answered(&w->clients, who->id);
}

static void on_garbage(void *arg, const struct client_who *who, bool goes_on, const char *why)
{
    struct world *w = arg;
    w->garbage_count++;
    assert_true(why[0]);
    clients_send(&w->clients, who->id, goes_on ? "deep\n" : "bad\n", goes_on ? 5 : 4);
    clients_answered(&w->clients, who->id);
}

static void on_gone(void *arg, const struct client_who *who)
{
    struct world *w = arg;
    (void)who;
    w->gone_count++;
}

static const struct clients_ops ops = {on_object, on_garbage, on_gone};

static int set_up(void **state)
{
    struct udptun_error err;
    struct world *w = calloc(1, sizeof *w);
    strcpy(w->folder, "/tmp/proxy-unit-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    snprintf(w->path, sizeof w->path, "%s/sock", w->folder);
    w->ev = ev_loop_new(EVFLAG_AUTO);
    assert_int_equal(loop_init_ev(&w->loop, w->ev, NULL, NULL), 0);
    assert_int_equal(clients_open(&w->clients, &w->loop, w->path, NO_OWNER, &ops, w, &err), 0);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    clients_close(&w->clients);
    assert_int_equal(access(w->path, F_OK), -1);
    loop_fini(&w->loop);
    ev_loop_destroy(w->ev);
    rmdir(w->folder);
    free(w);
    return 0;
}

static int dial(const struct world *w)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    strcpy(address.sun_path, w->path);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void turn(struct world *w)
{
    for (int i = 0; i < 20; i++)
        ev_run(w->ev, EVRUN_NOWAIT);
}

static void say(struct world *w, int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
    turn(w);
}

/* What one read brings; "" at the end of the connection. */
static const char *hear(int fd, char text[256])
{
    ssize_t size = recv(fd, text, 255, 0);
    assert_true(size >= 0);
    text[size] = '\0';
    return text;
}

static void several_objects_in_one_read_are_answered_in_turn(void **state)
{
    struct world *w = *state;
    int fd = dial(w);
    char text[256];
    say(w, fd, "{\"a\":1}{\"b\":\"}{\"}\n {\"c\":[{}]}");
    assert_int_equal(w->object_count, 3);
    assert_string_equal(w->objects[0], "{\"a\":1}");
    assert_string_equal(w->objects[1], "{\"b\":\"}{\"}");
    assert_string_equal(w->objects[2], "{\"c\":[{}]}");
    assert_string_equal(hear(fd, text), "answer\nanswer\nanswer\n");
    assert_int_equal(w->who.pid, getpid());
    assert_int_equal(w->who.uid, getuid());
    close(fd);
    turn(w);
    assert_int_equal(w->gone_count, 1);
}

static void one_object_may_come_byte_by_byte(void **state)
{
    struct world *w = *state;
    int fd = dial(w);
    static const char object[] = "{\"action\":\"x\\\"}\",\"parameters\":{\"y\":[1]}}";
    for (size_t i = 0; i < sizeof object - 1; i++) {
        assert_int_equal(w->object_count, 0);
        say(w, fd, (const char[]){object[i], '\0'});
    }
    assert_int_equal(w->object_count, 1);
    assert_string_equal(w->objects[0], object);
    close(fd);
}

static void the_next_object_waits_for_the_answer_to_the_one_before(void **state)
{
    struct world *w = *state;
    int fd = dial(w);
    w->keeps_silent = true;
    say(w, fd, "{\"a\":1}{\"b\":2}");
    say(w, fd, "{\"c\":3}");
    assert_int_equal(w->object_count, 1);
    clients_answered(&w->clients, w->who.id);
    turn(w);
    assert_int_equal(w->object_count, 2);
    clients_answered(&w->clients, w->who.id);
    turn(w);
    assert_int_equal(w->object_count, 3);
    close(fd);
    clients_answered(&w->clients, w->who.id);
    turn(w);
    assert_int_equal(w->gone_count, 1);
}

static void garbage_is_answered_and_ends_the_connection(void **state)
{
    struct world *w = *state;
    char text[256];
    static const char *const all[] = {"hello", "[1]", "{\"a\":1} x", "\x01"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int fd = dial(w);
        say(w, fd, all[i]);
        assert_non_null(strstr(hear(fd, text), "bad\n"));
        assert_string_equal(hear(fd, text), "");
        close(fd);
    }
    assert_int_equal(w->garbage_count, 4);
    assert_int_equal(w->gone_count, 4);
}

static void what_is_too_deep_costs_only_itself(void **state)
{
    struct world *w = *state;
    char text[256];
    int fd = dial(w);
    say(w, fd, "{\"a\":[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]}{\"b\":1}");
    assert_string_equal(hear(fd, text), "deep\nanswer\n");
    assert_string_equal(w->objects[0], "{\"b\":1}");
    close(fd);
}

static void a_client_that_does_not_read_is_cut_off(void **state)
{
    struct world *w = *state;
    int fd = dial(w);
    static char line[65536];
    memset(line, 'x', sizeof line);
    w->keeps_silent = true;
    say(w, fd, "{}");
    bool there = true;
    for (int i = 0; there && i < 100; i++) {
        there = clients_send(&w->clients, w->who.id, line, sizeof line);
        turn(w);
    }
    assert_false(there);
    assert_int_equal(w->gone_count, 1);
    assert_false(clients_send(&w->clients, w->who.id, line, 1));
    close(fd);
}

static void what_does_not_fit_at_once_comes_later(void **state)
{
    struct world *w = *state;
    int fd = dial(w);
    static char line[400000], got[400000];
    memset(line, 'x', sizeof line);
    say(w, fd, "{}");
    recv(fd, got, sizeof got, 0);
    assert_true(clients_send(&w->clients, w->who.id, line, sizeof line));
    size_t size = 0;
    for (int i = 0; size < sizeof line && i < 1000; i++) {
        ssize_t n = recv(fd, got, sizeof got, 0);
        size += n > 0 ? (size_t)n : 0;
        turn(w);
    }
    assert_int_equal(size, sizeof line);
    close(fd);
}

static void on_wake(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)timer;
    (void)events;
}

/* Turn the loop for so long. */
static void later(struct world *w, double seconds)
{
    ev_timer wake;
    ev_timer_init(&wake, on_wake, seconds, 0.);
    ev_timer_start(w->ev, &wake);
    while (ev_is_active(&wake))
        ev_run(w->ev, EVRUN_ONCE);
}

static void an_object_without_an_end_and_a_client_that_does_not_read_have_ten_seconds(void **state)
{
    struct world *w = *state;
    static char line[400000];
    char text[256];
    int slow = dial(w), silent = dial(w), whole = dial(w), unread = dial(w);
    say(w, slow, "{\"action\":");
    say(w, whole, "{} \n");
    say(w, unread, "{}");
    assert_true(clients_send(&w->clients, w->who.id, line, sizeof line));
    later(w, (COMMAND_MESSAGE_TIME_S > COMMAND_READER_TIME_S ? COMMAND_MESSAGE_TIME_S
                                                             : COMMAND_READER_TIME_S) +
                 0.5);
    assert_string_equal(hear(slow, text), "bad\n");
    assert_string_equal(hear(slow, text), "");
    assert_int_equal(w->gone_count, 2); /* a client may be silent for as long as it likes */
    say(w, silent, "{}");
    assert_string_equal(hear(silent, text), "answer\n");
    close(slow);
    close(silent);
    close(whole);
    close(unread);
}

static void the_socket_is_its_owners(void **state)
{
    struct world *w = *state;
    struct stat st;
    struct udptun_error err;
    struct command_listener second;
    const struct command_access its_access = {
        .mode = 0660, .owner = NO_OWNER, .own_group = true, .program = "ProxyController"};
    assert_int_equal(lstat(w->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0660);
    assert_int_equal(st.st_uid, geteuid());
    assert_int_equal(command_listener_open(&second, w->path, &its_access, &err), UDPTUN_E_CONFLICT);
    assert_non_null(strstr(err.message, w->path));
    assert_int_equal(access(w->path, F_OK), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(several_objects_in_one_read_are_answered_in_turn),
        TEST(one_object_may_come_byte_by_byte),
        TEST(the_next_object_waits_for_the_answer_to_the_one_before),
        TEST(garbage_is_answered_and_ends_the_connection),
        TEST(what_is_too_deep_costs_only_itself),
        TEST(a_client_that_does_not_read_is_cut_off),
        TEST(what_does_not_fit_at_once_comes_later),
        TEST(an_object_without_an_end_and_a_client_that_does_not_read_have_ten_seconds),
        TEST(the_socket_is_its_owners),
    };
    return cmocka_run_group_tests_name("proxy clients", tests, NULL, NULL);
}
