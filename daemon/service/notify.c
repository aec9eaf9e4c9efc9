/* SPDX-License-Identifier: Apache-2.0 */
/* notify.c - see notify.h. */
#include "daemon/service/notify.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define LISTEN_FIRST_FD 3

void notify_open(struct notify *n)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    *n = (struct notify){.fd = -1};
    if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof address.sun_path)
        return;
    size_t len = strlen(path);
    memcpy(address.sun_path, path, len);
    if (path[0] == '@')
        address.sun_path[0] = '\0'; /* the abstract namespace */
    n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    if (n->fd >= 0 && connect(n->fd, (struct sockaddr *)&address, size) < 0) {
        close(n->fd);
        n->fd = -1;
    }
}

void notify_send(const struct notify *n, const char *state)
{
    if (n->fd >= 0)
        (void)!send(n->fd, state, strlen(state), MSG_NOSIGNAL);
}

void notify_reloading(const struct notify *n)
{
    char text[80];
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
             (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
    notify_send(n, text);
}

static void on_watchdog(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    notify_send(timer->data, "WATCHDOG=1");
}

/* A number of the environment; 0: there is none. */
static uint64_t number_in(const char *name)
{
    const char *text = getenv(name);
    return text && *text >= '0' && *text <= '9' ? strtoull(text, NULL, 10) : 0;
}

void notify_watchdog(struct notify *n, struct ev_loop *loop)
{
    uint64_t interval_us = number_in("WATCHDOG_USEC"), pid = number_in("WATCHDOG_PID");
    if (n->fd < 0 || interval_us == 0 || (pid != 0 && pid != (uint64_t)getpid()))
        return;
    double seconds = (double)interval_us / 2e6;
    ev_timer_init(&n->watchdog, on_watchdog, seconds, seconds);
    n->watchdog.data = n;
    ev_timer_start(loop, &n->watchdog);
}

void notify_close(struct notify *n, struct ev_loop *loop)
{
    ev_timer_stop(loop, &n->watchdog);
    if (n->fd >= 0)
        close(n->fd);
    n->fd = -1;
}

int notify_listen_fd(void)
{
    if (number_in("LISTEN_PID") != (uint64_t)getpid() || number_in("LISTEN_FDS") < 1 ||
        fcntl(LISTEN_FIRST_FD, F_SETFD, FD_CLOEXEC) < 0)
        return -1;
    return LISTEN_FIRST_FD;
}
