/* SPDX-License-Identifier: Apache-2.0 */
/* notify.c - see notify.h: datagrams to $NOTIFY_SOCKET, and descriptor 3. */
#include "daemon/platform/process/notify.h"

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
    *n = (struct notify){.socket = NO_SOCKET};
    if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof address.sun_path)
        return;
    size_t len = strlen(path);
    memcpy(address.sun_path, path, len);
    if (path[0] == '@')
        address.sun_path[0] = '\0'; /* the abstract namespace */
    n->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    if (n->socket >= 0 && connect(n->socket, (struct sockaddr *)&address, size) < 0) {
        close(n->socket);
        n->socket = NO_SOCKET;
    }
}

void notify_send(const struct notify *n, const char *state)
{
    if (n->socket >= 0)
        (void)!send(n->socket, state, strlen(state), MSG_NOSIGNAL);
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

static void on_watchdog(void *arg)
{
    struct notify *n = (struct notify *)arg;
    notify_send(n, "WATCHDOG=1");
    timer_start(&n->watchdog, n->interval_us);
}

/* A number of the environment; 0: there is none. */
static uint64_t number_in(const char *name)
{
    const char *text = getenv(name);
    return text && *text >= '0' && *text <= '9' ? strtoull(text, NULL, 10) : 0;
}

void notify_watchdog(struct notify *n, struct loop *loop)
{
    uint64_t interval_us = number_in("WATCHDOG_USEC"), pid = number_in("WATCHDOG_PID");
    if (n->socket < 0 || interval_us == 0 || (pid != 0 && pid != (uint64_t)getpid()))
        return;
    n->interval_us = interval_us / 2;
    timer_init(&n->watchdog, loop, on_watchdog, n);
    timer_start(&n->watchdog, n->interval_us);
}

void notify_close(struct notify *n)
{
    timer_stop(&n->watchdog);
    if (n->socket >= 0)
        close(n->socket);
    n->socket = NO_SOCKET;
}

udptun_socket notify_listening(void)
{
    if (number_in("LISTEN_PID") != (uint64_t)getpid() || number_in("LISTEN_FDS") < 1 ||
        fcntl(LISTEN_FIRST_FD, F_SETFD, FD_CLOEXEC) < 0)
        return NO_SOCKET;
    return LISTEN_FIRST_FD;
}
