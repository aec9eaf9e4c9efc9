/* SPDX-License-Identifier: Apache-2.0 */
/* command_socket.c - accepting, and who may have how many connections; see command_socket.h. The
 * life of one connection is in command_conn.c. */
#include "daemon/control/socket/command_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/control/socket/command_conn.h"
#include "daemon/control/socket/dispatch.h"
#include "daemon/control/store/state.h"
#include "daemon/service/command_slots.h"

#define ACCEPT_PAUSE_S 1.0
#define ACCEPT_BATCH   16
#define REFUSAL_LOG_S  1.0
#define REFUSED_TIME_S 1.0

/* What this user has already. */
static unsigned connections_of(const struct command_socket *server, uid_t uid)
{
    unsigned count = 0;
    LIST_FOREACH (node, &server->connections)
        count += list_entry(node, struct command_conn, node)->peer.uid == uid;
    return count;
}

static const char *refusal(const struct command_socket *server, const struct command_peer *peer)
{
    const struct command_slot slot = {.uid = peer->uid,
                                      .exempt = peer->exempt,
                                      .of_user = connections_of(server, peer->uid),
                                      .all = server->count,
                                      .most = COMMAND_SOCKET_MAX_CONNECTIONS};
    return command_slot_refusal(&slot);
}

static void forget(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void forget_refused(struct command_socket *server)
{
    for (unsigned i = 0; i < COMMAND_SOCKET_REFUSED; i++)
        forget(&server->refused[i]);
}

void command_socket_keep_spares(struct command_socket *server)
{
    for (unsigned i = 0; i < COMMAND_SOCKET_SPARES; i++)
        if (server->spares[i] < 0)
            server->spares[i] = fcntl(server->listener.socket, F_DUPFD_CLOEXEC, 0);
}

static bool give_up_spare(struct command_socket *server)
{
    for (unsigned i = 0; i < COMMAND_SOCKET_SPARES; i++) {
        if (server->spares[i] >= 0) {
            forget(&server->spares[i]);
            return true;
        }
    }
    return false;
}

static void on_forget(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    forget_refused(timer->data);
    command_socket_keep_spares(timer->data);
}

/* One try, without waiting: who is refused gets told if there is room to tell. It stays open for a
 * moment, unread: a client that writes before it reads has to find the reason and no broken pipe.
 */
static void refuse(struct command_socket *server, int fd, const char *why)
{
    struct ev_loop *loop = server->control->loop;
    int *slot = &server->refused[server->next_refused++ % COMMAND_SOCKET_REFUSED];
    struct envelope_bytes bytes = dispatch_refusal(UDPTUN_E_LIMIT, why);
    if (bytes.data)
        (void)!send(fd, bytes.data, bytes.size, MSG_NOSIGNAL | MSG_DONTWAIT);
    free(bytes.data);
    shutdown(fd, SHUT_WR);
    forget(slot);
    *slot = fd;
    ev_timer_stop(loop, &server->forget);
    ev_timer_set(&server->forget, REFUSED_TIME_S, 0.);
    ev_timer_start(loop, &server->forget);
}

static void admit(struct command_socket *server, int fd)
{
    struct command_peer peer;
    if (!peer_identify(fd, server->listener.group, &peer)) {
        close(fd);
        return;
    }
    const char *why = refusal(server, &peer);
    if (why) {
        ev_tstamp now = ev_now(server->control->loop);
        if (now - server->refusal_logged >= REFUSAL_LOG_S) {
            server->refusal_logged = now;
            log_write(server->control->log, UDPTUN_LOG_WARN, "control", "user %u: %s",
                      (unsigned)peer.uid, why);
        }
        refuse(server, fd, why);
        return;
    }
    if (command_conn_open(server, fd, &peer) < 0)
        refuse(server, fd, "out of memory");
}

static void on_pause_over(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)events;
    struct command_socket *server = timer->data;
    ev_io_start(loop, &server->accepting);
}

/* One that waits. False: there is none, or it has to wait on. */
static bool accept_one(struct command_socket *server)
{
    int fd;
    do
        fd = accept4(server->listener.socket, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    while (fd < 0 && errno == EMFILE && give_up_spare(server));
    if (fd >= 0) {
        admit(server, fd);
        return true;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        log_write(server->control->log, UDPTUN_LOG_WARN, "control",
                  "cannot accept connections for now: %s", strerror(errno));
        ev_io_stop(server->control->loop, &server->accepting);
        ev_timer_set(&server->pause, ACCEPT_PAUSE_S, 0.);
        ev_timer_start(server->control->loop, &server->pause);
        return false;
    }
    return errno != EAGAIN;
}

static void on_accept(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    struct command_socket *server = watcher->data;
    for (unsigned i = 0; i < ACCEPT_BATCH; i++)
        if (!accept_one(server))
            break;
    /* The kernel wants a free number even to say that nobody waits. */
    command_socket_keep_spares(server);
}

void command_socket_start(struct command_socket *server, struct control *control,
                          struct command_listener *listener,
                          void (*room)(struct command_conn *conn))
{
    server->control = control;
    server->room = room;
    server->listener = *listener;
    *listener = (struct command_listener){.socket = NO_SOCKET};
    list_init(&server->connections);
    server->count = 0;
    server->refusal_logged = 0.;
    server->next_refused = 0;
    for (unsigned i = 0; i < COMMAND_SOCKET_REFUSED; i++)
        server->refused[i] = -1;
    for (unsigned i = 0; i < COMMAND_SOCKET_SPARES; i++)
        server->spares[i] = -1;
    command_socket_keep_spares(server);
    ev_init(&server->forget, on_forget);
    server->forget.data = server;
    ev_io_init(&server->accepting, on_accept, server->listener.socket, EV_READ);
    server->accepting.data = server;
    ev_init(&server->pause, on_pause_over);
    server->pause.data = server;
    ev_io_start(control->loop, &server->accepting);
}

void command_socket_stop(struct command_socket *server)
{
    struct ev_loop *loop = server->control->loop;
    ev_io_stop(loop, &server->accepting);
    ev_timer_stop(loop, &server->pause);
    ev_timer_stop(loop, &server->forget);
    forget_refused(server);
    LIST_FOREACH_SAFE (node, &server->connections)
        command_conn_send_and_end(list_entry(node, struct command_conn, node));
    command_listener_close(&server->listener);
    while (give_up_spare(server))
        continue;
}
