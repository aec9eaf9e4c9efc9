/* SPDX-License-Identifier: Apache-2.0 */
/* wait.c - waiting by poll(2). */
#include "daemon/platform/wait.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>

enum { MOST_ENTRIES = 8 };

static unsigned ready_of(short events)
{
    return (events & POLLIN ? (unsigned)WAIT_READ : 0) |
           (events & POLLOUT ? (unsigned)WAIT_WRITE : 0) |
           (events & (POLLHUP | POLLERR | POLLNVAL) ? (unsigned)WAIT_GONE : 0);
}

int wait_for(struct wait_entry *entries, size_t count, int64_t timeout_ms)
{
    struct pollfd fds[MOST_ENTRIES];
    if (count > MOST_ENTRIES)
        return EINVAL;
    for (size_t i = 0; i < count; i++) {
        entries[i].ready = 0;
        fds[i] = (struct pollfd){.fd = entries[i].socket,
                                 .events = (short)((entries[i].wanted & WAIT_READ ? POLLIN : 0) |
                                                   (entries[i].wanted & WAIT_WRITE ? POLLOUT : 0))};
    }
    int most = timeout_ms < 0 ? -1 : timeout_ms > INT_MAX ? INT_MAX : (int)timeout_ms;
    if (poll(fds, (nfds_t)count, most) < 0)
        return errno == EINTR ? 0 : errno;
    for (size_t i = 0; i < count; i++)
        entries[i].ready = ready_of(fds[i].revents);
    return 0;
}
