/* SPDX-License-Identifier: Apache-2.0 */
/* clients.c - see clients.h. */
#include "controller/proxy/clients.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/service/command_slots.h"
#include "proto/control/scan.h"

enum {
    MOST_CLIENTS = 128,
    READ_SIZE = 16384,
    MOST_AHEAD = 65536,    /* bytes that are read while an answer is due */
    MOST_WAITING = 262144, /* bytes of answers and news that a client may leave unread */
};

static const double REST_S = 0.5, LOOKOUT_S = 1.;

struct client {
    struct list node;
    struct clients *clients;
    struct client_who who;
    int fd; /* -1: dead, to be freed by the reaper */
    ev_io readable, writable;
    ev_timer go_on;
    ev_timer message_due; /* while an object has begun and not ended */
    ev_timer reading_due; /* while answers wait to be read */
    ev_timer lookout;     /* for a half-closed client to be gone */
    struct scan scan;
    char *in;
    size_t in_size, in_room, scanned, start;
    bool busy;   /* an object is handed out and not answered yet */
    bool ending; /* nothing more is read; closed when everything is written */
    bool half_closed;
    char *out;
    size_t out_size;
};

static struct client *find(struct clients *c, uint64_t id)
{
    LIST_FOREACH (node, &c->list) {
        struct client *client = list_entry(node, struct client, node);
        if (client->who.id == id && client->fd >= 0)
            return client;
    }
    return NULL;
}

static void kill_client(struct client *client)
{
    struct clients *c = client->clients;
    if (client->fd < 0)
        return;
    ev_io_stop(c->loop, &client->readable);
    ev_io_stop(c->loop, &client->writable);
    ev_timer_stop(c->loop, &client->go_on);
    ev_timer_stop(c->loop, &client->message_due);
    ev_timer_stop(c->loop, &client->reading_due);
    ev_timer_stop(c->loop, &client->lookout);
    close(client->fd);
    client->fd = -1;
    c->count--;
    c->ops->gone(c->arg, &client->who);
}

static void reap(struct ev_loop *loop, ev_prepare *watcher, int events)
{
    (void)loop;
    (void)events;
    struct clients *c = watcher->data;
    LIST_FOREACH_SAFE (node, &c->list) {
        struct client *client = list_entry(node, struct client, node);
        if (client->fd >= 0)
            continue;
        list_remove(node);
        free(client->in);
        free(client->out);
        free(client);
    }
}

/* ---- in -------------------------------------------------------------------------------------- */

/* Drop what was handed out. */
static void compact(struct client *client)
{
    if (client->start == 0)
        return;
    memmove(client->in, client->in + client->start, client->in_size - client->start);
    client->in_size -= client->start;
    client->scanned -= client->start;
    client->start = 0;
}

static void hand_out(struct client *client)
{
    const struct clients *c = client->clients;
    size_t start = client->start, end = client->scanned;
    client->start = end;
    client->busy = true;
    char saved = client->in[end]; /* there is always room for one more */
    client->in[end] = '\0';
    c->ops->object(c->arg, &client->who, client->in + start, end - start);
    client->in[end] = saved;
}

static void refuse(struct client *client, bool goes_on, const char *why)
{
    const struct clients *c = client->clients;
    client->start = client->scanned;
    client->busy = true;
    client->ending = client->ending || !goes_on;
    ev_io_stop(c->loop, &client->readable);
    c->ops->garbage(c->arg, &client->who, goes_on, why);
}

/* Time runs for an object that has begun, and only while we wait for the rest of it. */
static void time_message(struct client *client)
{
    struct ev_loop *loop = client->clients->loop;
    bool begun = scan_inside(&client->scan) && !client->busy && !client->ending;
    if (!begun)
        ev_timer_stop(loop, &client->message_due);
    else if (!ev_is_active(&client->message_due))
        ev_timer_start(loop, &client->message_due);
}

static void on_message_due(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    refuse(watcher->data, false, "the object did not end within 10 s");
}

/* Hand out the next object, if there is a whole one. */
static void scan_object(struct client *client)
{
    size_t used, skipped;
    if (client->busy || client->ending || client->fd < 0 || client->scanned == client->in_size)
        return;
    enum scan_result result =
        scan_feed(&client->scan, (const uint8_t *)client->in + client->scanned,
                  client->in_size - client->scanned, &used, &skipped);
    client->start += client->start == client->scanned ? skipped : 0;
    client->scanned += used;
    if (client->scan.encoding == ENCODING_PROTOBUF) {
        refuse(client, false, "a JSON object is expected");
        return;
    }
    switch (result) {
    case SCAN_MORE:
        return;
    case SCAN_MESSAGE:
        hand_out(client);
        return;
    case SCAN_TOO_DEEP:
        refuse(client, true, "the object is nested too deeply");
        return;
    case SCAN_TOO_LARGE:
        refuse(client, false, "the object is larger than 1 MiB");
        return;
    case SCAN_GARBAGE:
        refuse(client, false, "a JSON object is expected");
        return;
    }
}

