/* SPDX-License-Identifier: Apache-2.0 */
/* test_thread.c - threads and mailboxes. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/platform/thread.h"

enum { LETTERS = 5000 };

struct numbered {
    struct letter letter;
    struct reader *reader;
    unsigned number;
};

struct reader {
    struct thread *thread;
    struct mailbox *mailbox;
    unsigned seen, out_of_order, calls;
    bool blocks_signals, is_me, stop;
    struct numbered letters[LETTERS];
};

static void read_letters(void *arg)
{
    struct reader *r = (struct reader *)arg;
    sigset_t blocked;
    pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    r->blocks_signals = sigismember(&blocked, SIGTERM) == 1;
    while (!r->stop)
        mailbox_wait(r->mailbox);
}

static void on_letter(struct letter *letter)
{
    struct numbered *n = (struct numbered *)(void *)letter;
    n->reader->out_of_order += n->number != n->reader->seen;
    n->reader->seen++;
}

static void on_call(void *arg)
{
    struct reader *r = (struct reader *)arg;
    r->calls++;
    r->is_me = thread_is_me(r->thread);
}

static void on_stop(void *arg)
{
    ((struct reader *)arg)->stop = true;
}

static void letters_are_read_in_order_and_calls_wait(void **state)
{
    (void)state;
    static struct reader r;
    r.mailbox = mailbox_new(NULL, NULL);
    assert_non_null(r.mailbox);
    assert_int_equal(thread_start(&r.thread, read_letters, &r), 0);
    assert_false(thread_is_me(r.thread));
    for (unsigned i = 0; i < LETTERS; i++) {
        r.letters[i] = (struct numbered){.letter = {.run = on_letter}, .reader = &r, .number = i};
        mailbox_post(r.mailbox, &r.letters[i].letter);
    }
    mailbox_call(r.mailbox, on_call, &r);
    assert_int_equal(r.calls, 1);
    assert_true(r.is_me);
    assert_int_equal(r.seen, LETTERS); /* a call is behind what was posted before it */
    assert_int_equal(r.out_of_order, 0);
    assert_true(r.blocks_signals);
    mailbox_call(r.mailbox, on_stop, &r);
    thread_join(r.thread);
    mailbox_free(r.mailbox);
}

static void count_wake(void *arg)
{
    ++*(unsigned *)arg;
}

static void post_another(struct letter *letter)
{
    struct numbered *n = (struct numbered *)(void *)letter;
    if (n->reader->seen++ == 0)
        mailbox_post(n->reader->mailbox, letter);
}

/* A letter that posts a letter does not keep the reader, and its wake is not lost. */
static void reader_is_woken_for_what_comes_while_it_reads(void **state)
{
    (void)state;
    struct reader *r = (struct reader *)test_calloc(1, sizeof *r);
    unsigned wakes = 0;
    r->mailbox = mailbox_new(count_wake, &wakes);
    r->letters[0] = (struct numbered){.letter = {.run = post_another}, .reader = r};
    mailbox_post(r->mailbox, &r->letters[0].letter);
    assert_int_equal(wakes, 1);
    mailbox_run(r->mailbox);
    assert_int_equal(r->seen, 1);
    assert_int_equal(wakes, 2);
    mailbox_run(r->mailbox);
    assert_int_equal(r->seen, 2);
    mailbox_free(r->mailbox);
    test_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_are_read_in_order_and_calls_wait),
        cmocka_unit_test(reader_is_woken_for_what_comes_while_it_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
