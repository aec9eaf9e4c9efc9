/* SPDX-License-Identifier: Apache-2.0 */
/* command_socket.c - accepting, and who may have how many connections; see command_socket.h. The
 * life of one connection is in command_conn.c. */
#include "daemon/control/socket/command_socket.h"

#include <stdlib.h>

#include "daemon/control/socket/command_conn.h"
#include "daemon/control/socket/dispatch.h"
#include "daemon/control/store/state.h"
#include "daemon/platform/clock.h"
#include "daemon/service/command_slots.h"

#define ACCEPT_BATCH    16
#define REFUSAL_LOG_US  1000000
#define REFUSED_TIME_US 1000000

/* What this user has already. */
static unsigned connections_of(const struct command_socket *server, uint32_t uid)
{
    unsigned count = 0;
    LIST_FOREACH (node, &server->connections)
        count += list_entry(node, struct command_conn, node)->peer.uid == uid;
    return count;
}

static const char *command_socket_refusal(const struct command_socket *server,
                                          const struct command_peer *peer)
{
    const struct command_slot slot = {.uid = peer->uid,
                                      .exempt = peer->exempt,
                                      .of_user = connections_of(server, peer->uid),
                                      .all = server->count,
                                      .most = COMMAND_SOCKET_MAX_CONNECTIONS};
    return command_slot_refusal(&slot);
}

static void command_socket_forget(udptun_socket *socket)
{
    if (*socket != NO_SOCKET)
        socket_close(*socket);
    *socket = NO_SOCKET;
}

static void forget_refused(struct command_socket *server)
{
    for (unsigned i = 0; i < COMMAND_SOCKET_REFUSED; i++)
        command_socket_forget(&server->refused[i]);
}

static void on_forget(void *arg)
{
    struct command_socket *server = arg;
    forget_refused(server);
    accepting_refill(&server->accepting);
}

/* One try, without waiting: who is refused gets told if there is room to tell. It stays open for a
 * moment, unread: a client that writes before it reads has to find the reason and no broken pipe.
 */
static void command_socket_refuse(struct command_socket *server, udptun_socket socket,
                                  const char *why)
{
    udptun_socket *slot = &server->refused[server->next_refused++ % COMMAND_SOCKET_REFUSED];
    struct envelope_bytes bytes = dispatch_refusal(UDPTUN_E_LIMIT, why);
    size_t sent;
    if (bytes.data)
        (void)socket_write(socket, bytes.data, bytes.size, &sent);
    free(bytes.data);
    socket_end(socket);
    command_socket_forget(slot);
    *slot = socket;
    timer_start(&server->forget, REFUSED_TIME_US);
}

void command_socket_note_debt(struct command_socket *server, uint32_t uid, uint64_t for_us)
{
    struct command_debt debt = {.uid = uid, .until_us = clock_us() + for_us};
    for (unsigned i = 0; i < COMMAND_SOCKET_DEBTS; i++) {
        if (server->debts[i].uid == uid && server->debts[i].until_us) {
            server->debts[i] = debt;
            return;
        }
    }
    server->debts[server->next_debt] = debt;
    server->next_debt = (server->next_debt + 1) % COMMAND_SOCKET_DEBTS;
}

uint64_t command_socket_debt_us(const struct command_socket *server, uint32_t uid)
{
    uint64_t now_us = clock_us();
    for (unsigned i = 0; i < COMMAND_SOCKET_DEBTS; i++)
        if (server->debts[i].uid == uid && server->debts[i].until_us > now_us)
            return server->debts[i].until_us - now_us;
    return 0;
}

static void log_refusal(struct command_socket *server, uint32_t uid, const char *why)
{
    uint64_t now_us = clock_us();
    if (now_us - server->refusal_logged_us < REFUSAL_LOG_US)
        return;
    server->refusal_logged_us = now_us;
    log_write(server->control->log, UDPTUN_LOG_WARN, "control", "user %u: %s", (unsigned)uid, why);
}

static void on_taken(void *arg, udptun_socket socket, const struct udptun_endpoint *from)
{
    (void)from;
    struct command_socket *server = arg;
    struct command_peer peer;
    if (!peer_identify(socket, server->listener.group, &peer)) {
        socket_close(socket);
        return;
    }
    const char *why = command_socket_refusal(server, &peer);
    if (why) {
        log_refusal(server, peer.uid, why);
        command_socket_refuse(server, socket, why);
    } else if (command_conn_open(server, socket, &peer) < 0) {
        command_socket_refuse(server, socket, "out of memory");
    }
}

static void on_shortage(void *arg, int failure)
{
    const struct command_socket *server = arg;
    char text[IO_TEXT_SIZE];
    log_write(server->control->log, UDPTUN_LOG_WARN, "control",
              "cannot accept connections for now: %s", io_text(failure, text));
}

static const struct accepting_ops accepting_ops = {.taken = on_taken, .shortage = on_shortage};

int command_socket_start(struct command_socket *server, struct control *control,
                         struct command_listener *listener, void (*room)(struct command_conn *conn))
{
    server->control = control;
    server->room = room;
    server->listener = *listener;
    *listener = (struct command_listener){.socket = NO_SOCKET};
    list_init(&server->connections);
    for (unsigned i = 0; i < COMMAND_SOCKET_REFUSED; i++)
        server->refused[i] = NO_SOCKET;
    timer_init(&server->forget, control->loop, on_forget, server);
    accepting_init(&server->accepting, control->loop, &accepting_ops, server, ACCEPT_BATCH);
    int rc = accepting_start(&server->accepting, server->listener.socket);
    if (rc == 0)
        accepting_keep_spares(&server->accepting);
    return rc;
}

void command_socket_stop(struct command_socket *server)
{
    accepting_stop(&server->accepting);
    timer_stop(&server->forget);
    forget_refused(server);
    LIST_FOREACH_SAFE (node, &server->connections)
        command_conn_send_and_end(list_entry(node, struct command_conn, node));
    command_listener_close(&server->listener);
}