static void next_object(struct client *client)
{
    scan_object(client);
    if (client->fd >= 0)
        time_message(client);
}

static bool make_room(struct client *client)
{
    compact(client);
    if (client->in_room >= client->in_size + READ_SIZE + 1)
        return true;
    size_t room = client->in_room ? client->in_room * 2 : READ_SIZE + 1;
    if (room < client->in_size + READ_SIZE + 1)
        room = client->in_size + READ_SIZE + 1;
    char *grown = realloc(client->in, room);
    if (!grown)
        return false;
    client->in = grown;
    client->in_room = room;
    return true;
}

/* It has closed, and not only its sending side: nobody is there for an answer. */
static bool has_hung_up(const struct client *client)
{
    struct pollfd look = {.fd = client->fd};
    return poll(&look, 1, 0) > 0 && (look.revents & (POLLHUP | POLLERR)) != 0;
}

static void on_lookout(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    struct client *client = watcher->data;
    if (has_hung_up(client))
        kill_client(client);
}

/* It sends no more. It may still read what it asked for. */
static void half_close(struct client *client)
{
    const struct clients *c = client->clients;
    ev_io_stop(c->loop, &client->readable);
    if (has_hung_up(client) || (!client->busy && client->out_size == 0)) {
        kill_client(client);
        return;
    }
    client->half_closed = true;
    if (!client->busy)
        client->ending = true;
    ev_timer_again(c->loop, &client->lookout);
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)events;
    struct client *client = watcher->data;
    if (!make_room(client)) {
        kill_client(client);
        return;
    }
    ssize_t size = recv(client->fd, client->in + client->in_size, READ_SIZE, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size == 0) {
        half_close(client);
        return;
    }
    if (size < 0) {
        kill_client(client);
        return;
    }
    client->in_size += (size_t)size;
    next_object(client);
    if (client->busy && client->in_size - client->start > MOST_AHEAD)
        ev_io_stop(loop, watcher);
}

static void on_go_on(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)events;
    struct client *client = watcher->data;
    next_object(client);
    if (client->fd < 0 || client->ending)
        return;
    if (!client->half_closed)
        ev_io_start(loop, &client->readable);
    else if (!client->busy && client->out_size == 0) /* and had nothing more to ask */
        kill_client(client);
    else if (!client->busy)
        client->ending = true;
}

void clients_answered(struct clients *c, uint64_t id)
{
    struct client *client = find(c, id);
    if (!client)
        return;
    client->busy = false;
    if (client->ending && client->out_size == 0)
        kill_client(client);
    else if (!ev_is_active(&client->go_on))
        ev_timer_start(c->loop, &client->go_on); /* not from within the answer to the last one */
}

/* ---- out ------------------------------------------------------------------------------------- */

static void on_writable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)events;
    struct client *client = watcher->data;
    ssize_t size = send(client->fd, client->out, client->out_size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size < 0) {
        kill_client(client);
        return;
    }
    client->out_size -= (size_t)size;
    memmove(client->out, client->out + size, client->out_size);
    ev_timer_again(loop, &client->reading_due);
    if (client->out_size > 0)
        return;
    ev_io_stop(loop, watcher);
    ev_timer_stop(loop, &client->reading_due);
    if (client->ending && !client->busy)
        kill_client(client);
}

/* It reads nothing: a stopped program, or one that only writes. */
static void on_reading_due(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    kill_client(watcher->data);
}

static bool keep_for_later(struct client *client, const char *data, size_t size)
{
    if (size > MOST_WAITING - client->out_size)
        return false;
    char *grown = realloc(client->out, client->out_size + size);
    if (!grown)
        return false;
    memcpy(grown + client->out_size, data, size);
    client->out = grown;
    client->out_size += size;
    ev_io_start(client->clients->loop, &client->writable);
    if (!ev_is_active(&client->reading_due))
        ev_timer_again(client->clients->loop, &client->reading_due);
    return true;
}

