/* SPDX-License-Identifier: Apache-2.0 */
/* clients.c - see clients.h. */
#include "controller/proxy/clients.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/platform/local.h"
#include "daemon/service/command_slots.h"
#include "proto/control/scan.h"

enum {
    MOST_CLIENTS = 128,
    ACCEPT_BATCH = 16, /* connections in one turn of the loop */
    READ_SIZE = 16384,
    MOST_AHEAD = 65536,    /* bytes that are read while an answer is due */
    MOST_WAITING = 262144, /* bytes of answers and news that a client may leave unread */
};

#define US_PER_S        UINT64_C(1000000)
#define LOOKOUT_US      US_PER_S
#define MESSAGE_TIME_US (COMMAND_MESSAGE_TIME_S * US_PER_S)
#define READER_TIME_US  (COMMAND_READER_TIME_S * US_PER_S)

struct client {
    struct list node;
    struct clients *clients;
    struct client_who who;
    bool is_dead; /* to be freed by the reaper */
    struct io_watch io;
    struct timer go_on;
    struct timer message_due; /* while an object has begun and not ended */
    struct timer reading_due; /* while answers wait to be read */
    struct timer lookout;     /* for a half-closed client to be gone */
    struct scan scan;
    char *in;
    size_t in_size, in_room, scanned, start;
    bool busy;   /* an object is handed out and not answered yet */
    bool ending; /* nothing more is read; closed when everything is written */
    bool half_closed;
    char *out;
    size_t out_size;
};

static struct client *client_of_id(struct clients *c, uint64_t id)
{
    LIST_FOREACH (node, &c->list) {
        struct client *client = list_entry(node, struct client, node);
        if (client->who.id == id && !client->is_dead)
            return client;
    }
    return NULL;
}

static void read_on(struct client *client)
{
    watch_set(&client->io, client->io.events | LOOP_READ);
}

static void read_no_more(struct client *client)
{
    watch_set(&client->io, client->io.events & ~(unsigned)LOOP_READ);
}

static void kill_client(struct client *client)
{
    struct clients *c = client->clients;
    if (client->is_dead)
        return;
    watch_stop(&client->io);
    timer_stop(&client->go_on);
    timer_stop(&client->message_due);
    timer_stop(&client->reading_due);
    timer_stop(&client->lookout);
    socket_close(client->io.socket);
    accepting_refill(&c->accepting);
    client->is_dead = true;
    c->count--;
    timer_start(&c->reaper, 0);
    c->ops->gone(c->arg, &client->who);
}

static void clients_reap(void *arg)
{
    struct clients *c = arg;
    LIST_FOREACH_SAFE (node, &c->list) {
        struct client *client = list_entry(node, struct client, node);
        if (!client->is_dead)
            continue;
        list_remove(node);
        free(client->in);
        free(client->out);
        free(client);
    }
}

/* ---- in -------------------------------------------------------------------------------------- */

/* Drop what was handed out. */
static void client_compact(struct client *client)
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

static void client_refuse(struct client *client, bool goes_on, const char *why)
{
    const struct clients *c = client->clients;
    client->start = client->scanned;
    client->busy = true;
    client->ending = client->ending || !goes_on;
    read_no_more(client);
    c->ops->garbage(c->arg, &client->who, goes_on, why);
}

/* Time runs for an object that has begun, and only while we wait for the rest of it. */
static void time_message(struct client *client)
{
    bool begun = scan_inside(&client->scan) && !client->busy && !client->ending;
    if (!begun)
        timer_stop(&client->message_due);
    else if (!timer_is_on(&client->message_due))
        timer_start(&client->message_due, MESSAGE_TIME_US);
}

static void on_message_due(void *arg)
{
    client_refuse(arg, false, "the object did not end within 10 s");
}

