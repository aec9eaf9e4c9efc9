/* SPDX-License-Identifier: Apache-2.0 */
/*
 * thread.h - a thread, and a mailbox through which others give it work.
 *
 * A thread of ours takes no signal of the process. A mailbox is a queue of letters under a lock;
 * no letter is run under it. Its reader is one thread, which runs a loop that the mailbox wakes, or
 * does nothing else than wait for letters.
 */
#ifndef PLATFORM_THREAD_H
#define PLATFORM_THREAD_H

#include <stdbool.h>

#include "proto/list.h"

struct thread;
struct mailbox;

/* 0 and `*made`, or the system's error number. */
int thread_start(struct thread **made, void (*run)(void *arg), void *arg);
/* Wait for its end, and free it. NULL is accepted. */
void thread_join(struct thread *thread);
/* Whether the caller is on that thread. */
bool thread_is_me(const struct thread *thread);

/* Work for the reader. A part of the sender's own struct; it must stay until it has run. */
struct letter {
    struct list node;
    void (*run)(struct letter *letter);
};

/* `wake` (may be NULL) is called on the sender's thread when the mailbox was empty, and makes the
 * reader call mailbox_run(). NULL: out of memory. */
struct mailbox *mailbox_new(void (*wake)(void *arg), void *arg);
/* What was not run is dropped. NULL is accepted. */
void mailbox_free(struct mailbox *mailbox);

/* Any thread: append a letter. */
void mailbox_post(struct mailbox *mailbox, struct letter *letter);
/* Any thread but the reader's: have run(arg) called by the reader, and wait until it has been. */
void mailbox_call(struct mailbox *mailbox, void (*run)(void *arg), void *arg);
/* The reader: run the letters that are there. */
void mailbox_run(struct mailbox *mailbox);
/* The same, and wait for one while there is none. */
void mailbox_wait(struct mailbox *mailbox);

#endif