bool clients_send(struct clients *c, uint64_t id, const char *line, size_t size)
{
    struct client *client = find(c, id);
    if (!client)
        return false;
    ssize_t sent = 0;
    if (client->out_size == 0)
        sent = send(client->fd, line, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR))
        sent = 0;
    if (sent >= 0 &&
        ((size_t)sent == size || keep_for_later(client, line + sent, size - (size_t)sent)))
        return true;
    kill_client(client);
    return false;
}

/* ---- coming and going ------------------------------------------------------------------------ */

static const char *refusal(const struct clients *c, uid_t uid)
{
    struct command_slot slot = {
        .uid = uid, .exempt = uid == 0 || uid == geteuid(), .all = c->count, .most = MOST_CLIENTS};
    LIST_FOREACH (node, &c->list) {
        const struct client *client = list_entry(node, struct client, node);
        slot.of_user += client->fd >= 0 && client->who.uid == uid;
    }
    return command_slot_refusal(&slot);
}

/* The reason is sent if there is room for it. */
static void refuse_connection(int fd, const char *why)
{
    char line[160];
    int size = snprintf(line, sizeof line,
                        "{\"statusCode\":103,\"action\":\"\",\"errorMessage\":\"%s\","
                        "\"error\":{\"code\":\"LIMIT\"}}\n",
                        why);
    (void)!send(fd, line, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);
    close(fd);
}

static void add_client(struct clients *c, int fd)
{
    struct ucred who;
    socklen_t size = sizeof who;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) < 0) {
        close(fd);
        return;
    }
    const char *why = refusal(c, who.uid);
    struct client *client = why ? NULL : calloc(1, sizeof *client);
    if (!client) {
        refuse_connection(fd, why ? why : "out of memory");
        return;
    }
    client->clients = c;
    client->who = (struct client_who){.id = ++c->last_id, .pid = who.pid, .uid = who.uid};
    client->fd = fd;
    scan_init(&client->scan);
    ev_io_init(&client->readable, on_readable, fd, EV_READ);
    ev_io_init(&client->writable, on_writable, fd, EV_WRITE);
    ev_timer_init(&client->go_on, on_go_on, 0., 0.);
    ev_timer_init(&client->message_due, on_message_due, COMMAND_MESSAGE_TIME_S, 0.);
    ev_timer_init(&client->reading_due, on_reading_due, 0., COMMAND_READER_TIME_S);
    client->readable.data = client->writable.data = client->go_on.data = client;
    ev_timer_init(&client->lookout, on_lookout, 0., LOOKOUT_S);
    client->message_due.data = client->reading_due.data = client->lookout.data = client;
    list_append(&c->list, &client->node);
    c->count++;
    ev_io_start(c->loop, &client->readable);
}

static void on_acceptable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)events;
    struct clients *c = watcher->data;
    int fd = accept4(watcher->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
        add_client(c, fd);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
        ev_io_stop(loop, watcher);
        ev_timer_start(loop, &c->rest);
    }
}

static void on_rested(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)events;
    struct clients *c = watcher->data;
    ev_io_start(loop, &c->acceptable);
}

int clients_open(struct clients *c, struct ev_loop *loop, const char *path, uid_t owner,
                 const struct clients_ops *ops, void *arg, struct udptun_error *err)
{
    *c = (struct clients){.loop = loop, .ops = ops, .arg = arg};
    list_init(&c->list);
    const struct command_access access = {
        .mode = 0660, .owner = owner, .own_group = true, .program = "ProxyController"};
    int rc = command_listener_open(&c->listener, path, &access, err);
    if (rc < 0) {
        c->loop = NULL;
        return rc;
    }
    ev_io_init(&c->acceptable, on_acceptable, c->listener.socket, EV_READ);
    ev_timer_init(&c->rest, on_rested, REST_S, 0.);
    ev_prepare_init(&c->reaper, reap);
    c->acceptable.data = c->rest.data = c->reaper.data = c;
    ev_io_start(loop, &c->acceptable);
    ev_prepare_start(loop, &c->reaper);
    return UDPTUN_OK;
}

void clients_close(struct clients *c)
{
    if (!c->loop)
        return;
    ev_io_stop(c->loop, &c->acceptable);
    ev_timer_stop(c->loop, &c->rest);
    ev_prepare_stop(c->loop, &c->reaper);
    LIST_FOREACH (node, &c->list)
        kill_client(list_entry(node, struct client, node));
    reap(c->loop, &c->reaper, 0);
    command_listener_close(&c->listener);
    c->loop = NULL;
}
