/* SPDX-License-Identifier: Apache-2.0 */
/* test_conn_fds.c - to which message of a connection descriptors belong, and that none is kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/control/socket/command_fds.h"

#define INPUT_SIZE 256

struct world {
    int near, far;
    struct fds_in in;
    uint8_t input[INPUT_SIZE];
    size_t size;
};

static void start(struct world *w)
{
    int pair[2];
    *w = (struct world){0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    w->near = pair[0];
    w->far = pair[1];
}

static void stop(struct world *w)
{
    fds_in_close(&w->in);
    close(w->near);
    close(w->far);
}

/* Send `text` with `count` descriptors. */
static void send_with(struct world *w, const char *text, unsigned count)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(16 * sizeof(int))];
    } room = {0};
    struct iovec bytes = {(void *)(uintptr_t)text, strlen(text)};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (count > 0) {
        message.msg_control = room.bytes;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *h = CMSG_FIRSTHDR(&message);
        h->cmsg_level = SOL_SOCKET;
        h->cmsg_type = SCM_RIGHTS;
        h->cmsg_len = CMSG_LEN(count * sizeof(int));
        for (unsigned i = 0; i < count; i++)
            memcpy(CMSG_DATA(h) + i * sizeof(int), &null, sizeof null);
    }
    assert_int_equal(sendmsg(w->far, &message, 0), (ssize_t)strlen(text));
    close(null);
}

/* One read, and then all there is. */
static void receive(struct world *w)
{
    size_t got;
    while (fds_receive(&w->in, w->near, w->input + w->size, INPUT_SIZE - w->size, w->size, &got) ==
               0 &&
           got > 0)
        w->size += got;
}

static unsigned taken(struct world *w, size_t begin, size_t end)
{
    struct fds fds = {0};
    fds_take(&w->in, w->input, begin, end, true, &fds);
    unsigned count = fds.count;
    for (unsigned i = 0; i < count; i++)
        assert_int_not_equal(fcntl(fds.fd[i], F_GETFD) & FD_CLOEXEC, 0);
    fds_close(&fds);
    return count;
}

static void a_message_gets_what_came_with_it(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    send_with(&w, "{1}", 2);
    send_with(&w, "{2}", 0);
    send_with(&w, "{3}", 1);
    receive(&w);
    assert_int_equal(taken(&w, 0, 3), 2);
    assert_int_equal(taken(&w, 3, 6), 0);
    assert_int_equal(taken(&w, 6, 9), 1);
    assert_int_equal(w.in.count, 0);
    stop(&w);
}

static void the_last_that_begins_in_the_bytes_gets_them(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    send_with(&w, "{1}{2}\n{3", 1);
    send_with(&w, "33}", 0);
    receive(&w);
    assert_int_equal(taken(&w, 0, 3), 0);
    assert_int_equal(taken(&w, 3, 6), 0);
    assert_int_equal(taken(&w, 7, 12), 1);
    stop(&w);
}

static void white_space_behind_begins_no_message(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    send_with(&w, "{1} \r\n\t", 1);
    receive(&w);
    assert_int_equal(taken(&w, 0, 3), 1);
    stop(&w);
}

static void in_the_middle_of_a_message_they_are_closed(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    send_with(&w, "{1", 0);
    receive(&w);
    send_with(&w, "11}", 3);
    receive(&w);
    assert_int_equal(w.in.count, 1);
    assert_int_equal(taken(&w, 0, 5), 0);
    assert_int_equal(w.in.count, 0);
    stop(&w);
}

static void places_move_with_the_input(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    send_with(&w, "{1}", 0);
    send_with(&w, "{2}", 1);
    receive(&w);
    assert_int_equal(taken(&w, 0, 3), 0);
    memmove(w.input, w.input + 3, 3);
    fds_shift(&w.in, 3);
    assert_int_equal(taken(&w, 0, 3), 1);
    stop(&w);
}

static void too_many_are_closed(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    int before = dup(w.near);
    close(before);
    send_with(&w, "{1}", 16);
    for (unsigned i = 0; i < 2 * FDS_READS; i++)
        send_with(&w, "{x}", 1);
    receive(&w);
    assert_int_equal(w.in.count, FDS_READS);
    assert_int_equal(taken(&w, 0, 3), FDS_PER_MESSAGE);
    fds_in_close(&w.in);
    int after = dup(w.near); /* the lowest number that is free */
    assert_int_equal(after, before);
    close(after);
    stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_gets_what_came_with_it),
        cmocka_unit_test(the_last_that_begins_in_the_bytes_gets_them),
        cmocka_unit_test(white_space_behind_begins_no_message),
        cmocka_unit_test(in_the_middle_of_a_message_they_are_closed),
        cmocka_unit_test(places_move_with_the_input),
        cmocka_unit_test(too_many_are_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
