/* SPDX-License-Identifier: Apache-2.0 */
/* wait.h - waiting for a few sockets without an event loop, for programs that do one thing at a
 * time. */
#ifndef PLATFORM_WAIT_H
#define PLATFORM_WAIT_H

#include <stddef.h>
#include <stdint.h>

#include <udptun/loop.h>

enum {
    WAIT_READ = UDPTUN_LOOP_READ,
    WAIT_WRITE = UDPTUN_LOOP_WRITE,
    WAIT_GONE = 4, /* it has ended or failed; always waited for */
};

struct wait_entry {
    udptun_socket socket; /* NO_SOCKET: nothing is waited for here */
    unsigned wanted;      /* of WAIT_READ and WAIT_WRITE */
    unsigned ready;       /* set by wait_for() */
};

/* Wait until one of them is ready, a signal was handled, or `timeout_ms` (-1: for ever) is over. 0
 * or the system's error number. */
int wait_for(struct wait_entry *entries, size_t count, int64_t timeout_ms);

#endif