/* Hand out the next object, if there is a whole one. */
static void scan_object(struct client *client)
{
    size_t used, skipped;
    if (client->busy || client->ending || client->is_dead || client->scanned == client->in_size)
        return;
    enum scan_result result =
        scan_feed(&client->scan, (const uint8_t *)client->in + client->scanned,
                  client->in_size - client->scanned, &used, &skipped);
    client->start += client->start == client->scanned ? skipped : 0;
    client->scanned += used;
    if (client->scan.encoding == ENCODING_PROTOBUF) {
        client_refuse(client, false, "a JSON object is expected");
        return;
    }
    switch (result) {
    case SCAN_MORE:
        return;
    case SCAN_MESSAGE:
        hand_out(client);
        return;
    case SCAN_TOO_DEEP:
        client_refuse(client, true, "the object is nested too deeply");
        return;
    case SCAN_TOO_LARGE:
        client_refuse(client, false, "the object is larger than 1 MiB");
        return;
    case SCAN_GARBAGE:
        client_refuse(client, false, "a JSON object is expected");
        return;
    }
}

static void next_object(struct client *client)
{
    scan_object(client);
    if (!client->is_dead)
        time_message(client);
}

static bool client_make_room(struct client *client)
{
    client_compact(client);
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

static void on_lookout(void *arg)
{
    struct client *client = arg;
    if (local_is_gone(client->io.socket))
        kill_client(client);
    else
        timer_start(&client->lookout, LOOKOUT_US);
}

/* It sends no more. It may still read what it asked for. */
static void half_close(struct client *client)
{
    read_no_more(client);
    if (local_is_gone(client->io.socket) || (!client->busy && client->out_size == 0)) {
        kill_client(client);
        return;
    }
    client->half_closed = true;
    if (!client->busy)
        client->ending = true;
    timer_start(&client->lookout, LOOKOUT_US);
}

static void client_receive(struct client *client)
{
    if (!client_make_room(client)) {
        kill_client(client);
        return;
    }
    size_t size;
    int failure = socket_read(client->io.socket, client->in + client->in_size, READ_SIZE, &size);
    if (io_of(failure) == IO_AGAIN)
        return;
    if (failure) {
        kill_client(client);
        return;
    }
    if (size == 0) {
        half_close(client);
        return;
    }
    client->in_size += size;
    next_object(client);
    if (!client->is_dead && client->busy && client->in_size - client->start > MOST_AHEAD)
        read_no_more(client);
}

static void on_go_on(void *arg)
{
    struct client *client = arg;
    next_object(client);
    if (client->is_dead || client->ending)
        return;
    if (!client->half_closed)
        read_on(client);
    else if (!client->busy && client->out_size == 0) /* and had nothing more to ask */
        kill_client(client);
    else if (!client->busy)
        client->ending = true;
}

void clients_answered(struct clients *c, uint64_t id)
{
    struct client *client = client_of_id(c, id);
    if (!client)
        return;
    client->busy = false;
    if (client->ending && client->out_size == 0)
        kill_client(client);
    else if (!timer_is_on(&client->go_on))
        timer_start(&client->go_on, 0); /* not from within the answer to the last one */
}

/* ---- out ------------------------------------------------------------------------------------- */

static void client_send_waiting(struct client *client)
{
    size_t size;
    int failure = socket_write(client->io.socket, client->out, client->out_size, &size);
    if (io_of(failure) == IO_AGAIN)
        return;
    if (failure) {
        kill_client(client);
        return;
    }
    client->out_size -= size;
    memmove(client->out, client->out + size, client->out_size);
    if (client->out_size > 0) {
        timer_start(&client->reading_due, READER_TIME_US);
        return;
    }
    watch_set(&client->io, client->io.events & ~(unsigned)LOOP_WRITE);
    timer_stop(&client->reading_due);
    if (client->ending && !client->busy)
        kill_client(client);
}

/* It reads nothing: a stopped program, or one that only writes. */
static void on_reading_due(void *arg)
{
    kill_client(arg);
}

static void on_ready(void *arg, unsigned events)
{
    struct client *client = arg;
    if (events & LOOP_WRITE)
        client_send_waiting(client);
    if (events & LOOP_READ && !client->is_dead)
        client_receive(client);
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
    watch_set(&client->io, client->io.events | LOOP_WRITE);
    if (!timer_is_on(&client->reading_due))
        timer_start(&client->reading_due, READER_TIME_US);
    return true;
}

bool clients_send(struct clients *c, uint64_t id, const char *line, size_t size)
{
    struct client *client = client_of_id(c, id);
    if (!client)
        return false;
    size_t sent = 0;
    int failure = 0;
    if (client->out_size == 0)
        failure = socket_write(client->io.socket, line, size, &sent);
    if (io_of(failure) == IO_AGAIN)
        failure = 0;
    if (!failure && (sent == size || keep_for_later(client, line + sent, size - sent)))
        return true;
    kill_client(client);
    return false;
}

/* ---- coming and going ------------------------------------------------------------------------ */

static const char *client_refusal(const struct clients *c, const struct local_user *user)
{
    struct command_slot slot = {.uid = user->id,
                                .exempt = user->is_root || user->is_self,
                                .all = c->count,
                                .most = MOST_CLIENTS};
    LIST_FOREACH (node, &c->list) {
        const struct client *client = list_entry(node, struct client, node);
        slot.of_user += !client->is_dead && client->who.uid == user->id;
    }
    return command_slot_refusal(&slot);
}

/* The reason is sent if there is room for it. */
static void refuse_connection(struct clients *c, udptun_socket socket, const char *why)
{
    char line[160];
    int size = snprintf(line, sizeof line,
                        "{\"statusCode\":103,\"action\":\"\",\"errorMessage\":\"%s\","
                        "\"error\":{\"code\":\"LIMIT\"}}\n",
                        why);
    size_t sent;
    (void)socket_write(socket, line, (size_t)size, &sent);
    socket_close(socket);
    accepting_refill(&c->accepting);
}

static struct client *client_new(struct clients *c, udptun_socket socket,
                                 const struct local_user *user)
{
    struct client *client = calloc(1, sizeof *client);
    if (!client)
        return NULL;
    client->clients = c;
    client->who = (struct client_who){.id = ++c->last_id, .pid = user->process, .uid = user->id};
    scan_init(&client->scan);
    watch_init(&client->io, c->loop, on_ready, client);
    timer_init(&client->go_on, c->loop, on_go_on, client);
    timer_init(&client->message_due, c->loop, on_message_due, client);
    timer_init(&client->reading_due, c->loop, on_reading_due, client);
    timer_init(&client->lookout, c->loop, on_lookout, client);
    if (watch_start(&client->io, socket, LOOP_READ) < 0) {
        free(client);
        return NULL;
    }
    list_append(&c->list, &client->node);
    c->count++;
    return client;
}

static void on_accepted(void *arg, udptun_socket socket, const struct udptun_endpoint *from)
{
    struct clients *c = arg;
    struct local_user user;
    (void)from;
    if (local_peer(socket, &user)) {
        socket_close(socket);
        return;
    }
    const char *why = client_refusal(c, &user);
    if (why || !client_new(c, socket, &user))
        refuse_connection(c, socket, why ? why : "out of memory");
}

static const struct accepting_ops accepting_ops = {.taken = on_accepted};

int clients_open(struct clients *c, struct loop *loop, const char *path, uint32_t owner,
                 const struct clients_ops *ops, void *arg, struct udptun_error *err)
{
    *c = (struct clients){.ops = ops, .arg = arg};
    list_init(&c->list);
    const struct command_access access = {
        .mode = 0660, .owner = owner, .own_group = true, .program = "ProxyController"};
    int rc = command_listener_open(&c->listener, path, &access, err);
    if (rc < 0)
        return rc;
    timer_init(&c->reaper, loop, clients_reap, c);
    accepting_init(&c->accepting, loop, &accepting_ops, c, ACCEPT_BATCH);
    rc = accepting_start(&c->accepting, c->listener.socket);
    if (rc < 0) {
        command_listener_close(&c->listener);
        return error_set(err, rc, NULL, "%s: out of memory", path);
    }
    accepting_keep_spares(&c->accepting);
    c->loop = loop;
    return UDPTUN_OK;
}

void clients_close(struct clients *c)
{
    if (!c->loop)
        return;
    accepting_stop(&c->accepting);
    LIST_FOREACH (node, &c->list)
        kill_client(list_entry(node, struct client, node));
    timer_stop(&c->reaper);
    clients_reap(c);
    command_listener_close(&c->listener);
    c->loop = NULL;
}
